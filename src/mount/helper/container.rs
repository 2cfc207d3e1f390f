//! Mounts of an earlier process in another mount namespace, replaced there by those of the process that there is.
//!
//! What they are to be replaced by is made in the host's namespace, where alone the new mount can be copied. Then the
//! child enters the other one: from there on no path of the host's means anything, so what it needs of `/proc` is open.

use std::{
    fs::File,
    io::Read,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MoveMountFlags, UnmountFlags},
    thread::LinkNameSpaceType,
};
use serde::{Deserialize, Serialize};

use super::{
    copies::{self, Copy, Kept},
    failed::{Doing, Failed, Failure},
    stage::{self, Dress},
};
use crate::mount::mountinfo::{MountEntry, MountTable};

/// So many mounts of a namespace at once; the others at the next look.
const MAX_COPIES: usize = 256;

/// The list of mounts of a namespace, which its owner may make long.
pub(in crate::mount) const MAX_TABLE: u64 = 64 << 20;

const FS_TYPE: &str = "fuse.glusterfs";

/// Mounts that a mount namespace has of earlier processes, to be replaced by those of the process that there is: with
/// the same directory or file of the volume, the same attributes, at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebind {
    /// A process that has the namespace.
    pub pid: i32,
    /// The namespace's number. Where the process has another by now, nothing is done.
    pub namespace: u64,
    /// Where the volume is mounted, in the host's own namespace.
    pub mount: PathBuf,
    /// The file systems of the earlier processes.
    pub earlier: Vec<Earlier>,
    /// Mount points that are left alone, as that process sees them.
    pub except: Vec<PathBuf>,
    /// A directory of the host's own, for what is prepared; made where it is missing, but not its parent.
    pub staging: PathBuf,
}

/// The file system of an earlier process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its major and minor number.
    pub device: (u32, u32),
    /// As mountinfo has it: another file system may have got the number since.
    pub source: String,
    /// The end of the path at which the host itself has mounted it: such a mount is no copy.
    pub place: PathBuf,
    /// The process has ended, so a mount that answers is not its.
    pub ended: bool,
}

/// What has become of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebound {
    /// For people: what is not UTF-8 is replaced.
    pub mount_point: String,
    /// How it was done, or why it was not, in a sentence.
    pub result: Result<Placed, String>,
}

/// How a mount was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placed {
    /// The earlier one is gone.
    Instead,
    /// The earlier one is locked, as in a container with a user namespace of its own, and stays below: it can keep its process.
    Over,
}

impl Rebind {
    /// Tells of each mount what has become of it.
    pub(super) fn carry_out(&self, tell: &mut dyn FnMut(Rebound)) -> Result<(), Failure> {
        let words = || format!("look into the mount namespace of process {}", self.pid);
        let process = format!("/proc/{}", self.pid);
        let open = OFlags::RDONLY | OFlags::CLOEXEC;
        let Some(namespace) =
            unless_gone(rustix::fs::open(format!("{process}/ns/mnt"), open, Mode::empty())).doing(words)?
        else {
            return Ok(());
        };
        if rustix::fs::fstat(&namespace).doing(words)?.st_ino != self.namespace {
            return Ok(());
        }
        let Some(mountinfo) =
            unless_gone(rustix::fs::open(format!("{process}/mountinfo"), open, Mode::empty()))
                .doing(words)?
        else {
            return Ok(());
        };
        let table = read_table(mountinfo).doing(words)?;
        let host = HostSide::open(self)?;
        let found = copies::copies(&table, host.volume.device, |entry| self.is_ours(entry));
        let mut new = Vec::new();
        for (number, copy) in found.into_iter().enumerate() {
            let (entry, prepared) = match copy {
                Err(Kept { entry, reason }) => (entry, Err(reason)),
                Ok(copy) if number >= MAX_COPIES => {
                    (copy.top, Err("there are many: it is done at a later look".to_owned()))
                }
                Ok(copy) => {
                    (copy.top, host.prepare(&copy).map_err(|failure| Failed::from(failure).to_string()))
                }
            };
            match prepared {
                Ok(prepared) => new.push(prepared),
                Err(reason) => tell(Rebound::new(entry, Err(reason))),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let inside = Inside::enter(&namespace, self, host.volume.device)?;
        for new in new {
            match inside.replace(&new) {
                Ok(None) => {}
                Ok(Some(placed)) => tell(Rebound::new(&new.old, Ok(placed))),
                Err(failure) => tell(Rebound::new(&new.old, Err(Failed::from(failure).to_string()))),
            }
        }
        Ok(())
    }

    fn earlier(&self, entry: &MountEntry) -> Option<&Earlier> {
        let is = |earlier: &&Earlier| earlier.device == entry.device && earlier.source == entry.source;
        self.earlier.iter().find(is).filter(|_| entry.fs_type == FS_TYPE)
    }

    fn is_ours(&self, entry: &MountEntry) -> bool {
        let earlier = self.earlier(entry).filter(|earlier| !entry.mount_point.ends_with(&earlier.place));
        earlier.is_some() && !self.except.contains(&entry.mount_point)
    }
}

impl Rebound {
    fn new(entry: &MountEntry, result: Result<Placed, String>) -> Self {
        Self { mount_point: entry.mount_point.display().to_string(), result }
    }
}

/// Nothing where the process is gone.
fn unless_gone<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        result => result.map(Some),
    }
}

