//! A volume of a cluster, followed on behalf of its mounts: which volfile they should have.

mod accepted;
mod follower;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

pub(super) use accepted::Accepted;

use self::follower::Follower;
use super::{
    Error, Reason, generated,
    glusterfs::Glusterfs,
    lock::lock,
    store::{Store, StoredVolume},
};
use crate::{
    client::{Client, Cluster},
    glusterd::{
        cli::{self, GetVolume, VolumeInfo},
        handshake::DictRequest,
    },
    transport::ServerAddress,
    xdr::Opaque,
};

/// Servers that are asked what the first does not tell: glusterd may keep it from remote hosts, and others will then too.
const ASKED: usize = 3;

/// For one question to a glusterd beside GETSPEC.
const QUESTION: Duration = Duration::from_secs(5);

/// What the mounts of a volume need to know of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// None before the first volfile, where there is none on disk either.
    pub(super) accepted: Option<Arc<Accepted>>,
    /// None while no server of the cluster answers.
    pub(super) connected: Option<Connected>,
}

/// The server that a volume is watched through, and what is known since it is.
#[derive(Debug, Clone)]
pub(super) struct Connected {
    pub(super) server: ServerAddress,
    /// What is accepted is what that server has.
    pub(super) confirmed: bool,
    /// A graph that has to ask for ports finds every brick that serves: the glusterds of their hosts are back too.
    pub(super) located: bool,
}

impl Wanted {
    /// Whether a process can have the cluster's own volfile, and find its bricks by it.
    pub(super) fn is_online(&self) -> bool {
        self.connected.as_ref().is_some_and(|connected| connected.confirmed && connected.located)
    }
}

/// A volume that is followed for as long as this lives.
#[derive(Debug)]
pub(super) struct Volume {
    shared: Arc<Shared>,
    wanted: watch::Receiver<Wanted>,
    acceptances: mpsc::Sender<oneshot::Sender<Result<String, Error>>>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    cluster: Cluster,
    store: Arc<Store>,
    stored: Mutex<StoredVolume>,
    status: Mutex<generated::Volume>,
    /// Bricks have come or gone: their ports may be others.
    bricks_changed: Notify,
}

impl Shared {
    fn stored(&self) -> MutexGuard<'_, StoredVolume> {
        lock(&self.stored)
    }

    fn status(&self) -> MutexGuard<'_, generated::Volume> {
        lock(&self.status)
    }

    /// With the servers known by now.
    fn current(&self) -> StoredVolume {
        let servers = self.cluster.servers().iter().map(ToString::to_string).collect();
        StoredVolume { servers, ..self.stored().clone() }
    }

    fn save(&self) {
        let stored = self.current();
        if let Err(error) = self.store.save_volume(&stored) {
            warn!(target: "kadalu", volume = stored.key, %error, "cannot save what is known of the volume");
        }
    }
}

impl Volume {
    /// Follows a volume, from what is known of it on.
    pub(super) fn follow(
        cluster: Cluster,
        stored: StoredVolume,
        accepted: Option<Accepted>,
        store: Arc<Store>,
        glusterfs: Arc<Glusterfs>,
    ) -> Self {
        let accepted = accepted.map(Arc::new);
        let status = generated::Volume {
            name: stored.name.clone(),
            key: stored.key.clone(),
            generation: u64::from(accepted.is_some()),
            digest: accepted.as_ref().map(|accepted| accepted.digest.clone()).unwrap_or_default(),
            kind: accepted.as_ref().map(|accepted| accepted.kind.clone()).unwrap_or_default(),
            ..Default::default()
        };
        let (acceptances, commands) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let watch = match &accepted {
            Some(accepted) => cluster.watch_since(&stored.name, accepted.text.clone()),
            None => cluster.watch(&stored.name),
        };
        let (wanted, receiver) = watch::channel(Wanted { accepted, ..Wanted::default() });
        let shared = Arc::new(Shared {
            cluster,
            store,
            stored: Mutex::new(stored),
            status: Mutex::new(status),
            bricks_changed: Notify::new(),
        });
        shared.save();
        let follower = Follower::new(shared.clone(), glusterfs, wanted, watch);
        let token = stop.clone();
        tokio::spawn(async move { token.run_until_cancelled(follower.run(commands)).await });
        Self { shared, wanted: receiver, acceptances, _stop: stop.drop_guard() }
    }

    pub(super) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.clone()
    }

    /// What is known of it, as it is on disk.
    pub(super) fn stored(&self) -> StoredVolume {
        self.shared.current()
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    /// Bricks of it have come or gone.
    pub(super) fn bricks_changed(&self) {
        self.shared.bricks_changed.notify_one();
    }

    /// Its status, without its pools.
    pub(super) fn status(&self) -> generated::Volume {
        let StoredVolume { servers, id, .. } = self.shared.current();
        generated::Volume { servers, id: id.unwrap_or_default(), ..self.shared.status().clone() }
    }

    /// Goes over to the volume that has taken the name; returns its id.
    pub(super) async fn accept_replaced(&self) -> Result<String, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::new(Reason::Other, "the volume is not followed any more");
        self.acceptances.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// What a few servers tell of a volume, until it is what was wanted; first the one that gave the volfile.
pub(crate) async fn ask_around<T>(
    cluster: &Cluster,
    first: &ServerAddress,
    volume: &str,
    wanted: impl Fn(VolumeInfo) -> Option<T>,
) -> Option<T> {
    let others = cluster.servers().into_iter().filter(|server| server != first);
    for server in std::iter::once(first.clone()).chain(others).take(ASKED) {
        if let Some(told) = ask(&server, cluster, volume).await.and_then(&wanted) {
            return Some(told);
        }
    }
    None
}

/// What a server tells of a volume, where it tells remote hosts anything.
pub(super) async fn ask(server: &ServerAddress, cluster: &Cluster, volume: &str) -> Option<VolumeInfo> {
    let ask = async {
        let client = Client::connect(server, &cluster.options().connect).await.ok()?;
        let request = cli::volume_request(volume);
        let body = client.call::<GetVolume>(&DictRequest { dict: Opaque(&request) }, QUESTION).await.ok()?;
        cli::volume(&body).ok()?
    };
    timeout(QUESTION, ask).await.ok()?
}
