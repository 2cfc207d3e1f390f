//! PVs that are put into their projects while pods use them, and bricks that go while they are looked after.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use glusterd_client::{
    quota::{BrickStatus, Mode, Worker, look, xfs::Project},
    storage::quota::Code,
};
use rustix::{
    io::Errno,
    thread::{CapabilitySet, CapabilitySets, set_capabilities},
};

use crate::brick::{Brick, Written, is_in, project};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("marking::a_pv_is_whole_although_a_pod_writes", a_pv_is_whole_although_a_pod_writes),
    ("marking::modes_are_kept_with_what_the_unit_leaves", modes_are_kept_with_what_the_unit_leaves),
    ("marking::ten_thousand_pvs", ten_thousand_pvs),
    ("marking::a_brick_can_be_unmounted_and_comes_back", a_brick_can_be_unmounted_and_comes_back),
];

/// Ten directories, each with a hundred files and a link.
fn fill(pv: &Path) {
    for directory in 0..10 {
        let at = pv.join(format!("d{directory}"));
        fs::create_dir(&at).unwrap();
        for file in 0..100 {
            fs::write(at.join(format!("f{file}")), "").unwrap();
        }
        symlink("f0", at.join("link")).unwrap();
    }
}

/// Replaces files by new ones, and moves old files and directories about; counts what is refused.
fn pod(pv: &Path, n: usize, stop: &AtomicBool, refused: &AtomicU64, done: &AtomicU64) {
    let moves = |from: &Path, to: &Path| {
        match fs::rename(from, to).map_err(|error| Errno::from_io_error(&error).unwrap()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {
                done.fetch_add(1, Ordering::Relaxed);
            }
            Err(Errno::XDEV) => {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(errno) => panic!("{errno}"),
        };
    };
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let directory = pv.join(format!("d{}", (round * 7 + n) % 10));
        let temporary = directory.join(format!("new-{n}"));
        if fs::write(&temporary, "").is_ok() {
            moves(&temporary, &directory.join(format!("f{}", round % 100)));
        }
        let other = pv.join(format!("d{}", (round + n) % 10));
        moves(&directory.join(format!("f{}", round % 97)), &other.join(format!("f{}", round % 97)));
        moves(&other, &pv.join(format!("moving-{n}")));
        moves(&pv.join(format!("moving-{n}")), &other);
        let _ = fs::hard_link(directory.join("f1"), directory.join(format!("hard-{n}-{round}")));
    }
}

fn all_are_in(path: &Path, id: u32) -> u64 {
    assert_eq!(project(path), Project { id, inherit: true }, "{}", path.display());
    let mut count = 1;
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            count += all_are_in(&entry.path(), id);
        } else if kind.is_file() {
            assert_eq!(project(&entry.path()), Project { id, inherit: false }, "{}", entry.path().display());
            count += 1;
        } else {
            assert!(is_in(&entry.path(), id));
        }
    }
    count
}

fn a_pv_is_whole_although_a_pod_writes() {
    let (brick, kernel) = (Brick::mount(), Written::default());
    let pv = brick.create("pvc-1");
    fill(&pv);
    let (stop, refused, done) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let status = std::thread::scope(|scope| {
        for n in 0..2 {
            let (pv, stop, refused, done) = (&pv, &stop, &refused, &done);
            scope.spawn(move || pod(pv, n, stop, refused, done));
        }
        std::thread::sleep(Duration::from_millis(20));
        let mut status = look(&brick.local(), &brick.options(), Mode::Apply, &kernel);
        while status.pvs[0].in_force.problem.is_some() {
            status = look(&brick.local(), &brick.options(), Mode::Apply, &kernel);
        }
        // From now on nothing is refused.
        let (before, some) = (refused.load(Ordering::Relaxed), done.load(Ordering::Relaxed));
        while done.load(Ordering::Relaxed) < some + 1000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        eprintln!("{before} of {some} renames were refused while the files were put into the project");
        assert_eq!(refused.load(Ordering::Relaxed), before);
        stop.store(true, Ordering::Relaxed);
        status
    });
    let id = status.pvs[0].in_force.project.unwrap();
    assert!(all_are_in(&pv, id) > 500);
    let again = look(&brick.local(), &brick.options(), Mode::Apply, &kernel);
    assert!(!again.pvs[0].changed);
}

fn modes_are_kept_with_what_the_unit_leaves() {
    let (brick, kernel) = (Brick::mount(), Written::default());
    let pv = brick.create("pvc-1");
    let all = [(pv.clone(), 0o2775), (pv.join("group"), 0o2775), (pv.join("program"), 0o4755)];
    fs::create_dir(&all[1].0).unwrap();
    fs::write(&all[2].0, "").unwrap();
    for (path, mode) in &all {
        fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    let unit = include_str!("../../deploy/systemd/kadalu-quotad.service");
    let names = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let left =
        names.split(' ').map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_").unwrap()).unwrap());
    let left = left.collect::<CapabilitySet>();
    let status = std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            // Of this thread alone.
            let sets =
                CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
            set_capabilities(None, sets).unwrap();
            look(&brick.local(), &brick.options(), Mode::Apply, &kernel)
        });
        look.join().unwrap()
    });
    assert_eq!((&status.problem, &status.pvs[0].in_force.problem), (&None, &None));
    all_are_in(&pv, status.pvs[0].in_force.project.unwrap());
    for (path, mode) in all {
        let is = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(is, mode, "{is:o} {}", path.display());
    }
}

fn ten_thousand_pvs() {
    let (brick, kernel) = (Brick::mount(), Written::default());
    for n in 0..10_000 {
        brick.create(&format!("pvc-{n}"));
    }
    for what in ["all are new", "none is new"] {
        let began = Instant::now();
        let status = look(&brick.local(), &brick.options(), Mode::Apply, &kernel);
        eprintln!("10000 PVs, of which {what}: {:?}", began.elapsed());
        assert!(status.pvs.len() == 10_000 && status.pvs.iter().all(|pv| pv.in_force.problem.is_none()));
        assert!(status.pvs.iter().all(|pv| pv.changed == (what == "all are new")));
    }
}

fn a_brick_can_be_unmounted_and_comes_back() {
    let brick = Brick::mount();
    brick.create("pvc-1");
    let worker = Worker::start(brick.local(), brick.options(), Arc::new(Written::default())).unwrap();
    let until = |what: &str, holds: &dyn Fn(&BrickStatus) -> bool| {
        let holds = (0..10_000).any(|_| {
            std::thread::sleep(Duration::from_millis(3));
            holds(&worker.status())
        });
        assert!(holds, "{what}: {:?}", worker.status());
    };
    let limited = |status: &BrickStatus| status.pvs.iter().any(|pv| pv.in_force.limits.is_some());
    until("the limit", &limited);
    assert!(brick.unmount(), "it is kept mounted");
    let gone =
        |status: &BrickStatus| status.problem.as_ref().is_some_and(|problem| problem.code == Code::NoBrick);
    until("the end of the brick", &gone);
    brick.again();
    until("the brick", &limited);
    // It is watched again too.
    brick.create("pvc-2");
    until("another PV", &|status| status.pvs.len() == 2 && limited(status));
}
