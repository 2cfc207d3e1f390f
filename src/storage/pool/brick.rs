//! One brick of a pool, as it is seen through a mount of that brick alone.

use std::path::{Path, PathBuf};

use super::{readers::each, tree::Directory};
use crate::storage::{
    Error, Reason,
    quota::{self, Daemon, IN_FORCE, InForce, QUOTAD},
};

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
    /// The PVs that were asked for, in that order: none without a directory, or why it could not be looked at.
    pub pvs: Vec<Result<Option<SeenPv>, Error>>,
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
    /// `Gone` where it is not mounted there any more, or nothing is to be seen there; what the first failure of the brick as
    /// a whole was.
    pub fn look(&self, paths: &[String]) -> Result<Seen, Error> {
        let root = Directory::root(&self.root).map_err(|error| Error::new(Reason::Gone, error));
        let (root, mounted) = root?;
        if self.mounted && !mounted {
            return Err(Error::new(Reason::Gone, format_args!("no brick is mounted at {root} any more")));
        }
        let daemon = root.attribute(QUOTAD)?.and_then(|value| quota::read(&value));
        let none = vec![Ok(None); paths.len()];
        let pvs = each(
            paths.iter().enumerate(),
            none,
            |(n, path)| (n, see(&root, path)),
            |seen, (n, looked)| match looked {
                Err(error) if is_of_brick(&error) => Err(error),
                looked => {
                    seen[n] = looked;
                    Ok(())
                }
            },
        )?;
        Ok(Seen { daemon, pvs })
    }
}

/// Whether nothing else on the brick can be looked at either.
fn is_of_brick(error: &Error) -> bool {
    matches!(error.reason(), Reason::Gone | Reason::Timeout)
}

fn see(root: &Directory, path: &str) -> Result<Option<SeenPv>, Error> {
    let look = || root.reach(path)?.map(|directory| measure(&directory)).transpose();
    // It may go between two calls.
    look().or_else(|error| if error.has_vanished() { Ok(None) } else { Err(error) })
}

fn measure(directory: &Directory) -> Result<SeenPv, Error> {
    let in_force = directory.attribute(IN_FORCE)?.and_then(|value| quota::read(&value));
    let usage = directory.usage()?;
    let bytes = |blocks: u64| blocks.saturating_mul(usage.f_frsize);
    let used = bytes(usage.f_blocks.saturating_sub(usage.f_bfree));
    let block = usage.f_bsize.max(usage.f_frsize).min(MAX_BLOCK);
    Ok(SeenPv { in_force, total: bytes(usage.f_blocks), used, block })
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::storage::pool::tree::seam::killed_after;

    #[test]
    fn a_failure_of_one_pv_is_none_of_the_brick() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pv")).unwrap();
        let brick = OneBrick::open(dir.path()).unwrap();
        let look = |steps| {
            let mut seen = None;
            killed_after(steps, || seen = Some(brick.look(&["pv".to_owned()])));
            seen.unwrap()
        };
        // The root: opened, and its attribute.
        assert_eq!(look(0).unwrap_err().reason(), Reason::Gone);
        assert!(look(1).is_err());
        // The PV: opened, its attribute, its size.
        for steps in 2..5 {
            let seen = look(steps).unwrap();
            assert!(seen.pvs[0].as_ref().unwrap_err().to_string().contains("pv"), "{seen:?}");
        }
        assert!(look(5).unwrap().pvs[0].as_ref().unwrap().is_some());
        std::fs::remove_dir(dir.path().join("pv")).unwrap();
        assert_eq!(look(5).unwrap().pvs, [Ok(None)]);
        drop(dir);
        assert_eq!(look(5).unwrap_err().reason(), Reason::Gone);
    }

    #[test]
    fn which_failures_are_of_the_brick_and_which_of_nothing() {
        let of = |errno| Error::errno("cannot look", errno);
        for errno in [Errno::NOENT, Errno::STALE] {
            assert!(of(errno).has_vanished() && !is_of_brick(&of(errno)));
        }
        for errno in [Errno::NOTCONN, Errno::TIMEDOUT] {
            assert!(is_of_brick(&of(errno)) && !of(errno).has_vanished());
        }
        assert!(!is_of_brick(&of(Errno::IO)) && !of(Errno::IO).has_vanished());
    }
}