fn read_table(mountinfo: OwnedFd) -> std::io::Result<MountTable> {
    let mut text = Vec::new();
    File::from(mountinfo).take(MAX_TABLE).read_to_end(&mut text)?;
    Ok(MountTable::parse(&text))
}

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What is to stand in the place of a mount, and those below it.
struct New {
    copy: OwnedFd,
    old: MountEntry,
    /// Each with its place in the copy.
    below: Vec<(OwnedFd, Self)>,
}

/// The new mount, in the host's namespace.
struct HostSide<'r> {
    root: OwnedFd,
    volume: MountEntry,
    staging: &'r Path,
}

impl<'r> HostSide<'r> {
    fn open(rebind: &'r Rebind) -> Result<Self, Failure> {
        let mount = &rebind.mount;
        let words = || format!("bind from {}", mount.display());
        let root = rustix::fs::open(mount, PATH | OFlags::DIRECTORY, Mode::empty()).doing(words)?;
        let table = MountTable::read().doing(words)?;
        let volume = table.top_at(mount).filter(|volume| volume.root == Path::new("/")).cloned();
        let volume = volume.ok_or_else(|| {
            Failure::new(Errno::INVAL, format_args!("{}, where no volume is mounted", words()))
        })?;
        Ok(Self { root, volume, staging: &rebind.staging })
    }

    fn prepare(&self, copy: &Copy<'_>) -> Result<New, Failure> {
        let old = copy.top;
        let root = old.root.display();
        let words = || format!("use {root} of the volume");
        if old.root.as_os_str().as_bytes().ends_with(b"//deleted") {
            return Err(Failure::new(Errno::NOENT, format_args!("{}, which was removed", words())));
        }
        if old.has("idmapped") {
            return Err(Failure::new(Errno::OPNOTSUPP, format_args!("{} with other user ids", words())));
        }
        let (opened, file) = self.open_at(&self.root, &old.root).doing(words)?;
        let dress = Dress::like(old, &self.volume, file);
        let dressed = stage::dressed(&stage::copy(&opened).doing(words)?, &dress, self.staging)?;
        let mut below = Vec::new();
        for inner in &copy.below {
            let point = &inner.top.mount_point;
            let inside = point.strip_prefix(&old.mount_point).unwrap_or(point);
            let (place, _) =
                self.open_at(&dressed, inside).doing(|| format!("mount at {} in it", point.display()))?;
            below.push((place, self.prepare(inner)?));
        }
        Ok(New { copy: dressed, old: old.clone(), below })
    }

    /// A directory or a file of the volume, and which of them. Links are not followed: who can write to the volume made them.
    fn open_at(&self, root: &OwnedFd, path: &Path) -> rustix::io::Result<(OwnedFd, bool)> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match rustix::fs::openat2(root, path, PATH | OFlags::DIRECTORY, Mode::empty(), resolve) {
            Err(Errno::NOTDIR) => {
                rustix::fs::openat2(root, path, PATH, Mode::empty(), resolve).map(|file| (file, true))
            }
            directory => directory.map(|directory| (directory, false)),
        }
    }
}

/// The other namespace, from inside.
struct Inside<'r> {
    rebind: &'r Rebind,
    new: (u32, u32),
    /// Of the host: `/proc/self` and the links to what is open.
    process: OwnedFd,
    links: OwnedFd,
    root: OwnedFd,
}

impl<'r> Inside<'r> {
    /// For good: this process never comes back. It has one thread, so it may.
    fn enter(namespace: &OwnedFd, rebind: &'r Rebind, new: (u32, u32)) -> Result<Self, Failure> {
        let words =
            || format!("enter the mount namespace of process {} (it takes CAP_SYS_ADMIN)", rebind.pid);
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open("/proc/self", open, Mode::empty()).doing(words)?;
        let links = rustix::fs::openat(&process, "fd", open, Mode::empty()).doing(words)?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
            .doing(words)?;
        let root = rustix::fs::open("/", open, Mode::empty()).doing(words)?;
        Ok(Self { rebind, new, process, links, root })
    }

    /// None where the mount has gone by itself.
    fn replace(&self, new: &New) -> Result<Option<Placed>, Failure> {
        let table = self.table()?;
        let is_ours = |entry: &MountEntry| self.rebind.earlier(entry).is_some();
        // Once more: the process may have another root than its namespace, and not see all of it.
        let found = copies::copies(&table, self.new, is_ours);
        let found = found.into_iter().find_map(|copy| match copy {
            Ok(copy) if copy.top.id == new.old.id => Some(Ok(copy.top)),
            Err(Kept { entry, reason }) if entry.id == new.old.id => Some(Err(reason)),
            _ => None,
        });
        let mut old = match found {
            None => return Ok(None),
            Some(Ok(old)) => old,
            Some(Err(reason)) => {
                return Err(Failure::new(Errno::BUSY, format_args!("replace a mount: {reason}")));
            }
        };
        let mut at = self.open(old)?;
        if self.rebind.earlier(old).is_some_and(|earlier| earlier.ended) {
            self.is_dead(&at, old)?;
        }
        // Of a stack of ours the lowest is replaced: the others go first.
        while let Some(lower) =
            table.by_id(old.parent).filter(|lower| is_ours(lower) && lower.mount_point == old.mount_point)
        {
            match self.detach(&at) {
                Ok(()) => (old, at) = (lower, self.open(lower)?),
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(Failure::new(errno, self.taking_away(old))),
            }
        }
        self.place(new, old, &at).map(Some)
    }

