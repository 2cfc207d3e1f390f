//! What the mount host keeps on disk: atomic, 0600, versioned. What is lost is made anew of mountinfo and the processes.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use super::{
    Error, Reason,
    dress::SeenBrick,
    file::{read_bounded, replace},
};
use crate::volfile;

/// Of the files below; another one is set aside.
const VERSION: u32 = 1;

/// More than 10,000 targets of a pool.
const MAX_STATE: u64 = 16 << 20;

/// A volume as it was last seen: `volumes/KEY/volume.json`, and beside it its last good volfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredVolume {
    pub(super) key: String,
    pub(super) name: String,
    /// The volume's id in its cluster, where a server has told it.
    pub(super) id: Option<String>,
    pub(super) servers: Vec<String>,
    /// For a mount while no glusterd answers.
    #[serde(default)]
    pub(super) bricks: Vec<SeenBrick>,
}

/// A glusterfs process: `pools/POOL.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPool {
    pub(super) id: String,
    /// Of its volume.
    pub(super) volume: StoredVolume,
    pub(super) options: Vec<String>,
    pub(super) process: Option<StoredProcess>,
    #[serde(default)]
    pub(super) targets: Vec<StoredTarget>,
    #[serde(default)]
    pub(super) draining: Vec<StoredProcess>,
    /// What it was given last is not the cluster's own volfile.
    #[serde(default)]
    pub(super) offline: bool,
    /// How many graphs were forced upon its process.
    #[serde(default)]
    pub(super) graph: u32,
    /// `sha256:…` of the accepted volfile that what it was given last was made of.
    #[serde(default)]
    pub(super) digest: String,
    /// Of its processes, the current one too, as long as containers may have copies of their mounts.
    #[serde(default)]
    pub(super) file_systems: Vec<StoredFileSystem>,
    /// The directories of targets that are gone, the last ones: containers may have them still.
    #[serde(default)]
    pub(super) former: Vec<String>,
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredProcess {
    pub(super) pid: i32,
    /// In clock ticks since the machine's start.
    pub(super) start_ticks: u64,
    /// Which of the pool's processes it is, counted from 1: the name of its directory under `mnt/POOL`.
    pub(super) number: u32,
    /// Of the glusterfs that it is.
    pub(super) version: String,
    /// The id of the volume that it serves, which another one may have taken the name of since.
    #[serde(default)]
    pub(super) volume: Option<String>,
}

/// The FUSE file system of a process, by which its mounts are known in every mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredFileSystem {
    /// Of the process.
    pub(super) number: u32,
    /// Major and minor number; another file system may have them once this one is mounted nowhere.
    pub(super) device: (u32, u32),
    /// As in mountinfo.
    pub(super) source: String,
}

/// A bind of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredTarget {
    pub(super) path: PathBuf,
    pub(super) subdirectory: String,
    pub(super) read_only: bool,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// The state directory.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl StoredPool {
    /// Whether its names can be names of files of ours: what comes out of a process's environment is no path.
    pub(super) fn is_sound(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        [&self.id, &self.volume.key].into_iter().all(|name| {
            (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
        })
    }
}

/// Of a file, with what is put behind it.
const MAX_NAME: usize = 240;

impl Store {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let failed = |error| Error::other(format_args!("state directory {}", dir.display()), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        // glusterfs is given paths of it and runs in another directory.
        let store = Self { dir: dir.canonicalize().map_err(failed)? };
        for folder in ["volumes", "pools", "mnt", "run", "log", "stage"] {
            make_directory(&store.dir.join(folder)).map_err(failed)?;
        }
        Ok(store)
    }

