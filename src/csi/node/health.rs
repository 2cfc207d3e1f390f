//! What is wrong with volumes, in the words of CSI.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tonic::{Code, Status};

use super::{Node, directory};
use crate::{
    csi::{
        generated::{
            StorageHealthErrorType, VolumeHealth, VolumeHealthErrorType,
            node_get_storage_health_response::StorageBackendHealth, volume_health::VolumeHealthEntry,
        },
        server::Deadline,
        status::failed,
    },
    mount::{
        self,
        control::{Mounts, cut},
        generated::{ListReply, Pool, Usage, Volume},
    },
};

/// Volumes whose last failure is kept in mind.
const MAX_FAILURES: usize = 1024;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    how: VolumeHealthErrorType,
    /// In CamelCase.
    reason: &'static str,
    message: String,
}

impl Wrong {
    fn degraded(reason: &'static str, message: impl Into<String>) -> Self {
        Self { how: VolumeHealthErrorType::Degraded, reason, message: message.into() }
    }

    fn inaccessible(reason: &'static str, message: impl Into<String>) -> Self {
        Self { how: VolumeHealthErrorType::Inaccessible, reason, message: message.into() }
    }

    fn shown(self) -> VolumeHealthEntry {
        VolumeHealthEntry {
            status: self.how.into(),
            reason: self.reason.to_owned(),
            message: cut(&self.message),
        }
    }
}

/// What is wrong with what a process of the mount host serves. Each reason once.
fn of_pool(volume: &Volume, pool: &Pool) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if let Some(rejected) = &volume.rejected {
        wrong.push(match rejected.replaced_by.as_str() {
            "" => Wrong::degraded(
                "VolfileRejected",
                format!(
                    "a change of volume {} is not taken up: {}",
                    volume.name,
                    rejected.reasons.join("; ")
                ),
            ),
            id => Wrong::inaccessible(
                "VolumeReplaced",
                format!(
                    "volume {} was deleted and made anew, with the id {id}: its data is not what was here",
                    volume.name
                ),
            ),
        });
    }
    match pool.state.as_str() {
        "healthy" | "degraded" => {}
        state => wrong.push(Wrong::inaccessible(
            "Disconnected",
            format!("volume {} does no I/O ({state}): {}", volume.name, pool.last_error),
        )),
    }
    if !pool.bricks_down.is_empty() {
        let down = pool.bricks_down.join(", ");
        wrong.push(Wrong::degraded(
            "ReplicaDown",
            format!("bricks of volume {} are not connected: {down}", volume.name),
        ));
    }
    if !pool.drift.is_empty() {
        let sentence = format!("volume {} has changed, and its mount has not: {}", volume.name, pool.drift);
        wrong.push(Wrong::degraded("VolfileStale", sentence));
    }
    wrong
}

/// What is wrong at a target.
pub(super) fn of_usage(usage: &Usage) -> Vec<Wrong> {
    let volume = usage.volume.as_ref();
    let pool = volume.and_then(|volume| Some((volume, volume.pools.first()?)));
    let mut wrong = pool.map(|(volume, pool)| of_pool(volume, pool)).unwrap_or_default();
    if !usage.trouble.is_empty() && !wrong.iter().any(|wrong| wrong.reason == "Disconnected") {
        wrong.push(Wrong::inaccessible("Disconnected", &*usage.trouble));
    }
    wrong
}

/// All in one sentence, for those who know conditions only; empty where nothing is wrong.
pub(super) fn sentence(wrong: &[Wrong]) -> String {
    let parts = wrong.iter().map(|wrong| format!("{}: {}", wrong.reason, wrong.message));
    cut(&parts.collect::<Vec<_>>().join("; "))
}

