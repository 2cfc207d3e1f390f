//! Puts all that is in a PV's directory into its project, while pods use it.
//!
//! XFS lets no file into a directory that hands its project down ([`Project::inherit`]) but those of the same project:
//! a rename of an old file fails with `EXDEV` there until the file has been reached. So first all is put that is there,
//! and no directory hands anything down; then they do, from the top, each with the files in it that are new; and that again
//! until there is nothing to change. From then on nothing else can come in: new files inherit, and others are refused.
//!
//! The tree is walked by descriptors, of which few are open at once, and can be stopped and gone on with at any entry.

use std::{
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Dir, FileType, OFlags},
    io::Errno,
};

use super::{
    brick::{directory, failed, open, plain_file, shown},
    xfs::{Kernel, Project},
};
use crate::storage::quota::{Code, Problem};

/// How many directories are open at once.
const OPEN: usize = 16;

/// How deep a tree may be.
const DEPTH: usize = 4096;

/// How often it is walked through before that is given up for now.
const PASSES: u32 = 16;

/// A tree that is being put into a project.
#[derive(Debug)]
pub(super) struct Marker {
    project: u32,
    /// From the PV's directory down.
    levels: Vec<Level>,
    /// In 0, no directory hands the project down yet.
    pass: u32,
    /// Whether another pass is needed.
    again: bool,
    /// Changes that were made.
    changed: u64,
    /// In this pass: how many could not be put, and what was the matter with the first.
    failures: u64,
    first: Option<Problem>,
    /// Links and the like that this kernel cannot put.
    special: u64,
}

/// A directory on the way to where the walk is.
#[derive(Debug)]
struct Level {
    /// None where too many are open.
    entries: Option<Dir>,
    inode: u64,
    /// Where to go on in it.
    offset: i64,
}

/// How far a tree is.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is more to do.
    More,
    /// It was walked through.
    Done(Marked),
}

/// How a tree was left.
#[derive(Debug)]
pub(super) struct Marked {
    /// How many changes were made.
    pub(super) changed: u64,
    /// What is not in it still; none where all is.
    pub(super) problem: Option<Problem>,
    /// How many links, FIFOs, sockets and devices this kernel leaves in no project.
    pub(super) special: u64,
}

impl Marker {
    /// Begins with a PV's directory.
    pub(super) fn new(pv: OwnedFd, project: u32) -> rustix::io::Result<Self> {
        let level = Level::new(pv)?;
        Ok(Self {
            project,
            levels: vec![level],
            pass: 0,
            again: false,
            changed: 0,
            failures: 0,
            first: None,
            special: 0,
        })
    }

