//! Many PVs at once.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use glusterd_client::storage::{
    pool::{NewPv, Pool, Range},
    record::{QuotaPolicy, Reclaim},
};

use crate::lab::{Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB};

story! { needs require_quota; at_once }

const PVS: usize = 1000;

/// A thousand PVs that are made at once are all in force, as they were asked, none with another's project.
fn at_once(labs: &Labs) {
    let bed = Bed::start(labs, "quota-thousand", Kind::Single);
    let client = bed.lab.client();
    let root = client.mount_volume(bed.lab.host(0), bed.volume);
    // The mount is in the client's namespace.
    let seen = PathBuf::from(format!("/proc/{}/root{root}", client.pid()));
    let pool = Pool::open(&seen).expect("the volume");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let pool = &pool;
            scope.spawn(move || (first..PVS).step_by(4).for_each(|n| create(pool, n)));
        }
    });
    eprintln!("{PVS} PVs made in {:.1?}", begin.elapsed());
    let bricks = eventually("all are in force", || {
        let bricks = bed.check();
        let well = |brick: &serde_json::Value| {
            let pvs = brick["pvs"].as_array().into_iter().flatten();
            pvs.filter(|pv| pv["problem"].is_null() && pv["project"].is_u64()).count() == PVS
        };
        bricks.iter().all(well).then_some(bricks)
    });
    eprintln!("{PVS} PVs in force after {:.1?}", begin.elapsed());
    for brick in &bricks {
        let pvs = brick["pvs"].as_array().expect("its PVs");
        let mut projects = HashSet::new();
        for pv in pvs {
            let n: usize =
                pv["path"].as_str().and_then(|path| path.rsplit('-').next()?.parse().ok()).expect("a PV");
            assert_eq!(pv["limits"]["bytes"].as_u64(), Some(size(n)), "{pv}");
            assert!(projects.insert(pv["project"].as_u64()), "{pv} has another's project");
        }
    }
    client.shell(&format!("umount {root}"));
}

fn create(pool: &Pool, n: usize) {
    let new = NewPv {
        name: format!("pvc-{n}"),
        size: size(n),
        reclaim: Reclaim::Delete,
        quota: QuotaPolicy::BestEffort,
        soft_percent: None,
        inodes: None,
        mode: None,
    };
    let range = Range::default();
    pool.create(&new, &range, 1000.0).unwrap_or_else(|error| panic!("pvc-{n}: {error}"));
}

/// Each has another.
fn size(n: usize) -> u64 {
    MIB + n as u64 * 4096
}
