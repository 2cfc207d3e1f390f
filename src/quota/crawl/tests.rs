//! What a look at a brick does and says.

use std::{fs, os::unix::fs::MetadataExt};

use super::*;
use crate::{
    quota::{fake::Lab, xfs::Support},
    storage::quota::{Asked, Share},
};

const GIB: u64 = 1 << 30;

fn code(pv: &PvStatus) -> Option<Code> {
    pv.in_force.problem.as_ref().map(|problem| problem.code)
}

#[test]
fn a_pv_gets_a_project_a_limit_and_the_word_and_nothing_is_written_twice() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    let dry = lab.only(Mode::DryRun);
    assert_eq!(
        (dry.changed, dry.in_force.project, dry.in_force.limits.unwrap().bytes),
        (true, Some(1000), GIB)
    );
    let checked = lab.only(Mode::Check);
    assert_eq!((code(&checked), checked.in_force.project), (Some(Code::Pending), None));
    assert!(lab.kernel.writes().is_empty() && lab.said("pvc-1").is_none());

    let pv = lab.only(Mode::Apply);
    assert_eq!((&*pv.path, pv.changed, code(&pv)), ("subvol/d3/d3/pvc-1", true, None));
    assert_eq!(lab.kernel.writes(), ["put 1000", "put 1000 inherit", "limit 1000 1073741824"]);
    let said = lab.said("pvc-1").unwrap();
    assert_eq!(said, pv.in_force);
    assert_eq!((&*said.brick, said.project, said.limits.unwrap().bytes), ("g1:/bricks/b", Some(1000), GIB));
    assert_eq!(said.asked.unwrap().generation, crate::storage::quota::generation(br#"{"size":1073741824}"#));
    for mode in [Mode::Apply, Mode::DryRun, Mode::Check] {
        let pv = lab.only(mode);
        assert_eq!((pv.changed, code(&pv), pv.in_force.limits), (false, None, said.limits));
    }
    assert!(lab.kernel.writes().is_empty());
}

#[test]
fn limits_grow_and_shrink_but_not_below_use() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.look(Mode::Apply);
    lab.kernel.use_bytes(1000, GIB / 2);
    for (size, limit, problem) in [
        (2 * GIB, 2 * GIB, None),
        (GIB / 4, GIB / 2, Some(Code::InUse)),
        (3 * GIB, 3 * GIB, None),
        (GIB / 2, GIB / 2, None),
    ] {
        lab.create("pvc-1", size);
        let pv = lab.only(Mode::Apply);
        assert_eq!((lab.kernel.limits(1000).bytes, code(&pv)), (limit, problem));
        assert_eq!(lab.said("pvc-1").unwrap(), pv.in_force);
    }
    // A limit below use is somebody's, and stays; it follows once there is room.
    lab.create("pvc-1", GIB / 4);
    lab.kernel.use_bytes(1000, GIB);
    let pv = lab.only(Mode::Apply);
    assert_eq!((lab.kernel.limits(1000).bytes, code(&pv)), (GIB / 2, Some(Code::InUse)));
    assert!(pv.in_force.problem.unwrap().sentence.contains("delete from it, or expand it"));
    lab.kernel.use_bytes(1000, 0);
    assert_eq!((code(&lab.only(Mode::Apply)), lab.kernel.limits(1000).bytes), (None, GIB / 4));
}

