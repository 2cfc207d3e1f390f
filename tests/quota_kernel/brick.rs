//! A brick on a file system of the kernel's XFS, and that kernel with limits that are only written down.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    fs,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use glusterd_client::{
    quota::{
        Kernel, LocalBrick, Options, Xfs,
        xfs::{Project, Support, Usage},
    },
    storage::{
        layout::Place,
        quota::{Limits, Share},
    },
};
use rustix::{fs::XattrFlags, io::Result};

const HOST: &str = "/mnt/host";

/// The brick, mounted and empty; unmounted when this is dropped.
pub(crate) struct Brick;

impl Brick {
    pub(crate) fn mount() -> Self {
        Self::mount_with("loop").unwrap()
    }

    /// With these options; none where this kernel has not all of them.
    pub(crate) fn mount_with(options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-o", options, "/mnt/image", HOST]).output().unwrap();
        if !mount.status.success() {
            return None;
        }
        let _ = fs::remove_dir_all(root());
        fs::create_dir(root()).unwrap();
        rustix::fs::setxattr(root(), "trusted.glusterfs.volume-id", &[7; 16], XattrFlags::empty()).unwrap();
        Some(Self)
    }

    /// Mounts again what [`Brick::unmount`] has.
    pub(crate) fn again(&self) {
        let mount = Command::new("mount").args(["-o", "loop", "/mnt/image", HOST]).status();
        assert!(mount.unwrap().success());
    }

    /// Unmounts it, as soon as nobody is looking; false where it stays busy.
    pub(crate) fn unmount(&self) -> bool {
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(2));
            rustix::mount::unmount(HOST, rustix::mount::UnmountFlags::empty()).is_ok()
        })
    }

    pub(crate) fn local(&self) -> LocalBrick {
        LocalBrick {
            name: "g1:/mnt/host/brick".into(),
            path: root(),
            volume: "pool".into(),
            volume_id: [7; 16],
            share: Share { data: 1, arbiter: false },
            problem: None,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options { project_ids: 1_000_000..=1_999_999, crawl_interval: Duration::from_secs(3600) }
    }

    /// Makes a PV of 1 GiB, and says where.
    pub(crate) fn create(&self, name: &str) -> PathBuf {
        self.create_with(name, 1 << 30)
    }

    /// Makes or resizes a PV, and says where it is.
    pub(crate) fn create_with(&self, name: &str, size: u64) -> PathBuf {
        let place = Place::of(name).unwrap().to_string();
        let record = root().join("info").join(format!("{place}.json"));
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(record, format!("{{\"size\":{size}}}")).unwrap();
        let pv = root().join(place);
        fs::create_dir_all(&pv).unwrap();
        pv
    }
}

impl Drop for Brick {
    fn drop(&mut self) {
        self.unmount();
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(HOST).join("brick")
}

/// The project of a file or directory.
pub(crate) fn project(path: &Path) -> Project {
    let file = fs::File::open(path).unwrap();
    Xfs::default().project(std::os::fd::AsFd::as_fd(&file)).unwrap()
}

/// Whether a link or the like is in a project; true where this kernel cannot tell.
pub(crate) fn is_in(path: &Path, id: u32) -> bool {
    let directory = fs::File::open(path.parent().unwrap()).unwrap();
    let name = std::ffi::CString::new(path.file_name().unwrap().as_bytes()).unwrap();
    match Xfs::default().put_entry(std::os::fd::AsFd::as_fd(&directory), &name, id) {
        Ok(changed) => !changed,
        Err(errno) => errno == rustix::io::Errno::NOSYS,
    }
}

/// This kernel, with limits that are only written down.
#[derive(Debug, Default)]
pub(crate) struct Written(Xfs, Mutex<BTreeMap<u32, Limits>>);

impl Kernel for Written {
    fn support(&self, _: BorrowedFd<'_>) -> Result<Support> {
        Ok(Support::Enforced)
    }

    fn project(&self, file: BorrowedFd<'_>) -> Result<Project> {
        self.0.project(file)
    }

    fn put(&self, file: BorrowedFd<'_>, project: Project) -> Result<bool> {
        self.0.put(file, project)
    }

    fn put_entry(&self, directory: BorrowedFd<'_>, name: &CStr, project: u32) -> Result<bool> {
        self.0.put_entry(directory, name, project)
    }

    fn usage(&self, file_system: BorrowedFd<'_>, project: u32) -> Result<Option<Usage>> {
        Ok(self.next_usage(file_system, project)?.filter(|usage| usage.project == project))
    }

    fn next_usage(&self, _: BorrowedFd<'_>, from: u32) -> Result<Option<Usage>> {
        let limits = self.1.lock().unwrap();
        let next = limits.range(from..).find(|(_, limits)| limits.bytes > 0);
        Ok(next.map(|(project, limits)| Usage {
            project: *project,
            bytes: limits.bytes,
            used_inodes: 1,
            ..Usage::default()
        }))
    }

    fn limit(&self, _: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<()> {
        self.1.lock().unwrap().insert(project, limits);
        Ok(())
    }
}
