//! The bricks of pools, each mounted alone and read-only while somebody wants to know how it is.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc::unbounded_channel},
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};
use tracing::{info, warn};
use twox_hash::XxHash64;

use super::{
    lock,
    pools::{entry::blocking, flight::Flight},
};
use crate::{
    csi::status::failed,
    mount::{control::Mounts, generated::MountRequest, options::MountOptions},
    storage::{
        Reason,
        handle::PoolId,
        parameters::Parameters,
        pool::{OneBrick, Seen},
    },
    volfile::Address,
};

/// How long one is kept that nobody looks at.
const IDLE: Duration = Duration::from_secs(600);

/// Between two looks at what is kept.
const SWEEP: Duration = Duration::from_secs(60);

/// For a brick to be mounted.
const MOUNT: Duration = Duration::from_secs(10);

/// One that could not be mounted is not tried again for so long.
const FAILED: Duration = Duration::from_secs(5);

/// Looks at one brick at a time; more wait. A brick that hangs keeps no more threads than this.
const WORKERS: usize = 4;

/// What the name of a mount of one brick has behind that of its pool.
const MARK: &str = "-brick-";

/// The bricks that are mounted. Clones share them.
#[derive(Debug)]
pub(super) struct Bricks<M>(Arc<Inner<M>>);

#[derive(Debug)]
struct Inner<M> {
    mounts: M,
    /// Where they are mounted.
    mnt: PathBuf,
    is_visible: fn(&Path) -> bool,
    entries: Mutex<HashMap<(PoolId, Address), Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    root: PathBuf,
    live: Flight<Arc<OneBrick>>,
    workers: Arc<Semaphore>,
    /// When it was last wanted.
    used: Mutex<Instant>,
    failed: Mutex<Option<(Instant, Status)>>,
}

impl<M> Clone for Bricks<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Mounts> Bricks<M> {
    /// Mounts bricks below `mnt`. What an earlier run has left there goes when nobody wants it.
    pub(super) fn open(mounts: M, mnt: &Path, is_visible: fn(&Path) -> bool) -> Self {
        let inner = Inner { mounts, mnt: mnt.to_owned(), is_visible, entries: Mutex::default() };
        let this = Self(Arc::new(inner));
        tokio::spawn(sweep(Arc::downgrade(&this.0)));
        this
    }

