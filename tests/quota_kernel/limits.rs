//! Limits as XFS enforces them, where this kernel can.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use glusterd_client::{
    quota::{Kernel, Mode, PvStatus, Worker, Xfs, look, xfs::Support},
    storage::quota::{Code, Share},
};
use rustix::io::Errno;

use crate::brick::{Brick, root};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("limits::mount_options_are_told_apart", mount_options_are_told_apart),
    ("limits::a_pv_stops_at_its_size", a_pv_stops_at_its_size),
    ("limits::a_pv_that_was_filled_before_its_limit_came", a_pv_that_was_filled_before_its_limit_came),
    ("limits::numbers_of_files_are_limited", numbers_of_files_are_limited),
    ("limits::limits_go_with_their_pvs", limits_go_with_their_pvs),
    ("limits::records_are_followed", records_are_followed),
];

const MIB: u64 = 1 << 20;
const ENFORCED: &str = "loop,prjquota";

/// Whether this kernel enforces limits of projects.
pub(crate) fn need() -> Result<(), String> {
    static HAS: OnceLock<bool> = OnceLock::new();
    let try_it =
        || std::env::var_os("KADALU_QUOTA_KERNEL_INSIDE").is_none() || Brick::mount_with(ENFORCED).is_some();
    if *HAS.get_or_init(try_it) {
        Ok(())
    } else {
        Err("this kernel has no XFS project quota: the guest of tests/e2e has".into())
    }
}

fn apply(brick: &Brick, name: &str) -> PvStatus {
    let status = look(&brick.local(), &brick.options(), Mode::Apply, &Xfs::default());
    assert_eq!(status.problem, None);
    status.pvs.into_iter().find(|pv| pv.path.ends_with(name)).unwrap()
}

fn code(pv: &PvStatus) -> Option<Code> {
    pv.in_force.problem.as_ref().map(|problem| problem.code)
}

/// Writes until that fails, and says how much it was.
fn fill(path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    let block = vec![1; 64 << 10];
    for n in 0.. {
        let written = file.write_all(&block).and_then(|()| file.sync_data());
        if let Err(error) = written {
            let errno = Errno::from_io_error(&error).unwrap();
            assert!(matches!(errno, Errno::NOSPC | Errno::DQUOT), "{errno}");
            return n * (64 << 10);
        }
    }
    unreachable!()
}

fn mount_options_are_told_apart() {
    let support = |options: &str| {
        let _brick = Brick::mount_with(options).unwrap();
        Xfs::default().support(File::open(root()).unwrap().as_fd()).unwrap()
    };
    assert_eq!(support(ENFORCED), Support::Enforced);
    assert_eq!(support("loop,pqnoenforce"), Support::Counted);
    assert_eq!(support("loop,uquota"), Support::Off);
    assert_eq!(support("loop,noquota"), Support::Off);
}

fn a_pv_stops_at_its_size() {
    let brick = Brick::mount_with(ENFORCED).unwrap();
    let (pv, other) = (brick.create_with("pvc-1", 8 * MIB), brick.create_with("pvc-2", 8 * MIB));
    let before = apply(&brick, "pvc-1");
    assert_eq!((code(&before), before.in_force.limits.unwrap().bytes), (None, 8 * MIB));
    let written = fill(&pv.join("full"));
    assert!((7 * MIB..=8 * MIB).contains(&written), "{written}");
    assert_eq!(rustix::fs::statvfs(&pv).unwrap().f_blocks * 4096, 8 * MIB);
    fs::write(other.join("file"), vec![1; MIB as usize]).unwrap();
    // It grows, and is not made smaller than what it uses.
    brick.create_with("pvc-1", 16 * MIB);
    assert_eq!(code(&apply(&brick, "pvc-1")), None);
    assert!((7 * MIB..=8 * MIB).contains(&fill(&pv.join("more"))));
    brick.create_with("pvc-1", 4 * MIB);
    let in_use = apply(&brick, "pvc-1");
    assert_eq!(code(&in_use), Some(Code::InUse));
    assert_eq!(in_use.in_force.limits.unwrap().bytes, in_use.used.unwrap());
    fs::remove_file(pv.join("full")).unwrap();
    fs::remove_file(pv.join("more")).unwrap();
    // What was removed is given back in the background.
    let shrunk = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        code(&apply(&brick, "pvc-1")).is_none()
    });
    assert!(shrunk && (3 * MIB..=4 * MIB).contains(&fill(&pv.join("again"))));
    assert!(!apply(&brick, "pvc-2").changed);
}

