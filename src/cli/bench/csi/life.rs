//! The calls of one PV's life, timed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use glusterd_client::csi::generated::{
    CapacityRange, CreateVolumeRequest, DeleteVolumeRequest, NodePublishVolumeRequest,
    NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest, Volume, VolumeCapability,
    controller_client::ControllerClient,
    node_client::NodeClient,
    volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode},
};
use tonic::{Response, Status, transport::Channel};

use crate::cli::Failure;

/// A call of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Stage,
    Publish,
    Unpublish,
    Unstage,
    Delete,
}

impl Call {
    pub(super) const ALL: [Self; 6] =
        [Self::Create, Self::Stage, Self::Publish, Self::Unpublish, Self::Unstage, Self::Delete];
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Stage => "stage",
            Self::Publish => "publish",
            Self::Unpublish => "unpublish",
            Self::Unstage => "unstage",
            Self::Delete => "delete",
        })
    }
}

pub(super) struct Life {
    controller: ControllerClient<Channel>,
    node: NodeClient<Channel>,
    create: CreateVolumeRequest,
    /// What kubelet makes: the parent of the target, and of the staging path.
    dir: PathBuf,
    volume: Volume,
    times: Vec<(Call, Duration)>,
}

impl Life {
    pub(super) fn new(channel: Channel, dir: &Path, name: &str, servers: &str, volume: &str) -> Self {
        let parameters = [("gluster_hosts", servers), ("gluster_volname", volume)];
        let create = CreateVolumeRequest {
            name: format!("kadalu-bench-{}-{name}", std::process::id()),
            capacity_range: Some(CapacityRange { required_bytes: 1 << 20, limit_bytes: 0 }),
            volume_capabilities: vec![capability()],
            parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Default::default()
        };
        Self {
            controller: ControllerClient::new(channel.clone()),
            node: NodeClient::new(channel),
            create,
            dir: dir.join("pods").join(name),
            volume: Volume::default(),
            times: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Vec<(Call, Duration)>, Failure> {
        self.begin().await?;
        self.finish().await?;
        Ok(self.times)
    }

    /// Until it is published.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        fs::create_dir_all(&self.dir).map_err(|error| Failure::other(self.dir.display(), error))?;
        let began = Instant::now();
        let created = self.controller.create_volume(self.create.clone()).await;
        self.volume = self.done(Call::Create, began, created)?.volume.unwrap_or_default();
        let (staging, target) = self.paths();
        let request = NodeStageVolumeRequest {
            volume_id: self.volume.volume_id.clone(),
            staging_target_path: staging.clone(),
            volume_capability: Some(capability()),
            volume_context: self.volume.volume_context.clone(),
            ..Default::default()
        };
        let began = Instant::now();
        let staged = self.node.node_stage_volume(request).await;
        self.done(Call::Stage, began, staged)?;
        let request = NodePublishVolumeRequest {
            volume_id: self.volume.volume_id.clone(),
            staging_target_path: staging,
            target_path: target,
            volume_capability: Some(capability()),
            volume_context: self.volume.volume_context.clone(),
            ..Default::default()
        };
        let began = Instant::now();
        let published = self.node.node_publish_volume(request).await;
        self.done(Call::Publish, began, published)?;
        Ok(())
    }

    /// From there to its end.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        let id = self.volume.volume_id.clone();
        let (staging_target_path, target_path) = self.paths();
        let request = NodeUnpublishVolumeRequest { volume_id: id.clone(), target_path };
        let began = Instant::now();
        let unpublished = self.node.node_unpublish_volume(request).await;
        self.done(Call::Unpublish, began, unpublished)?;
        let request = NodeUnstageVolumeRequest { volume_id: id.clone(), staging_target_path };
        let began = Instant::now();
        let unstaged = self.node.node_unstage_volume(request).await;
        self.done(Call::Unstage, began, unstaged)?;
        let request = DeleteVolumeRequest { volume_id: id, ..Default::default() };
        let began = Instant::now();
        let deleted = self.controller.delete_volume(request).await;
        self.done(Call::Delete, began, deleted)?;
        Ok(())
    }

    fn paths(&self) -> (String, String) {
        let path = |name| self.dir.join(name).display().to_string();
        (path("globalmount"), path("mount"))
    }

    fn done<T>(
        &mut self,
        call: Call,
        began: Instant,
        reply: Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let reply = reply.map_err(|status| {
            Failure::other(
                format_args!("{call} {}", self.create.name),
                format_args!("{:?}: {}", status.code(), status.message()),
            )
        })?;
        self.times.push((call, began.elapsed()));
        Ok(reply.into_inner())
    }
}

fn capability() -> VolumeCapability {
    VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}
