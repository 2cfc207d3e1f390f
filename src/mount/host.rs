//! The mount host itself: which volumes and pools there are, and who asks for what.

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
use tracing::{info, warn};

use super::{
    Error, Reason,
    generated::{ListReply, MountRequest, Mounted},
    glusterfs::Glusterfs,
    helper::Helper,
    installed::{Version, check_fuse},
    lock::lock,
    mountinfo::MountTable,
    options::MountOptions,
    pool::{Context, Pool, adopt},
    process,
    source::Source,
    store::{Store, StoredPool, StoredTarget, StoredVolume},
    volume::{Accepted, Volume, ask},
};
use crate::{
    client::{self, Cluster, Kind, NoVolfile},
    glusterd::cli::VolumeStatus,
    server::{Limits, Server},
    transport::{Listener, ServerAddress, parse_servers},
    volfile,
};

/// For the first volfile of a mount; then what is on disk has to do.
const FETCH: Duration = Duration::from_secs(15);

/// For a look at a path.
const LOOK: Duration = Duration::from_secs(5);

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

    async fn adopt(&self) -> Result<(), Error> {
        let Context { store, .. } = &*self.0.context;
        let table = MountTable::read().map_err(|error| Error::other("cannot read mountinfo", error))?;
        let mut pools = store.pools();
        // What state has lost, the processes know.
        for entry in table.entries().iter().filter(|entry| entry.mount_point.starts_with(store.mounts())) {
            let id = entry.mount_point.parent().and_then(Path::file_name).and_then(|id| id.to_str());
            let Some(id) = id.filter(|id| pools.iter().all(|pool| pool.id != *id)) else { continue };
            let told = process::serving(&entry.mount_point).into_iter().find_map(process::told);
            match told.and_then(|told| serde_json::from_str::<StoredPool>(&told).ok()) {
                Some(pool) if pool.id == id && pool.is_sound() => {
                    info!(target: "kadalu", pool = id, "state is made anew from its process");
                    // Which of its processes is the current one is seen from the targets.
                    pools.push(StoredPool { process: None, ..pool });
                }
                _ => {
                    warn!(target: "kadalu", mount = %entry.mount_point.display(), "nobody knows what this mount is; it is left alone");
                }
            }
        }
        let volumes = store.volumes();
        // By volume, the versions of the processes that have it.
        let mut running = HashMap::<_, Vec<Version>>::new();
        for pool in &pools {
            let versions =
                pool.process.iter().chain(&pool.draining).filter_map(|p| p.version.parse::<Version>().ok());
            running.entry(pool.volume.key.clone()).or_default().extend(versions);
        }
        for stored in pools {
            let running = running.get(&stored.volume.key).cloned().unwrap_or_default();
            let id = stored.id.clone();
            let known = volumes.iter().find(|volume| volume.key == stored.volume.key);
            let pool = match self.adopt_volume(known.unwrap_or(&stored.volume), running.into_iter()) {
                Ok(volume) => {
                    let ended = self.forget(id.clone());
                    adopt(self.0.context.clone(), volume, stored.clone(), &table, ended).await
                }
                Err(error) => Err(error),
            };
            match pool {
                Ok(pool) => _ = lock(&self.0.pools).insert(id, pool),
                Err(error) => {
                    warn!(target: "kadalu", pool = id, %error, "cannot be taken over; its mounts are left alone");
                }
            }
        }
        Ok(())
    }

    /// `running`: the versions of the processes that have it.
    fn adopt_volume(
        &self,
        stored: &StoredVolume,
        running: impl Iterator<Item = Version>,
    ) -> Result<Arc<Volume>, Error> {
        if let Some(volume) = self.volume(|volume| volume.stored().key == stored.key) {
            return Ok(volume);
        }
        let servers = parse_servers(&stored.servers.join(","))
            .map_err(|error| Error::other(format_args!("servers of {}", stored.key), error))?;
        let text = self.0.context.store.volfile(&stored.key);
        let accepted = text.and_then(|text| Accepted::new(text.into(), stored.id.clone()));
        Ok(self.follow(self.cluster(servers, running), stored.clone(), accepted))
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
        self.0.context.glusterfs.look().await?;
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

    /// Whether something else is mounted there.
    fn check_target(&self, target: &StoredTarget, other: bool, is_directory: bool) -> Result<(), Error> {
        let path = &target.path;
        let in_use = |what: &str| Error::new(Reason::TargetInUse, format!("{}: {what}", path.display()));
        if other {
            return Err(in_use(
                "another volume, or the same with other options, is mounted there; unmount it first",
            ));
        }
        let ours = self.pool_of(path).map(|pool| pool.status());
        let same =
            ours.as_ref().and_then(|pool| pool.targets.iter().find(|known| Path::new(&known.path) == path));
        match same {
            Some(known)
                if known.subdirectory != target.subdirectory || known.read_only != target.read_only =>
            {
                Err(in_use("it is mounted there already, but another directory or not for the same access"))
            }
            Some(_) => Ok(()),
            None => {
                let table =
                    MountTable::read().map_err(|error| Error::other("cannot read mountinfo", error))?;
                match table.top_at(path) {
                    Some(entry) => {
                        Err(in_use(&format!("{} ({}) is mounted there", entry.source, entry.fs_type)))
                    }
                    None if is_directory => Ok(()),
                    None => {
                        let sentence = format!("target {}: no such directory; make it first", path.display());
                        Err(Error::new(Reason::NoSuchDirectory, sentence))
                    }
                }
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

    /// The volume that is meant, followed already or from now on.
    async fn find(&self, source: &Source, progress: &UnboundedSender<String>) -> Result<Arc<Volume>, Error> {
        let turn = lock(&self.0.finding).entry(source.volume.clone()).or_default().clone();
        let _turn = turn.lock().await;
        let known = |servers: &[ServerAddress]| source.servers.iter().any(|server| servers.contains(server));
        if let Some(volume) =
            self.volume(|v| v.stored().name == source.volume && known(&v.cluster().servers()))
        {
            volume.cluster().learn(source.servers.iter().cloned());
            return Ok(volume);
        }
        let servers: Vec<_> = source.servers.iter().map(ToString::to_string).collect();
        // Whoever asked may have gone.
        let _ =
            progress.send(format!("fetching the volfile of {} from {}", source.volume, servers.join(",")));
        let cluster = self.cluster(source.servers.clone(), std::iter::empty());
        match cluster.fetch(&source.volume).await {
            Ok(fetched) => self.found(source, cluster, fetched).await,
            Err(error) if error.kind() == Kind::Unreachable => self.recall(source, cluster, &error),
            Err(error) => Err(no_volfile(&error)),
        }
    }

    async fn found(
        &self,
        source: &Source,
        cluster: Cluster,
        fetched: client::Fetched,
    ) -> Result<Arc<Volume>, Error> {
        let name = &source.volume;
        let info = ask(&fetched.server, &cluster, name).await;
        let why = match info.as_ref().map(|info| info.status) {
            Some(VolumeStatus::Created) => Some("was never started"),
            Some(VolumeStatus::Stopped) => Some("is stopped"),
            _ => None,
        };
        if let Some(why) = why {
            let sentence = format!("volume {name} {why}: start it with `gluster volume start {name}`");
            return Err(Error::new(Reason::Stopped, sentence));
        }
        let id = info.and_then(|info| info.id);
        let same = |known: &StoredVolume| known.name == *name && id.is_some() && known.id == id;
        // Known by other names of its servers.
        if let Some(volume) = self.volume(|volume| same(&volume.stored())) {
            volume.cluster().learn(cluster.servers());
            return Ok(volume);
        }
        let glusterfs = &self.0.context.glusterfs;
        let mut faults = volfile::faults(&fetched.text);
        faults.extend(glusterfs.unknown(&fetched.text));
        if !faults.is_empty() {
            let sentence = format!(
                "{}: the volfile of {name} is not one that glusterfs {} may load: {}",
                fetched.server,
                glusterfs.version(),
                faults.join("; ")
            );
            return Err(Error::new(Reason::InvalidVolfile, sentence));
        }
        let mut volumes = self.0.context.store.volumes().into_iter();
        let stored = volumes.find(same).unwrap_or_else(|| {
            let what = id.clone().unwrap_or_else(|| format!("{:?}", source.servers));
            let key = format!("{name}-{}", short_hash(what.as_bytes(), 8));
            StoredVolume { key, name: name.clone(), id: id.clone(), servers: Vec::new(), bricks: Vec::new() }
        });
        // A copy: what arrived is a slice of a read buffer.
        let accepted = Accepted::new(fetched.text.to_vec().into(), id);
        Ok(self.follow(cluster, stored, accepted))
    }

    /// All glusterds are down: what was last known of the volume.
    fn recall(&self, source: &Source, cluster: Cluster, error: &NoVolfile) -> Result<Arc<Volume>, Error> {
        let store = &self.0.context.store;
        let asked: Vec<_> = source.servers.iter().map(ToString::to_string).collect();
        let known = store.volumes().into_iter().find(|known| {
            known.name == source.volume && known.servers.iter().any(|server| asked.contains(server))
        });
        let text = known.as_ref().and_then(|known| store.volfile(&known.key));
        let (Some(stored), Some(text)) = (known, text) else { return Err(no_volfile(error)) };
        // Known by another of its servers, it may be followed already.
        if let Some(volume) = self.volume(|volume| volume.stored().key == stored.key) {
            return Ok(volume);
        }
        warn!(target: "kadalu", volume = stored.key, "no server answers: the last good volfile is used");
        cluster.learn(parse_servers(&stored.servers.join(",")).unwrap_or_default());
        let accepted = Accepted::new(text.into(), stored.id.clone());
        Ok(self.follow(cluster, stored, accepted))
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

fn no_volfile(error: &NoVolfile) -> Error {
    let reason = match error.kind() {
        Kind::Unreachable => Reason::Unreachable,
        Kind::Access => Reason::Access,
        Kind::NoSuchVolume => Reason::NoSuchVolume,
        Kind::OpVersion => Reason::OpVersion,
        Kind::Other => Reason::Other,
    };
    Error::new(reason, error)
}

/// A target as mountinfo has it, its links followed as mount(8) does, and whether it is a directory.
async fn resolved(path: impl AsRef<Path>) -> Result<(PathBuf, bool), Error> {
    let path = path.as_ref().to_owned();
    let invalid = |why: &str| Error::new(Reason::Invalid, format_args!("target {}: {why}", path.display()));
    let Some(name) = path.file_name().filter(|_| path.is_absolute()) else {
        return Err(invalid("an absolute path to a directory other than the root is wanted"));
    };
    // It may be below a mount that hangs.
    let resolving = tokio::task::spawn_blocking({
        let (path, name) = (path.clone(), name.to_owned());
        move || match path.canonicalize() {
            Ok(path) => {
                let is_directory = path.is_dir();
                (path, is_directory)
            }
            // Not there, or a dead mount, most likely ours: its parent has links all the same.
            Err(_) => {
                let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
                (parent.map_or(path, |parent| parent.join(name)), false)
            }
        }
    });
    match timeout(LOOK, resolving).await {
        Ok(Ok((path, _))) if path == Path::new("/") => Err(invalid("it is the root directory")),
        Ok(Ok(resolved)) => Ok(resolved),
        // As it was given, without doubled and trailing slashes.
        _ => Ok((path.components().collect(), false)),
    }
}

fn short_hash(bytes: &[u8], digits: usize) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}
