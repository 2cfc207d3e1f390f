use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use bytes::Bytes;
use tokio::sync::broadcast;

use super::ConnectionInfo;
use crate::{
    client::digest,
    glusterd::handshake::GetspecReply,
    volfile,
    xdr::{self, Malformed},
};

/// Changes that a busy connection may lag behind; beyond it, it is told that something changed, which is all that
/// FETCHSPEC says anyway.
const LAG: usize = 64;

/// A volfile that is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// glusterfs would refuse it, load half of it, or execute it.
    #[error("volfile of {volume:?} refused: {}", reasons.join("; "))]
    Faulty {
        /// The volume.
        volume: String,
        /// Why, a sentence each.
        reasons: Vec<String>,
    },
    /// It does not fit into a reply.
    #[error("volfile of {volume:?} refused: {error}")]
    TooLarge {
        /// The volume.
        volume: String,
        /// The bound.
        error: Malformed,
    },
}

/// A volfile that is served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    /// The results of GETSPEC, encoded once for all connections.
    pub(super) reply: Bytes,
    /// `sha256:…` of the volfile.
    pub(super) digest: Arc<str>,
}

/// The volumes of a server, and who is connected.
#[derive(Debug)]
pub(super) struct Volumes {
    served: RwLock<HashMap<String, Served>>,
    changes: broadcast::Sender<Arc<str>>,
    connections: Mutex<BTreeMap<u64, ConnectionInfo>>,
}

impl Default for Volumes {
    fn default() -> Self {
        Self { served: RwLock::default(), changes: broadcast::channel(LAG).0, connections: Mutex::default() }
    }
}

impl Volumes {
    pub(super) fn publish(&self, volume: &str, text: &[u8]) -> Result<bool, Refused> {
        let reasons = volfile::faults(text);
        if !reasons.is_empty() {
            return Err(Refused::Faulty { volume: volume.to_owned(), reasons });
        }
        let reply = GetspecReply::success(text, &[])
            .and_then(|reply| xdr::encode(&reply))
            .map_err(|error| Refused::TooLarge { volume: volume.to_owned(), error })?;
        let served = Served { reply: reply.into(), digest: digest(text).into() };
        let mut volumes = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if volumes.get(volume).is_some_and(|old| old.reply == served.reply) {
            return Ok(false);
        }
        volumes.insert(volume.to_owned(), served);
        drop(volumes);
        self.notify(volume);
        Ok(true)
    }

    pub(super) fn notify(&self, volume: &str) {
        // Nobody connected is no error.
        let _ = self.changes.send(volume.into());
    }

    pub(super) fn withdraw(&self, volume: &str) -> bool {
        self.served.write().unwrap_or_else(PoisonError::into_inner).remove(volume).is_some()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names =
            self.served.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect::<Vec<_>>();
        names.sort_unstable();
        names
    }

    /// The volume that a key means, and what is served of it: glusterd's rule for client volfiles (facts §5.1, rule 9).
    pub(super) fn find(&self, key: &str) -> (String, Option<Served>) {
        let id = key.strip_prefix('/').unwrap_or(key);
        let volumes = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let bare = id.strip_suffix(".tcp").or_else(|| id.strip_suffix(".tcp-fuse")).unwrap_or(id);
        let name = if volumes.contains_key(id) { id } else { bare };
        (name.to_owned(), volumes.get(name).cloned())
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.changes.subscribe()
    }

    pub(super) fn connections(&self) -> Vec<ConnectionInfo> {
        self.table().values().cloned().collect()
    }

    pub(super) fn table(&self) -> MutexGuard<'_, BTreeMap<u64, ConnectionInfo>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