    /// Looks at a brick, and at PVs there by the paths of their directories.
    ///
    /// # Errors
    /// `UNAVAILABLE` where that was not possible within this time; it is mounted all the same, for the next one.
    pub(super) async fn look(
        &self,
        pool: &PoolId,
        parameters: &Parameters,
        brick: &Address,
        paths: Arc<[String]>,
        within: Duration,
    ) -> Result<Seen, Status> {
        let entry = self.entry(pool, brick);
        *lock(&entry.used) = Instant::now();
        if let Some((at, status)) = &*lock(&entry.failed)
            && at.elapsed() < FAILED
        {
            return Err(status.clone());
        }
        let (this, parameters, brick) = (self.clone(), parameters.clone(), brick.clone());
        // It goes on when nobody waits any more.
        let looking = tokio::spawn(async move { this.see(&entry, &parameters, brick, paths).await });
        match timeout(within, looking).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => Err(failed(Code::Internal, format_args!("a defect of kadalu: {error}"))),
            Err(_) => Err(failed(Code::Unavailable, format_args!("it has not answered within {within:.1?}"))),
        }
    }

    async fn see(
        &self,
        entry: &Entry,
        parameters: &Parameters,
        brick: Address,
        paths: Arc<[String]>,
    ) -> Result<Seen, Status> {
        let mounted = entry.live.get(|_| true, |_| self.mount(entry, parameters, brick)).await;
        let one =
            mounted.inspect_err(|status| *lock(&entry.failed) = Some((Instant::now(), status.clone())))?;
        *lock(&entry.failed) = None;
        let Ok(worker) = entry.workers.clone().acquire_owned().await else {
            return Err(failed(Code::Unavailable, "it is being unmounted"));
        };
        let of_thread = one.clone();
        let seen = blocking(move || {
            let _worker = worker;
            of_thread.look(&paths)
        });
        let seen = seen.await?;
        if seen.as_ref().is_err_and(|error| error.reason() == Reason::Gone) {
            // The next one mounts it anew, which costs nothing where it is mounted.
            entry.live.forget(|current| Arc::ptr_eq(current, &one)).await;
        }
        Ok(seen?)
    }

    async fn mount(
        &self,
        entry: &Entry,
        parameters: &Parameters,
        brick: Address,
    ) -> Result<Arc<OneBrick>, Status> {
        let root = &entry.root;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        if let Err(error) = made.or_else(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        }) {
            return Err(failed(Code::Unavailable, format_args!("cannot make {}: {error}", root.display())));
        }
        let request = MountRequest {
            servers: parameters.servers.iter().map(ToString::to_string).collect(),
            volume: parameters.volume.clone().unwrap_or_default(),
            target: root.to_string_lossy().into_owned(),
            options: vec![MountOptions::default().of_brick(brick.clone()).canonical()],
            timeout_seconds: MOUNT.as_secs() as u32,
            ..Default::default()
        };
        // What it waits for interests nobody here.
        let mounted = timeout(MOUNT * 2, self.0.mounts.mount(request, unbounded_channel().0)).await;
        mounted.map_err(|_| failed(Code::Unavailable, "the mount host does not answer"))??;
        let (of_thread, is_visible) = (root.clone(), self.0.is_visible);
        let opened = blocking(move || (is_visible(&of_thread), OneBrick::open(&of_thread)));
        let opened = timeout(MOUNT, opened)
            .await
            .map_err(|_| failed(Code::Unavailable, format_args!("its mount at {} hangs", root.display())))?;
        let (is_visible, one) = opened?;
        if !is_visible {
            let sentence =
                format!("it is mounted, but nothing is to be seen at {} from here", root.display());
            return Err(failed(Code::Unavailable, sentence));
        }
        info!(target: "kadalu", %brick, root = %root.display(), "a brick is mounted");
        Ok(Arc::new(one?))
    }

    /// Whether bricks of a pool are mounted.
    pub(super) fn has(&self, pool: &PoolId) -> bool {
        lock(&self.0.entries).keys().any(|(of, _)| of == pool)
    }

    /// Unmounts the bricks that a pool has no more.
    pub(super) fn keep(&self, pool: &PoolId, bricks: &[Address]) {
        let gone = |(of, brick): &(PoolId, Address)| of == pool && !bricks.contains(brick);
        let entries = self.0.take(|key, _| gone(key));
        if !entries.is_empty() {
            let inner = self.0.clone();
            tokio::spawn(async move { inner.unmount(entries.iter().map(|entry| &*entry.root)).await });
        }
    }

    fn entry(&self, pool: &PoolId, brick: &Address) -> Arc<Entry> {
        let make = || {
            let hash = XxHash64::oneshot(0, brick.to_string().as_bytes());
            Arc::new(Entry {
                root: self.0.mnt.join(format!("{pool}{MARK}{hash:016x}")),
                live: Flight::default(),
                workers: Arc::new(Semaphore::new(WORKERS)),
                used: Mutex::new(Instant::now()),
                failed: Mutex::default(),
            })
        };
        lock(&self.0.entries).entry((pool.clone(), brick.clone())).or_insert_with(make).clone()
    }
}

impl<M> Inner<M> {
    /// Takes out those that are to go and that nobody looks at.
    fn take(&self, goes: impl Fn(&(PoolId, Address), &Entry) -> bool) -> Vec<Arc<Entry>> {
        let goes = |key: &_, entry: &mut Arc<Entry>| {
            entry.workers.available_permits() == WORKERS && goes(key, entry)
        };
        lock(&self.entries).extract_if(goes).map(|(_, entry)| entry).collect()
    }
}

impl<M: Mounts> Inner<M> {
    async fn unmount(&self, roots: impl Iterator<Item = &Path>) {
        for root in roots {
            if let Err(error) = self.mounts.unmount(root, true).await {
                warn!(target: "kadalu", root = %root.display(), %error, "the mount of a brick stays");
            }
            // Where it is mounted all the same, it stays.
            let _ = fs::remove_dir(root);
        }
    }

    /// Mounts of bricks that nobody has asked for in this run.
    fn strangers(&self) -> Vec<PathBuf> {
        let known: Vec<_> = lock(&self.entries).values().map(|entry| entry.root.clone()).collect();
        let there = fs::read_dir(&self.mnt).into_iter().flatten().flatten();
        let there = there.filter(|entry| entry.file_name().to_string_lossy().contains(MARK));
        there.map(|entry| entry.path()).filter(|root| !known.contains(root)).collect()
    }
}

/// Unmounts what nobody has wanted for a while.
async fn sweep<M: Mounts>(inner: std::sync::Weak<Inner<M>>) {
    let begun = Instant::now();
    loop {
        sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        let idle = inner.take(|_, entry| lock(&entry.used).elapsed() > IDLE);
        inner.unmount(idle.iter().map(|entry| &*entry.root)).await;
        if begun.elapsed() > IDLE {
            inner.unmount(inner.strangers().iter().map(PathBuf::as_path)).await;
        }
    }
}