    /// Goes on until all is done, or `go_on`, which is asked before each entry, says no.
    pub(super) fn run(&mut self, kernel: &dyn Kernel, go_on: &mut dyn FnMut() -> bool) -> Progress {
        while go_on() {
            let read = self.levels.last_mut().and_then(|level| {
                let entry = level.entries.as_mut().and_then(Dir::read)?;
                Some(entry.inspect(|entry| level.offset = entry.offset()))
            });
            match read {
                Some(Ok(entry)) => {
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        let outcome = self.entry(kernel, entry.file_name(), entry.file_type());
                        self.note(entry.file_name(), outcome);
                    }
                    continue;
                }
                Some(Err(errno)) => self.note(c".", Err(errno)),
                None => {}
            }
            // The PV's own directory is never left: each pass begins there, also one that cannot be read.
            if self.levels.len() > 1 {
                self.leave();
            } else if let Some(marked) = self.next_pass(kernel) {
                return Progress::Done(marked);
            }
        }
        Progress::More
    }

    fn entry(&mut self, kernel: &dyn Kernel, name: &CStr, kind: FileType) -> rustix::io::Result<()> {
        let parent = self.levels.last().and_then(|level| level.entries.as_ref()).ok_or(Errno::BADF)?.fd()?;
        let kind = match kind {
            FileType::Unknown => {
                FileType::from_raw_mode(rustix::fs::fstat(open(parent, name, OFlags::PATH)?)?.st_mode)
            }
            known => known,
        };
        let put = match kind {
            FileType::Directory => {
                let Some(opened) = directory(parent, name)? else { return Ok(()) };
                return self.enter(kernel, opened);
            }
            FileType::RegularFile => match plain_file(parent, name)? {
                Some(file) => kernel.put(file.as_fd(), Project { id: self.project, inherit: false })?,
                None => false,
            },
            _ => match kernel.put_entry(parent, name, self.project) {
                Err(Errno::NOSYS) => {
                    self.special += 1;
                    false
                }
                put => put?,
            },
        };
        self.put(put);
        Ok(())
    }

    fn enter(&mut self, kernel: &dyn Kernel, opened: OwnedFd) -> rustix::io::Result<()> {
        let inherit = self.pass > 0;
        if inherit || kernel.project(opened.as_fd())?.id != self.project {
            let put = kernel.put(opened.as_fd(), Project { id: self.project, inherit })?;
            self.put(put);
        }
        if self.levels.len() >= DEPTH {
            return Err(Errno::NAMETOOLONG);
        }
        self.levels.push(Level::new(opened)?);
        // The first stays open: each pass begins there.
        let far = self.levels.len().saturating_sub(OPEN);
        if let Some(level) = self.levels.get_mut(far).filter(|_| far > 0) {
            level.entries = None;
        }
        Ok(())
    }

    /// Goes on in the directory above.
    fn leave(&mut self) {
        let left = self.levels.pop();
        let Some(level) = self.levels.last_mut() else { return };
        if level.entries.is_none() && left.and_then(|left| level.reopen(&left).ok()).is_none() {
            // Somebody has moved it meanwhile.
            self.levels.truncate(1);
            self.again = true;
        }
    }

    /// Begins again at the top; what there is to say where that is not needed.
    fn next_pass(&mut self, kernel: &dyn Kernel) -> Option<Marked> {
        let (again, failures) = (std::mem::take(&mut self.again), std::mem::take(&mut self.failures));
        let (first, special) = (self.first.take(), std::mem::take(&mut self.special));
        if self.pass > 0 && (!again || self.pass >= PASSES) {
            let problem = match first {
                Some(first) if failures > 1 => {
                    let words = format_args!("{} (and {} more like it)", first.sentence, failures - 1);
                    Some(Problem::new(Code::Unmarked, words))
                }
                None if again => {
                    let words = format_args!(
                        "files come into the PV faster than they can be put into project {}: it is tried again",
                        self.project
                    );
                    Some(Problem::new(Code::Unmarked, words))
                }
                first => first,
            };
            return Some(Marked { changed: self.changed, problem, special });
        }
        self.pass += 1;
        let put = self.levels.first_mut().and_then(|level| level.entries.as_mut()).map(|entries| {
            entries.rewind();
            kernel.put(entries.fd()?, Project { id: self.project, inherit: true })
        });
        match put {
            Some(Ok(put)) => self.put(put),
            Some(Err(errno)) => self.note(c".", Err(errno)),
            None => {}
        }
        None
    }

    fn put(&mut self, changed: bool) {
        self.changed += u64::from(changed);
        self.again |= changed;
    }

    fn note(&mut self, name: &CStr, outcome: rustix::io::Result<()>) {
        let words = match outcome {
            Ok(()) | Err(Errno::NOENT) => return,
            // It has become something else since its directory was read.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::INVAL) => {
                self.again = true;
                return;
            }
            Err(Errno::XDEV) => "another file system is mounted there; unmount it".to_owned(),
            Err(Errno::NAMETOOLONG) => format!("it lies more than {DEPTH} directories deep; move it up"),
            Err(errno) => failed("it cannot be put into the project", errno).sentence,
        };
        self.failures += 1;
        let problem = || {
            let words = format_args!(
                "a file called {:?}, {} directories deep, is not in project {}: {words}",
                shown(name),
                self.levels.len().saturating_sub(1),
                self.project
            );
            Problem::new(Code::Unmarked, words)
        };
        self.first.get_or_insert_with(problem);
    }
}

impl Level {
    fn new(opened: OwnedFd) -> rustix::io::Result<Self> {
        let inode = rustix::fs::fstat(&opened)?.st_ino;
        Ok(Self { entries: Some(Dir::new(opened)?), inode, offset: 0 })
    }

