use std::{
    ffi::OsString,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{MoveMountFlags, UnmountFlags},
};
use serde::{Deserialize, Serialize};

use super::{
    BELOW,
    failed::{Doing, Failure},
    stage::{self, Dress},
};
use crate::mount::mountinfo::{MountEntry, MountTable};

/// More layers than anybody stacks; a bound on what is tried.
const MAX_STEPS: usize = 64;

/// A directory of a mount that is to be seen at a target. After it, exactly one mount of ours is there; where it was
/// there already, nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where the volume is mounted.
    pub mount: PathBuf,
    /// Such as `a/b`; empty for all of the volume. Links are not followed: who can write to the volume made them.
    pub subdirectory: String,
    /// A directory that exists. Links in its path are followed, as mount(8) does.
    pub target: PathBuf,
    /// Nothing can be written through the target.
    pub read_only: bool,
    /// A directory of the host's own, for what is prepared; made where it is missing, but not its parent.
    pub staging: PathBuf,
    /// File systems whose mounts at the target make room: the host's earlier mounts, dead or alive.
    pub replaces: Vec<(u32, u32)>,
}

impl Bind {
    pub(super) fn carry_out(&self) -> Result<(), Failure> {
        let root = Path::new(&self.subdirectory);
        if !root.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Failure::new(
                Errno::INVAL,
                format_args!("use {:?} as a directory of a volume", self.subdirectory),
            ));
        }
        let mount = Place::find(&self.mount)?;
        let target = Place::find(&self.target)?;
        let table = table()?;
        let volume = table.by_id(mount.mount_id).filter(|entry| entry.mount_point == mount.path);
        let Some(volume) = volume else {
            return Err(Failure::new(
                Errno::INVAL,
                format_args!("bind from {}, where nothing is mounted", self.mount.display()),
            ));
        };
        self.outside_of_volumes(&target, &table, volume)?;
        let wanted = Wanted {
            device: volume.device,
            root: volume.root.join(root),
            read_only: self.read_only || volume.read_only,
        };
        let mut new: Option<New> = None;
        for _ in 0..MAX_STEPS {
            match self.next(&target.path, &wanted, new.as_ref())? {
                Step::Done => return Ok(()),
                Step::Uncover => detach(&target.path)?,
                Step::Place(how) => {
                    let new = match &mut new {
                        Some(new) => new,
                        None => new.insert(self.prepare(&mount, volume)?),
                    };
                    place(new, &target.path, how)?;
                }
            }
        }
        Err(Failure::new(
            Errno::BUSY,
            format_args!("mount at {}: others mount there at the same time", target.path.display()),
        ))
    }

    fn is_ours(&self, entry: &MountEntry, wanted: &Wanted) -> bool {
        entry.device == wanted.device || self.replaces.contains(&entry.device)
    }

    /// What to do next, by what is at the target.
    fn next(&self, target: &Path, wanted: &Wanted, new: Option<&New>) -> Result<Step, Failure> {
        let table = table()?;
        let stack = table.at(target);
        let Some(top) = stack.last() else { return Ok(Step::Place(How::Onto)) };
        if !self.is_ours(top, wanted) {
            let at = target.display();
            let words = format!("mount at {at}, where {} ({}) is mounted", top.source, top.fs_type);
            return Err(Failure::new(Errno::BUSY, words));
        }
        if stack.iter().rev().nth(1).is_some_and(|below| self.is_ours(below, wanted)) {
            return Ok(Step::Uncover);
        }
        match new {
            Some(new) if new.placed && (top.id != new.id || top.read_only != wanted.read_only) => {
                let words = format!("mount at {}: another mount came in between", target.display());
                Err(Failure::new(Errno::BUSY, words))
            }
            Some(new) if new.placed => Ok(Step::Done),
            _ if wanted.is(top) => Ok(Step::Done),
            _ => Ok(Step::Place(How::Beneath)),
        }
    }

    /// A target in a volume would hang with it, and be seen by all who mount it.
    fn outside_of_volumes(
        &self,
        target: &Place,
        table: &MountTable,
        volume: &MountEntry,
    ) -> Result<(), Failure> {
        let below = match table.at(&target.path).first() {
            Some(bottom) => bottom.parent,
            None => target.mount_id,
        };
        let inside = table
            .by_id(below)
            .is_some_and(|entry| entry.device == volume.device || self.replaces.contains(&entry.device));
        if inside {
            return Err(Failure::new(
                Errno::INVAL,
                format_args!("mount at {}, which is in a volume", target.path.display()),
            ));
        }
        Ok(())
    }

    /// The mount that is to be placed.
    fn prepare(&self, mount: &Place, volume: &MountEntry) -> Result<New, Failure> {
        let words = || format!("bind {:?} of {}", self.subdirectory, self.mount.display());
        let inside;
        let directory = if self.subdirectory.is_empty() {
            // Nothing is asked of the volume.
            &mount.directory
        } else {
            inside = rustix::fs::openat2(&mount.directory, &self.subdirectory, PATH, Mode::empty(), BELOW)
                .doing(words)?;
            &inside
        };
        let copy = stage::copy(directory).doing(words)?;
        let copy = match self.read_only {
            true => stage::dressed(&copy, &Dress::read_only(volume), &self.staging)?,
            false => copy,
        };
        let id = mount_id(&copy).doing(words)?;
        Ok(New { copy, id, placed: false })
    }
}

