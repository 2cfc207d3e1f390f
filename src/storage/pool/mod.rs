//! The PVs of one pool: created, grown, put aside, deleted and counted, on the mounted root of its volume.
//!
//! Whatever is done can be killed between any two system calls: the same call again completes it or takes it back, and
//! nothing is lost meanwhile. On creation the record comes before the directory, on deletion it goes after it, and what is
//! under way stands in the record.

mod size;

use std::path::{Path, PathBuf};

use super::{
    Error, Reason,
    record::{QuotaPolicy, Reclaim, State},
};

pub use size::{Capacity, DEFAULT_SIZE, Range};

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
    /// The permissions of its new directory; 0777 where none.
    pub mode: Option<u32>,
}

/// A PV as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where it is in its life.
    pub state: State,
    /// When it was made, in RFC 3339; none in a record of kadalu's.
    pub created: Option<String>,
}

/// The PVs of one pool.
///
/// All calls block, and hang where the volume does: run them on a thread that can be left behind. They may run side by
/// side. The root is opened anew by each call, so that a pool outlives the process that serves its mount.
#[derive(Debug)]
pub struct Pool {
    root: PathBuf,
}

impl Pool {
    /// The pool whose volume is mounted at `root`, as a whole.
    ///
    /// Where `root` is a mount point now, each later call fails with `Unavailable` when it is none any more, and does not
    /// touch what lies beneath.
    ///
    /// # Errors
    /// What stands in the way of looking at `root`.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Ok(Self { root: root.to_owned() })
    }

    /// Creates a PV, or returns the one that is there and is the same.
    ///
    /// `range` says which size one that is there may have; `overcommit` how much of the volume may be promised.
    ///
    /// # Errors
    /// `Invalid` for the name, the mode or the ratio; `OutOfRange` for a size outside of `range`; `Exists` where there is one
    /// of another size, policy or state; `Exhausted` where there is no room; `Precondition` where the volume is claimed as a
    /// whole, or a directory has the name and no record.
    pub fn create(&self, new: &NewPv, range: &Range, overcommit: f64) -> Result<Pv, Error> {
        let _ = (new, range, overcommit);
        Err(self.not_yet())
    }

    /// The PV of this component, in use or retained; none where there is none, or it is being deleted, or archived.
    ///
    /// # Errors
    /// `Invalid` for what is no component; `Precondition` where its record cannot be read or its directory is not there.
    pub fn get(&self, component: &str) -> Result<Option<Pv>, Error> {
        let _ = component;
        Err(self.not_yet())
    }

    /// Grows a PV to what `range` asks for; one that is as large already stays as it is.
    ///
    /// # Errors
    /// `NotFound`; `OutOfRange` where the limit is below its size; `Exhausted` where there is no room.
    pub fn expand(&self, component: &str, range: &Range, overcommit: f64) -> Result<Pv, Error> {
        let _ = (component, range, overcommit);
        Err(self.not_yet())
    }

    /// Deletes a PV by the policy of its record, or by `default` where that has none. A missing one is no error.
    ///
    /// What is deleted lies in the trash until [`Pool::empty_trash`].
    ///
    /// # Errors
    /// `Precondition` where its record cannot be read, or there is a directory without a record: nothing is deleted then.
    pub fn delete(&self, component: &str, default: Reclaim) -> Result<(), Error> {
        let _ = (component, default);
        Err(self.not_yet())
    }

    /// All PVs in all states, sorted by component. A record that cannot be read is left out, with a warning in the log.
    ///
    /// # Errors
    /// What stands in the way of reading the directories.
    pub fn list(&self) -> Result<Vec<Pv>, Error> {
        Err(self.not_yet())
    }

    /// Puts an archived or retained PV back into use, as `name`.
    ///
    /// # Errors
    /// `NotFound`; `Exists` where there is another of this name; `Precondition` where its directory is gone.
    pub fn restore(&self, archived: &str, name: &str) -> Result<Pv, Error> {
        let _ = (archived, name);
        Err(self.not_yet())
    }

    /// Moves an archived or retained PV into the trash, for ever.
    ///
    /// # Errors
    /// `NotFound`; `Precondition` where it is in use.
    pub fn purge(&self, archived_or_retained: &str) -> Result<(), Error> {
        let _ = archived_or_retained;
        Err(self.not_yet())
    }

    /// Removes what lies in the trash, and says how many entries, directories and files, it removed; frees the claim of a
    /// whole volume that was deleted. `go_on` is asked before each entry.
    ///
    /// # Errors
    /// What could not be removed, told after all else was.
    pub fn empty_trash(&self, go_on: &mut dyn FnMut() -> bool) -> Result<u64, Error> {
        let _ = go_on();
        Err(self.not_yet())
    }

    /// What the volume holds. The records are read once, at the first call, and counted from then on; see [`Pool::refresh`].
    ///
    /// # Errors
    /// What stands in the way of reading them.
    pub fn capacity(&self) -> Result<Capacity, Error> {
        Err(self.not_yet())
    }

    /// Reads all records again, for what others have changed, and sweeps what killed processes have left beside them.
    ///
    /// # Errors
    /// What stands in the way of reading them.
    pub fn refresh(&self) -> Result<(), Error> {
        Err(self.not_yet())
    }

    /// Claims the whole volume as one PV, or returns the claim that is there and is the same. Its size is not checked.
    ///
    /// # Errors
    /// `Exists` where another PV of this name claims it with another size or policy; `Precondition` where another PV claims
    /// it, or it holds PVs, or holds data that the policy `delete` would delete later; `Unavailable` while it is emptied of
    /// a deleted PV.
    pub fn claim(&self, new: &NewPv) -> Result<Pv, Error> {
        let _ = new;
        Err(self.not_yet())
    }

    /// The PV that the whole volume is, in use, retained or archived; none where it is not claimed or is being deleted.
    ///
    /// # Errors
    /// `Precondition` where the claim cannot be read.
    pub fn claimed(&self) -> Result<Option<Pv>, Error> {
        Err(self.not_yet())
    }

    /// Deletes the PV that the whole volume is, by the policy of its claim. None is no error.
    ///
    /// By `delete`, all contents go into the trash, and the claim is freed when [`Pool::empty_trash`] has emptied it.
    ///
    /// # Errors
    /// What could not be moved.
    pub fn release(&self) -> Result<(), Error> {
        Err(self.not_yet())
    }

    fn not_yet(&self) -> Error {
        Error::new(
            Reason::Other,
            format_args!("{}: the pool does nothing in this build", self.root.display()),
        )
    }
}
