//! What a PV goes through, and what stands in its way.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    time::{Duration, SystemTime},
};

use super::*;
use crate::storage::{Reason, layout::Place};

pub(super) const KADALU: &str =
    r#"{"size": 1048576, "path_prefix": "subvol/d3/d3", "x-of-others": [1, 2.5]}"#;

pub(super) fn reason<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Reason {
    outcome.unwrap_err().reason()
}

#[test]
fn a_pv_is_created_grown_and_deleted() {
    let (lab, pool) = (Lab::new(), Lab::pool);
    let pv = lab.create("pvc-1", Reclaim::Delete);
    assert_eq!((&*pv.path, &*pv.name, pv.state), ("subvol/d3/d3/pvc-1", "pvc-1", State::InUse));
    let mode = fs::metadata(lab.path(&pv.path)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o777);
    let record = lab.read("info/subvol/d3/d3/pvc-1.json");
    let start = r#"{"size":1048576,"path_prefix":"subvol/d3/d3","reclaim":"delete","created":"20"#;
    assert!(record.starts_with(start) && record.ends_with(",\"quota\":\"best-effort\"}\n"), "{record}");

    let again = create(&pool(&lab), "pvc-1", SIZE, Reclaim::Delete).unwrap();
    assert_eq!((&again, pool(&lab).get("pvc-1").unwrap().as_ref()), (&pv, Some(&pv)));
    assert_eq!(pool(&lab).expand("pvc-1", &at_least(3 * SIZE), 1.0).unwrap().size, 3 * SIZE);
    assert_eq!(pool(&lab).expand("pvc-1", &at_least(SIZE), 1.0).unwrap().size, 3 * SIZE);
    assert_eq!(reason(pool(&lab).expand("pvc-1", &exactly(SIZE), 1.0)), Reason::OutOfRange);
    assert_eq!(reason(pool(&lab).expand("pvc-2", &exactly(SIZE), 1.0)), Reason::NotFound);
    lab.audit(&pool(&lab).list().unwrap());

    pool(&lab).delete("pvc-1", Reclaim::Retain).unwrap();
    pool(&lab).delete("pvc-1", Reclaim::Retain).unwrap();
    assert_eq!(pool(&lab).get("pvc-1").unwrap(), None);
    lab.audit(&[]);
    assert_eq!(lab.below(".kadalu-trash", 9).len(), 2);
    assert_eq!(pool(&lab).empty_trash(&mut || true).unwrap(), 2);
    assert!(!lab.path(".kadalu-trash").exists());
}

#[test]
fn one_that_is_there_and_differs_is_refused() {
    let lab = Lab::new();
    lab.create("pvc-1", Reclaim::Archive);
    let pool = lab.pool();
    for (name, range, reclaim) in [
        ("pvc-1", exactly(SIZE + 1), Reclaim::Archive),
        ("pvc-1", at_least(2 * SIZE), Reclaim::Archive),
        ("pvc-1", exactly(SIZE), Reclaim::Delete),
    ] {
        let error = pool.create(&new(name, range.required, reclaim), &range, 1.0).unwrap_err();
        assert_eq!(error.reason(), Reason::Exists, "{error}");
    }
    let fits = Range { required: 1, limit: Some(2 * SIZE) };
    assert_eq!(pool.create(&new("pvc-1", 1, Reclaim::Archive), &fits, 1.0).unwrap().size, SIZE);
    assert_eq!(reason(pool.create(&new("a", 5, Reclaim::Delete), &exactly(6), 1.0)), Reason::OutOfRange);
    let mode = NewPv { mode: Some(0o10777), ..new("a", 5, Reclaim::Delete) };
    assert_eq!(reason(pool.create(&mode, &exactly(5), 1.0)), Reason::Invalid);
    assert_eq!(reason(create(&pool, "a\0", 5, Reclaim::Delete)), Reason::Invalid);
}

