//! One pool: its root mounted once, its PVs worked on by threads, its trash emptied behind everybody's back.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, mpsc::unbounded_channel},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
use tracing::{info, warn};

use super::flight::Flight;
use crate::{
    csi::status::{defect, failed},
    mount::{self, control::Mounts, generated::MountRequest, mountinfo::MountTable},
    storage::{self, handle::PoolId, parameters::Parameters, pool::Pool},
};

/// Calls that work on one pool at a time; more wait. A volume that hangs keeps no more threads than this.
const WORKERS: usize = 16;

/// How long one waits to be one of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// For a first look at a root that has just been mounted.
const LOOK: Duration = Duration::from_secs(15);

/// For one that is not to be used any more, and is just being mounted.
const END: Duration = Duration::from_secs(5);

/// Between two looks at what others have changed.
const REFRESH: Duration = Duration::from_secs(600);

/// A pool that was used in this run.
#[derive(Debug)]
pub(super) struct Entry {
    id: PoolId,
    /// Where its volume is mounted, as a whole.
    root: PathBuf,
    live: Flight<Arc<Live>>,
    workers: Arc<Semaphore>,
}

/// A pool that is mounted.
#[derive(Debug)]
struct Live {
    pool: Arc<Pool>,
    /// There may be something in the trash.
    trash: Arc<Notify>,
    _tended: DropGuard,
}

impl Entry {
    pub(super) fn new(id: PoolId, mnt: &Path) -> Self {
        let root = mnt.join(id.as_str());
        Self { id, root, live: Flight::default(), workers: Arc::new(Semaphore::new(WORKERS)) }
    }

