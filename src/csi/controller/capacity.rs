//! `GetCapacity`.

use tonic::Status;
use tracing::warn;

use super::{Controller, bytes, find::for_each};
use crate::{
    csi::{
        capability::Use,
        generated::{GetCapacityRequest, GetCapacityResponse},
        server::Deadline,
    },
    mount::control::Mounts,
    storage::{
        Error,
        parameters::{Parameters, PvKind},
        pool::Pool,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn capacity(
        &self,
        request: GetCapacityRequest,
        deadline: Deadline,
    ) -> Result<GetCapacityResponse, Status> {
        for capability in &request.volume_capabilities {
            if Use::of(capability)?.options().is_err() {
                return Ok(response(0, 0));
            }
        }
        if request.parameters.is_empty() {
            return Ok(self.capacity_of_all(deadline).await);
        }
        let pairs = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let home = self.pools.home(Parameters::parse(pairs)?).await?;
        match home.suits() {
            // So that its PVs are found after the state was lost: the provisioner asks for each class.
            Ok(()) => self.pools.learn(&home)?,
            Err(_) => return Ok(response(0, 0)),
        }
        let (kind, overcommit) = (home.kind(), home.parameters.overcommit);
        let available = self.pools.run(&home.id, move |pool| available(pool, kind, overcommit)).await?;
        Ok(response(available, available))
    }

    async fn capacity_of_all(&self, deadline: Deadline) -> GetCapacityResponse {
        let of = move |pool: &Pool| pool.capacity();
        let (mut sum, mut most) = (0_u64, 0);
        for answer in self.pools.each(for_each(deadline), of).await {
            let overcommit = answer.parameters.overcommit.unwrap_or(1.0);
            let counted = answer.outcome.and_then(|(_, capacity)| Ok(capacity.available(overcommit)?));
            match counted {
                Ok(available) => (sum, most) = (sum.saturating_add(available), most.max(available)),
                Err(status) => {
                    warn!(target: "kadalu", pool = answer.name, error = status.message(), "a pool is left out of the capacity");
                }
            }
        }
        response(sum, most)
    }
}

/// What can be made in a pool. A volume is one PV only where nothing is on it.
fn available(pool: &Pool, kind: PvKind, overcommit: Option<f64>) -> Result<u64, Error> {
    let capacity = pool.capacity()?;
    match kind {
        PvKind::Subdirectory => capacity.available(overcommit.unwrap_or(1.0)),
        PvKind::Whole if capacity.promised > 0 => Ok(0),
        PvKind::Whole => Ok(capacity.total),
    }
}

fn response(available: u64, most: u64) -> GetCapacityResponse {
    GetCapacityResponse {
        available_capacity: bytes(available),
        maximum_volume_size: Some(bytes(most)),
        minimum_volume_size: None,
    }
}