    /// Mounts the copy in the place of `old`, which is open as `at`.
    fn place(&self, new: &New, old: &MountEntry, at: &OwnedFd) -> Result<Placed, Failure> {
        let words = || format!("mount at {}", old.mount_point.display());
        match attach(&new.copy, at, MoveMountFlags::MOVE_MOUNT_BENEATH) {
            Ok(()) => {
                place_below(new)?;
                self.detach(at).doing(|| self.taking_away(old))?;
                return Ok(Placed::Instead);
            }
            // Linux before 6.5; or it is locked, or the propagation of mounts around it forbids it.
            Err(Errno::INVAL) => {}
            Err(errno) => return Err(Failure::new(errno, words())),
        }
        match self.detach(at) {
            Ok(()) => {
                let place = self.open_path(&old.mount_point).doing(words)?;
                if self.mount_id(&place).doing(words)? != old.parent {
                    return Err(Failure::new(
                        Errno::BUSY,
                        format_args!("{}, where others mount at the same time", words()),
                    ));
                }
                attach(&new.copy, &place, MoveMountFlags::empty()).doing(words)?;
                place_below(new)?;
                Ok(Placed::Instead)
            }
            Err(Errno::INVAL) => {
                attach(&new.copy, at, MoveMountFlags::empty()).doing(words)?;
                place_below(new)?;
                Ok(Placed::Over)
            }
            Err(errno) => Err(Failure::new(errno, self.taking_away(old))),
        }
    }

    fn taking_away(&self, old: &MountEntry) -> String {
        format!("take away the earlier mount at {}", old.mount_point.display())
    }

    /// What of a process that has ended still answers is not its: another file system has got its number.
    fn is_dead(&self, at: &OwnedFd, old: &MountEntry) -> Result<(), Failure> {
        let words = |what| {
            format!("take {} for a mount of a process that has ended: {what}", old.mount_point.display())
        };
        match rustix::fs::fstatfs(at) {
            Err(Errno::NOTCONN) => Ok(()),
            Ok(_) => Err(Failure::new(Errno::EXIST, words("it answers"))),
            Err(errno) => Err(Failure::new(errno, words("it fails with another error"))),
        }
    }

    /// The mount itself, once it was found to be what is seen at its mount point.
    fn open(&self, entry: &MountEntry) -> Result<OwnedFd, Failure> {
        let words = || format!("use the mount at {}", entry.mount_point.display());
        let opened = self.open_path(&entry.mount_point).doing(words)?;
        if self.mount_id(&opened).doing(words)? != entry.id {
            return Err(Failure::new(Errno::BUSY, format_args!("{}, which is covered", words())));
        }
        Ok(opened)
    }

    /// Who owns the namespace may change what the path means at any time: nothing is followed.
    fn open_path(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, PATH, Mode::empty(), resolve)
    }

    /// Takes away just this mount, by its link: a path may mean another by now.
    fn detach(&self, mount: &OwnedFd) -> rustix::io::Result<()> {
        rustix::process::fchdir(&self.links)?;
        rustix::mount::unmount(mount.as_raw_fd().to_string(), UnmountFlags::DETACH)
    }

    fn table(&self) -> Result<MountTable, Failure> {
        let open = OFlags::RDONLY | OFlags::CLOEXEC;
        let mountinfo = rustix::fs::openat(&self.process, "mountinfo", open, Mode::empty());
        mountinfo.map_err(Into::into).and_then(read_table).doing(|| "read the mounts of the namespace")
    }

    fn mount_id(&self, file: &OwnedFd) -> std::io::Result<u64> {
        let open = OFlags::RDONLY | OFlags::CLOEXEC;
        let info =
            rustix::fs::openat(&self.process, format!("fdinfo/{}", file.as_raw_fd()), open, Mode::empty())?;
        super::bind::mount_id_of(&std::io::read_to_string(File::from(info))?)
    }
}

/// Moves a copy to what is open as `at`.
fn attach(copy: &OwnedFd, at: &OwnedFd, how: MoveMountFlags) -> rustix::io::Result<()> {
    let by_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(copy, "", at, "", by_descriptor | how)
}

/// Once a copy is in its place, what was below the earlier one.
fn place_below(new: &New) -> Result<(), Failure> {
    for (place, inner) in &new.below {
        let point = inner.old.mount_point.display();
        attach(&inner.copy, place, MoveMountFlags::empty()).doing(|| format!("mount at {point}"))?;
        place_below(inner)?;
    }
    Ok(())
}
