//! On the files of a real glusterd 10.3: `tests/glusterd` is what one of three nodes had of volumes of all kinds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::storage::quota::{Code, Share};

/// A copy of them, to change.
struct Glusterd(tempfile::TempDir);

impl Glusterd {
    fn new() -> Self {
        let copy = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/glusterd");
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            fs::create_dir_all(copy.path().join(&directory)).unwrap();
            for entry in fs::read_dir(from.join(&directory)).unwrap() {
                let path = directory.join(entry.unwrap().file_name());
                match from.join(&path).is_dir() {
                    true => directories.push(path),
                    false => drop(fs::copy(from.join(&path), copy.path().join(&path)).unwrap()),
                }
            }
        }
        Self(copy)
    }

    fn read(&self) -> Exports {
        Exports::read(self.0.path()).unwrap()
    }

    /// Replaces a file by rename, as glusterd does.
    fn put(&self, path: &str, text: &str) {
        let new = self.0.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.0.path().join(path)).unwrap();
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.0.path().join(path)).unwrap();
        assert!(text.contains(from), "{text}");
        self.put(path, &text.replace(from, to));
    }

    /// What is not understood, with `DIR` for its directory.
    fn faults(&self) -> Vec<String> {
        let directory = self.0.path().display().to_string();
        self.read().faults.iter().map(|fault| fault.replace(&directory, "DIR")).collect()
    }
}

fn names(exports: &Exports) -> Vec<&str> {
    exports.bricks.iter().map(|brick| brick.name.as_str()).collect()
}

#[test]
fn the_option_exports_what_is_local() {
    let glusterd = Glusterd::new();
    let exports = glusterd.read();
    let expected = [
        "g1:/mnt/arb",
        "g1:/mnt/dd1",
        "g1:/mnt/disp6924",
        "g1:/mnt/disp707",
        "g1:/mnt/dr1",
        "g1:/mnt/dr2",
        "g1:/mnt/vol",
    ];
    assert_eq!(names(&exports), expected);
    assert_eq!(
        exports.faults,
        ["the volume one: user.kadalu.export is \"maybe\", and neither on nor off; it counts as off"]
    );
    let brick = |path: &str| exports.bricks.iter().find(|brick| brick.path == Path::new(path)).unwrap();
    let vol = brick("/mnt/vol");
    assert_eq!((vol.volume.as_str(), vol.volume_id[..2].to_vec()), ("vol", vec![0xd2, 0x87]));
    assert_eq!((vol.share, &vol.problem), (Share { data: 1, arbiter: false }, &None));
    assert_eq!(brick("/mnt/arb").share, Share { data: 1, arbiter: true });
    assert_eq!(brick("/mnt/disp707").share, Share { data: 3, arbiter: false });
    let problem = |path| brick(path).problem.clone().unwrap();
    assert_eq!((problem("/mnt/dd1").code, problem("/mnt/dr1").code), (Code::Distributed, Code::Sharded));
    assert!(problem("/mnt/dd1").sentence.contains("the volume dd distributes files over 2 sets"));
    glusterd.edit("vols/dr/info", "features.shard=on", "features.shard=off");
    let sentence = glusterd.read().bricks.remove(4).problem.unwrap().sentence;
    assert!(sentence.contains("the volume dr distributes files over 2 sets"), "{sentence}");
}

