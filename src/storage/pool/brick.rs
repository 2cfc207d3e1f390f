//! One brick of a pool, as it is seen through a mount of that brick alone.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::tree::Directory;
use crate::mount::lock::lock;
use crate::storage::{
    Error, Reason,
    quota::{self, Daemon, IN_FORCE, InForce, QUOTAD},
};

/// Who looks at many PVs asks for so many at once: over a network, most of the time is waiting.
const READERS: usize = 8;

/// The largest block that is believed, in bytes.
const MAX_BLOCK: u64 = 1 << 20;

/// A brick that is mounted alone, with the mount option `brick`.
///
/// All calls block, and hang where the brick does.
#[derive(Debug)]
pub struct OneBrick {
    root: PathBuf,
    /// Whether the root was a mount point when this was made.
    mounted: bool,
}

/// What was seen of a PV on one brick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPv {
    /// What its directory says of its limit, whoever has written it.
    pub in_force: Option<InForce>,
    /// The size of the file system, as its directory has it, in bytes. XFS shows the limit of a project there.
    pub total: u64,
    /// Of these, what is not free.
    pub used: u64,
    /// The precision of both, in bytes.
    pub block: u64,
}

/// What was seen of a brick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What its root says of who looks after it.
    pub daemon: Option<Daemon>,
    /// The PVs that were asked for, in that order; none without a directory.
    pub pvs: Vec<Option<SeenPv>>,
}

impl OneBrick {
    /// The brick that is mounted at `root`.
    ///
    /// # Errors
    /// What stands in the way of looking at `root`.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let (_, mounted) = Directory::root(root)?;
        Ok(Self { root: root.to_owned(), mounted })
    }

    /// Looks at the brick, and at PVs by the paths of their directories.
    ///
    /// # Errors
    /// `Gone` where it is not mounted there any more; what the first failure of the brick was.
    pub fn look(&self, paths: &[String]) -> Result<Seen, Error> {
        let (root, mounted) = Directory::root(&self.root)?;
        if self.mounted && !mounted {
            return Err(Error::new(Reason::Gone, format_args!("no brick is mounted at {root} any more")));
        }
        let daemon = root.attribute(QUOTAD)?.and_then(|value| quota::read(&value));
        let queue = Mutex::new(paths.iter().enumerate());
        let seen = Mutex::new(Ok(vec![None; paths.len()]));
        let work = || {
            loop {
                let next = lock(&queue).next();
                let Some((n, path)) = next else { return };
                let looked = see(&root, path);
                match (&mut *lock(&seen), looked) {
                    (Ok(seen), Ok(pv)) => seen[n] = pv,
                    (seen @ Ok(_), Err(error)) => *seen = Err(error),
                    (Err(_), _) => return,
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..READERS.min(paths.len()) {
                // One that cannot be started is one fewer.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let pvs = seen.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Ok(Seen { daemon, pvs })
    }
}

fn see(root: &Directory, path: &str) -> Result<Option<SeenPv>, Error> {
    let Some(directory) = root.reach(path)? else { return Ok(None) };
    let in_force = directory.attribute(IN_FORCE)?.and_then(|value| quota::read(&value));
    let usage = directory.usage()?;
    let bytes = |blocks: u64| blocks.saturating_mul(usage.f_frsize);
    let used = bytes(usage.f_blocks.saturating_sub(usage.f_bfree));
    let block = usage.f_bsize.max(usage.f_frsize).min(MAX_BLOCK);
    Ok(Some(SeenPv { in_force, total: bytes(usage.f_blocks), used, block }))
}
