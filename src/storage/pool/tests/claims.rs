//! Whole volumes.

use std::{fs, os::unix::fs::symlink};

use super::*;
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
