//! Every call, killed before each of its system calls, then made again: it ends as if it had not been killed.

use super::{super::tree::seam::killed_after, *};
use crate::storage::Reason;

/// Kills `call` after 0, 1, 2 … steps, each time on a new volume that `prepare` has made, and looks each time after it was
/// made again; says how many steps it has.
fn at_every_step(
    prepare: impl Fn(&Lab),
    call: impl Fn(&Pool) -> Result<(), Error>,
    between: impl Fn(&Lab),
    after: impl Fn(&Lab),
) -> u32 {
    for steps in 0.. {
        let lab = Lab::new();
        prepare(&lab);
        let pool = lab.pool();
        match killed_after(steps, || call(&pool)) {
            Some(outcome) => {
                outcome.unwrap();
                after(&lab);
                return steps;
            }
            None => {
                between(&lab);
                let again = call(&lab.pool());
                // All was done, but for saying so.
                let done = |error: &Error| error.reason() == Reason::NotFound;
                assert!(again.as_ref().err().is_none_or(done), "killed after {steps} steps: {again:?}");
                after(&lab);
            }
        }
    }
    unreachable!()
}

/// The PVs are these, and there is nothing else; each has its data.
fn are(expected: &'static [(&'static str, u64, State)]) -> impl Fn(&Lab) {
    move |lab| {
        let pvs = lab.pool().list().unwrap();
        assert_eq!(short(&pvs), expected);
        lab.audit(&pvs);
        let sum = expected.iter().map(|(_, size, _)| size).sum::<u64>();
        assert_eq!(lab.pool().capacity().unwrap().promised, sum);
    }
}

/// The data of a PV that must not be lost is somewhere among the PVs, and every directory there has a record.
fn kept(data: &'static str) -> impl Fn(&Lab) {
    move |lab| {
        let found = lab.below("subvol", 4).into_iter().filter(|path| path.ends_with("/data"));
        assert!(found.map(|path| lab.read(&path)).any(|text| text == data));
        recorded(lab);
    }
}

fn recorded(lab: &Lab) {
    for path in lab.below("subvol", 3).iter().filter(|path| path.matches('/').count() == 3) {
        assert!(lab.path(&format!("info/{path}.json")).exists(), "{path} has no record");
    }
}

#[test]
fn create() {
    let call = |pool: &Pool| super::create(pool, "pvc-1", SIZE, Reclaim::Delete).map(drop);
    let steps = at_every_step(
        |_| {},
        call,
        recorded,
        |lab| {
            are(&[("pvc-1", SIZE, State::InUse)])(lab);
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(lab.path("subvol/d3/d3/pvc-1")).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o777);
        },
    );
    assert!(steps > 20, "{steps} steps: is the seam still there?");
}

#[test]
fn expand() {
    at_every_step(
        |lab| drop(lab.create("pvc-1", Reclaim::Delete)),
        |pool| pool.expand("pvc-1", &exactly(2 * SIZE), 1.0).map(drop),
        kept("pvc-1"),
        are(&[("pvc-1", 2 * SIZE, State::InUse)]),
    );
}

#[test]
fn delete() {
    let prepare = |lab: &Lab| {
        lab.create("pvc-1", Reclaim::Delete);
        lab.create("other", Reclaim::Delete);
    };
    at_every_step(
        prepare,
        |pool| pool.delete("pvc-1", Reclaim::Retain),
        kept("other"),
        |lab| {
            are(&[("other", SIZE, State::InUse)])(lab);
            let trash = lab.below(".kadalu-trash", 2);
            assert!(trash.len() == 2 && lab.read(trash.last().unwrap()) == "pvc-1", "{trash:?}");
        },
    );
}

