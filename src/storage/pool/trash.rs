//! The trash of a pool, emptied: trees of any size, depth and malice, with bounded memory and few descriptors.
//!
//! It is walked by descriptors, one a level. What lies deeper than [`LEVELS`] is moved up into the trash and is an entry
//! of it then, so that neither stack nor path grows with the tree.

use std::{
    ffi::{CStr, CString},
    os::fd::BorrowedFd,
};

use rustix::{
    fs::{AtFlags, Dir, FileType},
    io::Errno,
};

use super::{
    Pool,
    tree::{open_directory, seam},
};
use crate::storage::{Error, Reason, layout::TRASH};

/// How many directories are open at once.
const LEVELS: usize = 32;

/// How often a directory is read again that has lost entries and is not empty: some file systems skip entries while others
/// are removed, and pods may still write.
const PASSES: u32 = 16;

/// How many failures are named in the log.
const LOGGED: u64 = 16;

impl Pool {
    /// Removes what lies in the trash, and says how many entries, directories and files, it removed; frees the claim of a
    /// whole volume that was deleted. `go_on` is asked before each entry, and ends it by false.
    ///
    /// # Errors
    /// What could not be removed, after all else was.
    pub fn empty_trash(&self, go_on: &mut dyn FnMut() -> bool) -> Result<u64, Error> {
        let root = self.root()?;
        self.free_claim(&root)?;
        let mut removed = 0;
        if let Some(trash) = root.open(TRASH)? {
            let entries = open_directory(&trash, ".").and_then(Dir::new);
            let entries =
                entries.map_err(|errno| Error::errno(format_args!("cannot read {trash}"), errno))?;
            let mut emptier = Emptier {
                levels: vec![Level::new(entries, CString::default())],
                removed: 0,
                failed: 0,
                first: None,
                moved: false,
            };
            emptier.run(go_on)?;
            if let Some(first) = emptier.first {
                let Emptier { removed, failed, .. } = emptier;
                let message = format!("{failed} entries of {trash} stay, {removed} were removed: {first}");
                return Err(Error::new(first.reason(), message));
            }
            removed = emptier.removed;
            // Not empty where it was told to end, or another was deleted meanwhile.
            let _ = root.rmdir(TRASH);
        }
        self.free_claim(&root)?;
        Ok(removed)
    }
}

/// A directory that is being emptied.
struct Level {
    entries: Dir,
    /// In the level above.
    name: CString,
    passes: u32,
    /// Whether this pass has removed something.
    progress: bool,
    /// Whether something in it stays, which has been told.
    failed: bool,
}

impl Level {
    fn new(entries: Dir, name: CString) -> Self {
        Self { entries, name, passes: 0, progress: false, failed: false }
    }

    /// The same from its beginning.
    fn again(mut self) -> Self {
        self.entries.rewind();
        Self { passes: self.passes + 1, progress: false, failed: false, ..self }
    }
}

struct Emptier {
    /// From the trash down.
    levels: Vec<Level>,
    removed: u64,
    /// In this pass over the trash.
    failed: u64,
    first: Option<Error>,
    /// Whether directories were moved up in this pass.
    moved: bool,
}

impl Emptier {
    /// Ends where nothing is left that can be removed, or `go_on` says so.
    fn run(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        while let Some(level) = self.levels.last_mut() {
            match level.entries.read() {
                Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Some(Ok(entry)) => {
                    if !go_on() {
                        return Ok(());
                    }
                    self.entry(entry.file_name(), entry.file_type())?;
                }
                Some(Err(errno)) => {
                    self.fail(c"", errno)?;
                    self.leave()?;
                }
                None => self.leave()?,
            }
        }
        Ok(())
    }

    /// Removes an entry of the last level, or goes into it.
    fn entry(&mut self, name: &CStr, kind: FileType) -> Result<(), Error> {
        let outcome = match kind {
            FileType::Directory => self.enter(name),
            _ => match self.unlink(name, AtFlags::empty()) {
                Err(Errno::ISDIR) => self.enter(name),
                outcome => outcome,
            },
        };
        match outcome {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => self.fail(name, errno),
        }
    }

    /// Makes a directory of the last level the last level, or moves it up where there are too many.
    fn enter(&mut self, name: &CStr) -> rustix::io::Result<()> {
        let parent = self.last()?;
        if self.levels.len() > LEVELS {
            let Some(top) = self.levels.first() else { return Ok(()) };
            seam::step()?;
            rustix::fs::renameat(
                parent,
                name,
                top.entries.fd()?,
                format!("deep.{:032x}", fastrand::u128(..)),
            )?;
            self.moved = true;
            self.progress();
            return Ok(());
        }
        match open_directory(parent, name) {
            Ok(directory) => {
                self.levels.push(Level::new(Dir::new(directory)?, name.to_owned()));
                Ok(())
            }
            // It has become something else since it was read.
            Err(Errno::NOTDIR | Errno::LOOP) => self.unlink(name, AtFlags::empty()),
            Err(errno) => Err(errno),
        }
    }

    /// At the end of the last level: once more where that may help, else it is removed itself.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let again = level.progress && level.passes < PASSES;
        if self.levels.is_empty() {
            // All that was moved up is looked into by the next pass, and what has failed is told again.
            if again || std::mem::take(&mut self.moved) {
                (self.failed, self.first) = (0, None);
                self.levels.push(level.again());
            }
            return Ok(());
        }
        match self.unlink(&level.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // What stays in it has been told.
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.failed => self.last_failed(),
            Err(Errno::NOTEMPTY | Errno::EXIST) if again => self.levels.push(level.again()),
            Err(errno) => self.fail(&level.name, errno)?,
        }
        Ok(())
    }

    fn unlink(&mut self, name: &CStr, flags: AtFlags) -> rustix::io::Result<()> {
        seam::step()?;
        rustix::fs::unlinkat(self.last()?, name, flags)?;
        self.removed += 1;
        self.progress();
        Ok(())
    }

    fn last(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        self.levels.last().ok_or(Errno::BADF)?.entries.fd()
    }

    fn progress(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.progress = true;
        }
    }

    fn last_failed(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.failed = true;
        }
    }

    /// Notes that an entry of the last level stays; an error where nothing can be removed any more.
    fn fail(&mut self, name: &CStr, errno: Errno) -> Result<(), Error> {
        // The middle of a deep path tells nobody anything.
        let entry = self.levels.get(1).map_or(name, |level| &level.name).to_string_lossy();
        let (between, name) = (if self.levels.len() > 2 { "/…/" } else { "/" }, name.to_string_lossy());
        let place =
            if self.levels.len() > 1 { format!("{entry}{between}{name}") } else { entry.into_owned() };
        let error = Error::errno(format_args!("cannot remove {TRASH}/{place}"), errno);
        if matches!(error.reason(), Reason::Unavailable | Reason::Gone | Reason::Timeout) {
            return Err(error);
        }
        self.last_failed();
        self.failed += 1;
        if self.failed <= LOGGED {
            tracing::warn!(%error, "an entry of the trash stays");
        }
        self.first.get_or_insert(error);
        Ok(())
    }
}
