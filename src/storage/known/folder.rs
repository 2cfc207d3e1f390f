//! A directory of small files that somebody replaces now and then.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing::warn;

use crate::mount::file::read_bounded;

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
    files: BTreeMap<String, (Stamp, Option<T>)>,
    trouble: Option<io::ErrorKind>,
}

impl<T: Clone> Folder<T> {
    pub(super) fn new(dir: &Path, ending: &'static str, read: Read<T>) -> Self {
        let seen = Mutex::new(Seen { files: BTreeMap::new(), trouble: None });
        Self { dir: dir.to_owned(), ending, read, seen }
    }

    /// What the good ones say, in the order of their names.
    pub(super) fn files(&self) -> Vec<T> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let names = match self.names() {
            Ok(names) => {
                seen.trouble = None;
                names
            }
            Err(error) => {
                // What was known is better than nothing.
                if seen.trouble.replace(error.kind()) != Some(error.kind()) {
                    warn!(target: "kadalu", path = %self.dir.display(), %error, "cannot read the directory of pools");
                }
                return seen.files.values().filter_map(|(_, content)| content.clone()).collect();
            }
        };
        seen.files.retain(|name, _| names.contains(name));
        for name in names {
            let path = self.dir.join(&name);
            let Ok(stamp) = fs::metadata(&path).map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
            else {
                continue;
            };
            if seen.files.get(&name).is_some_and(|(before, _)| *before == stamp) {
                continue;
            }
            let content = self.file(&name, &path);
            seen.files.insert(name, (stamp, content));
        }
        seen.files.values().filter_map(|(_, content)| content.clone()).collect()
    }

    fn file(&self, name: &str, path: &Path) -> Option<T> {
        let stem = name.strip_suffix(self.ending).unwrap_or(name);
        let bytes = read_bounded(path, MAX_FILE).map_err(|error| error.to_string());
        bytes.and_then(|bytes| (self.read)(stem, &bytes)).unwrap_or_else(|error| {
            warn!(target: "kadalu", path = %path.display(), error, "a file of a pool is left out of account");
            None
        })
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
        names.truncate(MAX_FILES);
        Ok(names)
    }
}
