//! The controller service: PVs made, grown, found and deleted in the pools of this driver.

mod bricks;
mod capacity;
mod create;
mod delete;
mod expand;
mod find;
mod health;
mod list;
mod pools;
mod quota;
#[cfg(test)]
mod tests;
mod validate;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tonic::{Request, Response, Status, async_trait};

use self::{bricks::Bricks, pools::Pools, quota::Limits};
use super::{
    generated::{
        CapacityRange, ControllerExpandVolumeRequest, ControllerExpandVolumeResponse,
        ControllerGetCapabilitiesRequest, ControllerGetCapabilitiesResponse,
        ControllerGetVolumeHealthRequest, ControllerGetVolumeHealthResponse, ControllerGetVolumeRequest,
        ControllerGetVolumeResponse, ControllerListVolumeHealthRequest, ControllerListVolumeHealthResponse,
        ControllerServiceCapability, CreateVolumeRequest, CreateVolumeResponse, DeleteVolumeRequest,
        DeleteVolumeResponse, GetCapacityRequest, GetCapacityResponse, ListVolumesRequest,
        ListVolumesResponse, ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse,
        controller_server,
        controller_service_capability::{Rpc, Type, rpc},
    },
    operations::Operations,
    server::{Deadline, about},
    status::invalid,
};
use crate::mount::lock::lock;
use crate::{
    client,
    mount::control::Mounts,
    storage::{Error, known::Known, pool::Range, record::QuotaPolicy},
};

/// How a controller works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it mounts its pools. Not shared with a mount host.
    pub state_dir: PathBuf,
    /// How clusters are asked about their volumes.
    pub client: client::Options,
    /// For PVs of which nothing says it.
    pub quota: QuotaPolicy,
    /// How long a call waits for a limit that is required, until every brick enforces it.
    pub quota_wait: Duration,
    /// Says whether a path is mounted; tests mount nothing.
    is_visible: Option<fn(&Path) -> bool>,
}

impl Config {
    /// The defaults, with this state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            client: client::Options::default(),
            quota: QuotaPolicy::default(),
            quota_wait: Duration::from_secs(20),
            is_visible: None,
        }
    }
}

/// The controller service. Clones share its pools.
#[derive(Debug)]
pub struct Controller<M> {
    pools: Pools<M>,
    operations: Operations,
    quota: QuotaPolicy,
    limits: Arc<Limits<M>>,
}

impl<M> Clone for Controller<M> {
    fn clone(&self) -> Self {
        let Self { pools, operations, quota, limits } = self;
        let (pools, operations) = (pools.clone(), operations.clone());
        Self { pools, operations, quota: *quota, limits: limits.clone() }
    }
}

impl<M: Mounts> Controller<M> {
    /// A controller that mounts its pools through `mounts`. Those that were used before are mounted at once, in the
    /// background.
    ///
    /// # Errors
    /// The state directory cannot be used.
    pub fn start(config: Config, known: Arc<Known>, mounts: M) -> Result<Self, Error> {
        let (quota, wait) = (config.quota, config.quota_wait);
        let pools = Pools::open(config, known, mounts)?;
        pools.warm_up();
        let bricks = Bricks::open(pools.mounts().clone(), pools.mnt(), pools.is_visible());
        let limits = Arc::new(Limits::new(bricks, wait));
        Ok(Self { pools, operations: Operations::default(), quota, limits })
    }
}

/// What there is besides the calls that every controller has.
const CAPABILITIES: [rpc::Type; 9] = [
    rpc::Type::CreateDeleteVolume,
    rpc::Type::ExpandVolume,
    rpc::Type::ListVolumes,
    rpc::Type::GetCapacity,
    rpc::Type::GetVolume,
    rpc::Type::SingleNodeMultiWriter,
    rpc::Type::VolumeCondition,
    rpc::Type::GetVolumeHealth,
    rpc::Type::ListVolumeHealth,
];

#[async_trait]
impl<M: Mounts> controller_server::Controller for Controller<M> {
    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<ControllerGetCapabilitiesResponse>, Status> {
        let capability = |rpc: rpc::Type| ControllerServiceCapability {
            r#type: Some(Type::Rpc(Rpc { r#type: rpc.into() })),
        };
        let capabilities = CAPABILITIES.map(capability).into();
        Ok(Response::new(ControllerGetCapabilitiesResponse { capabilities }))
    }

    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        self.create(request.into_inner(), deadline).await.map(Response::new)
    }

    async fn delete_volume(
        &self,
        request: Request<DeleteVolumeRequest>,
    ) -> Result<Response<DeleteVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        self.delete(&request.get_ref().volume_id, deadline).await?;
        Ok(Response::new(DeleteVolumeResponse {}))
    }

    async fn controller_expand_volume(
        &self,
        request: Request<ControllerExpandVolumeRequest>,
    ) -> Result<Response<ControllerExpandVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        self.expand(request.into_inner(), deadline).await.map(Response::new)
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<ValidateVolumeCapabilitiesRequest>,
    ) -> Result<Response<ValidateVolumeCapabilitiesResponse>, Status> {
        about(&request.get_ref().volume_id);
        let deadline = Deadline::of(&request);
        self.validate(request.into_inner(), deadline).await.map(Response::new)
    }

    async fn list_volumes(
        &self,
        request: Request<ListVolumesRequest>,
    ) -> Result<Response<ListVolumesResponse>, Status> {
        let deadline = Deadline::of(&request);
        self.list(request.get_ref(), deadline).await.map(Response::new)
    }

    async fn get_capacity(
        &self,
        request: Request<GetCapacityRequest>,
    ) -> Result<Response<GetCapacityResponse>, Status> {
        let deadline = Deadline::of(&request);
        self.capacity(request.into_inner(), deadline).await.map(Response::new)
    }

    async fn controller_get_volume(
        &self,
        request: Request<ControllerGetVolumeRequest>,
    ) -> Result<Response<ControllerGetVolumeResponse>, Status> {
        about(&request.get_ref().volume_id);
        let deadline = Deadline::of(&request);
        self.get_volume(&request.get_ref().volume_id, deadline).await.map(Response::new)
    }

    async fn controller_get_volume_health(
        &self,
        request: Request<ControllerGetVolumeHealthRequest>,
    ) -> Result<Response<ControllerGetVolumeHealthResponse>, Status> {
        about(&request.get_ref().volume_id);
        let deadline = Deadline::of(&request);
        self.get_health(&request.get_ref().volume_id, deadline).await.map(Response::new)
    }

    async fn controller_list_volume_health(
        &self,
        request: Request<ControllerListVolumeHealthRequest>,
    ) -> Result<Response<ControllerListVolumeHealthResponse>, Status> {
        let deadline = Deadline::of(&request);
        let ControllerListVolumeHealthRequest { max_entries, starting_token, .. } = request.get_ref();
        self.list_health(*max_entries, starting_token, deadline).await.map(Response::new)
    }
}

/// The sizes that are asked for.
fn range(asked: Option<CapacityRange>) -> Result<Range, Status> {
    let CapacityRange { required_bytes, limit_bytes } = asked.unwrap_or_default();
    let negative = |_| invalid("capacity_range: a size cannot be negative");
    let required = u64::try_from(required_bytes).map_err(negative)?;
    // 0 is not set.
    let limit = u64::try_from(limit_bytes).map_err(negative)?;
    Ok(Range { required, limit: Some(limit).filter(|limit| *limit > 0) })
}

/// A size as CSI writes it.
fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
