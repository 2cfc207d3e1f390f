//! Whole volumes.

use std::{fs, os::unix::fs::symlink};

use super::{super::tree::seam::at_step, *};
use crate::storage::Reason;

fn reason<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Reason {
    outcome.unwrap_err().reason()
}

#[test]
fn a_volume_is_claimed_by_one() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let pv = lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap();
    assert_eq!((&*pv.name, &*pv.path, &*pv.component, pv.state), ("pvc-1", "", "", State::InUse));
    assert_eq!(lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap(), pv);
    assert_eq!((lab.pool().claimed().unwrap(), lab.pool().list().unwrap()), (Some(pv.clone()), vec![pv]));
    assert_eq!(reason(lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Retain))), Reason::Exists);
    assert_eq!(reason(lab.pool().claim(&new("pvc-1", SIZE + 1, Reclaim::Delete))), Reason::Exists);
    assert_eq!(reason(lab.pool().claim(&new("pvc-2", SIZE, Reclaim::Delete))), Reason::Precondition);
    assert_eq!(reason(create(&lab.pool(), "pvc-1", SIZE, Reclaim::Delete)), Reason::Precondition);
    let capacity = lab.pool().capacity().unwrap();
    assert_eq!(capacity.promised, capacity.total);
    assert!(lab.below("", 1).is_empty());
}

#[test]
fn pvs_and_data_forbid_a_claim() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    lab.create("pvc-1", Reclaim::Delete);
    assert_eq!(reason(lab.pool().claim(&new("whole", SIZE, Reclaim::Retain))), Reason::Precondition);
    lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    assert_eq!(reason(lab.pool().claim(&new("whole", SIZE, Reclaim::Delete))), Reason::Unavailable);
    lab.pool().empty_trash(&mut || true).unwrap();
    for data in ["data", "subvol/d3/d3/orphan/data", "info/x"] {
        lab.write(data, "somebody's");
        assert_eq!(reason(lab.pool().claim(&new("whole", SIZE, Reclaim::Delete))), Reason::Precondition);
        fs::remove_file(lab.path(data)).unwrap();
        let _ = fs::remove_dir_all(lab.path("subvol"));
    }
    lab.write("stat.db", "");
    fs::create_dir_all(lab.path("lost+found")).unwrap();
    lab.pool().claim(&new("whole", SIZE, Reclaim::Delete)).unwrap();
}

#[test]
fn what_is_deleted_is_emptied_before_another_gets_it() {
    let (lab, outside) = (Lab::new(), Lab::new());
    if !has_attributes(&lab) {
        return;
    }
    outside.write("kept", "");
    lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap();
    (0..1500).for_each(|n| lab.write(&format!("{n}"), ""));
    lab.write("a/b/c", "");
    // Who has the whole volume may put this there too.
    symlink(outside.path(""), lab.path(".kadalu-trash")).unwrap();
    lab.pool().release("pvc-1").unwrap();
    lab.pool().release("pvc-1").unwrap();
    assert_eq!(lab.pool().claimed().unwrap(), None);
    assert_eq!(lab.pool().list().unwrap()[0].state, State::Deleting);
    assert_eq!(reason(lab.pool().claim(&new("pvc-2", SIZE, Reclaim::Delete))), Reason::Unavailable);
    lab.write("late", "");
    lab.pool().empty_trash(&mut || true).unwrap();
    assert!(lab.below("", 1).is_empty() && outside.path("kept").exists());
    lab.pool().claim(&new("pvc-2", SIZE, Reclaim::Delete)).unwrap();
    // Late, for one that is gone: nothing to the next.
    lab.pool().release("pvc-1").unwrap();
    assert!(
        lab.pool().claimed_as("pvc-1").unwrap().is_none()
            && lab.pool().claimed_as("pvc-2").unwrap().is_some()
    );
    // Empty already: nothing to wait for.
    lab.pool().release("pvc-2").unwrap();
    lab.pool().release("pvc-2").unwrap();
    assert!(lab.pool().list().unwrap().is_empty());
}

#[test]
fn the_next_finds_nothing_of_the_one_before() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let owner = |lab: &Lab| {
        let of = fs::metadata(lab.path("")).unwrap();
        (of.uid(), of.gid(), of.mode() & 0o7777)
    };
    lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap();
    assert_eq!(owner(&lab), (0, 0, 0o777));
    chown(lab.path(""), Some(1000), Some(2000)).unwrap();
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o2770)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let of_user = rustix::fs::setxattr(lab.root.path(), "user.of-pvc-1", b"x", flags);
    if let Err(error) = of_user {
        eprintln!("SKIPPED in part: no attributes of users here: {error}");
    }
    lab.write("data", "");
    // Also a second time, as it is used already.
    lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap();
    assert_eq!(owner(&lab), (1000, 2000, 0o2770));
    lab.pool().release("pvc-1").unwrap();
    lab.pool().empty_trash(&mut || true).unwrap();
    assert_eq!((owner(&lab), lab.pool().list().unwrap()), ((0, 0, 0o755), vec![]));
    let mut value = [0; 8];
    assert!(rustix::fs::getxattr(lab.root.path(), "user.of-pvc-1", &mut value).is_err());
    lab.pool().claim(&NewPv { mode: Some(0o750), ..new("pvc-2", SIZE, Reclaim::Delete) }).unwrap();
    assert_eq!(owner(&lab), (0, 0, 0o750));
    // Data that are there keep their permissions.
    lab.pool().release("pvc-2").unwrap();
    lab.write("data", "");
    lab.pool().claim(&new("pvc-3", SIZE, Reclaim::Retain)).unwrap();
    assert_eq!(owner(&lab), (0, 0, 0o755));
}

