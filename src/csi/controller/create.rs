//! `CreateVolume`.

use tonic::Status;

use super::{Controller, bytes, quota::check_possible, range};
use crate::{
    csi::{
        capability,
        generated::{CreateVolumeRequest, CreateVolumeResponse, Volume},
        server::Deadline,
        status::invalid,
    },
    mount::control::Mounts,
    storage::{
        Error, Reason,
        context::Context,
        handle::Handle,
        layout,
        parameters::{Parameters, PvKind},
        pool::{NewPv, Pool, Pv, Range},
        record::QuotaPolicy,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn create(
        &self,
        request: CreateVolumeRequest,
        deadline: Deadline,
    ) -> Result<CreateVolumeResponse, Status> {
        let component = layout::component(&request.name)?;
        capability::check(&request.volume_capabilities)?;
        if request.volume_content_source.is_some() {
            return Err(invalid("volume_content_source: this driver makes no volumes out of others"));
        }
        if !request.mutable_parameters.is_empty() {
            return Err(invalid("mutable_parameters: there are none in this driver"));
        }
        let range = range(request.capacity_range)?;
        let size = range.size()?;
        let pairs = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let parameters = Parameters::parse(pairs)?;
        let asked = Asked { name: request.name, component, range, size, parameters };
        // By its name until it has an id: kadalu's ids are names.
        let guard = self.operations.begin(&asked.name)?;
        let this = self.clone();
        guard.whole(async move { this.make(asked, deadline).await }).await
    }

    async fn make(&self, asked: Asked, deadline: Deadline) -> Result<CreateVolumeResponse, Status> {
        let Asked { name, component, range, size, parameters } = asked;
        let hosts = parameters.servers.clone();
        let home = self.pools.home(parameters).await?;
        let (kind, parameters) = (home.kind(), &home.parameters);
        let quota = parameters.quota.unwrap_or(self.quota);
        let promised = quota == QuotaPolicy::Required && kind == PvKind::Subdirectory;
        let possible = || if promised { home.volume().map_or(Ok(()), check_possible) } else { Ok(()) };
        match home.suits().map_err(Status::from).and_then(|()| possible()) {
            Err(status) if promised => return Err(self.unless_made(&home.id, &component, status).await),
            suits => suits?,
        }
        self.pools.learn(&home)?;
        self.pools.check_new(&home, quota)?;
        let handle = match kind {
            PvKind::Subdirectory => Handle::Pv { pool: home.id.clone(), component: component.clone() },
            PvKind::Whole => Handle::Whole { pool: home.id.clone(), component: component.clone() },
        };
        let volume_id = handle.to_string();
        let _own = self.operations.begin_also(&volume_id)?;
        if promised && let Err(status) = self.check_possible_now(&home.id).await {
            return Err(self.unless_made(&home.id, &component, status).await);
        }
        let reclaim = parameters.reclaim.unwrap_or_default();
        let (soft_percent, inodes) = (parameters.soft_limit, parameters.inodes);
        let new = NewPv { name, size, reclaim, quota, soft_percent, inodes, mode: None };
        let overcommit = parameters.overcommit.unwrap_or(1.0);
        let make = move |pool: &Pool| match kind {
            PvKind::Subdirectory => pool.create(&new, &range, overcommit),
            PvKind::Whole => claim(pool, new, &range),
        };
        let pv = self.pools.run(&home.id, make).await?;
        if kind == PvKind::Subdirectory {
            self.enforce(&home.id, &pv, quota, deadline.left() * 3 / 4).await?;
        }
        let context = Context {
            pool: Some(home.id.clone()),
            // As the class has them, so that the same call has the same answer when more are known.
            servers: if hosts.is_empty() { parameters.servers.clone() } else { hosts },
            volume: parameters.volume.clone().unwrap_or_default(),
            path: pv.path,
            options: parameters.options.clone(),
        };
        let volume_context = context.write();
        let volume =
            Volume { volume_id, capacity_bytes: bytes(pv.size), volume_context, ..Default::default() };
        Ok(CreateVolumeResponse { volume: Some(volume) })
    }
}

/// What a request asks for, checked as far as it can be without a pool.
struct Asked {
    name: String,
    component: String,
    range: Range,
    size: u64,
    parameters: Parameters,
}

/// Claims a volume as one PV: its size is that of the volume, as it was when it was claimed.
fn claim(pool: &Pool, mut new: NewPv, range: &Range) -> Result<Pv, Error> {
    let refuse = |reason, sentence: String| Err(Error::new(reason, sentence));
    new.size = match pool.claimed()? {
        Some(pv) if pv.name != new.name => {
            let sentence = format!("the volume is one PV, {}: no other can be made of it", pv.name);
            return refuse(Reason::Exhausted, sentence);
        }
        Some(pv) if !range.holds(pv.size) => {
            let sentence =
                format!("the volume is this PV already, of {} bytes: {range} are asked for", pv.size);
            return refuse(Reason::Exists, sentence);
        }
        Some(pv) => pv.size,
        None => {
            let total = pool.capacity()?.total;
            if !range.holds(total) {
                let sentence = format!(
                    "the volume, which would be this PV as a whole, has {total} bytes: {range} are asked for"
                );
                return refuse(Reason::OutOfRange, sentence);
            }
            total
        }
    };
    pool.claim(&new)
}