#[test]
fn what_the_record_cannot_say_its_attribute_does() {
    let Some(mut lab) = Lab::new() else { return };
    lab.brick.share = Share { data: 3, arbiter: false };
    lab.create("pvc-1", 0);
    lab.write("pvc-1", b"\x93fragments");
    let pv = lab.only(Mode::Apply);
    assert_eq!((code(&pv), pv.in_force.project), (Some(Code::RecordUnreadable), None));
    assert!(lab.kernel.writes().is_empty());
    let generation = "0123456789abcdef".to_owned();
    let asked = Asked { size: 3 * GIB, soft_percent: Some(50), inodes: Some(100), generation };
    lab.ask("pvc-1", &Asked { generation: "x".repeat(3000), ..asked });
    assert_eq!(code(&lab.only(Mode::Apply)), Some(Code::RecordUnreadable));
    lab.ask("pvc-1", &asked);
    let pv = lab.only(Mode::Apply);
    let limits = pv.in_force.limits.unwrap();
    assert_eq!((limits.bytes, limits.soft, limits.inodes), (GIB, Some(GIB / 2), Some(100)));
    // What is not asked for any more is taken away.
    lab.ask("pvc-1", &Asked { soft_percent: None, inodes: None, ..asked });
    let limits = lab.only(Mode::Apply).in_force.limits.unwrap();
    assert_eq!((limits.soft, limits.inodes), (None, None));
}

#[test]
fn a_record_that_was_rewritten_in_place_is_followed_and_not_its_old_attribute() {
    let Some(mut lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    let generation = crate::storage::quota::generation(br#"{"size":1073741824}"#);
    let asked = Asked { size: GIB, soft_percent: None, inodes: Some(100), generation };
    lab.ask("pvc-1", &asked);
    assert_eq!(lab.only(Mode::Apply).in_force.asked.unwrap(), asked);
    for (record, size) in [(&br#"{"size":2147483648}"#[..], 2 * GIB), (b"", GIB), (b"\x93fragments", GIB)] {
        fs::write(lab.record("pvc-1"), record).unwrap();
        let pv = lab.only(Mode::Apply);
        assert_eq!((code(&pv), pv.in_force.asked.unwrap().size), (None, size));
    }
    // What reads as a record may be a fragment of one.
    lab.brick.share = Share { data: 2, arbiter: false };
    fs::write(lab.record("pvc-1"), br#"{"size":2147483648}"#).unwrap();
    assert_eq!(lab.only(Mode::Apply).in_force.asked.unwrap(), asked);
}

#[test]
fn ids_and_limits_of_kadalu_quotad_are_kept() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.kernel.set(&lab.pv("pvc-1"), 77, true);
    let limits = crate::storage::quota::Limits { bytes: GIB, soft: None, inodes: Some(9) };
    let root = fs::File::open(lab.path("")).unwrap();
    lab.kernel.limit(root.as_fd(), 77, limits).unwrap();
    lab.kernel.writes();
    let pv = lab.only(Mode::Apply);
    assert_eq!((pv.in_force.project, pv.in_force.limits, code(&pv)), (Some(77), Some(limits), None));
    assert!(lab.kernel.writes().is_empty());
}

#[test]
fn a_soft_limit_of_somebody_else_shrinks_with_the_pv() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.look(Mode::Apply);
    let root = fs::File::open(lab.path("")).unwrap();
    let limits = crate::storage::quota::Limits { bytes: GIB, soft: Some(GIB / 2), inodes: None };
    lab.kernel.limit(root.as_fd(), 1000, limits).unwrap();
    for (size, soft) in [(GIB, GIB / 2), (GIB / 4, GIB / 4), (GIB, GIB / 4)] {
        lab.create("pvc-1", size);
        let pv = lab.only(Mode::Apply);
        assert_eq!(
            (code(&pv), lab.kernel.limits(1000).bytes, lab.kernel.limits(1000).soft),
            (None, size, soft)
        );
    }
}

#[test]
fn a_project_has_one_owner() {
    let Some(lab) = Lab::new() else { return };
    for name in ["pvc-1", "pvc-2", "pvc-3"] {
        lab.create(name, GIB);
    }
    lab.kernel.set(&lab.pv("pvc-2"), 77, true);
    lab.look(Mode::Apply);
    assert_eq!(lab.said("pvc-2").unwrap().project, Some(77));
    // Copied by somebody, with all of its attributes.
    lab.kernel.set(&lab.pv("pvc-1"), 77, true);
    let pvs = lab.look(Mode::Apply).pvs;
    let taken = pvs.iter().find(|pv| pv.path.ends_with("pvc-1")).unwrap();
    assert_eq!(code(taken), Some(Code::ProjectTaken));
    let sentence = &taken.in_force.problem.as_ref().unwrap().sentence;
    assert!(sentence.contains("chproj 0") && sentence.contains("pvc-2"), "{sentence}");
    assert!(pvs.iter().filter(|pv| code(pv).is_none()).count() == 2);
    // What kadalu-quotad has chosen for two, as numbers of inodes are longer than those of projects, is mended.
    let inode = fs::metadata(lab.pv("pvc-1")).unwrap().ino();
    let number = u32::try_from(inode & u64::from(u32::MAX)).unwrap();
    lab.kernel.set(&lab.pv("pvc-1"), number, true);
    lab.kernel.set(&lab.pv("pvc-3"), number, true);
    lab.say("pvc-3", &crate::storage::quota::InForce { project: Some(number), ..lab.said("pvc-3").unwrap() });
    assert!(lab.look(Mode::Apply).pvs.iter().all(|pv| code(pv).is_none()));
    assert!((1000..2000).contains(&lab.said("pvc-1").unwrap().project.unwrap()));
    assert_eq!(lab.said("pvc-3").unwrap().project, Some(number));
}

#[test]
fn an_inherited_project_is_not_the_pvs() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    for path in ["subvol/d3/d3", "subvol/d3/d3/pvc-1"] {
        lab.kernel.set(&lab.path(path), 5, true);
    }
    let pv = lab.only(Mode::Apply);
    assert_eq!((pv.in_force.project, code(&pv)), (Some(1000), None));
}

#[test]
fn the_word_of_another_brick_counts_as_none() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.look(Mode::Apply);
    let own = lab.said("pvc-1").unwrap();
    lab.say(
        "pvc-1",
        &crate::storage::quota::InForce { brick: "g2:/bricks/b".into(), project: Some(5), ..own.clone() },
    );
    assert_eq!(code(&lab.only(Mode::Check)), Some(Code::Pending));
    let pv = lab.only(Mode::Apply);
    assert_eq!(
        (pv.changed, pv.in_force.project, lab.said("pvc-1").unwrap().brick),
        (true, own.project, own.brick)
    );
}