#[test]
fn the_lists_export_too() {
    let glusterd = Glusterd::new();
    for volume in ["vol", "arb", "disp"] {
        glusterd.edit(&format!("vols/{volume}/info"), "user.kadalu.export=on", "user.kadalu.export=Disable");
    }
    for volume in ["dr", "dd", "one"] {
        glusterd.edit(&format!("vols/{volume}/info"), "user.kadalu.export=", "user.kadalu.other=");
    }
    assert_eq!(names(&glusterd.read()), [""; 0]);
    glusterd.put("kadalu.info", r#"{"version": 1, "bricks": ["/mnt/dr2/", "/mnt/disp707", "/mnt/ta2"]}"#);
    assert_eq!(names(&glusterd.read()), ["g1:/mnt/disp707", "g1:/mnt/dr2"]);
    glusterd.put("kadalustorage.info", "one # and\nta\n");
    assert_eq!(names(&glusterd.read()), ["g1:/mnt/disp707", "g1:/mnt/dr2", "g1:/mnt/one", "g1:/mnt/ta1"]);
    let elsewhere =
        "DIR/kadalu.info, entry 3: \"/mnt/ta2\" is no brick of a volume on this host; the rest is used";
    assert_eq!(glusterd.faults(), [elsewhere]);
    glusterd.put("kadalustorage.info", r#"{"version": 1, "volumes": ["one", "two", 3]}"#);
    assert_eq!(
        glusterd.faults(),
        [
            "DIR/kadalustorage.info, entry 3: it is no text; the rest is used",
            "DIR/kadalustorage.info, entry 2: there is no volume \"two\" in this cluster; the rest is used",
            elsewhere,
        ]
    );
}

#[test]
fn old_files_name_no_node() {
    let glusterd = Glusterd::new();
    for (brick, host) in [("g1:-mnt-vol", "g1"), ("g2:-mnt-vol", "g2")] {
        let text = format!("hostname={host}\npath=/mnt/vol\nlisten-port=0\n");
        glusterd.put(&format!("vols/vol/bricks/{brick}"), &text);
    }
    let exports = glusterd.read();
    let of_vol = |brick: &&LocalBrick| brick.volume == "vol";
    assert_eq!(
        exports.bricks.iter().filter(of_vol).map(|brick| &brick.name).collect::<Vec<_>>(),
        ["g1:/mnt/vol"]
    );
}

#[test]
fn a_bad_file_spoils_itself() {
    let glusterd = Glusterd::new();
    glusterd.edit("vols/arb/info", "volume-id=", "volume-id=x");
    glusterd.edit("vols/dd/info", "count=2", "count=-2");
    glusterd.edit("vols/vol/info", "brick-0=g1:-mnt-vol", "brick-0=../../arb/bricks/g1:-mnt-arb");
    glusterd.edit("vols/disp/bricks/g1:-mnt-disp707", "path=/mnt", "path=mnt");
    fs::remove_file(glusterd.0.path().join("vols/disp/bricks/g1:-mnt-disp6924")).unwrap();
    fs::remove_file(glusterd.0.path().join("vols/one/info")).unwrap();
    fs::create_dir(glusterd.0.path().join("vols/half-made")).unwrap();
    fs::create_dir_all(glusterd.0.path().join("vols/directory/info")).unwrap();
    assert_eq!(names(&glusterd.read()), ["g1:/mnt/dr1", "g1:/mnt/dr2"]);
    assert_eq!(
        glusterd.faults(),
        [
            "DIR/vols/arb/info: \"x3cbbdf23-e9eb-438f-8c59-9fea130a515d\" is no UUID; bricks of it are not looked after",
            "DIR/vols/dd/info: its count is no number: \"-2\"; bricks of it are not looked after",
            "DIR/vols/directory/info: not a plain file; bricks of it are not looked after",
            "the volume disp: DIR/vols/disp/bricks/g1:-mnt-disp707: \"g1:mnt/disp707\" is no place of a brick; this brick is not looked after",
            "the volume disp: DIR/vols/disp/bricks/g1:-mnt-disp6924: No such file or directory (os error 2); this brick is not looked after",
            "the volume vol: its info names a brick \"../../arb/bricks/g1:-mnt-arb\"; this brick is not looked after",
        ]
    );
}

#[test]
fn no_number_makes_it_panic() {
    let glusterd = Glusterd::new();
    for (from, to) in [
        ("replica_count=3", "replica_count=0"),
        ("disperse_count=0", "disperse_count=18446744073709551615"),
        ("redundancy_count=0", "redundancy_count=18446744073709551615"),
        ("count=3", "count=18446744073709551615"),
    ] {
        glusterd.edit("vols/vol/info", from, to);
        let exports = glusterd.read();
        assert!(exports.bricks.iter().any(|brick| brick.share.data > 0 && brick.volume == "vol"), "{to}");
    }
}

#[test]
fn a_host_without_glusterd_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let why = Exports::read(directory.path()).unwrap_err();
    let path = directory.path().display();
    assert_eq!(
        why,
        format!(
            "{path}/glusterd.info: No such file or directory (os error 2); \
             it is written at glusterd's first start on this host"
        )
    );
    fs::write(directory.path().join("glusterd.info"), "UUID=c3a7e485-75b9-40f7-b497-1944fa4ac879\n").unwrap();
    let exports = Exports::read(directory.path()).unwrap();
    assert!(exports.bricks.is_empty() && exports.faults.is_empty());
}

#[test]
fn changes_are_seen() {
    let glusterd = Glusterd::new();
    let mut exports = glusterd.read();
    let mut seen = |what: &str| {
        assert!(exports.changed(), "{what}");
        exports = glusterd.read();
        assert!(!exports.changed(), "{what}");
        exports.bricks.len()
    };
    glusterd.put("kadalustorage.info", "ta\n");
    assert_eq!(seen("a list is made"), 8);
    fs::write(glusterd.0.path().join("kadalustorage.info"), "ta # the same\n").unwrap();
    assert_eq!(seen("a list is written in place"), 8);
    glusterd.edit("vols/one/info", "maybe", "true");
    assert_eq!(seen("an option"), 9);
    glusterd.edit("vols/vol/bricks/g1:-mnt-vol", "path=/mnt/vol", "path=/mnt/lov");
    assert_eq!(seen("a brick"), 9);
    fs::remove_file(glusterd.0.path().join("kadalustorage.info")).unwrap();
    assert_eq!(seen("a list is gone"), 8);
    fs::remove_dir_all(glusterd.0.path().join("vols/dr")).unwrap();
    assert_eq!(seen("a volume is gone"), 6);
}
