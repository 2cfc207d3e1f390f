//! XFS project quota, as the kernel has it. The only file with unsafe code; its layouts are those of `linux/fs.h` and
//! `linux/dqblk_xfs.h`, asserted at compile time.
//!
//! | what | by |
//! |---|---|
//! | project of a file or directory | `FS_IOC_FSGETXATTR`, `FS_IOC_FSSETXATTR` |
//! | project of a link, FIFO, socket or device | `file_getattr(2)`, `file_setattr(2)`, from Linux 6.17 |
//! | limits and use | `quotactl_fd(2)`; before Linux 5.14 `quotactl(2)`, which takes the device |
#![allow(unsafe_code, reason = "system calls that rustix does not have")]

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_int, c_long, c_uint, c_void},
    fmt,
    mem::{offset_of, size_of},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    io::{Errno, Result},
    ioctl::{Getter, Opcode, Setter, ioctl, opcode},
};

use crate::mount::lock::lock;
use crate::{mount::mountinfo::MountTable, storage::quota::Limits};

/// The unit of XFS quota, in bytes (`BBSIZE`).
pub const BLOCK: u64 = 512;

/// What a file system does about limits of projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It is another kind of file system.
    NotXfs,
    /// The kernel was built without XFS quota.
    KernelWithoutQuota,
    /// It is mounted without `prjquota`.
    Off,
    /// Projects are counted, and limits not enforced (`pqnoenforce`).
    Counted,
    /// Limits are enforced.
    Enforced,
}

/// The project of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Project {
    /// 0 is that of all that is in none.
    pub id: u32,
    /// What is made in the directory is in its project.
    pub inherit: bool,
}

/// What XFS has on a project; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The project.
    pub project: u32,
    /// The limit in bytes.
    pub bytes: u64,
    /// The soft limit in bytes.
    pub soft: u64,
    /// The limit in inodes.
    pub inodes: u64,
    /// Bytes in use.
    pub used: u64,
    /// Inodes in use.
    pub used_inodes: u64,
}

