//! The node service: volumes where pods use them.
//!
//! To stage a volume is to have the mount host mount its directory at the staging path, to publish it is the same at the
//! pod's path: both are targets of the mount host, which keeps them alive, whatever becomes of this process. What is
//! remembered here is which volume is where and how it was asked for, and no more than a hint.

mod directory;
mod health;
mod near;
mod publish;
mod request;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Response, Status, async_trait};
use tracing::warn;

use self::{health::Failures, near::Near, state::State};
use super::{
    generated::{
        NodeExpandVolumeRequest, NodeExpandVolumeResponse, NodeGetCapabilitiesRequest,
        NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse, NodeGetStorageHealthRequest,
        NodeGetStorageHealthResponse, NodeGetVolumeHealthRequest, NodeGetVolumeHealthResponse,
        NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest,
        NodePublishVolumeResponse, NodeServiceCapability, NodeStageVolumeRequest, NodeStageVolumeResponse,
        NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse, NodeUnstageVolumeRequest,
        NodeUnstageVolumeResponse, node_server,
        node_service_capability::{Rpc, Type, rpc},
    },
    operations::Operations,
    server::{Deadline, about},
    status::failed,
};
use crate::{
    client,
    mount::{
        self, Reason,
        control::Mounts,
        generated::{ListReply, MountRequest},
        helper::Helper,
        mountinfo::MountTable,
        source::Source,
    },
    storage::{self, known::Known},
};

/// The longest id of a node, in bytes.
const MAX_NODE_ID: usize = 256;

/// What this service offers.
const OFFERED: [rpc::Type; 7] = [
    rpc::Type::StageUnstageVolume,
    rpc::Type::GetVolumeStats,
    rpc::Type::VolumeCondition,
    rpc::Type::SingleNodeMultiWriter,
    rpc::Type::VolumeMountGroup,
    rpc::Type::GetVolumeHealth,
    rpc::Type::GetStorageHealth,
];

/// For the first look at the mount host's list; without it the service starts all the same.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The longest that a mount is waited for, in seconds.
const LONGEST_MOUNT: u64 = 120;

/// How a node works.
#[derive(Debug, Clone)]
pub struct Config {
    /// By which the cluster knows it, of at most 256 bytes.
    pub node_id: String,
    /// Its state is in the directory `node` of this one.
    pub state_dir: PathBuf,
    /// What touches mounts, where the mount host does not.
    pub helper: Helper,
    /// How clusters are spoken to, to see whether they can be reached from here.
    pub client: client::Options,
}

/// The node service. Clones are the same.
pub struct Node<M>(Arc<Inner<M>>);

struct Inner<M> {
    config: Config,
    known: Arc<Known>,
    mounts: M,
    operations: Operations,
    state: State,
    failures: Failures,
    near: Near,
}

impl<M> Clone for Node<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Mounts> Node<M> {
    /// Reads the state, and forgets of it what is not mounted, where the mount host answers. No mount is touched.
    ///
    /// # Errors
    /// The id of the node is impossible; the state directory cannot be read or made.
    pub async fn start(
        config: Config,
        known: Arc<Known>,
        mounts: M,
        operations: Operations,
    ) -> Result<Self, storage::Error> {
        let id = &config.node_id;
        if id.is_empty() || id.len() > MAX_NODE_ID || id.contains(char::is_control) {
            let sentence =
                format!("the node's id must have 1 to {MAX_NODE_ID} bytes without control characters");
            return Err(storage::Error::new(storage::Reason::Invalid, sentence));
        }
        let state = State::open(&config.state_dir.join("node"))?;
        match timeout(FIRST_LOOK, mounts.list()).await {
            Ok(Ok(list)) => match mounted(&list) {
                Ok(mounted) => state.keep(&mounted),
                Err(status) => {
                    warn!(target: "kadalu", error = status.message(), "the state is taken as it is")
                }
            },
            Ok(Err(error)) => warn!(target: "kadalu", %error, "the mount host does not answer yet"),
            Err(_) => warn!(target: "kadalu", "the mount host does not answer yet"),
        }
        let (failures, near) = (Failures::default(), Near::default());
        Ok(Self(Arc::new(Inner { config, known, mounts, operations, state, failures, near })))
    }

