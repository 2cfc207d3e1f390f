//! Volumes whose names others have taken.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tracing::{info, warn};

use super::{BELIEVED, Examination, Pools, examine::is_of_no_volume, lock};
use crate::{
    csi::status::failed,
    mount::{control::Mounts, generated::Volume},
    storage::{handle::PoolId, known::SHOWN_LATE, parameters::Parameters},
};

/// How long it is believed that another volume has a name: an admin may have said since that it is the one to use.
const ANEW: Duration = Duration::from_secs(3);

impl<M: Mounts> Pools<M> {
    /// What a cluster has told of the volume with this id no longer ago than that. Where it has told of another one, it is
    /// asked anew.
    ///
    /// # Errors
    /// `UNAVAILABLE` where no server tells it; `FAILED_PRECONDITION` where another volume has the name.
    pub(super) async fn examination_as(
        &self,
        id: &PoolId,
        parameters: &Parameters,
        ago: Duration,
    ) -> Result<Arc<Examination>, Status> {
        let mut examination = self.examination_of(parameters, ago).await?;
        if examination.id != *id {
            examination = self.examination_of(parameters, ANEW.min(ago)).await?;
        }
        if examination.id == *id { Ok(examination) } else { Err(another(&examination, id)) }
    }

    /// The volume that has taken the name of this one, where its cluster says so, and a storage that it is the one to use.
    pub(super) async fn successor(&self, id: &PoolId, parameters: &Parameters) -> Option<PoolId> {
        let storages = self.known().storages().into_iter();
        let same = storages.filter(|storage| storage.parameters.is_same_volume(parameters));
        let settled: Vec<_> = same.filter_map(|storage| storage.parameters.volume_id).collect();
        if settled.is_empty() || settled.contains(id) {
            return None;
        }
        let told = self.examination_of(parameters, BELIEVED).await.ok()?;
        settled.into_iter().find(|settled| *settled == told.id)
    }

    /// Whether there is no volume with this id any more, by the word of its cluster: it was deleted, or made anew.
    pub(in crate::csi::controller) async fn is_no_more(&self, id: &PoolId, parameters: &Parameters) -> bool {
        match self.examination_of(parameters, ANEW).await {
            Ok(examination) => examination.id != *id,
            Err(status) => is_of_no_volume(&status),
        }
    }

    /// Unmounts what the controller has of a volume whose name this one has taken, by the word of its cluster. A mount host
    /// knows a volume by its name and its servers, and would have the process of the other serve this one too.
    ///
    /// What others have mounted of it, the PVs of a node above all, is theirs, and stays.
    pub(super) async fn make_room(&self, id: &PoolId, parameters: &Parameters) {
        let servers: Vec<_> = parameters.servers.iter().map(ToString::to_string).collect();
        let is_other = |volume: &Volume| {
            Some(&volume.name) == parameters.volume.as_ref()
                && !volume.id.is_empty()
                && volume.id != id.as_str()
                && volume.servers.iter().any(|server| servers.contains(server))
        };
        // A mount host that does not answer says so when it is to mount.
        let volumes = self.mounts().list().await.map(|list| list.volumes).unwrap_or_default();
        let pools = volumes.iter().filter(|volume| is_other(volume)).flat_map(|volume| &volume.pools);
        let roots = pools.flat_map(|pool| &pool.targets).map(|target| PathBuf::from(&target.path));
        let roots: Vec<_> = roots.filter(|root| root.parent() == Some(self.mnt())).collect();
        if roots.is_empty() || self.examination_as(id, parameters, ANEW).await.is_err() {
            return;
        }
        for root in roots {
            let entries = lock(&self.0.entries).clone();
            // Who waits for its own root holds it.
            for (_, entry) in entries.iter().filter(|(of, entry)| *of != id && entry.root() == root) {
                entry.end().await;
            }
            match self.mounts().unmount(&root, true).await {
                Ok(()) => {
                    info!(target: "kadalu", pool = %id, root = %root.display(), "unmounted: this volume has the name of the other now");
                }
                Err(error) => {
                    warn!(target: "kadalu", pool = %id, root = %root.display(), %error, "what is mounted of the volume that had the name stays");
                }
            }
            // Where it is mounted all the same, it stays.
            let _ = fs::remove_dir(&root);
        }
    }
}

/// The volume of this name is not the one with this id.
fn another(examination: &Examination, id: &PoolId) -> Status {
    let name = &examination.examined.kind().volume;
    let sentence = format!(
        "another volume, {}, has taken the name {name} of {id}: it is not used in its place; see the status of the storage; \
         {SHOWN_LATE}",
        examination.id
    );
    failed(Code::FailedPrecondition, sentence)
}

/// A storage says that this volume is used in the place of the one with this id.
pub(super) fn replaced(id: &PoolId, by: &PoolId, volume: Option<&str>) -> Status {
    let sentence = format!(
        "volume {} is {by} now and no longer {id}, as its storage says: the PVs of {id} are not there any more, and what \
         is left of them elsewhere has to be taken away by hand",
        volume.unwrap_or_default()
    );
    failed(Code::FailedPrecondition, sentence)
}
