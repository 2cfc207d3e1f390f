//! A recording fake of the system calls of XFS quota, and a brick in a temporary directory.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::CStr,
    fs,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, XattrFlags},
    io::{Errno, Result},
};
use tempfile::TempDir;

use super::{
    BrickStatus, LocalBrick, Mode, Options, PvStatus,
    crawl::look,
    xfs::{Kernel, Project, Support, Usage},
};
use crate::storage::{
    layout::Place,
    quota::{self, Asked, InForce, Limits, Share},
};

/// The volume's id of [`Lab`].
const VOLUME_ID: [u8; 16] = [7; 16];

/// The file system's block.
const BLOCK: u64 = 4096;

/// XFS as far as projects go, for files of any file system. Nothing is inherited.
#[derive(Debug)]
pub(crate) struct Fake(Mutex<State>, Mutex<()>);

#[derive(Debug)]
struct State {
    support: Result<Support>,
    /// By inode.
    projects: HashMap<u64, Project>,
    usages: BTreeMap<u32, Usage>,
    /// Whether links and the like can be put.
    special: bool,
    /// How often it was asked for its quota.
    asked: u64,
    writes: Vec<String>,
}

impl Default for Fake {
    fn default() -> Self {
        let state = State {
            support: Ok(Support::Enforced),
            projects: HashMap::new(),
            usages: BTreeMap::new(),
            special: true,
            asked: 0,
            writes: Vec::new(),
        };
        Self(Mutex::new(state), Mutex::default())
    }
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file system says of itself.
    pub(crate) fn set_support(&self, support: Result<Support>) {
        self.lock().support = support;
    }

    /// Links and the like cannot be put, as before Linux 6.17.
    pub(crate) fn without_special(&self) {
        self.lock().special = false;
    }

    /// Has whoever asks the file system for its quota hang, until this is dropped.
    pub(crate) fn hang(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the file system was asked for its quota.
    pub(crate) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// What was written since this was asked last.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    /// Has a project use so many bytes.
    pub(crate) fn use_bytes(&self, project: u32, used: u64) {
        self.lock().usages.entry(project).or_default().used = used;
    }

    /// Puts a file into a project, as another program does.
    pub(crate) fn set(&self, path: &Path, id: u32, inherit: bool) {
        let inode = fs::symlink_metadata(path).unwrap().ino();
        self.lock().put(inode, Project { id, inherit });
    }

    /// The project of a file.
    pub(crate) fn of(&self, path: &Path) -> Project {
        let inode = fs::symlink_metadata(path).unwrap().ino();
        self.lock().of(inode)
    }

    /// A file is removed.
    pub(crate) fn forget(&self, inode: u64) {
        let mut state = self.lock();
        state.put(inode, Project { id: 0, inherit: false });
        state.projects.remove(&inode);
    }

    /// The limits of a project.
    pub(crate) fn limits(&self, project: u32) -> Usage {
        self.lock().usages.get(&project).copied().unwrap_or_default()
    }
}

impl State {
    fn of(&self, inode: u64) -> Project {
        self.projects.get(&inode).copied().unwrap_or(Project { id: 0, inherit: false })
    }

    fn put(&mut self, inode: u64, project: Project) -> bool {
        let before = self.of(inode);
        for (id, by) in [(before.id, -1), (project.id, 1)] {
            let usage = self.usages.entry(id).or_default();
            usage.used_inodes = usage.used_inodes.saturating_add_signed(by);
        }
        self.projects.insert(inode, project);
        before != project
    }

    fn next(&self, from: u32) -> Option<Usage> {
        let used = |(project, usage): (&u32, &Usage)| Usage { project: *project, ..*usage };
        let mut all = self.usages.range(from.max(1)..).map(used);
        all.find(|usage| *usage != Usage { project: usage.project, ..Usage::default() })
    }
}

impl Kernel for Fake {
    fn support(&self, _: BorrowedFd<'_>) -> Result<Support> {
        self.lock().asked += 1;
        drop(self.hang());
        self.lock().support
    }

    fn project(&self, file: BorrowedFd<'_>) -> Result<Project> {
        Ok(self.lock().of(rustix::fs::fstat(file)?.st_ino))
    }

    fn put(&self, file: BorrowedFd<'_>, project: Project) -> Result<bool> {
        let inode = rustix::fs::fstat(file)?.st_ino;
        let changed = self.lock().put(inode, project);
        if changed {
            self.lock().writes.push(format!(
                "put {}{}",
                project.id,
                if project.inherit { " inherit" } else { "" }
            ));
        }
        Ok(changed)
    }