/// The system calls of project quota. `file_system` is any open file of it.
pub trait Kernel: Send + Sync + fmt::Debug {
    /// What the file system does about limits of projects.
    ///
    /// # Errors
    /// What the system call says.
    fn support(&self, file_system: BorrowedFd<'_>) -> Result<Support>;

    /// The project of an open file or directory.
    ///
    /// # Errors
    /// What the system call says.
    fn project(&self, file: BorrowedFd<'_>) -> Result<Project>;

    /// Puts an open file or directory into a project, and says whether it was not in it; other flags of it stay. XFS takes
    /// set-user-ID and set-group-ID from it without `CAP_FSETID`.
    ///
    /// # Errors
    /// What the system call says: `PERM` without `CAP_FOWNER`, `ROFS`.
    fn put(&self, file: BorrowedFd<'_>, project: Project) -> Result<bool>;

    /// As [`Kernel::put`], for an entry of a directory that is not to be opened; a link is not followed.
    ///
    /// # Errors
    /// `NOSYS` before Linux 6.17, and what the system call says.
    fn put_entry(&self, directory: BorrowedFd<'_>, name: &CStr, project: u32) -> Result<bool>;

    /// What there is on a project; none where there is nothing.
    ///
    /// # Errors
    /// What the system call says: `PERM` without `CAP_SYS_ADMIN`.
    fn usage(&self, file_system: BorrowedFd<'_>, project: u32) -> Result<Option<Usage>>;

    /// The same of the first project from this one on that there is something on.
    ///
    /// # Errors
    /// What the system call says.
    fn next_usage(&self, file_system: BorrowedFd<'_>, from: u32) -> Result<Option<Usage>>;

    /// Sets all limits of a project; XFS rounds them up to its blocks.
    ///
    /// # Errors
    /// What the system call says: `PERM` without `CAP_SYS_ADMIN`, `ROFS` also where this mount is read-only.
    fn limit(&self, file_system: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<()>;
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

/// `struct file_attr`, as of Linux 6.17.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct FileAttr {
    xflags: u64,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
}

/// `struct fs_disk_quota`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct DiskQuota {
    version: i8,
    flags: i8,
    fieldmask: u16,
    id: u32,
    blk_hardlimit: u64,
    blk_softlimit: u64,
    ino_hardlimit: u64,
    ino_softlimit: u64,
    bcount: u64,
    icount: u64,
    /// Timers, warnings and the realtime section.
    others: [u64; 7],
}

/// `struct fs_quota_statv`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct QuotaStat {
    version: i8,
    pad: u8,
    flags: u16,
    incoredqs: u32,
    /// The three quota files, time limits, and room for more.
    others: [u64; 19],
}

const _: () = {
    assert!(size_of::<FsXattr>() == 28 && offset_of!(FsXattr, projid) == 12);
    assert!(size_of::<FileAttr>() == 24 && offset_of!(FileAttr, projid) == 16);
    assert!(size_of::<DiskQuota>() == 112 && offset_of!(DiskQuota, blk_hardlimit) == 8);
    assert!(offset_of!(DiskQuota, bcount) == 40 && offset_of!(DiskQuota, icount) == 48);
    assert!(size_of::<QuotaStat>() == 160 && offset_of!(QuotaStat, flags) == 2);
    assert!(GET == 0x801c_581f && SET == 0x401c_5820);
};

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET: Opcode = opcode::read::<FsXattr>(b'X', 31);
const SET: Opcode = opcode::write::<FsXattr>(b'X', 32);

/// `FS_XFLAG_PROJINHERIT`.
const INHERIT: u32 = 0x200;

/// The same number on all architectures; libc does not name them yet.
const FILE_GETATTR: c_long = 468;
const FILE_SETATTR: c_long = 469;

/// `XFS_SUPER_MAGIC`.
const XFS_MAGIC: u64 = 0x5846_5342;

/// `PRJQUOTA`.
const PROJECT_QUOTA: u32 = 2;

const GET_QUOTA: u32 = command(3);
const SET_LIMITS: u32 = command(4);
const SYNC: u32 = command(7);
const GET_STATE: u32 = command(8);
const GET_NEXT: u32 = command(9);

/// `FS_DQUOT_VERSION`, and `FS_QSTATV_VERSION1`.
const VERSION: i8 = 1;

/// `FS_PROJ_QUOTA`.
const OF_PROJECT: i8 = 2;

/// `FS_DQ_IHARD | FS_DQ_BSOFT | FS_DQ_BHARD`.
const LIMITS: u16 = 1 << 1 | 1 << 2 | 1 << 3;

/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;

/// `QCMD(XQM_CMD(number), PRJQUOTA)`.
const fn command(number: u32) -> u32 {
    ((b'X' as u32) << 8 | number) << 8 | PROJECT_QUOTA
}

/// The kernel that this runs on.
#[derive(Debug, Default)]
pub struct Xfs {
    /// It has no `quotactl_fd`.
    by_device: AtomicBool,
    /// The device files of file systems, by their numbers.
    devices: Mutex<HashMap<u64, CString>>,
}

impl Kernel for Xfs {
    fn support(&self, file_system: BorrowedFd<'_>) -> Result<Support> {
        if magic(file_system)? != XFS_MAGIC {
            return Ok(Support::NotXfs);
        }
        // Another may be mounted by now that has its number.
        lock(&self.devices).clear();
        let mut state = QuotaStat { version: VERSION, ..QuotaStat::default() };
        match self.quotactl(file_system, GET_STATE, 0, &mut state) {
            Ok(()) if state.flags & ENFORCED != 0 => Ok(Support::Enforced),
            Ok(()) if state.flags & COUNTED != 0 => Ok(Support::Counted),
            Ok(()) => Ok(Support::Off),
            // That is said without any quota too. This command does nothing since Linux 3.4, where there is XFS quota.
            Err(Errno::NOSYS) => match self.quotactl(file_system, SYNC, 0, &mut state) {
                Err(Errno::NOSYS) => Ok(Support::KernelWithoutQuota),
                Ok(()) | Err(Errno::ROFS) => Ok(Support::Off),
                Err(errno) => Err(errno),
            },
            Err(errno) => Err(errno),
        }
    }

    fn project(&self, file: BorrowedFd<'_>) -> Result<Project> {
        let attributes = attributes(file)?;
        Ok(Project { id: attributes.projid, inherit: attributes.xflags & INHERIT != 0 })
    }

    fn put(&self, file: BorrowedFd<'_>, project: Project) -> Result<bool> {
        let before = attributes(file)?;
        let inherit = if project.inherit { INHERIT } else { 0 };
        let after = FsXattr { projid: project.id, xflags: before.xflags & !INHERIT | inherit, ..before };
        if (after.projid, after.xflags) == (before.projid, before.xflags) {
            return Ok(false);
        }
        // SAFETY: the kernel reads a `struct fsxattr` for this opcode.
        unsafe { ioctl(file, Setter::<SET, FsXattr>::new(after)) }?;
        Ok(true)
    }

    fn put_entry(&self, directory: BorrowedFd<'_>, name: &CStr, project: u32) -> Result<bool> {
        let mut attributes = FileAttr::default();
        file_attr(FILE_GETATTR, directory, name, &mut attributes)?;
        if attributes.projid == project {
            return Ok(false);
        }
        attributes.projid = project;
        file_attr(FILE_SETATTR, directory, name, &mut attributes)?;
        Ok(true)
    }

    fn usage(&self, file_system: BorrowedFd<'_>, project: u32) -> Result<Option<Usage>> {
        self.get(file_system, GET_QUOTA, project)
    }

    fn next_usage(&self, file_system: BorrowedFd<'_>, from: u32) -> Result<Option<Usage>> {
        self.get(file_system, GET_NEXT, from)
    }

    fn limit(&self, file_system: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<()> {
        let mut quota = DiskQuota {
            version: VERSION,
            flags: OF_PROJECT,
            fieldmask: LIMITS,
            id: project,
            blk_hardlimit: limits.bytes.div_ceil(BLOCK),
            blk_softlimit: limits.soft.unwrap_or_default().div_ceil(BLOCK),
            ino_hardlimit: limits.inodes.unwrap_or_default(),
            ..DiskQuota::default()
        };
        self.quotactl(file_system, SET_LIMITS, project, &mut quota)
    }
}

impl Xfs {
    fn get(&self, file_system: BorrowedFd<'_>, command: u32, project: u32) -> Result<Option<Usage>> {
        let mut quota = DiskQuota::default();
        match self.quotactl(file_system, command, project, &mut quota) {
            Ok(()) => Ok(Some(Usage {
                project: quota.id,
                bytes: quota.blk_hardlimit.saturating_mul(BLOCK),
                soft: quota.blk_softlimit.saturating_mul(BLOCK),
                inodes: quota.ino_hardlimit,
                used: quota.bcount.saturating_mul(BLOCK),
                used_inodes: quota.icount,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A quota command, whose structure is one of this file's.
    fn quotactl<T>(
        &self,
        file_system: BorrowedFd<'_>,
        command: u32,
        id: u32,
        structure: &mut T,
    ) -> Result<()> {
        let address: *mut c_void = std::ptr::from_mut(structure).cast();
        let by_device = self.by_device.load(Ordering::Relaxed);
        if !by_device {
            // SAFETY: the structure is that of the command, and outlives the call.
            let returned = unsafe {
                libc::syscall(libc::SYS_quotactl_fd, file_system.as_raw_fd(), command, id, address)
            };
            match outcome(returned) {
                // Which also a file system without quota says.
                Err(Errno::NOSYS) => {}
                outcome => return outcome,
            }
        }
        let device = self.device(file_system)?;
        // SAFETY: as above; the device's path ends with a NUL.
        let returned = unsafe { libc::syscall(libc::SYS_quotactl, command, device.as_ptr(), id, address) };
        match outcome(returned) {
            outcome if by_device => outcome,
            Ok(()) => {
                self.by_device.store(true, Ordering::Relaxed);
                Ok(())
            }
            // `quotactl_fd` has said it already, and is the better witness: the device need not be seen here.
            Err(_) => Err(Errno::NOSYS),
        }
    }

    /// The device file of a file system, as it was mounted.
    fn device(&self, file_system: BorrowedFd<'_>) -> Result<CString> {
        let device = rustix::fs::fstat(file_system)?.st_dev;
        let mut devices = lock(&self.devices);
        if let Some(known) = devices.get(&device) {
            return Ok(known.clone());
        }
        let mounts = MountTable::read().map_err(|_| Errno::NOSYS)?;
        let numbers = (rustix::fs::major(device), rustix::fs::minor(device));
        let source =
            mounts.of_device(numbers).map(|mount| Path::new(&mount.source)).find(|path| path.is_absolute());
        let path =
            CString::new(source.ok_or(Errno::NOSYS)?.as_os_str().as_bytes()).map_err(|_| Errno::NOSYS)?;
        devices.insert(device, path.clone());
        Ok(path)
    }
}

fn magic(file_system: BorrowedFd<'_>) -> Result<u64> {
    // The kernel's type differs by architecture.
    #[allow(clippy::unnecessary_cast, reason = "it is necessary on others")]
    Ok(rustix::fs::fstatfs(file_system)?.f_type as u64)
}

fn attributes(file: BorrowedFd<'_>) -> Result<FsXattr> {
    // SAFETY: the kernel writes a `struct fsxattr` for this opcode.
    unsafe { ioctl(file, Getter::<GET, FsXattr>::new()) }
}

/// `file_getattr(2)` or `file_setattr(2)`.
fn file_attr(call: c_long, directory: BorrowedFd<'_>, name: &CStr, attributes: &mut FileAttr) -> Result<()> {
    let (directory, flags): (c_int, c_uint) = (directory.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW as c_uint);
    let address: *mut FileAttr = attributes;
    // SAFETY: the name ends with a NUL, and the structure has the size that is said.
    outcome(unsafe { libc::syscall(call, directory, name.as_ptr(), address, size_of::<FileAttr>(), flags) })
}

fn outcome(returned: c_long) -> Result<()> {
    if returned == -1 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok(())
}