    /// Mounts a volume at a directory that is there.
    async fn mount(
        &self,
        volume: &state::Volume,
        capability: &request::Capability,
        target: &Path,
        read_only: bool,
        deadline: Deadline,
    ) -> Result<(), Status> {
        let source = Source::parse(&volume.source)?;
        let request = MountRequest {
            servers: source.servers.iter().map(ToString::to_string).collect(),
            volume: source.volume,
            subdirectory: source.subdirectory,
            target: request::text(target),
            read_only: read_only || volume.read_only,
            options: [&volume.options].into_iter().chain(&capability.flags).cloned().collect(),
            timeout_seconds: deadline.left().as_secs().clamp(1, LONGEST_MOUNT) as u32,
        };
        let mounted = match self.request(request.clone()).await {
            // Not the mount host's, which would have seen to it: of an earlier one, and in the way of nobody.
            Err(error)
                if error.reason() == Reason::TargetInUse
                    && !self.has(target).await?
                    && directory::clear_dead(target, deadline).await? =>
            {
                self.request(request).await
            }
            outcome => outcome,
        };
        let mounted = mounted.map_err(Status::from);
        self.0.failures.note(&volume.id, mounted.as_ref().err());
        mounted
    }

    async fn request(&self, request: MountRequest) -> Result<(), mount::Error> {
        // Its words are for people who wait.
        let (progress, _) = mpsc::unbounded_channel();
        self.0.mounts.mount(request, progress).await.map(drop)
    }