/// What is wrong with the storage as the mount host sees it. Each reason once.
pub(super) fn of_storage(list: Result<ListReply, mount::Error>) -> Vec<StorageBackendHealth> {
    let list = match list {
        Ok(list) => list,
        Err(error) => {
            let how = StorageHealthErrorType::StorageUnreachable;
            return vec![backend(how, "MountHostDown", &error.to_string())];
        }
    };
    let mut found: BTreeMap<(StorageHealthErrorType, &str), Vec<String>> = BTreeMap::new();
    for volume in &list.volumes {
        if !volume.trouble.is_empty() {
            let sentence = format!("volume {}: {}", volume.name, volume.trouble);
            let key = (StorageHealthErrorType::StorageDegraded, "ServersUnreachable");
            found.entry(key).or_default().push(sentence);
        }
        for wrong in volume.pools.iter().flat_map(|pool| of_pool(volume, pool)) {
            let how = match wrong.how {
                VolumeHealthErrorType::Inaccessible | VolumeHealthErrorType::DataLoss => {
                    StorageHealthErrorType::StorageUnreachable
                }
                _ => StorageHealthErrorType::StorageDegraded,
            };
            let sentences = found.entry((how, wrong.reason)).or_default();
            // Two processes of a volume say the same.
            if !sentences.contains(&wrong.message) {
                sentences.push(wrong.message);
            }
        }
    }
    found.into_iter().map(|((how, reason), said)| backend(how, reason, &said.join("; "))).collect()
}

fn backend(how: StorageHealthErrorType, reason: &str, message: &str) -> StorageBackendHealth {
    let (status, reason) = (how.into(), reason.to_owned());
    StorageBackendHealth { status, reason, message: cut(message), volume_capability: None }
}

/// How the last attempt to stage or publish a volume has failed, for volumes that are nowhere.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<String, Wrong>>);

impl Failures {
    /// Notes how the last attempt has ended.
    pub(super) fn note(&self, id: &str, status: Option<&Status>) {
        let wrong = match status.map(|status| (status.code(), status.message())) {
            None => None,
            Some((Code::NotFound, message)) => Some(Wrong::inaccessible("VolumeMissing", message)),
            Some((Code::Unavailable | Code::DeadlineExceeded, message)) => {
                Some(Wrong::inaccessible("Disconnected", message))
            }
            // The fault of the request, not of the volume.
            Some((Code::InvalidArgument | Code::AlreadyExists, _)) => return,
            Some((_, message)) => Some(Wrong::inaccessible("MountFailed", message)),
        };
        let mut failures = self.lock();
        match wrong {
            Some(wrong) => {
                if failures.len() >= MAX_FAILURES {
                    failures.pop_first();
                }
                failures.insert(id.to_owned(), wrong);
            }
            None => drop(failures.remove(id)),
        }
    }

    fn of(&self, id: &str) -> Option<Wrong> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Mounts> Node<M> {
    /// What is wrong with a volume as this node sees it: at a path that is given, else wherever it is.
    pub(super) async fn volume_health(
        &self,
        id: String,
        paths: [Option<PathBuf>; 2],
        deadline: Deadline,
    ) -> Result<VolumeHealth, Status> {
        let wrong = match self.look_at(&id, paths, deadline).await {
            Ok(path) => match self.usage(&path, deadline).await {
                Ok(usage) => of_usage(&usage),
                Err(status) if status.code() == Code::NotFound => {
                    vec![Wrong::inaccessible("NotMounted", status.message())]
                }
                Err(status) => vec![Wrong::inaccessible("Disconnected", status.message())],
            },
            // It could not be brought there.
            Err(status) => vec![self.0.failures.of(&id).ok_or(status)?],
        };
        let health_statuses = wrong.into_iter().map(Wrong::shown).collect();
        Ok(VolumeHealth { volume_id: id, health_statuses })
    }

    /// The path at which to look.
    async fn look_at(
        &self,
        id: &str,
        paths: [Option<PathBuf>; 2],
        deadline: Deadline,
    ) -> Result<PathBuf, Status> {
        if let Some(path) = paths.into_iter().flatten().next() {
            let path = directory::resolve(&path, deadline).await?;
            self.check_is_at(id, &path).await?;
            return Ok(path);
        }
        let known = self.0.state.get(id);
        let at = known.as_ref().and_then(|volume| volume.published.keys().chain(volume.staged.keys()).next());
        at.cloned().ok_or_else(|| failed(Code::NotFound, "the volume is not used on this node"))
    }
}
