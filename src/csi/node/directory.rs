//! Directories of this machine that volumes are mounted at.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, StatxFlags},
    io::Errno,
    mount::UnmountFlags,
};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{
    csi::{server::Deadline, status::failed},
    mount::mountinfo::MountTable,
};

/// For what should take no time: all is on this machine, and a mount is not asked.
const LONGEST: Duration = Duration::from_secs(10);

/// More layers than anybody stacks.
const MAX_LAYERS: usize = 64;

/// Runs it on a thread that can be left behind.
async fn within<T: Send + 'static>(
    path: &Path,
    deadline: Deadline,
    work: impl FnOnce(&Path) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let owned = path.to_owned();
    let working = tokio::task::spawn_blocking(move || work(&owned));
    match timeout(deadline.left().min(LONGEST), working).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(failed(Code::Internal, error)),
        Err(_) => {
            let sentence = format!("{}: this machine's file system does not answer", path.display());
            Err(failed(Code::DeadlineExceeded, sentence))
        }
    }
}

/// A path as the kernel lists it, whatever is mounted there, or nothing: the links of its parent are followed.
pub(super) async fn resolve(path: &Path, deadline: Deadline) -> Result<PathBuf, Status> {
    within(path, deadline, |path| {
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        Ok(parent.zip(path.file_name()).map_or_else(|| path.to_owned(), |(parent, name)| parent.join(name)))
    })
    .await
}

/// Makes a directory in one that is there; whether it was not there before.
pub(super) async fn make(path: &Path, deadline: Deadline) -> Result<bool, Status> {
    within(path, deadline, |path| match DirBuilder::new().mode(0o750).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_directory(path) => Ok(false),
        Err(error) => {
            let sentence = format!("cannot make the directory {}: {error}", path.display());
            Err(failed(Code::FailedPrecondition, sentence))
        }
    })
    .await
}

/// By what the kernel knows: a mount that hangs is not asked.
fn is_directory(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(CWD, path, flags, StatxFlags::TYPE)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.stx_mode.into()).is_dir())
}

/// Takes away what is mounted at a path, dead or alive: volumes, and, where the path is `ours`, whatever lies on them.
pub(super) async fn clear(path: &Path, ours: bool, deadline: Deadline) -> Result<(), Status> {
    within(path, deadline, move |path| uncover(path, ours)).await
}

/// [`clear`] where a volume is mounted whose process has ended; whether there was one.
pub(super) async fn clear_dead(path: &Path, deadline: Deadline) -> Result<bool, Status> {
    within(path, deadline, |path| {
        // What the kernel keeps no answer for.
        let dead = rustix::fs::statfs(path).is_err_and(|errno| errno == Errno::NOTCONN);
        if dead {
            uncover(path, false)?;
        }
        Ok(dead)
    })
    .await
}

/// [`clear`], and removes the directory: an empty one only, and never what is in it. One that is not there is removed.
pub(super) async fn remove(path: &Path, ours: bool, deadline: Deadline) -> Result<(), Status> {
    within(path, deadline, move |path| {
        uncover(path, ours)?;
        match fs::remove_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let sentence = format!(
                    "cannot remove {}: {error}; what is in it lies on this machine, not on a volume: move it away",
                    path.display()
                );
                Err(failed(Code::FailedPrecondition, sentence))
            }
            _ => Ok(()),
        }
    })
    .await
}

fn uncover(path: &Path, ours: bool) -> Result<(), Status> {
    let at = path.display();
    for _ in 0..MAX_LAYERS {
        let table = MountTable::read().map_err(|error| failed(Code::Internal, error))?;
        let Some(top) = table.top_at(path) else { return Ok(()) };
        if !ours && top.fs_type != "fuse.glusterfs" {
            let sentence = format!(
                "{at}: {} ({}) is mounted there, which is no volume: unmount it",
                top.source, top.fs_type
            );
            return Err(failed(Code::FailedPrecondition, sentence));
        }
        rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .map_err(|errno| failed(Code::Internal, format_args!("cannot unmount {at}: {errno}")))?;
    }
    Err(failed(Code::Internal, format_args!("{at}: others mount there at the same time")))
}