    /// Has the mount host let go of a target, whoever uses it. One that it does not have is no error; where the target is
    /// `ours`, what somebody has mounted over it goes too.
    async fn unmount(&self, target: &Path, ours: bool, deadline: Deadline) -> Result<(), Status> {
        match self.0.mounts.unmount(target, true).await {
            Err(error) if error.reason() == Reason::NotMounted => Ok(()),
            Err(error) if error.reason() == Reason::TargetInUse && ours => {
                directory::clear(target, true, deadline).await?;
                // What it has to do now is to forget it.
                Ok(self.0.mounts.unmount(target, true).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Whether the mount host has this target.
    async fn has(&self, target: &Path) -> Result<bool, mount::Error> {
        Ok(targets(&self.0.mounts.list().await?).contains(&target))
    }

    /// A path of another volume is not touched: whoever asks is mistaken.
    async fn refuse_of_another(&self, id: &str, path: &Path, code: Code) -> Result<(), Status> {
        match self.0.state.other_at(path, id) {
            // What is remembered may be of a time before a reboot.
            Some(other) if mounted(&self.0.mounts.list().await?)?.contains(path) => {
                Err(failed(code, format_args!("{} is where volume {other} is", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is this volume that the mount host has at a target: for what the state does not know any more.
    async fn recall(
        &self,
        id: &str,
        target: &Path,
        context: &BTreeMap<String, String>,
    ) -> Result<Option<state::Volume>, Status> {
        let list = self.0.mounts.list().await?;
        let (Some((volume, _, found)), Ok(location)) = (list.at(target), self.0.known.locate(id, context))
        else {
            return Ok(None);
        };
        if self.0.state.other_at(target, id).is_some() {
            return Ok(None);
        }
        let source = &location.source;
        let told = location.pool.as_ref().map(|pool| pool.as_str()).filter(|_| !volume.id.is_empty());
        let is_same = source.volume == volume.name
            && source.subdirectory == found.subdirectory
            && told.is_none_or(|told| told == volume.id);
        Ok(is_same.then(|| state::Volume::new(id, &location)))
    }
}

/// All targets of a mount host.
fn targets(list: &ListReply) -> Vec<&Path> {
    let pools = list.volumes.iter().flat_map(|volume| &volume.pools);
    pools.flat_map(|pool| &pool.targets).map(|target| Path::new(&target.path)).collect()
}

/// Where something is mounted: what the mount host's list lacks, such as a process that it could not take over, has not
/// gone while the kernel has it.
fn mounted(list: &ListReply) -> Result<BTreeSet<PathBuf>, Status> {
    let table = MountTable::read()
        .map_err(|error| failed(Code::Internal, format_args!("cannot read mountinfo: {error}")))?;
    let kernel = table.entries().iter().map(|entry| entry.mount_point.clone());
    Ok(kernel.chain(targets(list).into_iter().map(Path::to_owned)).collect())
}

#[async_trait]
impl<M: Mounts> node_server::Node for Node<M> {
    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let node_id = self.0.config.node_id.clone();
        Ok(Response::new(NodeGetInfoResponse { node_id, ..Default::default() }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let offered = OFFERED.map(|offered| Type::Rpc(Rpc { r#type: offered.into() }));
        let capabilities = offered.map(|offered| NodeServiceCapability { r#type: Some(offered) }).into();
        Ok(Response::new(NodeGetCapabilitiesResponse { capabilities }))
    }

    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let stage = stage::Stage::read(request.into_inner())?;
        let guard = self.0.operations.begin(&stage.id)?;
        let node = self.clone();
        guard.whole(async move { node.stage(stage, deadline).await }).await?;
        Ok(Response::new(NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let NodeUnstageVolumeRequest { volume_id, staging_target_path } = request.into_inner();
        let id = request::volume_id(volume_id)?;
        let path = request::path("staging_target_path", &staging_target_path)?;
        let guard = self.0.operations.begin(&id)?;
        let node = self.clone();
        guard.whole(async move { node.unstage(&id, &path, deadline).await }).await?;
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let publish = publish::Publish::read(request.into_inner())?;
        let guard = self.0.operations.begin(&publish.id)?;
        let node = self.clone();
        guard.whole(async move { node.publish(publish, deadline).await }).await?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let NodeUnpublishVolumeRequest { volume_id, target_path } = request.into_inner();
        let id = request::volume_id(volume_id)?;
        let path = request::path("target_path", &target_path)?;
        let guard = self.0.operations.begin(&id)?;
        let node = self.clone();
        guard.whole(async move { node.unpublish(&id, &path, deadline).await }).await?;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        let deadline = Deadline::of(&request);
        let NodeGetVolumeStatsRequest { volume_id, volume_path, .. } = request.into_inner();
        let id = request::volume_id(volume_id)?;
        about(&id);
        let path = request::path("volume_path", &volume_path)?;
        self.stats(&id, &path, deadline).await.map(Response::new)
    }

    async fn node_get_volume_health(
        &self,
        request: Request<NodeGetVolumeHealthRequest>,
    ) -> Result<Response<NodeGetVolumeHealthResponse>, Status> {
        let deadline = Deadline::of(&request);
        let NodeGetVolumeHealthRequest { volume_id, volume_publish_path, staging_target_path } =
            request.into_inner();
        let id = request::volume_id(volume_id)?;
        about(&id);
        let published = request::optional_path("volume_publish_path", &volume_publish_path)?;
        let staged = request::optional_path("staging_target_path", &staging_target_path)?;
        let volume_health = Some(self.volume_health(id, [published, staged], deadline).await?);
        Ok(Response::new(NodeGetVolumeHealthResponse { volume_health }))
    }

    async fn node_get_storage_health(
        &self,
        request: Request<NodeGetStorageHealthRequest>,
    ) -> Result<Response<NodeGetStorageHealthResponse>, Status> {
        let deadline = Deadline::of(&request);
        let backend_health = match self.0.mounts.list().await {
            Ok(list) => {
                let near = self.0.near.look(&list, &self.0.config.client, deadline).await;
                health::of_storage(&list, &near)
            }
            Err(error) => health::without_host(&error),
        };
        Ok(Response::new(NodeGetStorageHealthResponse { backend_health }))
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        let sentence = "a node has nothing to do when a volume grows: ControllerExpandVolume does it all";
        Err(failed(Code::Unimplemented, sentence))
    }
}
