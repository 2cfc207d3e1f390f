use std::path::Path;

use rustix::{
    fd::OwnedFd,
    fs::{FsWord, Mode, OFlags, StatFs},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::failed::{Doing, Failure};

/// Of statfs(2).
const FUSE_SUPER_MAGIC: FsWord = 0x6573_5546;

/// How full a volume is, or the directory of one that has a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Of data.
    pub bytes: Amount,
    /// Of files and directories.
    pub inodes: Amount,
}

/// Of bytes, or of inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// In use or not.
    pub total: u64,
    /// To users that are not root.
    pub available: u64,
    /// In use.
    pub used: u64,
}

impl Space {
    fn of(stat: &StatFs) -> Self {
        // Some file systems do not tell the one, and then the other counts.
        let unit = if stat.f_frsize > 0 { stat.f_frsize } else { stat.f_bsize };
        let unit = u64::try_from(unit).unwrap_or(0);
        Self {
            bytes: Amount {
                total: stat.f_blocks.saturating_mul(unit),
                available: stat.f_bavail.saturating_mul(unit),
                used: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(unit),
            },
            inodes: Amount {
                total: stat.f_files,
                available: stat.f_ffree,
                used: stat.f_files.saturating_sub(stat.f_ffree),
            },
        }
    }
}

pub(super) fn space(path: &Path) -> Result<Space, Failure> {
    open(path, OFlags::PATH).map(|(_, stat)| Space::of(&stat))
}

/// The root directory of a FUSE file system; a bare mount point is that of another.
pub(super) fn open(path: &Path, how: OFlags) -> Result<(OwnedFd, StatFs), Failure> {
    let words = || format!("look at {}", path.display());
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).doing(words)?;
    let stat = rustix::fs::fstatfs(&directory).doing(words)?;
    match stat.f_type {
        FUSE_SUPER_MAGIC => Ok((directory, stat)),
        _ => Err(Failure::new(
            Errno::NODEV,
            format_args!("use {}: no volume is mounted there", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_this_machine_is_no_volume() {
        let directory = tempfile::tempdir().unwrap();
        let failed = super::super::Failed::from(space(directory.path()).unwrap_err());
        assert_eq!(failed.errno(), Some(Errno::NODEV.raw_os_error()), "{failed}");
        let failed = super::super::Failed::from(space(Path::new("/nowhere")).unwrap_err());
        assert_eq!(failed.errno(), Some(Errno::NOENT.raw_os_error()), "{failed}");
    }

    #[test]
    fn no_numbers_make_it_overflow() {
        let mut stat = rustix::fs::statfs("/").unwrap();
        (stat.f_blocks, stat.f_bfree, stat.f_bavail) = (u64::MAX, 0, u64::MAX);
        (stat.f_files, stat.f_ffree, stat.f_frsize, stat.f_bsize) = (1, 2, 0, -1);
        let space = Space::of(&stat);
        assert_eq!((space.bytes.total, space.inodes.used), (0, 0));
        stat.f_bsize = 4096;
        assert_eq!(Space::of(&stat).bytes.used, u64::MAX);
    }
}