#[test]
fn limits_go_with_the_last_file() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.kernel.set(&lab.path("subvol"), 1500, false);
    lab.look(Mode::Apply);
    let inode = fs::metadata(lab.pv("pvc-1")).unwrap().ino();
    fs::create_dir(lab.path(".kadalu-trash")).unwrap();
    fs::rename(lab.pv("pvc-1"), lab.path(".kadalu-trash/pvc-1.1")).unwrap();
    fs::remove_file(lab.record("pvc-1")).unwrap();
    // The trash keeps it, and the next of its name gets another.
    lab.create("pvc-1", 2 * GIB);
    assert_eq!(lab.only(Mode::Apply).in_force.project, Some(1001));
    assert_eq!(lab.kernel.limits(1000).bytes, GIB);
    lab.kernel.forget(inode);
    lab.look(Mode::DryRun);
    assert_eq!(lab.kernel.limits(1000).bytes, GIB);
    lab.look(Mode::Apply);
    assert_eq!((lab.kernel.limits(1000).bytes, lab.kernel.limits(1001).bytes), (0, 2 * GIB));
    assert_eq!(lab.kernel.limits(1500).used_inodes, 1);
}

#[test]
fn hostile_bricks_are_named_and_harm_nobody() {
    let Some(lab) = Lab::new() else { return };
    let outside = tempfile::TempDir::new().unwrap();
    for name in ["good", "bad-json", "link", "is-link", "file", "huge", "missing", "directory", "deleting"] {
        lab.create(name, GIB);
    }
    lab.write("bad-json", b"{\"size\":");
    lab.write("huge", &vec![b' '; 1 << 20]);
    lab.write("deleting", br#"{"size":1,"state":"deleting"}"#);
    fs::remove_file(lab.record("link")).unwrap();
    fs::remove_file(lab.record("directory")).unwrap();
    fs::create_dir(lab.record("directory")).unwrap();
    std::os::unix::fs::symlink(outside.path(), lab.record("link")).unwrap();
    fs::remove_dir(lab.pv("is-link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), lab.pv("is-link")).unwrap();
    fs::remove_dir(lab.pv("file")).unwrap();
    fs::write(lab.pv("file"), "").unwrap();
    fs::remove_dir(lab.pv("missing")).unwrap();
    fs::create_dir_all(lab.path("info/subvol/d3/d3")).unwrap();
    fs::write(lab.path("info/subvol/d3/elsewhere.json"), "").unwrap();
    fs::write(lab.path("info/subvol/d3/d3/elsewhere\n.json"), "").unwrap();
    let status = lab.look(Mode::Apply);
    let found =
        |name: &str| code(status.pvs.iter().find(|pv| pv.path.ends_with(&format!("/{name}"))).unwrap());
    assert_eq!(found("good"), None);
    for (name, expected) in [
        ("bad-json", Code::RecordInvalid),
        ("link", Code::RecordInvalid),
        ("directory", Code::RecordInvalid),
        ("is-link", Code::NotDirectory),
        ("file", Code::NotDirectory),
        ("huge", Code::RecordInvalid),
        ("missing", Code::NoDirectory),
    ] {
        assert_eq!(found(name), Some(expected), "{name}");
    }
    assert!(!status.pvs.iter().any(|pv| pv.path.ends_with("/deleting")));
    assert!(matches!(&*status.skipped, [one] if one.contains("elsewhere\\n.json")), "{:?}", status.skipped);
    assert_eq!(lab.kernel.of(outside.path()).id, 0);
}

#[test]
fn a_brick_that_limits_nothing_says_why_and_nothing_is_done() {
    let Some(mut lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    for (support, expected, word) in [
        (Ok(Support::NotXfs), Code::NotXfs, "XFS"),
        (Ok(Support::KernelWithoutQuota), Code::KernelWithoutQuota, "CONFIG_XFS_QUOTA"),
        (Ok(Support::Off), Code::NoProjectQuota, "prjquota"),
        (Ok(Support::Counted), Code::NotEnforced, "pqnoenforce"),
        (Err(rustix::io::Errno::PERM), Code::Denied, "CAP_SYS_ADMIN"),
        (Err(rustix::io::Errno::IO), Code::Failed, "Input/output error"),
    ] {
        lab.kernel.set_support(support);
        let status = lab.look(Mode::Apply);
        let problem = status.problem.unwrap();
        assert!(problem.code == expected && problem.sentence.contains(word), "{problem}");
        assert_eq!(code(&status.pvs[0]), Some(expected));
    }
    lab.kernel.set_support(Ok(Support::Enforced));
    let path = lab.brick.path.clone();
    lab.brick.volume_id = [8; 16];
    assert_eq!(lab.look(Mode::Apply).problem.unwrap().code, Code::NoBrick);
    lab.brick.path = lab.path("subvol");
    assert_eq!(lab.look(Mode::Apply).problem.unwrap().code, Code::NoBrick);
    lab.brick.path = lab.path("nothing");
    assert_eq!(lab.look(Mode::Apply).problem.unwrap().code, Code::NoBrick);
    assert!(lab.kernel.writes().is_empty());
    (lab.brick.path, lab.brick.volume_id) = (path, [7; 16]);
    // Limits that are not those of PVs are set, and said to be none.
    lab.brick.problem = Some(Problem::new(Code::Distributed, "distributed"));
    let pv = lab.only(Mode::Apply);
    assert_eq!((code(&pv), pv.in_force.limits.unwrap().bytes), (Some(Code::Distributed), GIB));
    assert_eq!(lab.look(Mode::Apply).problem.unwrap().code, Code::Distributed);
}

#[test]
fn nothing_is_put_where_modes_would_not_be_kept() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    let look = |mode| {
        // Of this thread alone.
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(rustix::thread::CapabilitySet::FSETID);
        rustix::thread::set_capabilities(None, sets).unwrap();
        lab.look(mode)
    };
    std::thread::scope(|scope| {
        let problem = scope.spawn(|| look(Mode::Apply)).join().unwrap().problem.unwrap();
        assert!(problem.code == Code::Denied && problem.sentence.contains("CAP_FSETID"), "{problem}");
        assert!(lab.kernel.writes().is_empty());
        assert_eq!(scope.spawn(|| look(Mode::DryRun)).join().unwrap().problem, None);
    });
}

#[test]
fn no_project_is_left() {
    let Some(mut lab) = Lab::new() else { return };
    lab.options.project_ids = 0..=2;
    for name in ["pvc-1", "pvc-2", "pvc-3"] {
        lab.create(name, GIB);
    }
    lab.kernel.use_bytes(2, 1);
    let mut codes = lab.look(Mode::Apply).pvs.iter().map(code).collect::<Vec<_>>();
    codes.sort();
    assert_eq!(codes, [None, Some(Code::NoProject), Some(Code::NoProject)]);
}

#[test]
fn records_beyond_the_bound_are_counted_and_no_more() {
    let Some(lab) = Lab::new() else { return };
    let places = ["pvc-1", "pvc-2", "pvc-3", "pvc-4"].map(|name| {
        lab.create(name, GIB);
        Place::of(name).unwrap()
    });
    let mut keeper = Keeper::new(lab.brick.clone(), &lab.options, Mode::Apply);
    keeper.most = 2;
    let look = Look::begin(&lab.brick, Mode::Apply, &*lab.kernel).unwrap();
    keeper.crawl(&look, &mut NoWatch, &AtomicBool::new(false));
    for place in &places {
        keeper.one(&look, place, &mut NoWatch);
    }
    let status = keeper.told.status(&lab.brick);
    assert!(status.pvs.len() == 2 && status.pvs.iter().all(|pv| code(pv).is_none()));
    let problem = status.problem.unwrap();
    assert!(problem.sentence.contains("2 records of PVs more than the 2"), "{problem}");
    keeper.most = 4;
    keeper.crawl(&look, &mut NoWatch, &AtomicBool::new(false));
    let status = keeper.told.status(&lab.brick);
    assert_eq!((status.pvs.len(), status.problem), (4, None));
}

#[test]
fn archived_pvs_keep_their_limits() {
    let Some(lab) = Lab::new() else { return };
    lab.create("pvc-1", GIB);
    lab.look(Mode::Apply);
    let [record, pv] = [lab.record("pvc-1"), lab.pv("pvc-1")];
    fs::rename(&record, record.with_file_name("archived-pvc-1.json")).unwrap();
    fs::rename(&pv, pv.with_file_name("archived-pvc-1")).unwrap();
    lab.kernel.writes();
    let pv = lab.only(Mode::Apply);
    assert_eq!(
        (&*pv.path, pv.changed, pv.in_force.project),
        ("subvol/d3/d3/archived-pvc-1", false, Some(1000))
    );
    assert!(lab.kernel.writes().is_empty());
}

#[test]
fn ten_thousand_pvs_are_looked_at_and_left_alone() {
    let Some(mut lab) = Lab::new() else { return };
    lab.options.project_ids = 1..=20_000;
    for n in 0..10_000 {
        lab.create(&format!("pvc-{n}"), GIB);
    }
    assert_eq!(lab.look(Mode::Apply).pvs.len(), 10_000);
    assert_eq!(lab.kernel.writes().len(), 30_000);
    let status = lab.look(Mode::Apply);
    assert!(status.pvs.iter().all(|pv| !pv.changed && pv.in_force.problem.is_none()));
    assert!(lab.kernel.writes().is_empty());
}
