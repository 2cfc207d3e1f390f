//! What changes in the records of a brick, by inotify. A watch keeps no file system from being unmounted.

use std::{
    collections::{BTreeSet, HashMap},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use super::{
    brick::magic,
    crawl::Watching,
    records::{Child, child},
};
use crate::storage::layout::{DATA, Place};

/// Changes in a directory of records.
const RECORDS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Changes in a directory that PVs lie in: they come, and self-heal copies another brick's words to them.
const PVS: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ATTRIB).union(WatchFlags::ONLYDIR);

/// Changes of a brick's root.
const ROOT: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Room for the events of one read.
const BUFFER: usize = 64 << 10;

/// Watches the records of one brick.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: OwnedFd,
    /// The paths of the directories that are watched, from the brick's root, which is empty.
    paths: HashMap<i32, String>,
    /// Device and inode of the brick's root.
    root: (u64, u64),
    /// Why not all of it is watched; none where all is.
    failed: Option<Errno>,
}

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Records that came, went or were written.
    pub(super) places: BTreeSet<Place>,
    /// PVs whose directories have other attributes, which anybody can set at any time.
    pub(super) touched: BTreeSet<Place>,
    /// Directories of records that came.
    pub(super) directories: BTreeSet<String>,
    /// An attribute of the brick's root was set.
    pub(super) root: bool,
    /// Nobody knows what: everything is to be looked at, and watched anew.
    pub(super) lost: bool,
}

impl Watch {
    /// Watches the root of a brick; the rest is to be [entered](Watching::enter).
    ///
    /// # Errors
    /// What the kernel says: `MFILE` beyond `fs.inotify.max_user_instances`, `NOSPC` beyond `max_user_watches`.
    pub(super) fn start(root: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let at = identity(root)?;
        let watch = inotify::add_watch(&inotify, magic(root), ROOT)?;
        Ok(Self { inotify, paths: HashMap::from([(watch, String::new())]), root: at, failed: None })
    }

    /// Whether this is the root that is watched; another file system may be mounted over it.
    pub(super) fn is_of(&self, root: BorrowedFd<'_>) -> bool {
        identity(root).is_ok_and(|at| at == self.root)
    }

    /// All directories are about to be entered again.
    pub(super) fn renew(&mut self) {
        self.failed = None;
    }

    /// Why not all of the records are watched; none where all are.
    pub(super) fn failed(&self) -> Option<Errno> {
        self.failed
    }

    /// What has changed since this was asked last.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
        let mut reader = Reader::new(self.inotify.as_fd(), &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return changes,
                Err(_) => {
                    changes.lost = true;
                    return changes;
                }
            };
            let flags = event.events();
            if flags.contains(ReadFlags::IGNORED) {
                self.paths.remove(&event.wd());
                continue;
            }
            let lost = ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT | ReadFlags::MOVE_SELF;
            changes.lost |= flags.intersects(lost);
            let Some(path) = self.paths.get(&event.wd()) else { continue };
            let Some(name) = event.file_name() else {
                changes.root |= path.is_empty();
                if flags.contains(ReadFlags::ATTRIB) && holds_records(path) {
                    changes.directories.insert(path.clone());
                }
                continue;
            };
            let path = if path.is_empty() { "" } else { path };
            if let Some(hash) = path.strip_prefix(DATA) {
                let place =
                    name.to_str().ok().and_then(|name| Place::found(name, hash.trim_start_matches('/')).ok());
                let came = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                let changed = if came { &mut changes.places } else { &mut changes.touched };
                changed.extend(place.filter(|_| flags.contains(ReadFlags::ISDIR)));
            } else if flags.contains(ReadFlags::ISDIR) {
                let came = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                if path.is_empty() && came && name == c"info" {
                    changes.directories.insert("info".to_owned());
                } else if let Child::Directory(name) = child(path, name)
                    && came
                {
                    changes.directories.insert(format!("{path}/{name}"));
                }
            } else if let Child::Record(place) = child(path, name) {
                changes.places.insert(place);
            }
        }
    }
}

impl Watching for Watch {
    fn enter(&mut self, path: &str, directory: BorrowedFd<'_>) {
        let changes = if path.starts_with(DATA) { PVS } else { RECORDS };
        match inotify::add_watch(&self.inotify, magic(directory), changes) {
            Ok(watch) => {
                self.paths.insert(watch, path.to_owned());
            }
            // It is gone meanwhile.
            Err(Errno::NOENT) => {}
            Err(errno) => self.failed = Some(errno),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Whether this is the path of a directory of records: `info/subvol/aa/bb`.
fn holds_records(path: &str) -> bool {
    path.matches('/').count() == 3
}

fn identity(root: BorrowedFd<'_>) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(root)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_watched_is_forgotten_when_it_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let open = |name: &str| std::fs::File::open(directory.path().join(name)).unwrap();
        let mut watch = Watch::start(open("").as_fd()).unwrap();
        watch.enter("info", open("file").as_fd());
        assert_eq!(watch.failed(), Some(Errno::NOTDIR));
        watch.renew();
        watch.enter("info", open("").as_fd());
        assert_eq!(watch.failed(), None);
    }
}
