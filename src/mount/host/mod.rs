//! The mount host itself: which volumes and pools there are, and who asks for what.

mod adopt;
mod find;
mod target;
mod usage;

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc::UnboundedSender},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{find::FETCH, target::resolved};
use super::{
    Error, Reason,
    generated::{ListReply, MountRequest, Mounted},
    glusterfs::Glusterfs,
    helper::Helper,
    installed::{Version, check_fuse},
    lock::lock,
    options::MountOptions,
    pool::{Context, Pool},
    process,
    source::Source,
    store::{Store, StoredTarget, StoredVolume},
    volume::{Accepted, Volume},
};
use crate::{
    client::{self, Cluster},
    server::{Limits, Server},
    transport::{Listener, ServerAddress, parse_servers},
};

/// How a mount host works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its state is, and its FUSE mounts.
    pub state_dir: PathBuf,
    /// The program.
    pub glusterfs: PathBuf,
    /// How clusters are spoken to; the op-versions are those of the installed glusterfs whatever stands here.
    pub client: client::Options,
    /// What touches mounts for us.
    pub helper: Helper,
    /// Between looks at each mount.
    pub probe_interval: Duration,
    /// For one look.
    pub probe_deadline: Duration,
    /// Until I/O must work on a new mount.
    pub mount_timeout: Duration,
}

impl Config {
    /// The defaults, with this state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            glusterfs: PathBuf::from("glusterfs"),
            client: client::Options::default(),
            helper: Helper::default(),
            probe_interval: Duration::from_secs(15),
            probe_deadline: Duration::from_secs(10),
            mount_timeout: Duration::from_secs(60),
        }
    }
}

/// The node's owner of glusterfs processes. Cheap to clone. When the last clone is gone its mounts stay, unattended.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    /// By key. A volume is followed as long as a pool has it.
    volumes: Mutex<HashMap<String, Weak<Volume>>>,
    /// By id.
    pools: Mutex<HashMap<String, Pool>>,
    /// By volume name: two mounts of one volume must find the same.
    finding: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    stopping: AtomicBool,
    _serving: DropGuard,
    _lock: File,
}

