use std::{fs, io, path::Path};

use rustix::mount::UnmountFlags;

use super::failed::{Doing, Failure};
use crate::mount::mountinfo::MountTable;

/// Takes away the top mount at a path. The kernel asks the file system nothing, so a dead or hung one goes as well.
pub(super) fn unmount(path: &Path, lazy: bool) -> Result<(), Failure> {
    let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    rustix::mount::unmount(path, flags | UnmountFlags::NOFOLLOW)
        .doing(|| format!("unmount {}", path.display()))
}

/// Removes a directory that was a mount point: an empty one only, and only where nothing is mounted.
/// A directory that is not there is no error.
///
/// # Errors
/// Something is mounted there, or the directory is not empty.
pub fn remove_mount_point(path: &Path) -> io::Result<()> {
    if MountTable::read()?.top_at(path).is_some() {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("{} is not removed: it is mounted", path.display()),
        ));
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
