//! A directory of small files, or one file, that somebody replaces now and then.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use tracing::warn;

use crate::mount::file::read_bounded;
use crate::mount::lock::lock;

/// Files of a directory that are read.
const MAX_FILES: usize = 1000;

/// Bytes of one.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// Reads one file, given its name; it can be about several things.
pub(super) type Read<T> = fn(&Path, &[u8]) -> Result<Vec<T>, String>;

/// A directory of small files, or one such file; each is read anew when it has changed.
#[derive(Debug)]
pub(super) struct Folder<T> {
    pub(super) place: PathBuf,
    /// What its files are about.
    what: &'static str,
    /// Of the files that are read.
    endings: &'static [&'static str],
    read: Read<T>,
    seen: Mutex<Seen<T>>,
}

/// What tells one content of a file from the next: ConfigMaps and our own files are replaced, not written over.
type Stamp = (u64, u64, i64, i64);

#[derive(Debug)]
struct Seen<T> {
    files: BTreeMap<PathBuf, File<T>>,
    trouble: Option<String>,
}

#[derive(Debug)]
struct File<T> {
    stamp: Stamp,
    /// What it said when it could be read last.
    content: Vec<T>,
    /// Why it cannot be read now.
    trouble: Option<String>,
}

/// What a directory says.
#[derive(Debug)]
pub(super) struct Contents<T> {
    /// In the order of the files' names.
    pub(super) all: Vec<T>,
    /// What has not been read, and why: there may be more than `all`.
    pub(super) trouble: Option<String>,
}

impl<T: Clone> Folder<T> {
    pub(super) fn new(
        place: &Path,
        what: &'static str,
        endings: &'static [&'static str],
        read: Read<T>,
    ) -> Self {
        let seen = Mutex::new(Seen { files: BTreeMap::new(), trouble: None });
        Self { place: place.to_owned(), what, endings, read, seen }
    }

    /// What the files say; one that has become bad, what it said before, which is better than nothing.
    pub(super) fn files(&self) -> Contents<T> {
        let mut seen = lock(&self.seen);
        let trouble = self.look(&mut seen).err();
        if let Some(trouble) = trouble.as_ref().filter(|trouble| seen.trouble.as_ref() != Some(trouble)) {
            warn!(target: "kadalu", path = %self.place.display(), trouble, "cannot read the {}", self.what);
        }
        seen.trouble = trouble;
        let spoilt = seen.files.values().find_map(|file| file.trouble.clone());
        let all = seen.files.values().flat_map(|file| file.content.clone()).collect();
        Contents { all, trouble: seen.trouble.clone().or(spoilt) }
    }

    fn look(&self, seen: &mut Seen<T>) -> Result<(), String> {
        let mut paths = self.paths().map_err(|error| format!("{}: {error}", self.place.display()))?;
        let many = paths.len() > MAX_FILES;
        paths.truncate(MAX_FILES);
        seen.files.retain(|path, _| paths.binary_search(path).is_ok());
        for path in paths {
            let stamp = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()));
            let stamp = stamp.map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec()))?;
            if seen.files.get(&path).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            let (content, trouble) = match self.file(&path) {
                Ok(content) => (content, None),
                Err(trouble) => {
                    let what = self.what;
                    let before = seen.files.remove(&path).map(|file| file.content).unwrap_or_default();
                    if before.is_empty() {
                        warn!(target: "kadalu", trouble, "a file of {what} cannot be read: they are not known until it is mended");
                    } else {
                        warn!(target: "kadalu", trouble, "a file of {what} cannot be read: what it said before holds");
                    }
                    (before, Some(trouble))
                }
            };
            seen.files.insert(path, File { stamp, content, trouble });
        }
        if many {
            return Err(format!("{}: only {MAX_FILES} files are read", self.place.display()));
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> Result<Vec<T>, String> {
        let bytes = read_bounded(path, MAX_FILE).map_err(|error| error.to_string());
        let read = bytes.and_then(|bytes| (self.read)(path, &bytes));
        read.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        // Whoever names a file means it, whatever it is called.
        if fs::metadata(&self.place)?.is_file() {
            return Ok(vec![self.place.clone()]);
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.place)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            // Of a ConfigMap, `..data` and what it points to.
            if self.endings.iter().any(|ending| name.ends_with(ending)) && !name.starts_with('.') {
                paths.push(self.place.join(name));
            }
        }
        paths.sort_unstable();
        Ok(paths)
    }
}
