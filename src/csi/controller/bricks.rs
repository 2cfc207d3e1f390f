//! The bricks of pools, each mounted alone and read-only while somebody wants to know how it is.

use std::{
    collections::{HashMap, HashSet},
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

/// For one to be unmounted.
const UNMOUNT: Duration = Duration::from_secs(20);

/// Between two looks at whether it is.
const PAUSE: Duration = Duration::from_millis(20);

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
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<(PoolId, Address), Arc<Entry>>,
    /// Roots that are being unmounted; nothing is mounted there meanwhile.
    closing: HashSet<PathBuf>,
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
        let inner = Inner { mounts, mnt: mnt.to_owned(), is_visible, kept: Mutex::default() };
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
        let looking = tokio::spawn(async move { this.see(&entry, &parameters, brick, paths, within).await });
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
        within: Duration,
    ) -> Result<Seen, Status> {
        let mounted = entry.live.get(|_| true, |_| self.mount(entry, parameters, brick)).await;
        let one =
            mounted.inspect_err(|status| *lock(&entry.failed) = Some((Instant::now(), status.clone())))?;
        *lock(&entry.failed) = None;
        let Ok(Ok(worker)) = timeout(within, entry.workers.clone().acquire_owned()).await else {
            let sentence = format!("{WORKERS} looks at it have not ended: it hangs");
            return Err(failed(Code::Unavailable, sentence));
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
        let unmounted = async {
            while lock(&self.0.kept).closing.contains(root) {
                sleep(PAUSE).await;
            }
        };
        if timeout(MOUNT, unmounted).await.is_err() {
            return Err(failed(Code::Unavailable, format_args!("{} is being unmounted", root.display())));
        }
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
        lock(&self.0.kept).entries.keys().any(|(of, _)| of == pool)
    }

    /// Unmounts the bricks that a pool has no more.
    pub(super) fn keep(&self, pool: &PoolId, bricks: &[Address]) {
        let gone = |(of, brick): &(PoolId, Address)| of == pool && !bricks.contains(brick);
        let roots = self.0.take(|key, _| gone(key));
        if !roots.is_empty() {
            let inner = self.0.clone();
            tokio::spawn(async move { inner.unmount(roots).await });
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
        lock(&self.0.kept).entries.entry((pool.clone(), brick.clone())).or_insert_with(make).clone()
    }
}

impl<M> Inner<M> {
    /// Takes out those that are to go and that nobody looks at: their roots, which are to be unmounted.
    fn take(&self, goes: impl Fn(&(PoolId, Address), &Entry) -> bool) -> Vec<PathBuf> {
        let goes = |key: &_, entry: &mut Arc<Entry>| {
            // Whoever is about to look has it too.
            let idle = Arc::strong_count(entry) == 1 && entry.workers.available_permits() == WORKERS;
            idle && goes(key, entry)
        };
        let mut kept = lock(&self.kept);
        let roots: Vec<_> = kept.entries.extract_if(goes).map(|(_, entry)| entry.root.clone()).collect();
        kept.closing.extend(roots.iter().cloned());
        roots
    }

    /// Takes mounts of bricks that nobody has asked for in this run.
    fn take_strangers(&self) -> Vec<PathBuf> {
        let there = fs::read_dir(&self.mnt).into_iter().flatten().flatten();
        let there = there.filter(|entry| entry.file_name().to_string_lossy().contains(MARK));
        let there: Vec<_> = there.map(|entry| entry.path()).collect();
        let mut kept = lock(&self.kept);
        let known: HashSet<_> = kept.entries.values().map(|entry| &entry.root).collect();
        let is_strange = |root: &PathBuf| !known.contains(root) && !kept.closing.contains(root);
        let roots: Vec<_> = there.into_iter().filter(is_strange).collect();
        kept.closing.extend(roots.iter().cloned());
        roots
    }
}

impl<M: Mounts> Inner<M> {
    /// Unmounts what was taken.
    async fn unmount(&self, roots: Vec<PathBuf>) {
        for root in roots {
            let trouble = match timeout(UNMOUNT, self.mounts.unmount(&root, true)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the mount host does not answer".to_owned()),
            };
            if let Some(error) = trouble {
                warn!(target: "kadalu", root = %root.display(), error, "the mount of a brick stays");
            }
            // Where it is mounted all the same, it stays.
            let _ = fs::remove_dir(&root);
            lock(&self.kept).closing.remove(&root);
        }
    }
}

/// Unmounts what nobody has wanted for a while.
async fn sweep<M: Mounts>(inner: std::sync::Weak<Inner<M>>) {
    let begun = Instant::now();
    loop {
        sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        let idle = inner.take(|_, entry| lock(&entry.used).elapsed() > IDLE);
        inner.unmount(idle).await;
        if begun.elapsed() > IDLE {
            inner.unmount(inner.take_strangers()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::UnboundedSender;

    use super::*;
    use crate::mount::{
        Error,
        generated::{ListReply, Mounted, Usage},
    };

    /// Mounts nothing, and unmounts for as long as it is told.
    #[derive(Debug, Clone, Default)]
    struct Slow(Arc<Mutex<(Duration, Vec<&'static str>)>>);

    impl Mounts for Slow {
        async fn mount(&self, _: MountRequest, _: UnboundedSender<String>) -> Result<Mounted, Error> {
            lock(&self.0).1.push("mount");
            Ok(Mounted::default())
        }

        async fn unmount(&self, _: &Path, _: bool) -> Result<(), Error> {
            let takes = lock(&self.0).0;
            sleep(takes).await;
            lock(&self.0).1.push("unmounted");
            Ok(())
        }

        async fn list(&self) -> Result<ListReply, Error> {
            Ok(ListReply::default())
        }

        async fn usage(&self, _: &Path, _: Duration) -> Result<Usage, Error> {
            Ok(Usage::default())
        }

        async fn replace(&self, _: &Path) -> Result<i32, Error> {
            Ok(0)
        }

        async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
            Ok(volume.to_owned())
        }
    }

    struct Bed {
        dir: tempfile::TempDir,
        mounts: Slow,
        pool: PoolId,
        brick: Address,
    }

    impl Bed {
        fn new(takes: Duration) -> Self {
            let mounts = Slow::default();
            lock(&mounts.0).0 = takes;
            let pool = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e801".parse().unwrap();
            let brick = Address { host: "g1".into(), path: "/b".into() };
            Self { dir: tempfile::tempdir().unwrap(), mounts, pool, brick }
        }

        fn open(&self) -> Bricks<Slow> {
            Bricks::open(self.mounts.clone(), self.dir.path(), |_| true)
        }

        async fn look(&self, bricks: &Bricks<Slow>, within: Duration) -> Result<Seen, Status> {
            let parameters = Parameters::default();
            bricks.look(&self.pool, &parameters, &self.brick, [].into(), within).await
        }

        fn calls(&self) -> Vec<&'static str> {
            lock(&self.mounts.0).1.clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_mounted_where_it_is_being_unmounted() {
        let bed = Bed::new(Duration::from_secs(2));
        let bricks = bed.open();
        bed.look(&bricks, MOUNT).await.unwrap();
        bricks.keep(&bed.pool, &[]);
        assert!(!bricks.has(&bed.pool));
        bed.look(&bricks, MOUNT).await.unwrap();
        assert_eq!(bed.calls(), ["mount", "unmounted", "mount"]);
        drop(bricks);
        // What another run has left goes, and comes again for who wants it.
        let bricks = bed.open();
        sleep(IDLE + SWEEP + Duration::from_secs(1)).await;
        bed.look(&bricks, MOUNT).await.unwrap();
        assert_eq!(bed.calls()[3..], ["unmounted", "mount"]);
        // One that hangs is waited for so long and no longer.
        lock(&bed.mounts.0).0 = Duration::MAX;
        bricks.keep(&bed.pool, &[]);
        let status = bed.look(&bricks, MOUNT * 2).await.unwrap_err();
        assert!(status.message().contains("is being unmounted"), "{status}");
        sleep(UNMOUNT).await;
        bed.look(&bricks, MOUNT).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_mount_is_gone_is_mounted_anew() {
        let bed = Bed::new(Duration::ZERO);
        let bricks = bed.open();
        bed.look(&bricks, MOUNT).await.unwrap();
        fs::remove_dir(&bricks.entry(&bed.pool, &bed.brick).root).unwrap();
        assert_eq!(bed.look(&bricks, MOUNT).await.unwrap_err().code(), Code::Unavailable);
        bed.look(&bricks, MOUNT).await.unwrap();
        assert_eq!(bed.calls(), ["mount", "mount"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_others_does_not_wait_for_ever() {
        let bed = Bed::new(Duration::ZERO);
        let bricks = bed.open();
        bed.look(&bricks, MOUNT).await.unwrap();
        let entry = bricks.entry(&bed.pool, &bed.brick);
        let _all = entry.workers.clone().acquire_many_owned(WORKERS as u32).await.unwrap();
        let begun = Instant::now();
        assert_eq!(bed.look(&bricks, MOUNT).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(begun.elapsed(), MOUNT);
        sleep(PAUSE).await;
        // Its task has ended too.
        assert_eq!(Arc::strong_count(&entry), 2);
    }
}
