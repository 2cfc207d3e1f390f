//! The PVs of one pool: created, grown, put aside, deleted and counted, on the mounted root of its volume.
//!
//! Whatever is done can be killed between any two system calls: the same call again completes it or takes it back, and
//! nothing is lost meanwhile. On creation the record comes before the directory, on deletion it goes after it, and what is
//! under way stands in the record.

mod brick;
mod claim;
mod create;
mod index;
mod quota;
mod readers;
mod records;
mod relocate;
mod remove;
mod size;
#[cfg(test)]
mod tests;
mod trash;
mod tree;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::Serialize;

use super::{
    Error, Reason,
    layout::Place,
    quota::Asked,
    record::{QuotaPolicy, Reclaim, State},
};
use index::Index;
use tree::Directory;

pub use brick::{OneBrick, Seen, SeenPv};
pub use size::{Capacity, DEFAULT_SIZE, Gib, Range};

/// What a PV is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPv {
    /// Its CSI name; any that CSI allows.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// What becomes of it when it is deleted.
    pub reclaim: Reclaim,
    /// How much its limit matters.
    pub quota: QuotaPolicy,
    /// Percent of its size from which on a grace period is counted; none for no soft limit.
    pub soft_percent: Option<u8>,
    /// Files, directories and links that it may have; none for no limit.
    pub inodes: Option<u64>,
    /// The permissions of its new directory; 0777 where none.
    pub mode: Option<u32>,
}

/// A PV as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pv {
    /// Its name on disk, which a volume handle ends with; empty for a whole volume.
    pub component: String,
    /// Its CSI name.
    pub name: String,
    /// The path of its directory from the volume's root; empty for a whole volume.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What becomes of it when it is deleted; none in a record of kadalu's.
    pub reclaim: Option<Reclaim>,
    /// How much its limit matters; none in a record of kadalu's.
    pub quota: Option<QuotaPolicy>,
    /// The limit that its record asks for; none for a whole volume, and where no limit is to be set.
    #[serde(skip)]
    pub asked: Option<Asked>,
    /// Where it is in its life.
    pub state: State,
    /// When it was made, in RFC 3339; none in a record of kadalu's.
    pub created: Option<String>,
}

/// The PVs of one pool.
///
/// All calls block, and hang where the volume does: run them on a thread that can be left behind. They may run side by
/// side, also for one PV, but who wants its own outcome keeps to one call a PV at a time. The root is opened anew by each
/// call, so that a pool outlives the process that serves its mount.
#[derive(Debug)]
pub struct Pool {
    root: PathBuf,
    /// Whether the root was a mount point when the pool was opened.
    mounted: bool,
    index: Index,
    /// Held by who changes the claim of the whole volume, or moves what it claims.
    claims: Mutex<()>,
}

impl Pool {
    /// The pool whose volume is mounted at `root`, as a whole.
    ///
    /// Where `root` is a mount point now, each later call fails with `Gone` when it is none any more, and does not
    /// touch what lies beneath.
    ///
    /// # Errors
    /// What stands in the way of looking at `root`.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let (_, mounted) = Directory::root(root)?;
        Ok(Self { root: root.to_owned(), mounted, index: Index::default(), claims: Mutex::default() })
    }

    /// The PV of this component, in use or retained; none where there is none, or it is being deleted, or put aside.
    ///
    /// # Errors
    /// `Invalid` for what is no component; `Precondition` where its record cannot be read or its directory is gone.
    pub fn get(&self, component: &str) -> Result<Option<Pv>, Error> {
        let place = Place::of(component)?;
        let root = self.root()?;
        let Some(found) = records::read(&root, &place)?.filter(|found| found.is_usable(&place)) else {
            return Ok(None);
        };
        create::present(&root, &place)?;
        Ok(Some(found.pv(&place)))
    }

    /// Whether a directory is at a path from the volume's root, empty for the root itself. Links are not followed.
    ///
    /// # Errors
    /// What stands in the way of looking.
    pub fn has_directory(&self, path: &str) -> Result<bool, Error> {
        self.root()?.has(if path.is_empty() { "." } else { path })
    }

    /// All PVs in all states, sorted by component. A record that cannot be read is left out, with a warning in the log.
    ///
    /// # Errors
    /// What stands in the way of reading the directories.
    pub fn list(&self) -> Result<Vec<Pv>, Error> {
        let root = self.root()?;
        if let Some(record) = claim::read(&root)? {
            return Ok(vec![claim::pv(&record)]);
        }
        let found = records::all(&root, false)?;
        let mut pvs = found.iter().map(|(place, found)| found.pv(place)).collect::<Vec<_>>();
        pvs.sort_by(|a, b| (&a.component, &a.path).cmp(&(&b.component, &b.path)));
        Ok(pvs)
    }

    /// What the volume holds. The records are read once, at the first call, and counted from then on; see [`Pool::refresh`].
    ///
    /// # Errors
    /// What stands in the way of reading them.
    pub fn capacity(&self) -> Result<Capacity, Error> {
        self.capacity_of(&self.root()?)
    }

    /// Reads all records again, for what others have changed, and sweeps what killed processes have left beside them.
    ///
    /// # Errors
    /// What stands in the way of reading them.
    pub fn refresh(&self) -> Result<(), Error> {
        let root = self.root()?;
        if claim::read(&root)?.is_some() {
            return Ok(());
        }
        self.index.refresh(|| Ok(records::promised(records::all(&root, true)?)))
    }

    fn capacity_of(&self, root: &Directory) -> Result<Capacity, Error> {
        let usage = root.usage()?;
        let (total, free) =
            (usage.f_blocks.saturating_mul(usage.f_frsize), usage.f_bavail.saturating_mul(usage.f_frsize));
        let promised = match claim::read(root)? {
            Some(_) => total,
            None => self.index.promised(|| Ok(records::promised(records::all(root, false)?)))?,
        };
        Ok(Capacity { total, free, promised })
    }

    /// The root of the volume, now.
    fn root(&self) -> Result<Directory, Error> {
        let (root, mounted) = Directory::root(&self.root)?;
        if self.mounted && !mounted {
            let message = format!("no volume is mounted at {root} any more; see kadalu mounts");
            return Err(Error::new(Reason::Gone, message));
        }
        Ok(root)
    }
}