fn a_pv_that_was_filled_before_its_limit_came() {
    let brick = Brick::mount_with(ENFORCED).unwrap();
    let pv = brick.create_with("pvc-1", 8 * MIB);
    fs::create_dir_all(pv.join("a/b")).unwrap();
    for n in 0..4 {
        let file = File::create(pv.join(format!("a/{n}"))).unwrap();
        (&file).write_all(&vec![1; MIB as usize]).unwrap();
        file.sync_all().unwrap();
    }
    let pv_status = apply(&brick, "pvc-1");
    assert_eq!((code(&pv_status), pv_status.used_inodes), (None, Some(7)));
    assert!(pv_status.used.unwrap() >= 4 * MIB);
    fs::rename(pv.join("a/0"), pv.join("a/b/0")).unwrap();
    fs::hard_link(pv.join("a/1"), pv.join("a/b/1")).unwrap();
    assert!((3 * MIB..=4 * MIB).contains(&fill(&pv.join("a/b/new"))));
}

fn numbers_of_files_are_limited() {
    let brick = Brick::mount_with(ENFORCED).unwrap();
    let pv = brick.create_with("pvc-1", 8 * MIB);
    let local =
        glusterd_client::quota::LocalBrick { share: Share { data: 1, arbiter: true }, ..brick.local() };
    let status = look(&local, &brick.options(), Mode::Apply, &Xfs::default());
    assert_eq!(status.pvs[0].in_force.limits.unwrap().inodes, Some(2048));
    // One of them is the PV's directory.
    let made = (0..).take_while(|n| File::create(pv.join(n.to_string())).is_ok()).count();
    assert_eq!(made, 2047);
}

fn limits_go_with_their_pvs() {
    let brick = Brick::mount_with(ENFORCED).unwrap();
    let (xfs, file_system) = (Xfs::default(), File::open(root()).unwrap());
    let pv = brick.create("pvc-1");
    let project = apply(&brick, "pvc-1").in_force.project.unwrap();
    assert_eq!(xfs.usage(file_system.as_fd(), project).unwrap().unwrap().bytes, 1 << 30);
    fs::remove_dir(pv).unwrap();
    fs::remove_dir_all(root().join("info")).unwrap();
    let gone = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        look(&brick.local(), &brick.options(), Mode::Apply, &xfs);
        xfs.usage(file_system.as_fd(), project).unwrap().is_none_or(|usage| usage.bytes == 0)
    });
    assert!(gone);
    assert_eq!(xfs.next_usage(file_system.as_fd(), 1).unwrap(), None);
    drop(file_system);
}

fn records_are_followed() {
    let brick = Brick::mount_with(ENFORCED).unwrap();
    let worker = Worker::start(brick.local(), brick.options(), Arc::new(Xfs::default())).unwrap();
    let until = |pvs: usize| {
        (0..10_000).any(|_| {
            std::thread::sleep(Duration::from_millis(3));
            let status = worker.status();
            status.pvs.iter().filter(|pv| pv.in_force.limits.is_some() && code(pv).is_none()).count() == pvs
        })
    };
    assert!(until(0));
    for n in 0..1000 {
        brick.create_with(&format!("pvc-{n}"), MIB);
    }
    assert!(until(1000), "{:?}", worker.figures());
    let mut lags = worker.take_lags();
    lags.sort();
    eprintln!("1000 PVs at once, record to limit: p50 {:?}, p99 {:?}", lags.get(500), lags.get(990));
    worker.stop();
}
