//! Holds generated code fresh: `tests/generated/*.rs`, which `xdrgen` makes of `xdr/*.x`, and `src/mount/generated.rs`,
//! which tonic makes of `proto/mount.proto`. A test target of its own: a stale oracle must not keep the test that mends it
//! from compiling.

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
fn the_control_interface_is_made_of_its_proto_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // In Rust, so that nobody needs protoc.
    let descriptors = protox::compile([root.join("proto/mount.proto")], [root.join("proto")]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .btree_map(".")
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .out_dir(directory.path())
        .compile_fds(descriptors)
        .unwrap();
    let fresh = fs::read(directory.path().join("kadalu.mount.v1.rs")).unwrap();
    let path = root.join("src/mount/generated.rs");
    if fs::read(&path).ok().as_ref() != Some(&fresh) {
        fs::write(&path, fresh).unwrap();
        panic!("stale: regenerated, commit it: {}", path.display());
    }
}

#[test]
fn no_interface_is_left_out() {
    let directory = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("xdr")).unwrap();
    let mut names =
        directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, INTERFACES.map(|name| format!("{name}.x")));
}
