//! Holds `tests/generated/*.rs`, which `xdrgen` makes of `xdr/*.x`, fresh. A test target of its own: a stale file must not
//! keep the test that mends it from compiling.

use std::{fs, path::Path};

/// Each `xdr/NAME.x` has its `tests/generated/NAME.rs`.
const INTERFACES: [&str; 7] = ["auth", "callback", "cli", "dump", "handshake", "portmap", "rpc"];

#[test]
fn the_oracle_is_made_of_the_interface_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = Vec::new();
    for name in INTERFACES {
        let source = fs::read(root.join(format!("xdr/{name}.x"))).unwrap();
        let mut fresh = Vec::new();
        xdrgen::generate(&format!("{name}.x"), &*source, &mut fresh)
            .expect("xdrgen understands the interface");
        let path = root.join(format!("tests/generated/{name}.rs"));
        if fs::read(&path).ok().as_ref() != Some(&fresh) {
            fs::write(&path, fresh).unwrap();
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale: regenerated, commit it: {stale:?}");
}

#[test]
fn no_interface_is_left_out() {
    let directory = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("xdr")).unwrap();
    let mut names =
        directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, INTERFACES.map(|name| format!("{name}.x")));
}
