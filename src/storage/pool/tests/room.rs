//! The room of a volume, and what of it is promised.

use std::fs;

use super::{
    super::tree::seam::at_step,
    life::{KADALU, reason},
    *,
};
use crate::storage::Reason;

#[test]
fn what_has_no_room_is_refused_with_numbers() {
    let lab = Lab::new();
    let capacity = lab.pool().capacity().unwrap();
    assert!(capacity.total >= capacity.free && capacity.promised == 0, "{capacity:?}");
    let pool = lab.pool();
    let most = capacity.total / 4 * 3;
    let create = |name: &str, size| pool.create(&new(name, size, Reclaim::Archive), &exactly(size), 2.0);
    create("a", most).unwrap();
    pool.delete("a", Reclaim::Delete).unwrap();
    create("b", most).unwrap();
    let error = create("c", most).unwrap_err();
    assert_eq!(error.reason(), Reason::Exhausted);
    assert!(error.to_string().contains(" GiB promised to other PVs and "), "{error}");
    assert_eq!(reason(pool.expand("b", &at_least(2 * most), 2.0)), Reason::Exhausted);
    assert_eq!(pool.capacity().unwrap().promised, 2 * most);
    assert_eq!(lab.pool().capacity().unwrap().promised, 2 * most);
    pool.purge("archived-a").unwrap();
    create("c", most).unwrap();
    lab.audit(&pool.list().unwrap());
}

#[test]
fn what_a_pv_has_written_is_not_asked_of_the_volume_again() {
    let lab = Lab::new();
    let Some(_mounted) = Mounted::at(lab.path("mnt")) else { return };
    let megabytes = |n: u64| n << 20;
    let options = Some(c"size=64m");
    rustix::mount::mount("tmpfs", lab.path("mnt"), "tmpfs", rustix::mount::MountFlags::empty(), options)
        .unwrap();
    let pool = Pool::open(&lab.path("mnt")).unwrap();
    let pv = create(&pool, "pvc-1", megabytes(40), Reclaim::Delete).unwrap();
    fs::write(lab.path(&format!("mnt/{}/data", pv.path)), vec![1; 38 << 20]).unwrap();
    assert!(pool.capacity().unwrap().free < megabytes(26));
    assert_eq!(pool.expand("pvc-1", &at_least(megabytes(60)), 1.0).unwrap().size, megabytes(60));
    let error = pool.expand("pvc-1", &at_least(megabytes(65)), 1.0).unwrap_err();
    assert!(error.to_string().contains(" more on the volume: "), "{error}");
    // Nor is what others have written.
    assert_eq!(reason(create(&pool, "pvc-2", megabytes(5), Reclaim::Delete)), Reason::Exhausted);
    fs::write(lab.path("mnt/others"), vec![1; 23 << 20]).unwrap();
    assert_eq!(reason(pool.expand("pvc-1", &at_least(megabytes(64)), 1.0)), Reason::Exhausted);
    rustix::mount::unmount(lab.path("mnt"), rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn what_is_read_again_at_any_moment_is_counted_right() {
    type Call = fn(&Pool) -> Result<(), Error>;
    let calls: [(Call, u64); 4] = [
        (|pool| create(pool, "new", SIZE, Reclaim::Delete).map(drop), 3 * SIZE),
        (|pool| pool.expand("deleted", &exactly(5 * SIZE), 1.0).map(drop), 6 * SIZE),
        (|pool| pool.delete("deleted", Reclaim::Delete), SIZE),
        (|pool| pool.delete("archived", Reclaim::Delete), 2 * SIZE),
    ];
    for (call, promised) in calls {
        for step in 0.. {
            let lab = Lab::new();
            lab.create("deleted", Reclaim::Delete);
            lab.create("archived", Reclaim::Archive);
            let pool = std::sync::Arc::new(lab.pool());
            pool.capacity().unwrap();
            let reader = pool.clone();
            let reached = at_step(step, move || reader.refresh().unwrap(), || call(&pool).unwrap());
            assert_eq!(pool.capacity().unwrap().promised, promised, "read at step {step}");
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn records_are_read_once_until_a_refresh() {
    let lab = Lab::new();
    let pool = lab.pool();
    create(&pool, "a", SIZE, Reclaim::Delete).unwrap();
    lab.write("info/subvol/d3/d3/pvc-1.json", KADALU);
    create(&pool, "b", SIZE, Reclaim::Delete).unwrap();
    assert_eq!(pool.capacity().unwrap().promised, 2 * SIZE);
    pool.refresh().unwrap();
    assert_eq!(pool.capacity().unwrap().promised, 3 * SIZE);
}
