//! The limit of a PV, stated at its record.

use super::{super::tree::seam, *};
use crate::storage::quota::{self, ASKED, Asked, generation};

/// What is stated at a record.
fn stated(lab: &Lab, pv: &Pv) -> Option<Asked> {
    let mut value = vec![0; quota::MAX_VALUE];
    let record = lab.path(&format!("info/{}.json", pv.path));
    let length = rustix::fs::getxattr(record, ASKED, &mut value[..]).ok()?;
    quota::read(&value[..length])
}

#[test]
fn a_record_states_its_limit_from_its_first_moment() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let new = NewPv { soft_percent: Some(80), inodes: Some(9), ..new("a", SIZE, Reclaim::Retain) };
    let pv = lab.pool().create(&new, &Range::default(), 1.0).unwrap();
    let asked = pv.asked.clone().unwrap();
    assert_eq!((asked.size, asked.soft_percent, asked.inodes), (SIZE, Some(80), Some(9)));
    let record = lab.read(&format!("info/{}.json", pv.path));
    assert_eq!((stated(&lab, &pv), asked.generation.clone()), (Some(asked), generation(record.as_bytes())));

    let grown = lab.pool().expand("a", &Range { required: 2 * SIZE, limit: None }, 1.0).unwrap();
    assert_eq!((stated(&lab, &pv), grown.asked.as_ref().unwrap().size), (grown.asked.clone(), 2 * SIZE));
    assert_eq!(lab.pool().get("a").unwrap().unwrap().asked, grown.asked);
    lab.pool().delete("a", Reclaim::Delete).unwrap();
    assert_eq!(lab.pool().restore("a", "a").unwrap().asked, stated(&lab, &pv));
}

#[test]
fn the_limit_of_a_record_is_not_stated_at_the_next_one() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let pv = lab.create("a", Reclaim::Retain);
    let grow = |times: u64, step| {
        let root = lab.root.path().to_owned();
        let expand = move || {
            let larger = Range { required: times * SIZE, limit: None };
            Pool::open(&root).unwrap().expand("a", &larger, 1.0).unwrap();
        };
        let there = seam::at_step(step, expand, || drop(lab.pool().state_quota("a")));
        (there, lab.pool().get("a").unwrap().unwrap().asked)
    };
    for times in 2.. {
        let (there, asked) = grow(times, times as u32 - 2);
        if !there {
            assert!(times > 5, "no step between them");
            return;
        }
        assert_eq!((stated(&lab, &pv), asked.as_ref().unwrap().size), (asked.clone(), times * SIZE));
    }
}

#[test]
fn what_has_no_limit_states_none() {
    let lab = Lab::new();
    let new = NewPv { quota: QuotaPolicy::Off, ..new("a", SIZE, Reclaim::Retain) };
    let pv = lab.pool().create(&new, &Range::default(), 1.0).unwrap();
    assert_eq!((stated(&lab, &pv), pv.asked, lab.pool().state_quota("a").unwrap()), (None, None, None));
    assert_eq!(lab.pool().state_quota("b").unwrap(), None);
}

#[test]
fn records_of_kadalu_are_stated_when_they_are_met() {
    let lab = Lab::new();
    if !has_attributes(&lab) {
        return;
    }
    let pv = lab.create("a", Reclaim::Delete);
    let record = format!("info/{}.json", pv.path);
    let of_kadalu = format!(r#"{{"size": {SIZE}, "path_prefix": "x"}}"#);
    let rewrite = || {
        fs::remove_file(lab.path(&record)).unwrap();
        lab.write(&record, &of_kadalu);
        assert_eq!(stated(&lab, &pv), None);
    };
    rewrite();
    let asked = lab.pool().state_quota("a").unwrap();
    assert_eq!((asked.as_ref().unwrap().size, stated(&lab, &pv)), (SIZE, asked.clone()));
    rewrite();
    lab.pool().refresh().unwrap();
    assert_eq!(stated(&lab, &pv), asked);
    // A link that somebody has put there leads nowhere.
    fs::remove_file(lab.path(&record)).unwrap();
    std::os::unix::fs::symlink(lab.path("subvol"), lab.path(&record)).unwrap();
    assert!(lab.pool().state_quota("a").is_err());
}
