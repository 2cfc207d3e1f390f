//! `ControllerExpandVolume`.

use tonic::{Code, Status};

use super::{
    Controller, bytes,
    find::{absent, is_in_use},
    range,
};
use crate::{
    csi::{
        capability::Use,
        generated::{ControllerExpandVolumeRequest, ControllerExpandVolumeResponse},
        server::Deadline,
        status::{failed, invalid},
    },
    mount::control::Mounts,
    storage::{
        Error, Reason,
        handle::{Handle, PoolId},
        pool::{Pool, Pv, Range},
        record::QuotaPolicy,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn expand(
        &self,
        request: ControllerExpandVolumeRequest,
        deadline: Deadline,
    ) -> Result<ControllerExpandVolumeResponse, Status> {
        let handle = Handle::parse(&request.volume_id)?;
        if request.capacity_range.is_none() {
            return Err(invalid("capacity_range is missing"));
        }
        let range = range(request.capacity_range)?;
        range.size()?;
        if let Some(capability) = &request.volume_capability {
            Use::of(capability)?.options()?;
        }
        let guard = self.operations.begin(&handle.to_string())?;
        let this = self.clone();
        let size = guard.whole(async move { this.grow(handle, range, deadline).await }).await?;
        // A directory has no file system of its own that a node would have to grow.
        Ok(ControllerExpandVolumeResponse { capacity_bytes: bytes(size), node_expansion_required: false })
    }

    async fn grow(&self, handle: Handle, range: Range, deadline: Deadline) -> Result<u64, Status> {
        match handle {
            Handle::Pv { pool, component } => self.grow_directory(&pool, component, range, deadline).await,
            Handle::Named(name) => {
                let handle = Handle::Named(name.clone());
                let search = self.search(&name, deadline).await.in_use();
                if let [(pool, _)] = &search.found[..] {
                    search.check_no_other(&name, pool)?;
                }
                let (pool, _) = search.only(&name)?.ok_or_else(|| absent(&handle))?;
                let handle = Handle::Pv { pool: pool.clone(), component: name.clone() };
                let _own = self.operations.begin_also(&handle.to_string())?;
                self.grow_directory(&pool, name, range, deadline).await
            }
            Handle::Whole { ref pool, ref component } => {
                let component = component.clone();
                let claim = self.pools.run(pool, move |pool| pool.claimed_as(&component)).await?;
                let claim = claim.filter(is_in_use).ok_or_else(|| absent(&handle))?;
                if range.holds(claim.size) {
                    return Ok(claim.size);
                }
                let sentence = format!(
                    "the PV is a whole volume of {} bytes, and as large as that: have its admin add bricks",
                    claim.size
                );
                Err(failed(Code::OutOfRange, sentence))
            }
            Handle::Static(source) => {
                let sentence = format!("{source} was not made by this driver, which knows no size of it");
                Err(failed(Code::FailedPrecondition, sentence))
            }
            Handle::Opaque(_) => Err(absent(&handle)),
        }
    }

    async fn grow_directory(
        &self,
        pool: &PoolId,
        component: String,
        range: Range,
        deadline: Deadline,
    ) -> Result<u64, Status> {
        let overcommit = self.pools.parameters(pool).await?.overcommit.unwrap_or(1.0);
        let name = component.clone();
        let find = move |pool: &Pool| match pool.get(&name)? {
            Some(pv) if !is_in_use(&pv) => {
                let sentence = format!("the PV {name} was deleted, and its data is retained; see kadalu pvs");
                Err(Error::new(Reason::NotFound, sentence))
            }
            found => Ok(found),
        };
        let required = |pv: &Pv| pv.quota.unwrap_or(self.quota) == QuotaPolicy::Required;
        // One that has grown already has only to wait.
        let grows =
            self.pools.run(pool, find).await?.is_some_and(|pv| required(&pv) && !range.holds(pv.size));
        if grows {
            self.check_possible_now(pool).await?;
        }
        let grow = move |pool: &Pool| pool.expand(&component, &range, overcommit);
        let pv = self.pools.run(pool, grow).await?;
        self.enforce(pool, &pv, pv.quota.unwrap_or(self.quota), deadline.left() * 3 / 4).await?;
        Ok(pv.size)
    }
}