    /// Opens it again by the directory that was left, in which it is `..`.
    fn reopen(&mut self, left: &Self) -> rustix::io::Result<()> {
        let left = left.entries.as_ref().ok_or(Errno::BADF)?.fd()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(left, c"..", flags, rustix::fs::Mode::empty())?;
        if rustix::fs::fstat(&opened)?.st_ino != self.inode {
            return Err(Errno::STALE);
        }
        let mut entries = Dir::new(opened)?;
        entries.seek(self.offset)?;
        self.entries = Some(entries);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::quota::fake::Fake;

    fn marker(root: &TempDir) -> Marker {
        Marker::new(fs::File::open(root.path()).unwrap().into(), 7).unwrap()
    }

    fn done(progress: Progress) -> Marked {
        match progress {
            Progress::Done(marked) => marked,
            Progress::More => panic!("it was not told to stop"),
        }
    }

    /// Directories, files and links, 100 deep.
    fn tree() -> (TempDir, u64) {
        let root = TempDir::new().unwrap();
        let mut path = root.path().to_owned();
        for level in 0..100 {
            for n in 0..3 {
                fs::write(path.join(format!("file-{n}")), "").unwrap();
            }
            symlink("/etc", path.join("link")).unwrap();
            fs::create_dir(path.join("empty")).unwrap();
            path.push(format!("level-{level}"));
            fs::create_dir(&path).unwrap();
        }
        (root, 100 * 6 + 1)
    }

    fn all_are_in(kernel: &Fake, path: &std::path::Path) {
        assert_eq!(kernel.of(path), Project { id: 7, inherit: true }, "{}", path.display());
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                all_are_in(kernel, &entry.path());
            } else {
                assert_eq!(kernel.of(&entry.path()), Project { id: 7, inherit: false });
            }
        }
    }

    #[test]
    fn all_of_a_deep_tree_is_put_with_few_open_files_before_any_hands_it_down() {
        let ((root, entries), kernel) = (tree(), Fake::default());
        let mut marker = marker(&root);
        let mut most = 0;
        let marked = loop {
            // Ends, and goes on, at each entry.
            let mut left = 1;
            let mut go_on = || std::mem::replace(&mut left, 0) > 0;
            if let Progress::Done(marked) = marker.run(&kernel, &mut go_on) {
                break marked;
            }
            most = most.max(marker.levels.iter().filter(|level| level.entries.is_some()).count());
        };
        assert_eq!((marked.changed, marked.special), (entries + 200, 0));
        assert!(marked.problem.is_none() && most == OPEN, "{marked:?} {most}");
        all_are_in(&kernel, root.path());
        let writes = kernel.writes();
        let first = writes.iter().position(|write| write == "put 7 inherit").unwrap();
        assert!(writes[first..].iter().all(|write| write == "put 7 inherit") && first == 600, "{first}");
        let again = done(tests::marker(&root).run(&kernel, &mut || true));
        assert!(again.changed == 0 && kernel.writes().is_empty());
    }

    #[test]
    fn links_stay_where_the_kernel_cannot_put_them() {
        let ((root, entries), kernel) = (tree(), Fake::default());
        kernel.without_special();
        let marked = done(marker(&root).run(&kernel, &mut || true));
        assert_eq!((marked.changed, marked.special, marked.problem), (entries + 100, 100, None));
        assert_eq!(kernel.of(std::path::Path::new("/etc")).id, 0);
    }

    #[test]
    fn fifos_and_sockets_are_not_opened() {
        let (root, kernel) = (TempDir::new().unwrap(), Fake::default());
        let mode = rustix::fs::Mode::from(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, root.path().join("fifo"), FileType::Fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        let marked = done(marker(&root).run(&kernel, &mut || true));
        assert_eq!((marked.changed, marked.problem), (3, None));
    }

    #[test]
    fn a_tree_that_is_moved_meanwhile_is_walked_again() {
        let ((root, entries), kernel) = (tree(), Fake::default());
        let mut marker = marker(&root);
        let mut moved = false;
        let marked = loop {
            let depth = marker.levels.len();
            let mut left = 1;
            if let Progress::Done(marked) = marker.run(&kernel, &mut || std::mem::replace(&mut left, 0) > 0) {
                break marked;
            }
            if depth > 90 && !moved {
                // The way back leads elsewhere then.
                moved = true;
                let deep = root.path().join("level-0/level-1/level-2");
                fs::rename(deep, root.path().join("moved")).unwrap();
            }
        };
        assert!(moved && marked.changed >= entries && marked.problem.is_none(), "{marked:?}");
        all_are_in(&kernel, root.path());
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_named_and_ends() {
        let (root, kernel) = (TempDir::new().unwrap(), Fake::default());
        // Whose entries nobody can read.
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let opened = rustix::fs::open(root.path(), flags, rustix::fs::Mode::empty()).unwrap();
        let mut left = 100;
        let mut go_on = || {
            left -= 1;
            left > 0
        };
        let problem = done(Marker::new(opened, 7).unwrap().run(&kernel, &mut go_on)).problem.unwrap();
        assert!(problem.code == Code::Unmarked && problem.sentence.contains("\".\""), "{problem}");
    }

    #[test]
    fn what_never_ends_is_left_for_later() {
        let (root, kernel) = (TempDir::new().unwrap(), Fake::default());
        fs::write(root.path().join("file"), "").unwrap();
        let file = root.path().join("file");
        let mut go_on = || {
            kernel.set(&file, 1, false);
            true
        };
        let problem = done(marker(&root).run(&kernel, &mut go_on)).problem.unwrap();
        assert!(problem.code == Code::Unmarked && problem.sentence.contains("faster"), "{problem}");
    }
}