    /// Held for as long as the file is open, also against another process.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let failed = |error| Error::other(format_args!("cannot lock {}", path.display()), error);
        let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let sentence = format!(
                    "another mount host runs on {}: use that one, stop it, or give another state directory and socket",
                    self.dir.display()
                );
                Err(Error::new(Reason::Other, sentence))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where glusterfs fetches volfiles.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("volfiles.sock")
    }

    /// Below which all FUSE mounts are, as `POOL/NUMBER`.
    pub(super) fn mounts(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    /// For mounts that are not yet where they belong.
    pub(super) fn stage(&self) -> PathBuf {
        self.dir.join("stage")
    }

    pub(super) fn mount(&self, pool: &str, number: u32) -> PathBuf {
        self.mounts().join(pool).join(number.to_string())
    }

    pub(super) fn pid_file(&self, pool: &str, number: u32) -> PathBuf {
        self.dir.join(format!("run/{pool}.{number}.pid"))
    }

    pub(super) fn log(&self, pool: &str) -> PathBuf {
        self.dir.join(format!("log/{pool}.log"))
    }

    fn volume(&self, key: &str) -> PathBuf {
        self.dir.join("volumes").join(key)
    }

    fn pool(&self, id: &str) -> PathBuf {
        self.dir.join(format!("pools/{id}.json"))
    }

    fn pool_volfile(&self, id: &str) -> PathBuf {
        self.dir.join(format!("pools/{id}.vol"))
    }

    pub(super) fn save_volume(&self, volume: &StoredVolume) -> io::Result<()> {
        make_directory(&self.volume(&volume.key))?;
        write(&self.volume(&volume.key).join("volume.json"), volume)
    }

    pub(super) fn save_volfile(&self, key: &str, text: &[u8]) -> io::Result<()> {
        make_directory(&self.volume(key))?;
        replace(&self.volume(key).join("volfile"), text)
    }

    pub(super) fn volumes(&self) -> Vec<StoredVolume> {
        let folders = names(&self.dir.join("volumes"));
        folders.iter().filter_map(|key| read(&self.volume(key).join("volume.json"))).collect()
    }

    /// The last good volfile, if glusterfs may still load it: nothing that lies on a disk is trusted.
    pub(super) fn volfile(&self, key: &str) -> Option<Vec<u8>> {
        volfile_at(&self.volume(key).join("volfile"))
    }

    pub(super) fn save_pool(&self, pool: &StoredPool) -> io::Result<()> {
        write(&self.pool(&pool.id), pool)
    }

    pub(super) fn save_pool_volfile(&self, id: &str, text: &[u8]) -> io::Result<()> {
        replace(&self.pool_volfile(id), text)
    }

    /// What the processes of a pool were given last.
    pub(super) fn served(&self, id: &str) -> Option<Vec<u8>> {
        volfile_at(&self.pool_volfile(id))
    }

    pub(super) fn pools(&self) -> Vec<StoredPool> {
        let files = names(&self.dir.join("pools"));
        let files = files.iter().filter(|name| name.ends_with(".json"));
        let pools = files.filter_map(|name| read::<StoredPool>(&self.dir.join("pools").join(name)));
        pools.filter(StoredPool::is_sound).collect()
    }

    /// Forgets a pool without processes.
    pub(super) fn remove_pool(&self, id: &str) {
        for path in [self.pool(id), self.pool_volfile(id)] {
            remove_file(&path);
        }
        // Only ever an empty one: a FUSE mount may be below.
        if let Err(error) = fs::remove_dir(self.mounts().join(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(target: "kadalu", pool = id, %error, "cannot remove the directory of a pool");
        }
    }

    /// The number after those of the pool's mounts, past and present.
    pub(super) fn free_number(&self, pool: &str, last: u32) -> u32 {
        let used = names(&self.mounts().join(pool));
        used.iter().filter_map(|name| name.parse().ok()).max().unwrap_or(0).max(last) + 1
    }

    pub(super) fn remove_pid_file(&self, pool: &str, number: u32) {
        remove_file(&self.pid_file(pool, number));
    }
}

fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(target: "kadalu", path = %path.display(), %error, "cannot remove a file");
    }
}

/// Makes a directory that only we may look into, if there is none.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn volfile_at(path: &Path) -> Option<Vec<u8>> {
    let text = read_bounded(path, volfile::MAX_SIZE as u64).ok()?;
    let faults = volfile::faults(&text);
    if let Some(fault) = faults.first() {
        warn!(target: "kadalu", path = %path.display(), fault, "a stored volfile is damaged and left out of account");
    }
    faults.is_empty().then_some(text)
}

fn write<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(&Versioned { version: VERSION, content })?;
    bytes.push(b'\n');
    replace(path, &bytes)
}

/// What a file says; one that cannot be read, or is of another version, is set aside for people.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let reason = match read_bounded(path, MAX_STATE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
        // The version first: what belongs to another one need not be readable.
        Ok(bytes) => match serde_json::from_slice::<Versioned<serde_json::Value>>(&bytes) {
            Ok(Versioned { version: VERSION, content }) => match serde_json::from_value(content) {
                Ok(content) => return Some(content),
                Err(error) => error.to_string(),
            },
            Ok(Versioned { version, .. }) => format!("version {version}, {VERSION} is known"),
            Err(error) => error.to_string(),
        },
    };
    let aside = path.with_extension("json.bad");
    warn!(target: "kadalu", path = %path.display(), aside = %aside.display(), reason, "state is set aside and made anew");
    if let Err(error) = fs::rename(path, &aside) {
        warn!(target: "kadalu", path = %path.display(), %error, "cannot set state aside");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn volume() -> StoredVolume {
        let servers = vec!["g1".to_owned()];
        let bricks = vec![SeenBrick {
            host: "g1".to_owned(),
            path: "/b".to_owned(),
            address: "10.0.0.1".parse().unwrap(),
            port: 49152,
        }];
        StoredVolume { key: "v-1".to_owned(), name: "v".to_owned(), id: None, servers, bricks }
    }

    #[test]
    fn what_was_saved_is_read_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        store.save_volume(&volume()).unwrap();
        store.save_volfile("v-1", b"volume v\n type a/b\n option k v\nend-volume\n").unwrap();
        assert_eq!(store.volumes(), [volume()]);
        assert!(store.volfile("v-1").is_some());
        let path = store.volume("v-1").join("volume.json");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&store.dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save_volume(&volume()).unwrap();
        let path = store.volume("v-1").join("volume.json");
        let text = fs::read_to_string(&path).unwrap();
        for bad in
            [text.replace("\"version\": 1", "\"version\": 2"), text.replace("key", "kez"), "{".to_owned()]
        {
            fs::write(&path, &bad).unwrap();
            assert_eq!(store.volumes(), []);
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(path.with_extension("json.bad")).unwrap(), bad);
        }
        store.save_volfile("v-1", b"volume v\n type a/b\n option k `id`\nend-volume\n").unwrap();
        assert_eq!(store.volfile("v-1"), None);
    }
}