    /// Where its volume is mounted.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Does something to the PVs, on a thread of its own, once the pool is mounted; `first` comes before it is.
    pub(super) async fn run<M: Mounts, T: Send + 'static>(
        &self,
        mounts: &M,
        is_visible: fn(&Path) -> bool,
        parameters: &Parameters,
        first: impl Future<Output = ()> + Send,
        work: impl FnOnce(&Pool) -> Result<T, storage::Error> + Send + 'static,
    ) -> Result<T, Status> {
        let open = |_| async {
            first.await;
            self.open(mounts, is_visible, parameters).await
        };
        let live = self.live.get(|_| true, open).await?;
        let Ok(Ok(worker)) = timeout(PATIENCE, self.workers.clone().acquire_owned()).await else {
            let sentence = format!(
                "volume {}: {WORKERS} calls wait for it already: see `kadalu mounts` for what is wrong with it",
                self.id
            );
            return Err(failed(Code::Unavailable, sentence));
        };
        let pool = live.pool.clone();
        let outcome = blocking(move || {
            let _worker = worker;
            work(&pool)
        });
        let outcome = outcome.await?;
        if outcome.as_ref().is_err_and(|error| error.reason() == storage::Reason::Gone) {
            // The next one mounts it anew. Whatever else passes by itself goes on here: the trash is being emptied.
            self.live.forget(|current| Arc::ptr_eq(current, &live)).await;
        }
        Ok(outcome?)
    }

    /// Nothing is done to its PVs any more, until it is mounted anew; one that is being mounted is not waited for.
    pub(super) async fn end(&self) {
        let _ = timeout(END, self.live.forget(|_| true)).await;
    }

    /// Something was put into the trash.
    pub(super) async fn empty_trash(&self) {
        if let Some(live) = self.live.made().await {
            live.trash.notify_one();
        }
    }

    async fn open<M: Mounts>(
        &self,
        mounts: &M,
        is_visible: fn(&Path) -> bool,
        parameters: &Parameters,
    ) -> Result<Arc<Live>, Status> {
        self.mount(mounts, parameters).await?;
        self.check_identity(mounts).await?;
        let root = self.root.clone();
        let opened = timeout(LOOK, blocking(move || (is_visible(&root), Pool::open(&root)))).await;
        let Ok(opened) = opened else {
            let sentence = format!("volume {}: its mount at {} hangs", self.id, self.root.display());
            return Err(failed(Code::Unavailable, sentence));
        };
        let (is_visible, pool) = opened?;
        if !is_visible {
            let sentence = format!(
                "volume {} is mounted by the mount host, but nothing is to be seen at {} from here: both need the same \
                 path, with mount propagation (Bidirectional there, HostToContainer here)",
                self.id,
                self.root.display()
            );
            return Err(failed(Code::FailedPrecondition, sentence));
        }
        let (pool, trash, stop) = (Arc::new(pool?), Arc::new(Notify::new()), CancellationToken::new());
        info!(target: "kadalu", pool = %self.id, root = %self.root.display(), "the pool is mounted");
        tokio::spawn(tend(self.id.clone(), pool.clone(), trash.clone(), stop.clone()));
        Ok(Arc::new(Live { pool, trash, _tended: stop.drop_guard() }))
    }

    async fn mount<M: Mounts>(&self, mounts: &M, parameters: &Parameters) -> Result<(), Status> {
        let root = &self.root;
        // What is there already is not looked at: it may be a mount that hangs.
        if let Err(error) = fs::DirBuilder::new().mode(0o700).create(root)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            let sentence = format!("cannot make {}: {error}", root.display());
            return Err(failed(Code::FailedPrecondition, sentence));
        }
        let request = MountRequest {
            servers: parameters.servers.iter().map(ToString::to_string).collect(),
            volume: parameters.volume.clone().unwrap_or_default(),
            target: root.to_string_lossy().into_owned(),
            options: vec![parameters.options.canonical()],
            ..Default::default()
        };
        // What it waits for interests nobody here.
        let ask = || mounts.mount(request.clone(), unbounded_channel().0);
        match ask().await {
            // As it was mounted by an earlier run, with other options.
            Err(error) if error.reason() == mount::Reason::TargetInUse => {
                mounts.unmount(root, true).await?;
                ask().await
            }
            outcome => outcome,
        }?;
        Ok(())
    }

    /// Whether what was mounted is the volume that was meant, and not another that has its name.
    async fn check_identity<M: Mounts>(&self, mounts: &M) -> Result<(), Status> {
        let list = mounts.list().await?;
        match list.at(&self.root) {
            Some((volume, ..)) if !volume.id.is_empty() && volume.id != self.id.as_str() => {
                let sentence = format!(
                    "volume {} has the id {} and not {}: another volume has taken its name, and the PVs are not there",
                    volume.name, volume.id, self.id
                );
                Err(failed(Code::FailedPrecondition, sentence))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a Gluster volume is mounted at this path, as this process sees it.
pub(super) fn is_mounted(root: &Path) -> bool {
    let table = MountTable::read().unwrap_or_default();
    table.top_at(root).is_some_and(|entry| entry.fs_type.starts_with("fuse"))
}

/// Empties the trash, now and whenever something was put there, and looks now and then at what others have changed.
async fn tend(id: PoolId, pool: Arc<Pool>, trash: Arc<Notify>, stop: CancellationToken) {
    let mut told = String::new();
    loop {
        let (of_thread, stopped) = (pool.clone(), stop.clone());
        let emptied = blocking(move || of_thread.empty_trash(&mut || !stopped.is_cancelled())).await;
        match emptied.and_then(|emptied| Ok(emptied?)) {
            Ok(entries) => {
                told.clear();
                if entries > 0 {
                    info!(target: "kadalu", pool = %id, entries, "the trash was emptied");
                }
            }
            Err(status) if told != status.message() => {
                told = status.message().to_owned();
                warn!(target: "kadalu", pool = %id, error = told, "cannot empty the trash; it is tried again");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = trash.notified() => continue,
            () = sleep(REFRESH) => {}
        }
        let of_thread = pool.clone();
        if let Err(error) = blocking(move || of_thread.refresh()).await.and_then(|done| Ok(done?)) {
            warn!(target: "kadalu", pool = %id, error = error.message(), "cannot read the records anew");
        }
    }
}

/// Does what may hang on a thread that can be left behind.
pub(in crate::csi::controller) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    spawn_blocking(work).await.map_err(defect)
}
