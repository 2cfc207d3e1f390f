//! Mounts of an earlier process in another mount namespace, replaced there by those of the process that there is.
//!
//! What they are to be replaced by is made in the host's namespace, where alone the new mount can be copied. Then the
//! child enters the other one.

use std::{
    fs::File,
    io::Read,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    BELOW,
    copies::{self, Copy, Kept},
    failed::{Doing, Failed, Failure},
    inside::Inside,
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
    /// The directories of the volume that are or were targets of ours, such as `/a/b`. A mount of anything that is neither one
    /// of them nor in one is left alone: nobody can have it of us.
    pub roots: Vec<PathBuf>,
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
    /// The end of the path at which the host itself had mounted it: such a mount is taken away where it is left.
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
        let since = Instant::now();
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
        let Plan { new, useless, kept, others } = self.plan(&table, &host);
        for (entry, reason) in kept {
            tell(Rebound::new(entry, Err(reason)));
        }
        if others > 0 {
            let reason = "there are too many mounts for one look";
            tell(Rebound { mount_point: format!("{others} others"), result: Err(reason.to_owned()) });
        }
        if new.is_empty() && useless.is_empty() {
            return Ok(());
        }
        let inside = Inside::enter(&namespace, self, host.volume.device, since)?;
        for new in new {
            match inside.replace(&new) {
                Ok(None) => {}
                Ok(Some(placed)) => tell(Rebound::new(&new.old, Ok(placed))),
                Err(failure) => tell(Rebound::new(&new.old, Err(Failed::from(failure).to_string()))),
            }
        }
        useless.into_iter().for_each(|id| inside.take_away(id));
        Ok(())
    }

    /// What is to be done with the mounts of a table.
    fn plan<'t>(&self, table: &'t MountTable, host: &HostSide<'_>) -> Plan<'t> {
        let mut plan = Plan::default();
        for copy in copies::copies(table, host.volume.device, |entry| self.is_ours(entry)) {
            match copy {
                Ok(copy) if self.is_useless(copy.top) => plan.useless.push(copy.top.id),
                Ok(_) if plan.new.len() >= MAX_COPIES => plan.others += 1,
                Ok(copy) => match host.prepare(&copy) {
                    Ok(new) => plan.new.push(new),
                    Err(failure) => plan.keep(copy.top, Failed::from(failure).to_string()),
                },
                Err(Kept { entry, reason }) => plan.keep(entry, reason),
            }
        }
        plan
    }

    pub(super) fn earlier(&self, entry: &MountEntry) -> Option<&Earlier> {
        let is = |earlier: &&Earlier| earlier.device == entry.device && earlier.source == entry.source;
        let was_target = || self.roots.iter().any(|root| entry.root.starts_with(root));
        let earlier = self.earlier.iter().find(is).filter(|_| entry.fs_type == FS_TYPE);
        earlier.filter(|earlier| was_target() || entry.mount_point.ends_with(&earlier.place))
    }

    /// The mount of which the host has bound its targets, as a namespace has it that was copied with all its mounts.
    fn is_useless(&self, entry: &MountEntry) -> bool {
        self.earlier(entry).is_some_and(|earlier| entry.mount_point.ends_with(&earlier.place))
    }

    fn is_ours(&self, entry: &MountEntry) -> bool {
        self.earlier(entry).is_some() && !self.except.contains(&entry.mount_point)
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

pub(super) fn read_table(mountinfo: OwnedFd) -> std::io::Result<MountTable> {
    let mut text = Vec::new();
    File::from(mountinfo).take(MAX_TABLE).read_to_end(&mut text)?;
    Ok(MountTable::parse(&text))
}

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// What is to be done in a namespace.
#[derive(Default)]
struct Plan<'t> {
    new: Vec<New>,
    /// The numbers of mounts that are to be taken away.
    useless: Vec<u64>,
    /// What stays as it is, and why.
    kept: Vec<(&'t MountEntry, String)>,
    /// More than are looked at in one go.
    others: usize,
}

impl<'t> Plan<'t> {
    fn keep(&mut self, entry: &'t MountEntry, reason: String) {
        match self.kept.len() < MAX_COPIES {
            true => self.kept.push((entry, reason)),
            false => self.others += 1,
        }
    }
}

/// What is to stand in the place of a mount, and those below it.
pub(super) struct New {
    pub(super) copy: OwnedFd,
    pub(super) old: MountEntry,
    /// Each with its place in the copy.
    pub(super) below: Vec<(OwnedFd, Self)>,
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
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match rustix::fs::openat2(root, path, PATH | OFlags::DIRECTORY, Mode::empty(), BELOW) {
            Err(Errno::NOTDIR) => {
                rustix::fs::openat2(root, path, PATH, Mode::empty(), BELOW).map(|file| (file, true))
            }
            directory => directory.map(|directory| (directory, false)),
        }
    }
}