#[test]
fn archive() {
    let prepare = |lab: &Lab| {
        lab.create("pvc-1", Reclaim::Archive);
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
        let pv = lab.create("pvc-1", Reclaim::Archive);
        lab.write(&format!("{}/data", pv.path), "second");
    };
    at_every_step(
        prepare,
        |pool| pool.delete("pvc-1", Reclaim::Delete),
        kept("second"),
        |lab| {
            are(&[("archived-pvc-1", SIZE, State::Archived), ("archived-pvc-1.2", SIZE, State::Archived)])(
                lab,
            );
            assert_eq!(lab.read("subvol/d3/d3/archived-pvc-1.2/data"), "second");
        },
    );
}

#[test]
fn retain() {
    at_every_step(
        |lab| drop(lab.create("pvc-1", Reclaim::Retain)),
        |pool| pool.delete("pvc-1", Reclaim::Delete),
        kept("pvc-1"),
        are(&[("pvc-1", SIZE, State::Retained)]),
    );
}

#[test]
fn restore() {
    let archived = |lab: &Lab| {
        lab.create("pvc-1", Reclaim::Archive);
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    };
    at_every_step(
        archived,
        |pool| pool.restore("archived-pvc-1", "pvc-1").map(drop),
        kept("pvc-1"),
        are(&[("pvc-1", SIZE, State::InUse)]),
    );
    let retained = |lab: &Lab| {
        lab.create("pvc-1", Reclaim::Retain);
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    };
    at_every_step(
        retained,
        |pool| pool.restore("pvc-1", "other").map(drop),
        kept("pvc-1"),
        are(&[("other", SIZE, State::InUse)]),
    );
}

#[test]
fn purge() {
    let prepare = |lab: &Lab| {
        lab.create("pvc-1", Reclaim::Archive);
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
        lab.create("pvc-1", Reclaim::Archive);
    };
    at_every_step(
        prepare,
        |pool| pool.purge("archived-pvc-1"),
        kept("pvc-1"),
        are(&[("pvc-1", SIZE, State::InUse)]),
    );
}

#[test]
fn create_after_a_delete_that_was_killed() {
    for reclaim in [Reclaim::Delete, Reclaim::Archive] {
        for steps in 0.. {
            let lab = Lab::new();
            lab.create("pvc-1", reclaim);
            let pool = lab.pool();
            let done = killed_after(steps, || pool.delete("pvc-1", Reclaim::Delete)).is_some();
            super::create(&lab.pool(), "pvc-1", SIZE, reclaim).unwrap();
            assert_eq!(lab.pool().get("pvc-1").unwrap().unwrap().state, State::InUse);
            lab.audit(&lab.pool().list().unwrap());
            if done {
                break;
            }
        }
    }
}

#[test]
fn emptying_the_trash() {
    let prepare = |lab: &Lab| {
        (0..3).for_each(|n| lab.write(&format!(".kadalu-trash/pvc-{n}.1/a/b"), ""));
        let deep = format!(".kadalu-trash/deep.1/{}file", "d/".repeat(40));
        lab.write(&deep, "");
    };
    let call = |pool: &Pool| pool.empty_trash(&mut || true).map(drop);
    at_every_step(prepare, call, |_| {}, |lab| assert!(lab.below("", 1).is_empty()));
}

#[test]
fn claims() {
    if !has_attributes(&Lab::new()) {
        return;
    }
    let claim = |pool: &Pool| pool.claim(&new("pvc-1", SIZE, Reclaim::Delete)).map(drop);
    let is_claimed = |lab: &Lab| assert!(lab.pool().claimed().unwrap().is_some());
    at_every_step(|_| {}, claim, |_| {}, is_claimed);

    let prepare = |lab: &Lab| {
        claim(&lab.pool()).unwrap();
        (0..5).for_each(|n| lab.write(&format!("{n}/file"), ""));
    };
    let release = |pool: &Pool| {
        pool.release("pvc-1")?;
        pool.empty_trash(&mut || true).map(drop)
    };
    at_every_step(
        prepare,
        release,
        |_| {},
        |lab| {
            assert!(lab.below("", 1).is_empty() && lab.pool().list().unwrap().is_empty());
            claim(&lab.pool()).unwrap();
        },
    );
}
