//! What is wrong with volumes as a node sees them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use tonic::{Code, Status};

use super::{Node, directory};
use crate::mount::lock::lock;
use crate::{
    csi::{
        generated::{
            StorageHealthErrorType, VolumeHealth, VolumeHealthErrorType,
            node_get_storage_health_response::StorageBackendHealth,
        },
        health::{Trouble, entries, of_process},
        server::Deadline,
        status::failed,
    },
    mount::{
        self,
        control::{Mounts, cut},
        generated::{ListReply, Usage},
    },
    storage::check::{Finding, Outcome},
};

/// Volumes whose last failure is kept in mind.
const MAX_FAILURES: usize = 1024;

/// What is wrong at a target.
pub(super) fn of_usage(usage: &Usage) -> Vec<Trouble> {
    let volume = usage.volume.as_ref();
    let pool = volume.and_then(|volume| Some((volume, volume.pools.first()?)));
    let mut wrong = pool.map(|(volume, pool)| of_process(volume, pool)).unwrap_or_default();
    if !usage.trouble.is_empty() && !wrong.iter().any(|wrong| wrong.reason == "Disconnected") {
        wrong.push(Trouble::inaccessible("Disconnected", &*usage.trouble));
    }
    wrong
}

/// A mount host that does not answer.
pub(super) fn without_host(error: &mount::Error) -> Vec<StorageBackendHealth> {
    vec![backend(StorageHealthErrorType::StorageUnreachable, "MountHostUnreachable", &error.to_string())]
}

/// What is wrong with the storage as the mount host sees it, and with the way to it, by volume. Each reason once.
pub(super) fn of_storage(list: &ListReply, near: &[(String, Finding)]) -> Vec<StorageBackendHealth> {
    let mut found: BTreeMap<(StorageHealthErrorType, &str), Vec<String>> = BTreeMap::new();
    for volume in &list.volumes {
        for wrong in volume.pools.iter().flat_map(|pool| of_process(volume, pool)) {
            let how = match wrong.kind {
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
    for (volume, finding) in near {
        let (how, reason) = match (finding.code, finding.outcome) {
            ("brick-port", Outcome::Failed) => {
                (StorageHealthErrorType::StorageUnreachable, "BricksUnreachable")
            }
            ("brick-port", _) => (StorageHealthErrorType::StorageDegraded, "BricksUnreachable"),
            // What is mounted goes on without them.
            _ => (StorageHealthErrorType::StorageDegraded, "ServersUnreachable"),
        };
        found.entry((how, reason)).or_default().push(format!("{volume}: {}", finding.sentence()));
    }
    found.into_iter().map(|((how, reason), said)| backend(how, reason, &said.join("; "))).collect()
}

fn backend(how: StorageHealthErrorType, reason: &str, message: &str) -> StorageBackendHealth {
    let (status, reason) = (how.into(), reason.to_owned());
    StorageBackendHealth { status, reason, message: cut(message), volume_capability: None }
}

/// How the last attempt to stage or publish a volume has failed, for volumes that are nowhere.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<String, Trouble>>);

impl Failures {
    /// Notes how the last attempt has ended.
    pub(super) fn note(&self, id: &str, status: Option<&Status>) {
        let wrong = match status.map(|status| (status.code(), status.message())) {
            None => None,
            Some((Code::NotFound, message)) => Some(Trouble::inaccessible("VolumeMissing", message)),
            Some((Code::Unavailable | Code::DeadlineExceeded, message)) => {
                Some(Trouble::inaccessible("Disconnected", message))
            }
            // The fault of the request, not of the volume.
            Some((Code::InvalidArgument | Code::AlreadyExists, _)) => return,
            Some((_, message)) => Some(Trouble::inaccessible("MountFailed", message)),
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

    fn of(&self, id: &str) -> Option<Trouble> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Trouble>> {
        lock(&self.0)
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
                    vec![Trouble::inaccessible("NotMounted", status.message())]
                }
                Err(status) => vec![Trouble::inaccessible("Disconnected", status.message())],
            },
            // It could not be brought there.
            Err(status) => vec![self.0.failures.of(&id).ok_or(status)?],
        };
        Ok(VolumeHealth { volume_id: id, health_statuses: entries(&wrong) })
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