#[test]
fn a_claim_that_another_has_changed_meanwhile_is_left_alone() {
    // All steps of a release before it moves data, but that of the change itself: there, nothing helps between processes.
    for step in [0, 1, 2, 4, 5, 6] {
        let lab = Lab::new();
        if !has_attributes(&lab) {
            return;
        }
        let path = lab.root.path().to_owned();
        let claim = move |name: &str| {
            let value = format!("{{\"size\": 1, \"name\": \"{name}\", \"reclaim\": \"delete\"}}");
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&path, "trusted.kadalu.claim", value.as_bytes(), flags).unwrap();
        };
        claim("pvc-1");
        lab.write("data", "of pvc-2");
        let (pool, mut outcome) = (lab.pool(), Ok(()));
        assert!(at_step(step, move || claim("pvc-2"), || outcome = pool.release("pvc-1")));
        assert!(outcome.is_ok() || reason(outcome) == Reason::Unavailable);
        lab.pool().empty_trash(&mut || true).unwrap();
        assert_eq!(lab.pool().claimed().unwrap().unwrap().name, "pvc-2", "changed before step {step}");
        assert_eq!(lab.read("data"), "of pvc-2");
    }
}

#[test]
fn who_empties_a_volume_never_takes_the_data_of_the_next() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let pool = lab.pool();
    let live = || {
        for n in 0..100 {
            let name = format!("pvc-{}", n % 2);
            while let Err(error) = pool.claim(&new(&name, SIZE, Reclaim::Delete)) {
                assert_eq!(error.reason(), Reason::Unavailable, "{error}");
                std::thread::yield_now();
            }
            lab.write("data", &n.to_string());
            assert_eq!(lab.read("data"), n.to_string());
            pool.release(&name).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let lives = scope.spawn(live);
        while !lives.is_finished() {
            pool.empty_trash(&mut || true).unwrap();
        }
    });
}

#[test]
fn what_is_put_aside_comes_back() {
    for (reclaim, state) in [(Reclaim::Archive, State::Archived), (Reclaim::Retain, State::Retained)] {
        let lab = Lab::new();
        if !has_attributes(&lab) {
            return;
        }
        lab.write("data", "x");
        let pv = lab.pool().claim(&new("pvc-1", SIZE, reclaim)).unwrap();
        lab.pool().release("pvc-1").unwrap();
        lab.pool().release("pvc-1").unwrap();
        assert_eq!(lab.pool().list().unwrap()[0].state, state);
        assert_eq!(lab.pool().claimed().unwrap().is_some(), reclaim == Reclaim::Retain);
        assert_eq!(reason(lab.pool().claim(&new("pvc-1", SIZE, reclaim))), Reason::Exists);
        assert_eq!(reason(lab.pool().restore("pvc-2", "pvc-2")), Reason::NotFound);
        assert_eq!(lab.pool().restore("pvc-1", "pvc-1").unwrap(), pv);
        assert_eq!(lab.pool().restore("pvc-1", "pvc-1").unwrap(), pv);
        assert_eq!(reason(lab.pool().restore("pvc-1", "pvc-2")), Reason::Precondition);
        assert_eq!(reason(lab.pool().purge("pvc-1")), Reason::Precondition);
        lab.pool().release("pvc-1").unwrap();
        assert_eq!(lab.read("data"), "x");
        lab.pool().purge("pvc-1").unwrap();
        lab.pool().empty_trash(&mut || true).unwrap();
        assert!(lab.below("", 1).is_empty() && lab.pool().list().unwrap().is_empty());
    }
}

#[test]
fn a_bad_claim_is_told() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(lab.root.path(), "trusted.kadalu.claim", b"{\"size\": -1}", flags).unwrap();
    for error in [
        lab.pool().claim(&new("pvc-1", SIZE, Reclaim::Delete)).unwrap_err(),
        lab.pool().claimed().unwrap_err(),
        lab.pool().release("pvc-1").unwrap_err(),
        create(&lab.pool(), "pvc-1", SIZE, Reclaim::Delete).unwrap_err(),
    ] {
        assert_eq!(error.reason(), Reason::Precondition);
        assert!(error.to_string().contains("trusted.kadalu.claim"), "{error}");
    }
}
