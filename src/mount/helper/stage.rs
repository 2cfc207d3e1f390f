use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
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

/// How a mount is to be.
#[derive(Debug, Clone)]
pub(super) struct Dress {
    /// What is not said is taken away, but for the kind of access times.
    flags: MountFlags,
    /// One after the other.
    propagation: Vec<MountPropagationFlags>,
    /// The mount is of a file.
    file: bool,
}

impl Dress {
    /// A read-only mount of a directory, else as this one.
    pub(super) fn read_only(of: &MountEntry) -> Self {
        Self { flags: kept(of) | MountFlags::RDONLY, propagation: Vec::new(), file: false }
    }

    /// As this mount of the file system, and no freer than that one.
    pub(super) fn like(mount: &MountEntry, of: &MountEntry, file: bool) -> Self {
        let times = [("noatime", MountFlags::NOATIME), ("nodiratime", MountFlags::NODIRATIME)];
        let times = times.into_iter().filter(|(option, _)| mount.has(option)).map(|(_, flag)| flag);
        let mut flags = times.fold(kept(mount) | kept(of), |flags, flag| flags | flag);
        flags.set(MountFlags::RDONLY, mount.read_only || of.read_only);
        let own =
            if mount.slave { MountPropagationFlags::DOWNSTREAM } else { MountPropagationFlags::PRIVATE };
        let shared = mount.shared.then_some(MountPropagationFlags::SHARED);
        Self { flags, propagation: [own].into_iter().chain(shared).collect(), file }
    }
}

fn kept(of: &MountEntry) -> MountFlags {
    let kept = KEPT.iter().filter(|(option, _)| of.has(option)).map(|(_, flag)| *flag);
    kept.fold(MountFlags::empty(), |flags, flag| flags | flag)
}

/// A copy of a mount that is attached nowhere.
pub(super) fn copy(directory: impl AsFd) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(directory, "", flags)
}

/// A copy of a copy, dressed. Only what is attached can be remounted, so it is for a moment in a directory of ours.
pub(super) fn dressed(copied: &OwnedFd, dress: &Dress, staging: &Path) -> Result<OwnedFd, Failure> {
    let words = || format!("prepare a bind in {}", staging.display());
    match rustix::fs::mkdir(staging, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::new(errno, words())),
    }
    let open = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(staging, open, Mode::empty()).doing(words)?;
    // One child at a time; the kernel lets go when it ends, however it ends.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).doing(words)?;
    let place = staging.join(if dress.file { "file" } else { "read-only" });
    // What a child has left here that was killed.
    while detach(&place).is_ok() {}
    let made = match dress.file {
        true => {
            let create = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::open(&place, create, Mode::RUSR).map(drop)
        }
        false => rustix::fs::mkdir(&place, Mode::RWXU),
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::new(errno, words())),
    }
    let staged = stage(copied, dress, &place);
    let _ = detach(&place);
    let _ = if dress.file { rustix::fs::unlink(&place) } else { rustix::fs::rmdir(&place) };
    staged.doing(words)
}

fn stage(copied: &OwnedFd, dress: &Dress, place: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::mount::move_mount(copied, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    rustix::mount::mount_remount(place, MountFlags::BIND | dress.flags, "")?;
    for propagation in &dress.propagation {
        rustix::mount::mount_change(place, *propagation)?;
    }
    copy(rustix::fs::open(place, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

fn detach(place: &Path) -> rustix::io::Result<()> {
    rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}
