//! Directories below a volume's root, by their descriptors: no link is followed, no mount entered, nothing above reached.

pub(super) mod seam;

use std::{
    ffi::CString,
    fmt,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, StatVfs, StatxAttributes, StatxFlags, Uid,
        XattrFlags,
    },
    io::Errno,
    path::Arg,
};

use crate::{
    mount::helper::BELOW,
    storage::{Error, Reason, error::Doing, quota::ASKED},
};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The permissions of directories on the way to PVs, and of records: kadalu's.
const WAY: u32 = 0o755;
const FILE: u32 = 0o644;

/// How often a way is made that others take away as soon as it is empty.
pub(super) const TRIES: u32 = 16;

/// A directory of the volume.
pub(super) struct Directory {
    fd: OwnedFd,
    /// For people.
    path: PathBuf,
}

impl Directory {
    /// The root of a volume, and whether a file system is mounted just there.
    pub(super) fn root(path: &Path) -> Result<(Self, bool), Error> {
        let words = || format!("cannot look at {}", path.display());
        seam::step().doing(words)?;
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, open, Mode::empty()).doing(words)?;
        // What the kernel knows by itself: no question to the volume.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let known = rustix::fs::statx(&fd, "", flags, StatxFlags::empty()).doing(words)?;
        let mounted = known.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        Ok((Self { fd, path: path.to_owned() }, mounted))
    }

    /// The directory at a path below this one; none where there is nothing.
    pub(super) fn open(&self, path: &str) -> Result<Option<Self>, Error> {
        let opened = seam::step().and_then(|()| open_directory(&self.fd, path));
        let fd = none(opened).doing(|| format!("cannot open {}", self.at(path)))?;
        Ok(fd.map(|fd| Self { fd, path: self.path.join(path) }))
    }

    /// The directory at a path below this one, to look at and not into; none where there is none.
    pub(super) fn reach(&self, path: &str) -> Result<Option<Self>, Error> {
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            seam::step().and_then(|()| rustix::fs::openat2(&self.fd, path, open, Mode::empty(), BELOW));
        match none(opened) {
            Ok(fd) => Ok(fd.map(|fd| Self { fd, path: self.path.join(path) })),
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("cannot look at {}", self.at(path))),
        }
    }

    /// The directory at a path below this one, made with those on the way.
    pub(super) fn make(&self, path: &str) -> Result<Self, Error> {
        self.make_with(path, WAY)
    }

    /// As [`Directory::make`]; what is made has these permissions.
    pub(super) fn make_with(&self, path: &str, mode: u32) -> Result<Self, Error> {
        let words = || format!("cannot make the directory {}", self.at(path));
        for _ in 0..TRIES {
            if let Some(there) = self.open(path)? {
                return Ok(there);
            }
            let mut on_the_way: Option<Self> = None;
            for name in path.split('/') {
                let parent = on_the_way.as_ref().unwrap_or(self);
                match parent.mkdir(name, mode) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    // Others have taken away what was empty.
                    Err(Errno::NOENT) => break,
                    Err(errno) => return Err(errno).doing(words),
                }
                match parent.open(name)? {
                    Some(next) => on_the_way = Some(next),
                    None => break,
                }
            }
        }
        Err(vanishing(words()))
    }

    /// Whether a directory is at a path below this one; a link on the way is an error.
    pub(super) fn has(&self, path: &str) -> Result<bool, Error> {
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            seam::step().and_then(|()| rustix::fs::openat2(&self.fd, path, open, Mode::empty(), BELOW));
        match opened {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            other => other.map(|_| true).doing(|| format!("cannot look for {}", self.at(path))),
        }
    }

    /// What stands at a path below this one; a link is a link.
    pub(super) fn kind(&self, path: &str) -> Result<Option<FileType>, Error> {
        Ok(self.stat(path)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// As [`Directory::kind`], with what else is known of it.
    pub(super) fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let look = || {
            seam::step()?;
            let open = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::fstat(rustix::fs::openat2(&self.fd, path, open, Mode::empty(), BELOW)?)
        };
        none(look()).doing(|| format!("cannot look at {}", self.at(path)))
    }

    /// Reads a plain file of at most `limit` bytes; none where there is nothing.
    pub(super) fn read(&self, path: &str, limit: usize) -> Result<Option<(Vec<u8>, Stat)>, Error> {
        let words = || format!("cannot read {}", self.at(path));
        // A FIFO would hold us otherwise.
        let open = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            seam::step().and_then(|()| rustix::fs::openat2(&self.fd, path, open, Mode::empty(), BELOW));
        let Some(fd) = none(opened).doing(words)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&fd).doing(words)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(Reason::Precondition, format_args!("{}: it is no plain file", words())));
        }
        let mut bytes = Vec::new();
        File::from(fd).take(limit as u64 + 1).read_to_end(&mut bytes).map_err(errno).doing(words)?;
        if bytes.len() > limit {
            let message = format!("{}: it has more than {limit} bytes", words());
            return Err(Error::new(Reason::Precondition, message));
        }
        Ok(Some((bytes, stat)))
    }

    /// Makes a file with this content and this value of [`ASKED`], which are on the bricks' disks then.
    pub(super) fn write_new(&self, name: &str, bytes: &[u8], asked: &[u8]) -> rustix::io::Result<()> {
        seam::step()?;
        let open = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat2(&self.fd, name, open, Mode::from(FILE), BELOW)?);
        seam::step()?;
        file.write_all(bytes).map_err(errno)?;
        seam::step()?;
        match rustix::fs::fsetxattr(&file, ASKED, asked, XattrFlags::empty()) {
            // Then the record alone says it, where bricks can read it.
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        seam::step()?;
        file.sync_all().map_err(errno)
    }

    /// Gives a file of this directory another name in it, which must be free.
    pub(super) fn link(&self, name: &str, new: &str) -> rustix::io::Result<()> {
        self.link_to(name, self, new)
    }

    /// Gives a file of this directory another name elsewhere, which must be free.
    pub(super) fn link_to(&self, name: &str, to: &Self, new: &str) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::linkat(&self.fd, name, &to.fd, new, AtFlags::empty())
    }

    /// Moves an entry; a plain file takes the place of another.
    pub(super) fn rename(&self, name: impl Arg, to: &Self, new: impl Arg) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::renameat(&self.fd, name, &to.fd, new)
    }

    /// Removes a file; false where there was none.
    pub(super) fn unlink(&self, name: &str) -> Result<bool, Error> {
        let removed = seam::step().and_then(|()| rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()));
        none(removed).map(|removed| removed.is_some()).doing(|| format!("cannot remove {}", self.at(name)))
    }

    /// Makes a directory; its permissions are also subject to the umask.
    pub(super) fn mkdir(&self, name: &str, mode: u32) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from(mode))
    }

    /// Removes a directory if it is empty.
    pub(super) fn rmdir(&self, name: &str) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
    }

    /// Sets the permissions of a directory in this one.
    pub(super) fn set_mode(&self, name: &str, mode: u32) -> Result<(), Error> {
        let set = || {
            seam::step()?;
            let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat2(&self.fd, name, open, Mode::empty(), BELOW)?;
            rustix::fs::chmodat(CWD, magic(&fd), Mode::from(mode), AtFlags::empty())
        };
        set().doing(|| format!("cannot set the permissions of {}", self.at(name)))
    }

    /// Sets the permissions of this directory.
    pub(super) fn set_own_mode(&self, mode: u32) -> Result<(), Error> {
        let set = seam::step()
            .and_then(|()| rustix::fs::chmodat(CWD, magic(&self.fd), Mode::from(mode), AtFlags::empty()));
        set.doing(|| format!("cannot set the permissions of {self}"))
    }

    /// Gives this directory the owner, the permissions and the attributes of a new one; attributes that cannot be removed
    /// are named in the log, and stay.
    pub(super) fn reset(&self) -> Result<(), Error> {
        let path = magic(&self.fd);
        let owned = seam::step().and_then(|()| rustix::fs::chown(&path, Some(Uid::ROOT), Some(Gid::ROOT)));
        owned.doing(|| format!("cannot take over {self}"))?;
        let mut names = Vec::with_capacity(64 << 10);
        // Where they cannot be listed, there are none, or too many.
        let _ = rustix::fs::listxattr(&path, rustix::buffer::spare_capacity(&mut names));
        let of_users = names.split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
        // Not each file system lists them.
        let lists = [&b"system.posix_acl_access"[..], b"system.posix_acl_default"];
        for name in of_users.chain(lists) {
            match seam::step().and_then(|()| rustix::fs::removexattr(&path, name)) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => {
                    let name = String::from_utf8_lossy(name);
                    tracing::warn!(root = %self, %name, %error, "an attribute of the deleted PV stays");
                }
            }
        }
        self.set_own_mode(WAY)
    }

    /// Has the bricks write its entries to their disks.
    pub(super) fn sync(&self) -> Result<(), Error> {
        match seam::step().and_then(|()| rustix::fs::fsync(&self.fd)) {
            // Some file systems know no such thing for a directory.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("cannot write {self} to disk")),
        }
    }

    /// The names of its entries, but for `.` and `..`.
    pub(super) fn entries(&self) -> Result<impl Iterator<Item = Result<CString, Error>>, Error> {
        let words = move || format!("cannot read the directory {self}");
        // Of its own offset, as two may read.
        let own = seam::step().and_then(|()| open_directory(&self.fd, "."));
        let entries = own.and_then(Dir::new).doing(words)?;
        Ok(entries.filter_map(move |entry| match entry.doing(words) {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
            Ok(entry) => Some(Ok(entry.file_name().to_owned())),
            Err(error) => Some(Err(error)),
        }))
    }

    /// As [`Directory::entries`], without what is not UTF-8, and so nothing of ours.
    pub(super) fn names(&self) -> Result<impl Iterator<Item = Result<String, Error>>, Error> {
        Ok(self.entries()?.filter_map(|name| name.map(|name| name.into_string().ok()).transpose()))
    }

    /// The size and use of the volume.
    pub(super) fn usage(&self) -> Result<StatVfs, Error> {
        let usage = seam::step().and_then(|()| rustix::fs::fstatvfs(&self.fd));
        usage.doing(|| format!("cannot ask for the size of {self}"))
    }

    /// An attribute of this directory; none where it has none, or the volume knows none.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        const LONGEST: usize = 64 << 10;
        let mut value = Vec::with_capacity(LONGEST);
        let read = seam::step().and_then(|()| {
            rustix::fs::getxattr(magic(&self.fd), name, rustix::buffer::spare_capacity(&mut value))
        });
        match read {
            Ok(_) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("cannot read the attribute {name} of {self}")),
        }
    }

    /// Sets an attribute of this directory; `EXIST` and `NODATA` where `flags` forbid it.
    pub(super) fn set_attribute(
        &self,
        name: &str,
        value: &[u8],
        flags: XattrFlags,
    ) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::setxattr(magic(&self.fd), name, value, flags)
    }

    /// Removes an attribute of this directory, if it has it.
    pub(super) fn remove_attribute(&self, name: &str) -> Result<(), Error> {
        let remove = || {
            seam::step()?;
            rustix::fs::removexattr(magic(&self.fd), name)
        };
        match remove() {
            Ok(()) | Err(Errno::NODATA) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("cannot remove the attribute {name} of {self}")),
        }
    }

    /// Changes an attribute of a plain file in this directory, if it is that of this inode and the volume knows such: `new` is
    /// given what it is and says what it is to be, or none for that it stays.
    pub(super) fn change_attribute(
        &self,
        file: &str,
        inode: u64,
        name: &str,
        new: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let words = || format!("cannot change the attribute {name} of {}", self.at(file));
        let open = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            seam::step().and_then(|()| rustix::fs::openat2(&self.fd, file, open, Mode::empty(), BELOW));
        let Some(fd) = none(opened).doing(words)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&fd).doing(words)?;
        if stat.st_ino != inode || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let there = Self { fd, path: self.path.join(file) };
        match new(there.attribute(name)?) {
            Some(value) => match there.set_attribute(name, &value, XattrFlags::empty()) {
                Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
                outcome => outcome.doing(words),
            },
            None => Ok(()),
        }
    }

    /// A name below this directory, for people.
    pub(super) fn at(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Opens a directory below another for reading.
pub(super) fn open_directory(parent: impl AsFd, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(parent, path, DIRECTORY, Mode::empty(), BELOW)
}

/// The path by which the kernel takes a descriptor where it wants a path: no question to the volume, unlike an open.
fn magic(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// What is told where a way was made [`TRIES`] times and was gone each time.
pub(super) fn vanishing(doing: impl fmt::Display) -> Error {
    Error::new(Reason::Unavailable, format_args!("{doing}: others remove it as often; try again"))
}

/// None where there is nothing.
fn none<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
