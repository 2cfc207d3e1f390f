//! `kadalu pvs` on a directory that looks like a volume.

use std::{fs, path::Path};

use serde_json::Value;

use super::support::{Ran, run};

/// A volume with a PV in use, one that kadalu has archived, and something in the trash.
fn volume() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("written");
    };
    for name in ["pvc-1", "archived-pvc-1"] {
        let record = r#"{"size": 1073741824, "path_prefix": "subvol/d3/d3"}"#;
        write(&format!("info/subvol/d3/d3/{name}.json"), record);
        write(&format!("subvol/d3/d3/{name}/data"), name);
    }
    write(".kadalu-trash/pvc-0.1767225600000/data", "");
    root
}

fn pvs(root: &Path, arguments: &[&str]) -> Ran {
    run(&[&["pvs", root.to_str().expect("UTF-8")], arguments].concat())
}

#[test]
fn pvs_are_listed() {
    let volume = volume();
    let table = pvs(volume.path(), &[]).ok();
    let lines = table.lines().collect::<Vec<_>>();
    let expected = [
        "PV              SIZE      STATE     RECLAIM  CREATED  PATH",
        "archived-pvc-1  1.00 GiB  archived  -        -        subvol/d3/d3/archived-pvc-1",
        "pvc-1           1.00 GiB  in-use    -        -        subvol/d3/d3/pvc-1",
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].starts_with("  2.00 GiB promised of "), "{table}");

    let json: Value = serde_json::from_str(&pvs(volume.path(), &["--format", "json"]).ok()).expect("JSON");
    assert_eq!(json["capacity"]["promised"], 2_u64 << 30);
    let archived = &json["pvs"][0];
    assert_eq!((&archived["name"], &archived["state"]), (&"pvc-1".into(), &"archived".into()));
    assert_eq!((&archived["size"], &archived["reclaim"]), (&(1_u64 << 30).into(), &Value::Null));
}

#[test]
fn what_was_put_aside_is_restored_or_purged() {
    let volume = volume();
    let taken = pvs(volume.path(), &["--restore", "archived-pvc-1"]);
    assert_eq!((taken.code, taken.stdout.as_str()), (Some(1), ""));
    assert!(
        taken.stderr.contains("restore subvol/d3/d3/archived-pvc-1 under another name"),
        "{}",
        taken.stderr
    );
    let path = pvs(volume.path(), &["--restore", "archived-pvc-1", "--as", "back"]).ok();
    let path = volume.path().join(path.trim_end());
    assert_eq!(fs::read_to_string(path.join("data")).expect("its data"), "archived-pvc-1");

    let used = pvs(volume.path(), &["--purge", "back", "--empty-trash"]);
    assert_eq!(used.code, Some(1));
    assert!(used.stderr.contains("is in use"), "{}", used.stderr);
    assert_eq!(pvs(volume.path(), &["--empty-trash"]).ok(), "2\n");
    let removed = pvs(volume.path(), &["--empty-trash", "--format", "json"]).ok();
    assert_eq!(removed, "{\n  \"removed\": 0\n}\n");

    let retained = path.strip_prefix(volume.path()).expect("below");
    let record = volume.path().join("info").join(format!("{}.json", retained.display()));
    fs::write(record, r#"{"size": 5, "state": "retained"}"#).expect("written");
    assert_eq!(pvs(volume.path(), &["--purge", "back"]).ok(), "");
    assert!(!path.exists() && volume.path().join(".kadalu-trash").exists());
}

#[test]
fn what_makes_no_sense_is_told() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let shown = empty.path().display().to_string();
    let ran = pvs(empty.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr, format!("kadalu: {shown} holds no PVs\n"));
    for (arguments, code) in [
        (&["--restore", "archived-x"][..], 10),
        (&["--restore", "archived-x", "--as", "y"], 10),
        (&["--restore", "../x", "--as", "y"], 2),
        (&["--restore", "archived-x", "--as", ""], 2),
        (&["--purge", "archived-x"], 10),
        (&["--purge", "subvol/../x"], 2),
        (&["--as", "x"], 2),
        (&["--restore", "x", "--purge", "y"], 2),
    ] {
        let ran = pvs(empty.path(), arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(pvs(Path::new("/nowhere/at/all"), &[]).code, Some(1));
    assert_eq!(pvs(Path::new("g1:/vol/directory"), &[]).code, Some(2));
    let socket = empty.path().join("s");
    assert_eq!(pvs(Path::new("g1:/vol"), &["--socket", socket.to_str().expect("UTF-8")]).code, Some(12));
}
