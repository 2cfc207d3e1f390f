//! Publishing: a staged volume mounted for a pod.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tonic::{Code, Status};

use super::{
    Node, directory, mounted,
    request::{self, Capability},
    state::{Published, Volume},
};
use crate::{
    csi::{generated::NodePublishVolumeRequest, server::Deadline, status::failed},
    mount::{control::Mounts, source::Source},
    storage::layout::DATA,
};

/// What is to be published.
pub(super) struct Publish {
    pub(super) id: String,
    staging: PathBuf,
    target: PathBuf,
    published: Published,
    context: BTreeMap<String, String>,
}

impl Publish {
    pub(super) fn read(request: NodePublishVolumeRequest) -> Result<Self, Status> {
        let id = request::volume_id(request.volume_id)?;
        let target = request::path("target_path", &request.target_path)?;
        let capability = Capability::read(request.volume_capability)?;
        let staging = request::optional_path("staging_target_path", &request.staging_target_path)?;
        let staging = staging.ok_or_else(|| {
            let sentence = "staging_target_path is missing: a volume is staged before it is published";
            failed(Code::FailedPrecondition, sentence)
        })?;
        let published = Published { read_only: request.readonly || capability.read_only, capability };
        Ok(Self { id, staging, target, published, context: request.volume_context })
    }
}

impl<M: Mounts> Node<M> {
    /// Mounts a staged volume at a pod's path; the same again is done already.
    pub(super) async fn publish(&self, publish: Publish, deadline: Deadline) -> Result<(), Status> {
        let Publish { id, staging, target, published, context } = publish;
        let staging = directory::resolve(&staging, deadline).await?;
        let target = directory::resolve(&target, deadline).await?;
        self.refuse_of_another(&id, &target, Code::AlreadyExists).await?;
        let mut volume = self.staged(&id, &staging, &published, &context).await?;
        if conflict(&volume, &target, &published).is_some() {
            // Of what is there in fact: the state may be of a time before a reboot.
            volume.keep(&mounted(&self.0.mounts.list().await?)?);
            if let Some(status) = conflict(&volume, &target, &published) {
                return Err(status);
            }
        }
        let made = directory::make(&target, deadline).await?;
        let anew = !volume.published.contains_key(&target);
        let ready =
            match self.mount(&volume, &published.capability, &target, published.read_only, deadline).await {
                Ok(()) => self.prepare_target(&mut volume, &published, &target, anew, deadline).await,
                refused => refused,
            };
        if let Err(status) = ready {
            if made {
                // Where it cannot be removed, NodeUnpublishVolume will.
                let _ = directory::remove(&target, false, deadline).await;
            }
            return Err(status);
        }
        volume.published.insert(target, published);
        Ok(self.0.state.put(volume).await?)
    }

    /// What is to be so before a pod sees it; where it cannot be, and no pod has seen it yet, it does not stay.
    async fn prepare_target(
        &self,
        volume: &mut Volume,
        published: &Published,
        target: &Path,
        anew: bool,
        deadline: Deadline,
    ) -> Result<(), Status> {
        let mut prepared = self.check_target(volume, target).await;
        if let (Ok(()), Some(gid)) = (&prepared, group_to_give(volume, published)) {
            prepared = self.give(volume, gid, target, deadline).await;
        }
        if let Err(status) = &prepared {
            self.0.failures.note(&volume.id, Some(status));
            if anew {
                // Where it cannot be unmounted, NodeUnpublishVolume will.
                let _ = self.unmount(target, false, deadline).await;
            }
        }
        prepared
    }

    /// Whether it is the volume that was meant.
    async fn check_target(&self, volume: &Volume, target: &Path) -> Result<(), Status> {
        // A PV's own directory is on no other volume, and was found: to look costs each pod a call to the mount host.
        let subdirectory = Source::parse(&volume.source)?.subdirectory;
        if subdirectory.split_once('/').is_some_and(|(first, _)| first == DATA) {
            return Ok(());
        }
        self.check_identity(volume, target).await
    }

    /// What is known of the volume that is staged there.
    async fn staged(
        &self,
        id: &str,
        staging: &Path,
        published: &Published,
        context: &BTreeMap<String, String>,
    ) -> Result<Volume, Status> {
        let known = self.0.state.get(id);
        if let Some(known) = known.as_ref().filter(|known| known.staged.contains_key(staging)) {
            return Ok(known.clone());
        }
        let Some(mut recalled) = self.recall(id, staging, context).await? else {
            let sentence = format!("it is not staged at {}: stage it first", staging.display());
            return Err(failed(Code::FailedPrecondition, sentence));
        };
        if let Some(known) = known {
            recalled.continues(known);
        }
        recalled.staged.insert(staging.to_owned(), published.capability.clone());
        Ok(recalled)
    }

    /// Takes a volume from a pod's path, and the path away. Where it is not, that is done already.
    pub(super) async fn unpublish(&self, id: &str, target: &Path, deadline: Deadline) -> Result<(), Status> {
        let target = directory::resolve(target, deadline).await?;
        self.refuse_of_another(id, &target, Code::NotFound).await?;
        let before = self.0.state.get(id);
        let ours = before.as_ref().is_some_and(|volume| volume.published.contains_key(&target));
        self.unmount(&target, ours, deadline).await?;
        directory::remove(&target, ours, deadline).await?;
        if let Some(mut volume) = before.filter(|_| ours) {
            volume.published.remove(&target);
            self.forget(volume).await;
        }
        Ok(())
    }
}

/// The group that the volume has yet to be given: it was staged for another one, or for none.
fn group_to_give(volume: &Volume, wanted: &Published) -> Option<u32> {
    let writable = !wanted.read_only && !volume.read_only;
    wanted.capability.group.filter(|gid| writable && volume.group != Some(*gid))
}

/// What CSI's tables forbid: other arguments at the same path, another path of a volume that one pod has for itself; and a
/// group that would take the directory from the pods of another one.
fn conflict(volume: &Volume, target: &Path, wanted: &Published) -> Option<Status> {
    if volume.published.get(target).is_some_and(|published| published != wanted) {
        let sentence = format!("it is published at {} with other arguments", target.display());
        return Some(failed(Code::AlreadyExists, sentence));
    }
    let mut others = volume.published.iter().filter(|(path, _)| *path != target);
    let exclusive = |other: &Published| wanted.capability.is_exclusive() || other.capability.is_exclusive();
    if let Some((path, _)) = others.clone().find(|(_, other)| exclusive(other)) {
        let sentence = format!(
            "it is published at {} and may be at one path only (SINGLE_NODE_SINGLE_WRITER, ReadWriteOncePod)",
            path.display()
        );
        return Some(failed(Code::FailedPrecondition, sentence));
    }
    let gid = group_to_give(volume, wanted)?;
    let (path, _) = others.find(|(_, other)| other.capability.group != Some(gid))?;
    let sentence = format!(
        "volume_mount_group {gid}: it is published at {} without that group, and its directory can have one group only: give \
         all its pods on this node the same fsGroup",
        path.display()
    );
    Some(failed(Code::FailedPrecondition, sentence))
}
