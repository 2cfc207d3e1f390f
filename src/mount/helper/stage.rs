use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
};

use super::failed::{Doing, Failure};
use crate::mount::mountinfo::MountEntry;

/// What must be said again at a remount, because it would be lost.
const KEPT: [(&str, MountFlags); 4] = [
    ("nosuid", MountFlags::NOSUID),
    ("nodev", MountFlags::NODEV),
    ("noexec", MountFlags::NOEXEC),
    ("nosymfollow", MountFlags::NOSYMFOLLOW),
];

/// A copy of a mount that is attached nowhere.
pub(super) fn copy(directory: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(directory, "", flags)
}

/// A read-only copy of a copy. Only what is attached can be remounted, so it is for a moment in a directory of ours.
pub(super) fn read_only(copied: &OwnedFd, of: &MountEntry, staging: &Path) -> Result<OwnedFd, Failure> {
    let words = || format!("prepare a read-only bind in {}", staging.display());
    match rustix::fs::mkdir(staging, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::new(errno, words())),
    }
    let open = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(staging, open, Mode::empty()).doing(words)?;
    // One child at a time; the kernel lets go when it ends, however it ends.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).doing(words)?;
    let place = staging.join("read-only");
    // What a child has left here that was killed.
    while detach(&place).is_ok() {}
    match rustix::fs::mkdir(&place, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::new(errno, words())),
    }
    let staged = stage(copied, of, &place);
    let _ = detach(&place);
    let _ = rustix::fs::rmdir(&place);
    staged.doing(words)
}

fn stage(copied: &OwnedFd, of: &MountEntry, place: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::mount::move_mount(copied, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    let kept = KEPT.iter().filter(|(option, _)| of.has(option)).map(|(_, flag)| *flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |flags, flag| flags | flag);
    rustix::mount::mount_remount(place, flags, "")?;
    let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    copy(rustix::fs::open(place, open, Mode::empty())?)
}

fn detach(place: &Path) -> rustix::io::Result<()> {
    rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}
