//! What a worker does and says.

use std::{fs, os::unix::fs::MetadataExt};

use super::*;
use crate::{
    quota::{PvStatus, fake::Lab},
    storage::quota::{ASKED, Asked, Code, InForce, STATED},
};

const GIB: u64 = 1 << 30;

fn start(lab: &Lab) -> Worker {
    Worker::start(lab.brick.clone(), lab.options.clone(), lab.kernel.clone()).unwrap()
}

/// Waits until something holds; what never does ends the test, however long that takes.
fn until(worker: &Worker, what: &str, holds: impl Fn(&BrickStatus) -> bool) -> BrickStatus {
    for _ in 0..10_000 {
        let status = worker.status();
        if worker.figures().crawled.is_some() && holds(&status) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    panic!("{what} never came: {:?} {:?}", worker.status(), worker.figures());
}

fn limit(status: &BrickStatus, name: &str) -> Option<u64> {
    let pv = status.pvs.iter().find(|pv| pv.path.ends_with(name))?;
    pv.in_force.limits.filter(|_| pv.in_force.problem.is_none()).map(|limits| limits.bytes)
}

fn code(pv: &PvStatus) -> Option<Code> {
    pv.in_force.problem.as_ref().map(|problem| problem.code)
}

#[test]
fn records_are_followed_as_they_come_change_and_go() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    until(&worker, "the first look", |status| status.pvs.is_empty());
    // With all directories on its way, which nobody watched yet.
    lab.create("pvc-1", GIB);
    until(&worker, "the first PV", |status| limit(status, "pvc-1") == Some(GIB));
    lab.create("pvc-1", 2 * GIB);
    until(&worker, "its growth", |status| limit(status, "pvc-1") == Some(2 * GIB));
    // In place, as kadalu writes.
    fs::write(lab.record("pvc-1"), br#"{"size":4096}"#).unwrap();
    until(&worker, "what was written in place", |status| limit(status, "pvc-1") == Some(4096));
    let generation = quota::generation(br#"{"size":4096}"#);
    lab.ask("pvc-1", &Asked { size: GIB, soft_percent: None, inodes: None, generation });
    until(&worker, "what the attribute asks", |status| limit(status, "pvc-1") == Some(GIB));
    assert_eq!(worker.take_lags().len(), 4);
    fs::remove_file(lab.record("pvc-1")).unwrap();
    until(&worker, "its end", |status| status.pvs.is_empty());
    fs::remove_dir_all(lab.path("info")).unwrap();
    lab.create("pvc-2", GIB);
    until(&worker, "another in new directories", |status| limit(status, "pvc-2") == Some(GIB));
    assert_eq!(worker.figures().unwatched, None);
}

#[test]
fn a_directory_that_comes_after_its_record_is_waited_for() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    lab.write("pvc-1", br#"{"size":1073741824}"#);
    let missing = |status: &BrickStatus| status.pvs.iter().any(|pv| code(pv) == Some(Code::NoDirectory));
    until(&worker, "the record", missing);
    fs::create_dir_all(lab.pv("pvc-1")).unwrap();
    until(&worker, "the directory", |status| limit(status, "pvc-1") == Some(GIB));
    assert_eq!(worker.figures().waiting, 0);
}

#[test]
fn what_is_stated_at_the_directory_of_records_is_followed() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    lab.create("pvc-1", GIB);
    until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
    // As glusterfs does, by a name of the record that nobody watches.
    let elsewhere = lab.path("elsewhere");
    fs::hard_link(lab.record("pvc-1"), &elsewhere).unwrap();
    let set = |path: &std::path::Path, name, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    let record = fs::read(lab.record("pvc-1")).unwrap();
    let asked =
        Asked { size: 2 * GIB, soft_percent: None, inodes: None, generation: quota::generation(&record) };
    set(&elsewhere, ASKED, &quota::write(&asked).unwrap());
    set(lab.record("pvc-1").parent().unwrap(), STATED, b"pvc-1.json");
    until(&worker, "what is stated", |status| limit(status, "pvc-1") == Some(2 * GIB));
}

#[test]
fn what_self_heal_copies_over_a_word_of_ours_does_not_stay() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    lab.create("pvc-1", GIB);
    until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
    let own = lab.said("pvc-1").unwrap();
    lab.say("pvc-1", &InForce { brick: "g2:/bricks/b".into(), ..own.clone() });
    until(&worker, "its own word again", |_| lab.said("pvc-1").is_some_and(|said| said.brick == own.brick));
}

#[test]
fn the_cost_of_a_look_is_what_it_uses_of_a_processor() {
    let before = processor_time().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    while processor_time().unwrap() == before {
        std::hint::spin_loop();
    }
    assert!(processor_time().unwrap() > before);
}