const PATH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A directory as the kernel names it in mountinfo.
struct Place {
    directory: OwnedFd,
    path: PathBuf,
    mount_id: u64,
}

impl Place {
    /// Asks nothing of a file system that is mounted at the path, but may of those on the way to it.
    fn find(path: &Path) -> Result<Self, Failure> {
        let words = || format!("use {} as a directory to mount", path.display());
        let directory = rustix::fs::open(path, PATH, Mode::empty()).doing(words)?;
        let name = rustix::fs::readlink(format!("/proc/self/fd/{}", directory.as_raw_fd()), Vec::new())
            .doing(words)?;
        let path = OsString::from_vec(name.into_bytes()).into();
        let mount_id = mount_id(&directory).doing(words)?;
        Ok(Self { directory, path, mount_id })
    }
}

/// Opens what is mounted at a path, without a word to its file system, where that is the one with this number.
///
/// # Errors
/// `ESTALE` where another file system, or nothing, is mounted there.
pub fn open_mount(path: &Path, device: (u32, u32)) -> std::io::Result<OwnedFd> {
    let mount = rustix::fs::open(path, PATH | OFlags::NOFOLLOW, Mode::empty())?;
    let id = mount_id(&mount)?;
    match MountTable::read()?.by_id(id).filter(|entry| entry.device == device) {
        Some(_) => Ok(mount),
        None => Err(Errno::STALE.into()),
    }
}

/// The number of the mount that an open file is on.
fn mount_id(file: &OwnedFd) -> std::io::Result<u64> {
    mount_id_of(&fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?)
}

/// The same from what its fdinfo says.
pub(super) fn mount_id_of(info: &str) -> std::io::Result<u64> {
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| Errno::NOSYS.into())
}

/// How the bind looks in mountinfo.
struct Wanted {
    device: (u32, u32),
    root: PathBuf,
    read_only: bool,
}

impl Wanted {
    fn is(&self, entry: &MountEntry) -> bool {
        entry.device == self.device && entry.root == self.root && entry.read_only == self.read_only
    }
}

/// The copy, and whether it is at the target.
struct New {
    copy: OwnedFd,
    id: u64,
    placed: bool,
}

enum Step {
    Done,
    /// Of two mounts of ours, the upper goes.
    Uncover,
    Place(How),
}

#[derive(Clone, Copy)]
enum How {
    Onto,
    /// Under our earlier mount, so that the target is never bare.
    Beneath,
}

fn place(new: &mut New, target: &Path, how: How) -> Result<(), Failure> {
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let flags = match how {
        How::Onto => onto,
        How::Beneath => onto | MoveMountFlags::MOVE_MOUNT_BENEATH,
    };
    let moved = match rustix::mount::move_mount(&new.copy, "", CWD, target, flags) {
        // Linux before 6.5; or the propagation of mounts around the target forbids it.
        Err(Errno::INVAL) if matches!(how, How::Beneath) => {
            detach(target)?;
            rustix::mount::move_mount(&new.copy, "", CWD, target, onto)
        }
        moved => moved,
    };
    moved.doing(|| format!("mount at {}", target.display()))?;
    new.placed = true;
    Ok(())
}

fn detach(target: &Path) -> Result<(), Failure> {
    rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .doing(|| format!("take away the earlier mount at {}", target.display()))
}

fn table() -> Result<MountTable, Failure> {
    MountTable::read().doing(|| "read /proc/self/mountinfo")
}