#[test]
fn names_of_any_kind_make_pvs() {
    let lab = Lab::new();
    for name in ["a/b", "..", "archived-pvc-1", "größe\n1", &"/".repeat(128), &"n".repeat(128)] {
        let pv = lab.create(name, Reclaim::Delete);
        assert_eq!(pv.name, name);
        assert_eq!(create(&lab.pool(), name, SIZE, Reclaim::Delete).unwrap(), pv);
        assert_eq!(lab.pool().get(&pv.component).unwrap(), Some(pv.clone()));
        lab.pool().delete(&pv.component, Reclaim::Retain).unwrap();
    }
    lab.audit(&[]);
    // A PV of kadalu whose name looks like another's encoded one.
    lab.write(&format!("info/{}.json", Place::of("a%2Fb").unwrap()), r#"{"size": 1048576}"#);
    assert_eq!(reason(create(&lab.pool(), "a/b", SIZE, Reclaim::Delete)), Reason::Exists);
}

#[test]
fn pvs_of_kadalu_are_taken_over() {
    let lab = Lab::new();
    lab.write("info/subvol/d3/d3/pvc-1.json", KADALU);
    lab.write("subvol/d3/d3/pvc-1/data", "x");
    lab.write("stat.db", "SQLite format 3");
    let pv = lab.pool().get("pvc-1").unwrap().unwrap();
    assert_eq!((pv.size, pv.reclaim, pv.quota, &pv.created), (SIZE, None, None, &None));
    assert_eq!(create(&lab.pool(), "pvc-1", SIZE, Reclaim::Retain).unwrap(), pv);
    assert_eq!(lab.pool().capacity().unwrap().promised, SIZE);
    lab.pool().expand("pvc-1", &at_least(2 * SIZE), 1.0).unwrap();
    let record = "{\"size\":2097152,\"path_prefix\":\"subvol/d3/d3\",\"x-of-others\":[1,2.5]}\n";
    assert_eq!(lab.read("info/subvol/d3/d3/pvc-1.json"), record);
    lab.pool().delete("pvc-1", Reclaim::Archive).unwrap();
    assert_eq!(lab.read("subvol/d3/d3/archived-pvc-1/data"), "x");
    assert_eq!(short(&lab.pool().list().unwrap()), [("archived-pvc-1", 2 * SIZE, State::Archived)]);
}

#[test]
fn archives_of_kadalu_are_listed_restored_and_purged() {
    let lab = Lab::new();
    for (name, text) in [("archived-pvc-1", "1"), ("archived-pvc-1.2", "2")] {
        lab.write(&format!("info/subvol/d3/d3/{name}.json"), KADALU);
        lab.write(&format!("subvol/d3/d3/{name}/data"), text);
    }
    let pvs = lab.pool().list().unwrap();
    assert!(pvs.iter().all(|pv| pv.state == State::Archived && pv.name == "pvc-1"), "{pvs:?}");
    assert_eq!(lab.pool().capacity().unwrap().promised, 2 * SIZE);
    let pv = lab.pool().restore("archived-pvc-1.2", "back").unwrap();
    assert_eq!(
        (&*pv.component, pv.state, lab.read(&format!("{}/data", pv.path))),
        ("back", State::InUse, "2".into())
    );
    assert_eq!(reason(lab.pool().purge("back")), Reason::Precondition);
    assert_eq!(reason(lab.pool().purge("archived-back")), Reason::NotFound);
    lab.pool().purge("archived-pvc-1").unwrap();
    lab.audit(&[pv]);
}

#[test]
fn each_policy_does_what_it_says() {
    let lab = Lab::new();
    for _ in 0..2 {
        lab.create("pvc-1", Reclaim::Archive);
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
        lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    }
    let kept = lab.create("kept", Reclaim::Retain);
    lab.pool().delete("kept", Reclaim::Delete).unwrap();
    let pvs = lab.pool().list().unwrap();
    let expected = [
        ("archived-pvc-1", SIZE, State::Archived),
        ("archived-pvc-1.2", SIZE, State::Archived),
        ("kept", SIZE, State::Retained),
    ];
    assert_eq!(short(&pvs), expected);
    lab.audit(&pvs);
    assert_eq!(lab.pool().capacity().unwrap().promised, 3 * SIZE);

    // A retained one can still be used, but not be created.
    assert_eq!(lab.pool().get("kept").unwrap().unwrap().state, State::Retained);
    assert_eq!(reason(create(&lab.pool(), "kept", SIZE, Reclaim::Retain)), Reason::Exists);
    assert_eq!(lab.pool().restore("kept", "kept").unwrap(), kept);
    assert_eq!(lab.pool().restore("kept", "kept").unwrap(), kept);
    assert_eq!(reason(lab.pool().restore("kept", "other")), Reason::Precondition);

    let pv = lab.pool().restore("archived-pvc-1.2", "pvc-1").unwrap();
    assert_eq!((pv.name.as_str(), lab.read("subvol/d3/d3/pvc-1/data").as_str()), ("pvc-1", "pvc-1"));
    assert_eq!(reason(lab.pool().restore("archived-pvc-1", "pvc-1")), Reason::Exists);
    assert_eq!(reason(lab.pool().restore("archived-pvc-7", "x")), Reason::NotFound);
    let slashed = lab.pool().restore("archived-pvc-1", "a/b").unwrap();
    assert_eq!((&*slashed.name, &*slashed.component), ("a/b", "a%2Fb"));
    lab.audit(&lab.pool().list().unwrap());
}

#[test]
fn two_of_one_name_are_told_apart_by_their_paths() {
    let lab = Lab::new();
    for name in ["pvc-1", "pvc-1", "pvc-1.2"] {
        lab.create(name, Reclaim::Archive);
        lab.pool().delete(name, Reclaim::Delete).unwrap();
    }
    let pvs = lab.pool().list().unwrap();
    assert_eq!(pvs.iter().filter(|pv| pv.component == "archived-pvc-1.2").count(), 2);
    assert_eq!(reason(lab.pool().purge("archived-pvc-1.2")), Reason::Precondition);
    lab.pool().purge("subvol/d3/d3/archived-pvc-1.2").unwrap();
    let pv = lab.pool().restore("archived-pvc-1.2", "pvc-1.2").unwrap();
    assert_eq!(lab.read(&format!("{}/data", pv.path)), "pvc-1.2");
    lab.audit(&lab.pool().list().unwrap());
}

#[test]
fn what_has_no_record_is_not_touched() {
    let lab = Lab::new();
    lab.write("subvol/d3/d3/pvc-1/data", "somebody's");
    assert_eq!(reason(create(&lab.pool(), "pvc-1", SIZE, Reclaim::Delete)), Reason::Precondition);
    assert_eq!(reason(lab.pool().delete("pvc-1", Reclaim::Delete)), Reason::Precondition);
    assert_eq!(lab.pool().get("pvc-1").unwrap(), None);
    assert_eq!(lab.read("subvol/d3/d3/pvc-1/data"), "somebody's");
    // A directory in the way of an archive is not written into.
    fs::create_dir_all(lab.path("subvol/d3/d3/archived-pvc-1")).unwrap();
    lab.write("info/subvol/d3/d3/pvc-1.json", KADALU);
    lab.pool().delete("pvc-1", Reclaim::Archive).unwrap();
    assert_eq!(lab.read("subvol/d3/d3/archived-pvc-1.2/data"), "somebody's");
}

#[test]
fn a_lost_directory_is_told_and_not_made() {
    let lab = Lab::new();
    let pv = lab.create("pvc-1", Reclaim::Archive);
    fs::remove_dir_all(lab.path(&pv.path)).unwrap();
    assert_eq!(reason(lab.pool().get("pvc-1")), Reason::Precondition);
    assert_eq!(reason(lab.pool().expand("pvc-1", &at_least(2 * SIZE), 1.0)), Reason::Precondition);
    assert!(!lab.path(&pv.path).exists());
    lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    lab.audit(&[]);
}

#[test]
fn permissions_are_given_once() {
    let lab = Lab::new();
    let private = NewPv { mode: Some(0o2770), ..new("pvc-1", SIZE, Reclaim::Delete) };
    let mode = || fs::metadata(lab.path("subvol/d3/d3/pvc-1")).unwrap().permissions().mode() & 0o7777;
    lab.pool().create(&private, &exactly(SIZE), 1.0).unwrap();
    assert_eq!(mode(), 0o2770);
    fs::set_permissions(lab.path("subvol/d3/d3/pvc-1"), fs::Permissions::from_mode(0o711)).unwrap();
    lab.pool().create(&private, &exactly(SIZE), 1.0).unwrap();
    assert_eq!(mode(), 0o711);
}

#[test]
fn a_bad_record_spoils_its_own_pv_only() {
    let lab = Lab::new();
    let good = lab.create("good", Reclaim::Delete);
    let big = format!(r#"{{"size": 1, "x": "{}"}}"#, "x".repeat(64 << 10));
    for bad in ["", "{\"size\": 10", r#"{"size": -1}"#, r#"{"size": 0.5}"#, &big, "\0\u{1}"] {
        lab.write("info/subvol/d3/d3/pvc-1.json", bad);
        lab.write("subvol/d3/d3/pvc-1/data", "x");
        let error = lab.pool().get("pvc-1").unwrap_err();
        assert!(error.to_string().contains("info/subvol/d3/d3/pvc-1.json"), "{error}");
        assert_eq!(reason(create(&lab.pool(), "pvc-1", SIZE, Reclaim::Delete)), Reason::Precondition);
        assert_eq!(reason(lab.pool().delete("pvc-1", Reclaim::Delete)), Reason::Precondition);
        assert_eq!(lab.pool().list().unwrap(), std::slice::from_ref(&good));
        assert_eq!(lab.pool().capacity().unwrap().promised, SIZE);
    }
    // What is no file at all, and what nobody would look for.
    fs::remove_file(lab.path("info/subvol/d3/d3/pvc-1.json")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lab.path("info/subvol/d3/d3/pvc-1.json"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    lab.write("info/subvol/00/00/pvc-2.json", r#"{"size": 1}"#);
    lab.write("info/subvol/zz/00/pvc-2.json", r#"{"size": 1}"#);
    lab.write("info/subvol/file", "");
    lab.write("info/subvol/d3/00", "");
    assert_eq!(reason(lab.pool().get("pvc-1")), Reason::Precondition);
    assert_eq!(lab.pool().list().unwrap(), [good]);
}

#[test]
fn links_are_not_followed() {
    let (lab, outside) = (Lab::new(), Lab::new());
    outside.write("d3/pvc-1.json", KADALU);
    outside.write("d3/pvc-1/data", "outside");
    let before = outside.below("", 9);
    let good = lab.create("good", Reclaim::Delete);
    for (link, dir) in
        [("info/subvol/d3", ""), ("subvol/d3", ""), ("info/subvol/d3/d3", "d3"), ("subvol/d3/d3", "d3")]
    {
        fs::create_dir_all(lab.path(link).parent().unwrap()).unwrap();
        symlink(outside.path(dir), lab.path(link)).unwrap();
        assert_eq!(
            reason(create(&lab.pool(), "pvc-1", SIZE, Reclaim::Delete)),
            Reason::Precondition,
            "{link}"
        );
        assert!(lab.pool().delete("pvc-1", Reclaim::Delete).is_err() || !link.starts_with("info"), "{link}");
        assert_eq!(lab.pool().list().unwrap(), std::slice::from_ref(&good));
        fs::remove_file(lab.path(link)).unwrap();
    }
    // A record and a PV that are links themselves.
    lab.write("info/subvol/d3/d3/x", "");
    symlink(outside.path("d3/pvc-1.json"), lab.path("info/subvol/d3/d3/pvc-1.json")).unwrap();
    assert_eq!(reason(lab.pool().get("pvc-1")), Reason::Precondition);
    fs::remove_file(lab.path("info/subvol/d3/d3/pvc-1.json")).unwrap();
    lab.write("info/subvol/d3/d3/pvc-1.json", KADALU);
    fs::create_dir_all(lab.path("subvol/d3/d3")).unwrap();
    symlink(outside.path("d3/pvc-1"), lab.path("subvol/d3/d3/pvc-1")).unwrap();
    assert_eq!(reason(lab.pool().get("pvc-1")), Reason::Precondition);
    lab.pool().delete("pvc-1", Reclaim::Delete).unwrap();
    lab.pool().empty_trash(&mut || true).unwrap();
    // A trash that leads elsewhere.
    symlink(outside.path("d3"), lab.path(".kadalu-trash")).unwrap();
    assert_eq!(reason(lab.pool().empty_trash(&mut || true)), Reason::Precondition);
    assert_eq!(reason(lab.pool().delete("good", Reclaim::Delete)), Reason::Precondition);
    assert_eq!(outside.below("", 9), before);
}

#[test]
fn what_the_killed_left_behind_is_swept() {
    let lab = Lab::new();
    let [old, young] = ["1", "2"].map(|n| format!("info/subvol/d3/d3/.pvc-1.json.{n}"));
    lab.write(&old, "half");
    lab.write(&young, "half");
    let hours_ago = SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(lab.path(&old)).unwrap().set_modified(hours_ago).unwrap();
    lab.pool().refresh().unwrap();
    assert!(!lab.path(&old).exists() && lab.path(&young).exists());
    let pv = lab.create("pvc-1", Reclaim::Delete);
    lab.audit(&[pv]);
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let lab = Lab::new();
    let pool = &lab.pool();
    let names = (0..24).map(|n| format!("pvc-{n}")).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || {
                for _ in 0..3 {
                    create(pool, name, SIZE, Reclaim::Delete).unwrap();
                    pool.delete(name, Reclaim::Delete).unwrap();
                }
                create(pool, name, SIZE, Reclaim::Delete).unwrap();
            });
        }
        scope.spawn(|| (0..5).for_each(|_| pool.refresh().unwrap()));
        scope.spawn(|| (0..5).for_each(|_| drop(pool.empty_trash(&mut || true))));
    });
    let pvs = pool.list().unwrap();
    assert_eq!(pvs.len(), names.len());
    assert_eq!(pool.capacity().unwrap().promised, names.len() as u64 * SIZE);
    lab.audit(&pvs);
}

#[test]
fn an_unmounted_volume_is_not_taken_for_the_directory_beneath() {
    let lab = Lab::new();
    let Some(mounted) = Mounted::at(lab.path("mnt")) else { return };
    let pool = Pool::open(&lab.path("mnt")).unwrap();
    create(&pool, "pvc-1", SIZE, Reclaim::Delete).unwrap();
    drop(mounted);
    assert_eq!(reason(pool.get("pvc-1")), Reason::Gone);
    assert_eq!(reason(create(&pool, "pvc-2", SIZE, Reclaim::Delete)), Reason::Gone);
    assert!(lab.below("mnt", 1).is_empty());
    assert!(Pool::open(&lab.path("nowhere")).is_err());
}
