//! Staging: a volume mounted for the node.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use tonic::{Code, Status};

use super::{
    Node, directory,
    request::{self, Capability},
    state::Volume,
};
use crate::{
    csi::{generated::NodeStageVolumeRequest, server::Deadline, status::failed},
    mount::{control::Mounts, helper::Failed},
    storage,
};

/// What is to be staged.
pub(super) struct Stage {
    pub(super) id: String,
    path: PathBuf,
    capability: Capability,
    context: BTreeMap<String, String>,
}

impl Stage {
    pub(super) fn read(request: NodeStageVolumeRequest) -> Result<Self, Status> {
        Ok(Self {
            id: request::volume_id(request.volume_id)?,
            path: request::path("staging_target_path", &request.staging_target_path)?,
            capability: Capability::read(request.volume_capability)?,
            context: request.volume_context,
        })
    }
}

impl<M: Mounts> Node<M> {
    /// Mounts a volume at its staging path; the same again is done already.
    pub(super) async fn stage(&self, stage: Stage, deadline: Deadline) -> Result<(), Status> {
        let Stage { id, path, capability, context } = stage;
        let path = directory::resolve(&path, deadline).await?;
        let location = self.0.known.locate(&id, &context)?;
        self.refuse_of_another(&id, &path, Code::AlreadyExists).await?;
        let before = self.0.state.get(&id);
        let staged = before.as_ref().and_then(|volume| volume.staged.get(&path));
        if staged.is_some_and(|staged| *staged != capability) && self.has(&path).await? {
            let sentence = format!("it is staged at {} for another volume_capability", path.display());
            return Err(failed(Code::AlreadyExists, sentence));
        }
        let anew = staged.is_none();
        let mut volume = Volume::new(&id, &location);
        if let Some(before) = before {
            volume.continues(before);
        }
        directory::make(&path, deadline).await?;
        self.mount(&volume, &capability, &path, false, deadline).await?;
        if let Err(status) = self.prepare(&mut volume, &capability, &path, deadline).await {
            self.0.failures.note(&id, Some(&status));
            // Nobody uses it yet; where it cannot be unmounted, NodeUnstageVolume will.
            if anew {
                let _ = self.unmount(&path, false, deadline).await;
            }
            return Err(status);
        }
        volume.staged.insert(path, capability);
        Ok(self.0.state.put(volume).await?)
    }

    /// What is to be so before a pod sees it.
    async fn prepare(
        &self,
        volume: &mut Volume,
        capability: &Capability,
        path: &Path,
        deadline: Deadline,
    ) -> Result<(), Status> {
        self.check_identity(volume, path).await?;
        let writable = !capability.read_only && !volume.read_only;
        let Some(gid) = capability.group.filter(|_| writable) else { return Ok(()) };
        self.give(volume, gid, path, deadline).await
    }

    /// Lets a group use a volume that is mounted at a path.
    pub(super) async fn give(
        &self,
        volume: &mut Volume,
        gid: u32,
        path: &Path,
        deadline: Deadline,
    ) -> Result<(), Status> {
        let given = self.0.config.helper.let_use(path, gid, deadline.left()).await;
        given.map_err(|error| group_failed(&error, gid))?;
        volume.group = Some(gid);
        Ok(())
    }

    /// Whether it is the volume that was meant: another may have taken its name.
    pub(super) async fn check_identity(&self, volume: &Volume, path: &Path) -> Result<(), Status> {
        let Some(meant) = &volume.pool else { return Ok(()) };
        let list = self.0.mounts.list().await?;
        let found = list.at(path).map(|(volume, ..)| volume);
        match found.filter(|found| !found.id.is_empty() && found.id != *meant) {
            Some(other) => {
                let sentence = format!(
                    "volume {} has the id {}, and this one was made on {meant}: it was deleted and made anew, or the \
                     servers are those of another cluster",
                    other.name, other.id
                );
                Err(failed(Code::FailedPrecondition, sentence))
            }
            None => Ok(()),
        }
    }

    /// Takes a volume from its staging path. Where it is not, that is done already.
    pub(super) async fn unstage(&self, id: &str, path: &Path, deadline: Deadline) -> Result<(), Status> {
        let path = directory::resolve(path, deadline).await?;
        self.refuse_of_another(id, &path, Code::NotFound).await?;
        let before = self.0.state.get(id);
        let ours = before.as_ref().is_some_and(|volume| volume.staged.contains_key(&path));
        self.unmount(&path, ours, deadline).await?;
        directory::clear(&path, ours, deadline).await?;
        if let Some(mut volume) = before.filter(|_| ours) {
            volume.staged.remove(&path);
            self.forget(volume).await;
        }
        self.0.failures.note(id, None);
        Ok(())
    }

    /// Puts down that a volume is not somewhere any more, which is so whether it can be put down or not.
    pub(super) async fn forget(&self, volume: Volume) {
        if let Err(error) = self.0.state.put(volume).await {
            tracing::warn!(target: "kadalu", %error, "a volume that is gone is remembered until the next start");
        }
    }
}

fn group_failed(error: &Failed, gid: u32) -> Status {
    let doing = format!("volume_mount_group {gid}: {error}");
    match (error, error.errno().map(Errno::from_raw_os_error)) {
        (Failed::TimedOut(_), _) => failed(Code::DeadlineExceeded, doing),
        (_, Some(Errno::NODEV)) => {
            let sentence = format!(
                "{doing}; mounts of the mount host are not seen here: is the staging directory shared?"
            );
            failed(Code::FailedPrecondition, sentence)
        }
        (_, Some(errno)) => storage::Error::errno(format_args!("volume_mount_group {gid}"), errno).into(),
        (_, None) => failed(Code::Internal, doing),
    }
}
