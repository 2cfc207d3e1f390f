//! What a node remembers of its volumes: a small file for each below the state directory.
//!
//! It is a hint, which says what was asked for. What is mounted, the mount host knows: what neither it nor the kernel has, is
//! forgotten, and what is forgotten is asked of it ([`super::Node::recall`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::request::Capability;
use crate::mount::lock::lock;
use crate::{
    mount::file::read_bounded,
    storage::{Error, known::Location},
};

/// A volume at hundreds of paths.
const MAX_FILE: u64 = 1 << 20;

/// How the name of a file begins that is not finished.
const UNFINISHED: &str = ".kadalu-";

/// A volume that is, or was, used on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) id: String,
    /// `SERVERS:/VOLUME[/DIRECTORY]`.
    pub(super) source: String,
    /// The id of its Gluster volume, where it is told: what is mounted must be that one.
    pub(super) pool: Option<String>,
    /// Of its mounts, as one list.
    pub(super) options: String,
    /// Nothing is written, whoever asks.
    pub(super) read_only: bool,
    /// The group that its directory was given last from here.
    pub(super) group: Option<u32>,
    /// Where it is staged, and for what.
    pub(super) staged: BTreeMap<PathBuf, Capability>,
    /// Where it is published, and how.
    pub(super) published: BTreeMap<PathBuf, Published>,
}

/// How a volume is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) capability: Capability,
    pub(super) read_only: bool,
}

impl Volume {
    /// One that is nowhere.
    pub(super) fn new(id: &str, location: &Location) -> Self {
        let mut source = location.source.clone();
        let more =
            location.options.servers().iter().filter(|server| !location.source.servers.contains(server));
        source.servers.extend(more.cloned());
        Self {
            id: id.to_owned(),
            source: source.to_string(),
            pool: location.pool.as_ref().map(ToString::to_string),
            options: location.options.canonical(),
            read_only: location.options.read_only(),
            group: None,
            staged: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    /// Takes over where it is and what became of it from what was known before.
    pub(super) fn continues(&mut self, before: Self) {
        (self.group, self.staged, self.published) = (before.group, before.staged, before.published);
    }

    /// Whether it is, or should be, at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.staged.contains_key(path) || self.published.contains_key(path)
    }

    fn is_nowhere(&self) -> bool {
        self.staged.is_empty() && self.published.is_empty()
    }

    /// Forgets it where nothing is mounted.
    pub(super) fn keep(&mut self, mounted: &BTreeSet<PathBuf>) {
        self.staged.retain(|path, _| mounted.contains(path));
        self.published.retain(|path, _| mounted.contains(path));
    }
}

/// The volumes of a node.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    volumes: Mutex<BTreeMap<String, Volume>>,
}

impl State {
    /// Reads what an earlier run has left. A file that cannot be read spoils only itself.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let cannot = |doing: &str, error: io::Error| {
            Error::other(format_args!("cannot {doing} {}", directory.display()), error)
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| cannot("make", error))?;
        let mut volumes = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(|error| cannot("read", error))? {
            let path = entry.map_err(|error| cannot("read", error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(UNFINISHED) {
                // Left by a run that was killed.
                let _ = fs::remove_file(&path);
            } else if name.ends_with(".json") {
                match read(&path) {
                    Ok(volume) => drop(volumes.insert(volume.id.clone(), volume)),
                    Err(error) => {
                        warn!(target: "kadalu", path = %path.display(), %error, "the state of a volume is left out of account");
                    }
                }
            }
        }
        Ok(Self { directory: directory.to_owned(), volumes: Mutex::new(volumes) })
    }

    /// What is known of a volume.
    pub(super) fn get(&self, id: &str) -> Option<Volume> {
        self.volumes().get(id).cloned()
    }

    /// Another volume that is, or should be, at a path.
    pub(super) fn other_at(&self, path: &Path, id: &str) -> Option<String> {
        let volumes = self.volumes();
        volumes.values().find(|volume| volume.id != id && volume.is_at(path)).map(|volume| volume.id.clone())
    }

    /// Remembers a volume as it is now, and forgets one that is nowhere.
    ///
    /// # Errors
    /// It could not be written; until the next start it is known all the same.
    pub(super) async fn put(&self, volume: Volume) -> Result<(), Error> {
        let path = self.file(&volume.id);
        let write = if volume.is_nowhere() {
            self.volumes().remove(&volume.id);
            tokio::task::spawn_blocking(move || (remove(&path), path))
        } else {
            self.volumes().insert(volume.id.clone(), volume.clone());
            tokio::task::spawn_blocking(move || (write(&path, &volume), path))
        };
        match write.await {
            Ok((Ok(()), _)) => Ok(()),
            Ok((Err(error), path)) => {
                Err(Error::other(format_args!("cannot write {}", path.display()), error))
            }
            Err(error) => Err(Error::other("cannot write the state of a volume", error)),
        }
    }

    /// Forgets what is not at one of these paths, where something is mounted. Files follow when their volumes change.
    pub(super) fn keep(&self, mounted: &BTreeSet<PathBuf>) {
        self.volumes().retain(|_, volume| {
            volume.keep(mounted);
            if volume.is_nowhere() {
                // What stays is forgotten at the next start.
                let _ = remove(&self.file(&volume.id));
            }
            !volume.is_nowhere()
        });
    }

    /// By a hash: an id is no name of a file.
    fn file(&self, id: &str) -> PathBuf {
        let hash = Sha256::digest(id.as_bytes());
        let name: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name + ".json")
    }

    fn volumes(&self) -> MutexGuard<'_, BTreeMap<String, Volume>> {
        // Each change is one insert, remove or retain.
        lock(&self.volumes)
    }
}

fn read(path: &Path) -> io::Result<Volume> {
    Ok(serde_json::from_slice(&read_bounded(path, MAX_FILE)?)?)
}

/// Whole at every moment, but not synced: when the machine goes down, nothing is mounted any more.
fn write(path: &Path, volume: &Volume) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
    file.write_all(&serde_json::to_vec(volume)?)?;
    file.persist(path)?;
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