    fn put_entry(&self, directory: BorrowedFd<'_>, name: &CStr, project: u32) -> Result<bool> {
        if !self.lock().special {
            return Err(Errno::NOSYS);
        }
        let inode = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
        let changed = self.lock().put(inode, Project { id: project, inherit: false });
        if changed {
            self.lock().writes.push(format!("put {project} {}", name.to_string_lossy()));
        }
        Ok(changed)
    }

    fn usage(&self, _: BorrowedFd<'_>, project: u32) -> Result<Option<Usage>> {
        Ok(self.lock().next(project).filter(|usage| usage.project == project))
    }

    fn next_usage(&self, _: BorrowedFd<'_>, from: u32) -> Result<Option<Usage>> {
        Ok(self.lock().next(from))
    }

    fn limit(&self, _: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<()> {
        let mut state = self.lock();
        state.writes.push(format!("limit {project} {}", limits.bytes));
        let usage = state.usages.entry(project).or_default();
        usage.bytes = limits.bytes.next_multiple_of(BLOCK);
        let soft = limits.soft.unwrap_or_default().next_multiple_of(BLOCK);
        // As XFS, without a word.
        if soft <= usage.bytes {
            usage.soft = soft;
        }
        usage.inodes = limits.inodes.unwrap_or_default();
        Ok(())
    }
}

/// A brick in a temporary directory.
pub(crate) struct Lab {
    pub(crate) kernel: std::sync::Arc<Fake>,
    pub(crate) brick: LocalBrick,
    pub(crate) options: Options,
    root: TempDir,
}

impl Lab {
    /// An empty brick; none, loudly, where `trusted` attributes cannot be set.
    pub(crate) fn new() -> Option<Self> {
        // In memory, where it can be: some tests make tens of thousands of files.
        let parent = Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir());
        let root = TempDir::new_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap();
        let path = root.path().to_owned();
        let set = rustix::fs::setxattr(&path, "trusted.glusterfs.volume-id", &VOLUME_ID, XattrFlags::empty());
        if let Err(errno) = set {
            eprintln!("SKIPPED: trusted attributes cannot be set here: {errno}");
            return None;
        }
        let share = Share { data: 1, arbiter: false };
        let brick = LocalBrick {
            name: "g1:/bricks/b".to_owned(),
            path,
            volume: "pool".to_owned(),
            volume_id: VOLUME_ID,
            share,
            problem: None,
        };
        let options = Options { project_ids: 1000..=1999, crawl_interval: Duration::from_secs(3600) };
        Some(Self { kernel: std::sync::Arc::default(), brick, options, root })
    }

    /// A path on the brick.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(path)
    }

    /// The path of a PV.
    pub(crate) fn pv(&self, name: &str) -> PathBuf {
        self.path(Place::of(name).unwrap().to_string())
    }

    /// The path of a PV's record.
    pub(crate) fn record(&self, name: &str) -> PathBuf {
        let place = Place::of(name).unwrap();
        self.path(place.info()).join(place.record())
    }

    /// Makes a PV, its record first.
    pub(crate) fn create(&self, name: &str, size: u64) {
        self.write(name, format!("{{\"size\":{size}}}").as_bytes());
        fs::create_dir_all(self.pv(name)).unwrap();
    }

    /// Writes the record of a PV in one step, as the controller does.
    pub(crate) fn write(&self, name: &str, record: &[u8]) {
        let path = self.record(name);
        let directory = path.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        let temporary = directory.join(".temporary");
        fs::write(&temporary, record).unwrap();
        fs::rename(&temporary, path).unwrap();
    }

    /// States what is asked for on the record of a PV.
    pub(crate) fn ask(&self, name: &str, asked: &Asked) {
        let value = quota::write(asked).unwrap();
        rustix::fs::setxattr(self.record(name), quota::ASKED, &value, XattrFlags::empty()).unwrap();
    }

    /// Looks at the brick once.
    pub(crate) fn look(&self, mode: Mode) -> BrickStatus {
        look(&self.brick, &self.options, mode, &*self.kernel)
    }

    /// Looks at the brick once, and says how its only PV is.
    pub(crate) fn only(&self, mode: Mode) -> PvStatus {
        let [pv] = <[PvStatus; 1]>::try_from(self.look(mode).pvs).unwrap();
        pv
    }

    /// What stands on the directory of a PV.
    pub(crate) fn said(&self, name: &str) -> Option<InForce> {
        self.attribute(&self.pv(name), quota::IN_FORCE).and_then(|value| quota::read(&value))
    }

    /// An attribute of a file.
    pub(crate) fn attribute(&self, path: &Path, name: &str) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(8192);
        rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok()?;
        Some(value)
    }

    /// Sets what stands on the directory of a PV.
    pub(crate) fn say(&self, name: &str, said: &InForce) {
        let value = quota::write(said).unwrap();
        rustix::fs::setxattr(self.pv(name), quota::IN_FORCE, &value, XattrFlags::empty()).unwrap();
    }
}
