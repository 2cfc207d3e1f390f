//! Pools on a directory of this machine, which does what a volume does.

mod claims;
mod kills;
mod life;
mod model;
mod quota;
mod room;
mod trash;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{NewPv, Pool, Pv, Range};
use crate::storage::{
    Error,
    record::{QuotaPolicy, Reclaim, State},
};

/// The size of most PVs.
const SIZE: u64 = 1 << 20;

struct Lab {
    root: TempDir,
}

impl Lab {
    fn new() -> Self {
        // On a disk, most of the time would go into fsync(2). TMPDIR can be a mounted volume.
        let memory = Path::new("/dev/shm");
        let in_memory = memory.is_dir() && std::env::var_os("TMPDIR").is_none();
        let parent = if in_memory { memory.to_owned() } else { std::env::temp_dir() };
        Self { root: TempDir::new_in(parent).unwrap() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// As another process would open it.
    fn pool(&self) -> Pool {
        Pool::open(self.root.path()).unwrap()
    }

    /// Writes a file and the directories on the way.
    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Creates a PV, and a file in it that tells it from others.
    fn create(&self, name: &str, reclaim: Reclaim) -> Pv {
        let pv = create(&self.pool(), name, SIZE, reclaim).unwrap();
        self.write(&format!("{}/data", pv.path), name);
        pv
    }

    /// Every file and directory of these levels below a directory of the volume.
    fn below(&self, path: &str, levels: usize) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        walk(&self.path(path), levels, &mut |path| {
            found.insert(path.strip_prefix(self.root.path()).unwrap().to_str().unwrap().to_owned());
        });
        found
    }

    /// What is on the volume is exactly what these PVs need: nothing lost, nothing leaked.
    fn audit(&self, pvs: &[Pv]) {
        let mut expected = BTreeSet::new();
        for pv in pvs {
            let record = format!("info/{}.json", pv.path);
            for path in [pv.path.as_str(), &record] {
                expected.extend(Path::new(path).ancestors().map(|path| path.to_str().unwrap().to_owned()));
            }
        }
        let kept = ["", "info", "info/subvol", "subvol"];
        let [info, subvol] = [self.below("info", 4), self.below("subvol", 3)];
        let found = info.union(&subvol).filter(|path| !kept.contains(&path.as_str())).collect::<Vec<_>>();
        let expected = expected.iter().filter(|path| !kept.contains(&path.as_str())).collect::<Vec<_>>();
        assert_eq!(found, expected);
    }
}

fn walk(path: &Path, levels: usize, each: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.map(Result::unwrap) {
        each(&entry.path());
        if levels > 1 && entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), levels - 1, each);
        }
    }
}

fn new(name: &str, size: u64, reclaim: Reclaim) -> NewPv {
    NewPv {
        name: name.to_owned(),
        size,
        reclaim,
        quota: QuotaPolicy::default(),
        soft_percent: None,
        inodes: None,
        mode: None,
    }
}

fn exactly(size: u64) -> Range {
    Range { required: size, limit: Some(size) }
}

fn at_least(required: u64) -> Range {
    Range { required, limit: None }
}

fn create(pool: &Pool, name: &str, size: u64, reclaim: Reclaim) -> Result<Pv, Error> {
    pool.create(&new(name, size, reclaim), &exactly(size), 1.0)
}

/// What stands in a list, shortly.
fn short(pvs: &[Pv]) -> Vec<(&str, u64, State)> {
    pvs.iter().map(|pv| (pv.component.as_str(), pv.size, pv.state)).collect()
}

/// Whether trusted attributes can be set here; said aloud where not.
fn has_attributes(lab: &Lab) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    let set = rustix::fs::setxattr(lab.root.path(), "trusted.kadalu.test", b"", flags);
    if let Err(error) = set {
        eprintln!("SKIPPED: no trusted attributes here: {error}; run as root on ext4, XFS or tmpfs");
    }
    set.is_ok()
}

/// A tmpfs that is mounted while this lives; none, said aloud, where this is not allowed.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = rustix::mount::mount("tmpfs", &path, "tmpfs", rustix::mount::MountFlags::empty(), None);
        if let Err(error) = mounted {
            eprintln!("SKIPPED: cannot mount a tmpfs here: {error}; run as root");
        }
        mounted.is_ok().then_some(Self(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
