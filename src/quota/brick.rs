//! A brick of this host as a directory: opened for a look, and closed after it, so that it can be unmounted.

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{FileType, Mode, OFlags, XattrFlags},
    io::Errno,
    path::Arg,
    thread::{CapabilitySet, capabilities},
};

use super::{
    LocalBrick,
    xfs::{Kernel, Support},
};
use crate::mount::helper::BELOW;
use crate::storage::quota::{self, Code, MAX_VALUE, Problem};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The attribute of a brick's root that says of which volume it is (`GF_XATTR_VOL_ID_KEY`).
const VOLUME_ID: &str = "trusted.glusterfs.volume-id";

/// The root of a brick, which is that of its volume.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// Opens a brick.
    ///
    /// # Errors
    /// `NoBrick` where its path is nothing, or not the brick of this volume; `Denied`; `Failed`.
    pub(super) fn open(brick: &LocalBrick) -> Result<Self, Problem> {
        let path = brick.path.display();
        // The path itself is the admin's, and may be a link.
        let open = DIRECTORY.difference(OFlags::NOFOLLOW);
        let fd = rustix::fs::open(&brick.path, open, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => {
                let words =
                    format_args!("there is no directory {path}: mount the file system of {}", brick.name);
                Problem::new(Code::NoBrick, words)
            }
            _ => failed(format_args!("cannot open {path}"), errno),
        })?;
        match attribute(fd.as_fd(), VOLUME_ID) {
            Ok(Some(id)) if id == brick.volume_id => Ok(Self(fd)),
            Ok(Some(_)) => {
                let words = format_args!(
                    "{path} is a brick of another volume than {}: see its volume-id",
                    brick.volume
                );
                Err(Problem::new(Code::NoBrick, words))
            }
            Ok(None) => {
                let words = format_args!(
                    "{path} is no brick of {}: it has no {VOLUME_ID}; mount the brick's file system there",
                    brick.volume
                );
                Err(Problem::new(Code::NoBrick, words))
            }
            Err(errno) => Err(failed(format_args!("cannot read {VOLUME_ID} of {path}"), errno)),
        }
    }

    /// Why its file system limits no project; none where it does.
    ///
    /// # Errors
    /// `NotXfs`, `KernelWithoutQuota`, `NoProjectQuota`, `NotEnforced`; `Denied`; `Failed`.
    pub(super) fn limits_projects(&self, brick: &LocalBrick, kernel: &dyn Kernel) -> Result<(), Problem> {
        let name = &brick.name;
        let support = kernel
            .support(self.as_fd())
            .map_err(|errno| failed(format_args!("cannot ask {name} for its quota"), errno))?;
        let (code, words) = match support {
            Support::Enforced => return Ok(()),
            Support::NotXfs => (
                Code::NotXfs,
                "is not on XFS, and nothing else has limits of projects that Gluster's bricks can use: \
                 replace it by a brick on XFS, mounted with prjquota",
            ),
            Support::KernelWithoutQuota => (
                Code::KernelWithoutQuota,
                "is on a host whose kernel has no XFS quota: run one with CONFIG_XFS_QUOTA, as distributions' are",
            ),
            Support::Off => (
                Code::NoProjectQuota,
                "is mounted without prjquota: add it to the options in /etc/fstab, unmount and mount it \
                 (a remount does not turn it on; a root file system takes rootflags=prjquota)",
            ),
            Support::Counted => (
                Code::NotEnforced,
                "is mounted with pqnoenforce, so that limits are counted and not enforced: mount it with prjquota",
            ),
        };
        Err(Problem::new(code, format_args!("the brick {name} {words}")))
    }
}

/// Makes sure that files keep their mode: without `CAP_FSETID` XFS takes set-user-ID and set-group-ID, also a directory's, from
/// what is put into a project (`xfs_ioctl_setattr`).
///
/// # Errors
/// `Denied`; `Failed`.
pub(super) fn keeps_modes(brick: &LocalBrick) -> Result<(), Problem> {
    let name = &brick.name;
    let sets =
        capabilities(None).map_err(|errno| failed("cannot ask for the capabilities of quotad", errno))?;
    if sets.effective.contains(CapabilitySet::FSETID) {
        return Ok(());
    }
    let words = format_args!(
        "no file of {name} is put into a project: quotad lacks CAP_FSETID, without which XFS takes set-user-ID and \
         set-group-ID from files and directories; add it to CapabilityBoundingSet= of its unit"
    );
    Err(Problem::new(Code::Denied, words))
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The directory at a path below another; none where there is nothing.
pub(super) fn directory(parent: impl AsFd, path: impl Arg) -> rustix::io::Result<Option<OwnedFd>> {
    none(open(parent, path, DIRECTORY))
}

/// Opens what is at a path below a directory.
pub(super) fn open(parent: impl AsFd, path: impl Arg, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, path, flags, Mode::empty(), BELOW)
}

/// A plain file of a directory, opened for reading; none where there is nothing. Never opens a device, nor waits for a
/// FIFO's other end, whatever stands there by then.
///
/// # Errors
/// `INVAL` where it is no plain file.
pub(super) fn plain_file(directory: impl AsFd, name: impl Arg) -> rustix::io::Result<Option<File>> {
    let Some(there) = none(open(directory, name, OFlags::PATH))? else { return Ok(None) };
    if FileType::from_raw_mode(rustix::fs::fstat(&there)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(magic(&there), flags, Mode::empty())?;
    Ok(Some(File::from(opened)))
}

/// The path by which the kernel takes a descriptor where it wants a path.
pub(super) fn magic(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// None where there is nothing.
pub(super) fn none<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// An attribute of an open file; none also where it is longer than any of ours.
pub(super) fn attribute(file: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(MAX_VALUE);
    match rustix::fs::fgetxattr(file, name, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// States something in an attribute of an open file.
pub(super) fn state<T: serde::Serialize>(
    file: BorrowedFd<'_>,
    name: &str,
    value: &T,
) -> rustix::io::Result<()> {
    let value = quota::write(value).map_err(|_| Errno::INVAL)?;
    rustix::fs::fsetxattr(file, name, &value, XattrFlags::empty())
}

/// What a system call on a brick said.
pub(super) fn failed(doing: impl std::fmt::Display, errno: Errno) -> Problem {
    match errno {
        Errno::PERM | Errno::ACCESS => {
            let words = "quotad needs root's capabilities CAP_SYS_ADMIN, CAP_FOWNER, CAP_FSETID and CAP_DAC_READ_SEARCH";
            Problem::new(Code::Denied, format_args!("{doing}: {errno}; {words}"))
        }
        Errno::ROFS => {
            let words = "the brick is read-only, or the unit of quotad lacks it in ReadWritePaths";
            Problem::new(Code::Failed, format_args!("{doing}: {errno}; {words}"))
        }
        _ => Problem::new(Code::Failed, format_args!("{doing}: {errno}")),
    }
}

/// A name on a brick, for people.
pub(super) fn shown(name: &CStr) -> String {
    name.to_string_lossy().escape_debug().to_string()
}