impl Host {
    /// Takes over what an earlier run has left, and serves volfiles to its processes.
    ///
    /// # Errors
    /// [`Reason::Other`] where another mount host has the state directory.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let store = Arc::new(Store::open(&config.state_dir)?);
        let lock = store.lock()?;
        let glusterfs = Arc::new(Glusterfs::find(&config.glusterfs).await);
        let server = Server::new(Limits::default());
        let socket = ServerAddress::Unix(store.socket());
        let helper = config.helper.clone();
        let context = Arc::new(Context { config, store, server: server.clone(), helper, glusterfs });
        let stop = CancellationToken::new();
        let host = Self(Arc::new(Inner {
            context,
            volumes: Mutex::default(),
            pools: Mutex::default(),
            finding: Mutex::default(),
            stopping: AtomicBool::new(false),
            _serving: stop.clone().drop_guard(),
            _lock: lock,
        }));
        // Before anybody can connect: a process that found its volfile gone would have nothing to fall back on.
        host.adopt().await?;
        let listener = Listener::bind(&socket)
            .await
            .map_err(|error| Error::other(format_args!("cannot listen on {socket}"), error))?;
        tokio::spawn(async move { stop.run_until_cancelled(server.serve(listener)).await });
        Ok(host)
    }

    fn cluster(&self, servers: Vec<ServerAddress>, running: impl Iterator<Item = Version>) -> Cluster {
        let context = &self.0.context;
        let op_versions = context.glusterfs.op_versions(running);
        let fetch = FETCH.min(context.config.client.fetch);
        Cluster::new(servers, client::Options { op_versions, fetch, ..context.config.client.clone() })
    }

    fn follow(&self, cluster: Cluster, stored: StoredVolume, accepted: Option<Accepted>) -> Arc<Volume> {
        let key = stored.key.clone();
        let Context { store, glusterfs, .. } = &*self.0.context;
        let volume = Arc::new(Volume::follow(cluster, stored, accepted, store.clone(), glusterfs.clone()));
        lock(&self.0.volumes).insert(key, Arc::downgrade(&volume));
        volume
    }

    fn volume(&self, which: impl Fn(&Volume) -> bool) -> Option<Arc<Volume>> {
        let mut volumes = lock(&self.0.volumes);
        volumes.retain(|_, volume| volume.strong_count() > 0);
        volumes.values().filter_map(Weak::upgrade).find(|volume| which(volume))
    }

    fn pool_of(&self, target: &Path) -> Option<Pool> {
        lock(&self.0.pools).values().find(|pool| pool.has(target)).cloned()
    }

    /// What a pool calls when it has come to its end.
    fn forget(&self, id: String) -> impl FnOnce() + Send + 'static {
        let inner = Arc::downgrade(&self.0);
        move || {
            if let Some(inner) = inner.upgrade() {
                lock(&inner.pools).remove(&id);
            }
        }
    }

    /// Mounts a volume, or a directory of one, at a target, and tells meanwhile what is waited for.
    pub async fn mount(
        &self,
        request: MountRequest,
        progress: UnboundedSender<String>,
    ) -> Result<Mounted, Error> {
        let mut source = source(&request)?;
        let options = MountOptions::parse(&request.options)?;
        source.servers.extend(options.servers().iter().cloned());
        let (path, is_directory) = resolved(&request.target).await?;
        let target = StoredTarget {
            path,
            subdirectory: source.subdirectory.clone(),
            read_only: request.read_only || options.read_only(),
        };
        check_fuse()?;
        let within = match request.timeout_seconds {
            0 => self.0.context.config.mount_timeout,
            seconds => Duration::from_secs(seconds.into()),
        };
        let until = Instant::now() + within;
        let left = || until.saturating_duration_since(Instant::now());
        loop {
            let volume = timeout(left(), self.find(&source, &progress)).await.unwrap_or_else(|_| {
                let sentence =
                    format!("no server has given the volfile of {} within {within:?}", source.volume);
                Err(Error::new(Reason::TimedOut, sentence))
            })?;
            let id = pool_id(&volume, &options);
            let other = self.pool_of(&target.path).is_some_and(|known| known.status().id != id);
            self.check_target(&target, other, is_directory)?;
            if self.0.stopping.load(Ordering::Relaxed) {
                return Err(Error::new(Reason::Other, "the mount host is being stopped"));
            }
            let pool = self.pool(id, &volume, &options);
            // One that ends while it is asked makes room for another.
            if let Ok(mounted) = pool.mount(target.clone(), left(), progress.clone()).await {
                return mounted;
            }
        }
    }

    fn pool(&self, id: String, volume: &Arc<Volume>, options: &MountOptions) -> Pool {
        let mut pools = lock(&self.0.pools);
        if let Some(pool) = pools.get(&id) {
            return pool.clone();
        }
        let ended = self.forget(id.clone());
        let pool = Pool::new(self.0.context.clone(), volume.clone(), id.clone(), options.clone(), ended);
        pools.insert(id, pool.clone());
        pool
    }

    /// Unmounts a target; with the last one of a process, the process ends too.
    pub async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), Error> {
        let target = &*resolved(target).await?.0;
        let pool = self.pool_of(target).ok_or_else(|| not_mounted(target))?;
        pool.unmount(target, lazy).await.unwrap_or_else(|_| Err(not_mounted(target)))
    }

    /// Puts a fresh process in the place of the one that serves `target`; returns its pid.
    pub async fn replace(&self, target: &Path) -> Result<i32, Error> {
        let target = &*resolved(target).await?.0;
        let pool = self.pool_of(target).ok_or_else(|| not_mounted(target))?;
        pool.replace().await.unwrap_or_else(|_| Err(not_mounted(target)))
    }

    /// Goes over to the volume that has taken the name of one that is mounted; returns its id.
    pub async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
        let is_replaced =
            |known: &Volume| known.status().rejected.is_some_and(|rejected| !rejected.replaced_by.is_empty());
        let meant = |known: &Volume| {
            let stored = known.stored();
            stored.name == volume || stored.key == volume
        };
        // Of two clusters' volumes of one name, the one that waits for it.
        let found = self.volume(|known| meant(known) && is_replaced(known)).or_else(|| self.volume(meant));
        let sentence = || format!("no mount of a volume {volume:?} here");
        found.ok_or_else(|| Error::new(Reason::NoSuchVolume, sentence()))?.accept_replaced().await
    }

    /// What is mounted and how it is.
    pub fn list(&self) -> ListReply {
        let pools: Vec<_> = lock(&self.0.pools).values().cloned().collect();
        let mut volumes = Vec::<crate::mount::generated::Volume>::new();
        for pool in pools {
            let of = pool.volume.status();
            let at = volumes.iter().position(|known| known.key == of.key).unwrap_or_else(|| {
                volumes.push(of);
                volumes.len() - 1
            });
            let mut status = pool.status();
            for process in status.process.iter_mut().chain(&mut status.draining) {
                process.rss_bytes = process::memory(process.pid);
            }
            volumes[at].pools.push(status);
        }
        volumes.sort_by(|one, other| one.key.cmp(&other.key));
        for volume in &mut volumes {
            volume.pools.sort_by(|one, other| one.id.cmp(&other.id));
        }
        ListReply {
            volumes,
            glusterfs_version: self.0.context.glusterfs.version(),
            rss_bytes: process::memory(std::process::id().cast_signed()),
        }
    }

    /// Ends the work: mounts stay as they are, or are unmounted.
    pub async fn stop(&self, unmount: bool) {
        self.0.stopping.store(true, Ordering::Relaxed);
        let pools: Vec<_> = lock(&self.0.pools).values().cloned().collect();
        for pool in pools {
            pool.stop(unmount).await;
        }
    }
}

/// One glusterfs process serves all targets of a volume with the same options.
fn pool_id(volume: &Volume, options: &MountOptions) -> String {
    format!("{}-{}", volume.stored().key, short_hash(options.canonical().as_bytes(), 6))
}

/// What the request is about.
fn source(request: &MountRequest) -> Result<Source, Error> {
    let servers =
        parse_servers(&request.servers.join(",")).map_err(|error| Error::new(Reason::Invalid, error))?;
    Source::new(servers, &request.volume, &request.subdirectory)
}

fn not_mounted(target: &Path) -> Error {
    let sentence = format!("{} is not mounted by this host", target.display());
    Error::new(Reason::NotMounted, sentence)
}

fn short_hash(bytes: &[u8], digits: usize) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}
