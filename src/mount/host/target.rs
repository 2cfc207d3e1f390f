//! Where something is to be mounted.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use super::Host;
use crate::mount::{Error, Reason, mountinfo::MountTable, store::StoredTarget};

/// For a look at a path.
const LOOK: Duration = Duration::from_secs(5);

impl Host {
    /// Whether something else is mounted there.
    pub(super) fn check_target(
        &self,
        target: &StoredTarget,
        other: bool,
        is_directory: bool,
    ) -> Result<(), Error> {
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
}

/// A target as mountinfo has it, its links followed as mount(8) does, and whether it is a directory.
pub(super) async fn resolved(path: impl AsRef<Path>) -> Result<(PathBuf, bool), Error> {
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
