//! Holds generated code fresh: `tests/generated/*.rs`, which `xdrgen` makes of `xdr/*.x`, and `src/mount/generated.rs` and
//! `src/csi/generated.rs`, which tonic makes of `proto/mount.proto` and `proto/csi.proto`, and the manifests that are made of
//! the operator. A test target of its own: a stale oracle must not keep the test that mends it from compiling.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{fs, path::Path};

use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic_prost_build::Builder;

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
    let configured =
        tonic_prost_build::configure().btree_map(".").type_attribute(".", "#[derive(serde::Serialize)]");
    hold_fresh("src/mount/generated.rs", &made(configured, compiled("mount.proto"), "kadalu.mount.v1"));
}

#[test]
fn the_storage_interface_is_made_of_its_proto_as_it_stands() {
    let mut descriptors = compiled("csi.proto");
    let file = descriptors.file.iter_mut().find(|file| file.package() == "csi.v1").unwrap();
    // The other services, which stand behind those, are not ours.
    file.service.retain(|service| ["Identity", "Controller", "Node"].contains(&service.name()));
    let secret = |message: &&DescriptorProto| message.field.iter().any(|field| field.name() == SECRET);
    let secret = file.message_type.iter().filter(secret).cloned().collect::<Vec<_>>();
    assert!(secret.len() > 10, "{} messages hold secrets: has the field another name?", secret.len());
    let configured = tonic_prost_build::configure()
        .btree_map(".")
        // A call that we do not offer.
        .generate_default_stubs(true)
        .skip_debug(secret.iter().map(|message| format!(".csi.v1.{}", message.name())));
    let mut fresh = made(configured, descriptors, "csi.v1");
    fresh.extend(secret.iter().map(debug).collect::<String>().bytes());
    hold_fresh("src/csi/generated.rs", &fresh);
}

#[cfg(feature = "operator")]
#[test]
fn the_manifests_are_made_of_the_operator_as_it_stands() {
    use glusterd_client::operator::{crd, rbac};

    hold_fresh("deploy/kubernetes/crd.yaml", crd::manifest().unwrap().as_bytes());
    hold_fresh("deploy/kubernetes/rbac-operator.yaml", rbac::manifest().unwrap().as_bytes());
}

/// The field, of whatever message, that nobody may see.
const SECRET: &str = "secrets";

/// How a message with secrets shows itself: without them.
fn debug(message: &DescriptorProto) -> String {
    let (name, fields) = (message.name(), message.field.iter().map(|field| field.name()));
    let shown = fields.filter(|field| *field != SECRET).fold(String::new(), |shown, field| {
        shown + &format!("\n            .field(\"{field}\", &self.{field})")
    });
    format!(
        "impl ::core::fmt::Debug for {name} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> \
        ::core::fmt::Result {{\n        f.debug_struct(\"{name}\"){shown}\n            \
        .finish_non_exhaustive()\n    }}\n}}\n"
    )
}

/// In Rust, so that nobody needs protoc.
fn compiled(proto: &str) -> FileDescriptorSet {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    protox::compile([directory.join(proto)], [directory]).unwrap()
}

fn made(configured: Builder, descriptors: FileDescriptorSet, package: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    configured.out_dir(directory.path()).compile_fds(descriptors).unwrap();
    fs::read(directory.path().join(format!("{package}.rs"))).unwrap()
}

fn hold_fresh(path: &str, fresh: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if fs::read(&path).ok().as_deref() != Some(fresh) {
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
