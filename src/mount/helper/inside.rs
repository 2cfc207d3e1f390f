//! A mount namespace of others, from inside: no path of the host's means anything here, so what is needed of `/proc` is open.

use std::{
    ffi::OsStr,
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{MoveMountFlags, UnmountFlags},
    thread::LinkNameSpaceType,
};

use super::{
    bind::mount_id_of,
    container::{New, Placed, Rebind, read_table},
    copies::{self, Kept},
    failed::{Doing, Failure},
};
use crate::mount::mountinfo::{MountEntry, MountTable};

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// After this time nothing is taken away any more that leaves its place bare: the host's deadline, at which this process is
/// killed, must not come in between.
const BARE_WITHIN: Duration = Duration::from_secs(15);

/// How often, and how long apart, a place that is bare is tried.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The other namespace, from inside.
pub(super) struct Inside<'r> {
    rebind: &'r Rebind,
    new: (u32, u32),
    /// Of the host: `/proc/self` and the links to what is open.
    process: OwnedFd,
    links: OwnedFd,
    root: OwnedFd,
    since: Instant,
}

impl<'r> Inside<'r> {
    /// For good: this process never comes back. It has one thread, so it may.
    pub(super) fn enter(
        namespace: &OwnedFd,
        rebind: &'r Rebind,
        new: (u32, u32),
        since: Instant,
    ) -> Result<Self, Failure> {
        let words =
            || format!("enter the mount namespace of process {} (it takes CAP_SYS_ADMIN)", rebind.pid);
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open("/proc/self", open, Mode::empty()).doing(words)?;
        let links = rustix::fs::openat(&process, "fd", open, Mode::empty()).doing(words)?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
            .doing(words)?;
        let root = rustix::fs::open("/", open, Mode::empty()).doing(words)?;
        Ok(Self { rebind, new, process, links, root, since })
    }

    /// A mount that is to be replaced, once it was found to be what it was; none where it has gone by itself.
    fn find<'t>(&self, table: &'t MountTable, id: u64) -> Result<Option<(&'t MountEntry, OwnedFd)>, Failure> {
        // Once more: the process may have another root than its namespace, and not see all of it.
        let found = copies::copies(table, self.new, |entry| self.rebind.earlier(entry).is_some());
        let found = found.into_iter().find_map(|copy| match copy {
            Ok(copy) if copy.top.id == id => Some(Ok(copy.top)),
            Err(Kept { entry, reason }) if entry.id == id => Some(Err(reason)),
            _ => None,
        });
        let old = match found {
            None => return Ok(None),
            Some(Ok(old)) => old,
            Some(Err(reason)) => {
                return Err(Failure::new(Errno::BUSY, format_args!("replace a mount: {reason}")));
            }
        };
        if old.mount_point == Path::new("/") {
            // Processes would stay on it, whatever comes in its place.
            return Err(Failure::new(Errno::BUSY, "replace the root of a namespace"));
        }
        let at = self.open(old)?;
        if self.rebind.earlier(old).is_some_and(|earlier| earlier.ended) {
            self.is_dead(&at, old)?;
        }
        Ok(Some((old, at)))
    }

    /// What is in nobody's way is left without a word where it cannot be taken away.
    pub(super) fn take_away(&self, id: u64) {
        if let Ok(table) = self.table()
            && let Ok(Some((_, at))) = self.find(&table, id)
        {
            let _ = self.detach(&at);
        }
    }

    /// None where the mount has gone by itself.
    pub(super) fn replace(&self, new: &New) -> Result<Option<Placed>, Failure> {
        let table = self.table()?;
        let Some((mut old, mut at)) = self.find(&table, new.old.id)? else { return Ok(None) };
        // Of a stack of ours the lowest is replaced: the others go first.
        while let Some(lower) = table
            .by_id(old.parent)
            .filter(|lower| self.rebind.earlier(lower).is_some() && lower.mount_point == old.mount_point)
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
        let place = self.hold(old)?;
        match self.detach(at) {
            Ok(()) => {
                self.cover(new, old, &place)?;
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

    /// Where a mount's place is, before it is bare: the way there may lead over a file system that hangs.
    fn hold<'o>(&self, old: &'o MountEntry) -> Result<(OwnedFd, &'o OsStr), Failure> {
        let words = || format!("take away the mount at {} and put another there", old.mount_point.display());
        let (Some(parent), Some(name)) = (old.mount_point.parent(), old.mount_point.file_name()) else {
            return Err(Failure::new(Errno::BUSY, "replace the root of a namespace"));
        };
        let parent = self.open_path(parent).doing(words)?;
        // It answers, so it will in a moment.
        rustix::fs::fstat(&parent).doing(words)?;
        if self.since.elapsed() > BARE_WITHIN {
            return Err(Failure::new(
                Errno::TIMEDOUT,
                format_args!("{}, for which too little time is left", words()),
            ));
        }
        Ok((parent, name))
    }

    /// Mounts the copy at a place that is bare by our doing, so it is tried more than once.
    fn cover(&self, new: &New, old: &MountEntry, (parent, name): &(OwnedFd, &OsStr)) -> Result<(), Failure> {
        let words = || format!("mount at {}", old.mount_point.display());
        let cover = || {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let place =
                rustix::fs::openat2(parent, Path::new(name), PATH, Mode::empty(), resolve).doing(words)?;
            if self.mount_id(&place).doing(words)? != old.parent {
                return Err(Failure::new(
                    Errno::BUSY,
                    format_args!("{}, where others mount at the same time", words()),
                ));
            }
            attach(&new.copy, &place, MoveMountFlags::empty()).doing(words)
        };
        let mut covered = cover();
        for _ in 1..TRIES {
            if covered.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            covered = cover();
        }
        covered
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
        mount_id_of(&std::io::read_to_string(File::from(info))?)
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