#[test]
fn a_record_that_is_empty_at_first_is_read_again() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    lab.create("pvc-1", GIB);
    let limited = until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
    lab.write("pvc-1", b"");
    until(&worker, "an empty record", |status| code(&status.pvs[0]) == Some(Code::RecordUnreadable));
    // In place, and by a name that nobody watches.
    let elsewhere = lab.path("elsewhere");
    fs::hard_link(lab.record("pvc-1"), &elsewhere).unwrap();
    fs::write(&elsewhere, br#"{"size":4096}"#).unwrap();
    until(&worker, "the record", |status| limit(status, "pvc-1") == Some(4096));
    assert_eq!(limited.pvs.len(), 1);
}

#[test]
fn the_limit_of_a_pv_that_is_gone_goes_with_its_last_file() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    lab.create("pvc-1", GIB);
    until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
    let project = lab.kernel.of(&lab.pv("pvc-1")).id;
    fs::remove_file(lab.record("pvc-1")).unwrap();
    until(&worker, "its end", |status| status.pvs.is_empty());
    assert_eq!(lab.kernel.limits(project).bytes, GIB);
    lab.kernel.forget(fs::metadata(lab.pv("pvc-1")).unwrap().ino());
    until(&worker, "the end of its limit", |_| lab.kernel.limits(project).bytes == 0);
}

#[test]
fn the_brick_says_that_it_is_looked_after() {
    let Some(lab) = Lab::new() else { return };
    let worker = start(&lab);
    let said = || {
        let value = lab.attribute(&lab.path(""), QUOTAD)?;
        quota::read::<Daemon>(&value)
    };
    until(&worker, "its word", |_| said().is_some());
    let own = said().unwrap();
    assert_eq!((&*own.brick, own.problem.clone()), ("g1:/bricks/b", None));
    // Self-heal copies that of another brick.
    let other = quota::write(&Daemon { brick: "g2:/bricks/b".into(), ..own }).unwrap();
    rustix::fs::setxattr(lab.path(""), QUOTAD, &other, rustix::fs::XattrFlags::empty()).unwrap();
    until(&worker, "its own word again", |_| said().is_some_and(|said| said.brick == "g1:/bricks/b"));
}

#[test]
fn a_brick_that_goes_comes_back() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    let away = lab.path("").with_extension("away");
    fs::rename(lab.path(""), &away).unwrap();
    let worker = start(&lab);
    let absent =
        |status: &BrickStatus| status.problem.as_ref().is_some_and(|problem| problem.code == Code::NoBrick);
    for _ in 0..10_000 {
        if absent(&worker.status()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(absent(&worker.status()) && worker.status().pvs.is_empty());
    fs::rename(&away, lab.path("")).unwrap();
    until(&worker, "the brick", |status| limit(status, "pvc-1") == Some(GIB));
    worker.stop();
    // Nothing of it is held.
    assert_eq!(Arc::strong_count(&lab.kernel), 1);
}

#[test]
fn a_large_pv_is_marked_while_others_are_not_kept_waiting() {
    let Some(lab) = Lab::new() else { return };
    lab.create("large", GIB);
    for n in 0..20_000 {
        fs::write(lab.pv("large").join(n.to_string()), "").unwrap();
    }
    let worker = start(&lab);
    until(&worker, "the beginning", |status| {
        status.pvs.iter().any(|pv| code(pv) == Some(Code::Unmarked)) || limit(status, "large").is_some()
    });
    lab.create("small", GIB);
    until(&worker, "the small one", |status| limit(status, "small") == Some(GIB));
    until(&worker, "the large one", |status| limit(status, "large") == Some(GIB));
    assert_eq!(lab.said("large").unwrap().problem, None);
    assert_eq!(lab.kernel.limits(lab.said("large").unwrap().project.unwrap()).used_inodes, 20_001);
}

#[test]
fn large_pvs_are_marked_in_turn() {
    let Some(lab) = Lab::new() else { return };
    // Each of the first alone takes longer than all of the last, which is looked at after them.
    let mut names = (0..2 * MAX_MARKING).map(|n| format!("pvc-{n}")).collect::<Vec<_>>();
    names.sort_by_key(|name| Place::of(name).unwrap());
    let last = names.split_off(MAX_MARKING - 1).swap_remove(0);
    for (name, size, files) in names.iter().map(|name| (name, GIB, 10_000)).chain([(&last, 2 * GIB, 2000)]) {
        lab.create(name, size);
        for n in 0..files {
            fs::write(lab.pv(name).join(n.to_string()), "").unwrap();
        }
    }
    let worker = start(&lab);
    until(&worker, "the large ones", |status| names.iter().all(|name| limit(status, name) == Some(GIB)));
    until(&worker, "the last", |status| limit(status, &last) == Some(2 * GIB));
    let writes = lab.kernel.writes();
    let first = writes.iter().find(|write| write.starts_with("limit ")).unwrap();
    assert!(first.ends_with(&format!(" {}", 2 * GIB)), "{first}");
}
