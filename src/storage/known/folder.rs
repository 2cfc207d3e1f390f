//! A directory of small files that somebody replaces now and then.

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
pub(super) const MAX_FILE: u64 = 64 << 10;

/// Reads one file, given its name without the ending.
pub(super) type Read<T> = fn(&str, &[u8]) -> Result<Option<T>, String>;

/// A directory of small files, each read anew when it has changed.
#[derive(Debug)]
pub(super) struct Folder<T> {
    pub(super) dir: PathBuf,
    ending: &'static str,
    read: Read<T>,
    seen: Mutex<Seen<T>>,
}

/// What tells one content of a file from the next: ConfigMaps and our own files are replaced, not written over.
type Stamp = (u64, u64, i64, i64);

#[derive(Debug)]
struct Seen<T> {
    files: BTreeMap<String, File<T>>,
    trouble: Option<String>,
}

#[derive(Debug)]
struct File<T> {
    stamp: Stamp,
    /// What it said when it could be read last.
    content: Option<T>,
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
    pub(super) fn new(dir: &Path, ending: &'static str, read: Read<T>) -> Self {
        let seen = Mutex::new(Seen { files: BTreeMap::new(), trouble: None });
        Self { dir: dir.to_owned(), ending, read, seen }
    }

    /// What the files say; one that has become bad, what it said before, which is better than nothing.
    pub(super) fn files(&self) -> Contents<T> {
        let mut seen = lock(&self.seen);
        let trouble = self.look(&mut seen).err();
        if let Some(trouble) = trouble.as_ref().filter(|trouble| seen.trouble.as_ref() != Some(trouble)) {
            warn!(target: "kadalu", path = %self.dir.display(), trouble, "cannot read the directory of pools");
        }
        seen.trouble = trouble;
        let spoilt = seen.files.values().find_map(|file| file.trouble.clone());
        let all = seen.files.values().filter_map(|file| file.content.clone()).collect();
        Contents { all, trouble: seen.trouble.clone().or(spoilt) }
    }

    fn look(&self, seen: &mut Seen<T>) -> Result<(), String> {
        let mut names = self.names().map_err(|error| format!("{}: {error}", self.dir.display()))?;
        let many = names.len() > MAX_FILES;
        names.truncate(MAX_FILES);
        seen.files.retain(|name, _| names.contains(name));
        for name in names {
            let path = self.dir.join(&name);
            let stamp = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()));
            let stamp = stamp.map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec()))?;
            if seen.files.get(&name).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            let (content, trouble) = match self.file(&name, &path) {
                Ok(content) => (content, None),
                Err(trouble) => {
                    warn!(target: "kadalu", trouble, "a file of a pool cannot be read: what it said before holds");
                    (seen.files.remove(&name).and_then(|file| file.content), Some(trouble))
                }
            };
            seen.files.insert(name, File { stamp, content, trouble });
        }
        if many {
            return Err(format!("{}: only {MAX_FILES} files are read", self.dir.display()));
        }
        Ok(())
    }

    fn file(&self, name: &str, path: &Path) -> Result<Option<T>, String> {
        let stem = name.strip_suffix(self.ending).unwrap_or(name);
        let bytes = read_bounded(path, MAX_FILE).map_err(|error| error.to_string());
        let read = bytes.and_then(|bytes| (self.read)(stem, &bytes));
        read.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            // Of a ConfigMap, `..data` and what it points to.
            if name.ends_with(self.ending) && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}
