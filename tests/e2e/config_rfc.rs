//! The RFC's `storage-config.yaml`, byte for byte, to a volume that is mounted: by its storage class, by its name in a
//! class of the operator's making, and without Kubernetes.

use std::fs;
use std::sync::Once;

use serde_json::Value;

use crate::checked::Checked;
use crate::driver::{Driver, GIB, again, audit};
use crate::lab::{Kind, Lab, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; storage_class, by_name, edited, mounted_by_hand, looked_at }

/// Where every host has it.
pub(crate) const FILE: &str = "/mnt/shared/rfc.yaml";

/// The same in this repository.
pub(crate) const RFC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storages/rfc.yaml");

/// What the provisioner adds to a class's parameters, with `--extra-create-metadata`.
const METADATA: [(&str, &str); 3] = [
    ("csi.storage.k8s.io/pv/name", "pvc-0"),
    ("csi.storage.k8s.io/pvc/name", "claim"),
    ("csi.storage.k8s.io/pvc/namespace", "default"),
];

/// Makes the file true in a lab: its server has the RFC's name, and so has its volume.
pub(crate) fn prepare(lab: &Lab) {
    fs::copy(RFC, lab.shared().join("rfc.yaml")).expect("the RFC's file");
    lab.client().knows(lab.host(0), "node1");
    lab.start_volume("volume_name", Kind::Replica3);
    lab.host(0).wait_online("volume_name");
}

/// The lab in which it is true for all stories of this file.
fn bed(labs: &Labs) -> &Lab {
    static BED: Once = Once::new();
    BED.call_once(|| prepare(labs.plain()));
    labs.plain()
}

/// What a pod writes is there, on every brick, and the option of the file is in force.
pub(crate) fn serves(driver: &Driver<'_>, lab: &Lab, pv: &str, parameters: &[(&str, &str)]) {
    let (volume, target) = driver.serve(pv, &[parameters, &METADATA].concat());
    let client = lab.client();
    client.shell(&format!("mkdir {target}/dir; echo data >{target}/dir/file; sync {target}/dir/file"));
    assert_eq!(client.shell(&format!("cat {target}/dir/file")), "data\n");
    for server in lab.servers() {
        let there = audit(server, "volume_name");
        assert!(
            there.directories.iter().any(|name| name == pv),
            "{}: {:?}",
            server.name(),
            there.directories
        );
    }
    let processes = driver.processes();
    assert!(!processes.is_empty(), "no glusterfs serves it");
    for pid in processes {
        let flags = client.shell(&format!("tr '\\0' ' ' </proc/{pid}/cmdline"));
        assert!(flags.contains("DEBUG"), "{flags}");
    }
    driver.end_of(&volume, &target);
}

/// What a cluster's admin applies, as the file says it.
fn storage_class(labs: &Labs) {
    let lab = bed(labs);
    let said = lab.client().kadalu(&["config", FILE, "--format", "json"]).expect(0);
    let objects: Vec<Value> = serde_json::from_slice(&said.stdout).expect("an array of objects");
    let is_it = |object: &&Value| {
        object["kind"] == "StorageClass" && object["metadata"]["name"] == "kadalu.external.ext-storage"
    };
    let class = objects.iter().find(is_it).unwrap_or_else(|| panic!("no such class: {}", said.text()));
    assert_eq!(class["provisioner"], "kadalu", "{class}");
    let parameters = class["parameters"].as_object().expect("parameters");
    let text = |(key, value): (&'_ String, &'_ Value)| {
        (key.clone(), value.as_str().unwrap_or_else(|| panic!("no text: {class}")).to_owned())
    };
    let parameters: Vec<(String, String)> = parameters.iter().map(text).collect();
    let parameters: Vec<_> = parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    serves(&Driver::start(lab, "rfc-class", &[]), lab, "pvc-rfc-class", &parameters);
}

fn by_name(labs: &Labs) {
    let lab = bed(labs);
    let driver = Driver::start(lab, "rfc-name", &["--storages", FILE]);
    let parameters = [("hostvol_type", "External"), ("storage_name", "ext-storage")];
    serves(&driver, lab, "pvc-rfc-name", &parameters);
}

/// Who has given a server's name wrong can mend it where it stands, without a restart of anything.
fn edited(labs: &Labs) {
    let lab = bed(labs);
    let file = "/mnt/shared/rfc-edited.yaml";
    lab.client().shell(&format!("sed 's/node1/nosuchnode/' {FILE} >{file}"));
    let driver = Driver::start(lab, "rfc-edited", &["--storages", file]);
    let parameters = [("storage_name", "ext-storage")];
    let early = driver.block(driver.caller().create("pvc-rfc-edited", GIB, &parameters));
    let early = early.expect_err("there is no such server");
    assert!(again(&early) && early.message().contains("nosuchnode"), "{early:?}");
    lab.client().shell(&format!("cp {FILE} {file}.new; mv {file}.new {file}"));
    let created = eventually("the file is read anew", || {
        driver.block(driver.caller().create("pvc-rfc-edited", GIB, &parameters)).ok()
    });
    driver.block(driver.caller().delete(&created.volume_id)).expect("it is deleted");
    serves(&driver, lab, "pvc-rfc-edited", &parameters);
}

fn mounted_by_hand(labs: &Labs) {
    let lab = bed(labs);
    let host = MountHost::start(lab.client(), "rfc-mount");
    let target = host.target("data");
    host.kadalu(&["mount", "-f", FILE, &target]).expect(0);
    lab.client().shell(&format!("echo data >{target}/by-hand; sync {target}/by-hand"));
    let said = lab.host(0).shell("cat /mnt/bricks/volume_name-0/by-hand");
    assert_eq!((said.as_str(), host.mounts().is_empty()), ("data\n", false));
    host.umount(&target);
    assert_eq!(host.mounts(), Vec::new());
    host.kadalu(&["mount", "-f", FILE, "--storage", "nonesuch", &target])
        .expect(2)
        .says(&["nonesuch", "ext-storage"]);
}

fn looked_at(labs: &Labs) {
    let lab = bed(labs);
    let said = lab.client().kadalu(&["check", "-f", FILE, "--no-status", "--format", "json"]).expect(0);
    let reports: Value = serde_json::from_slice(&said.stdout).expect("a report");
    Checked::read(reports.get(0).unwrap_or(&reports)).only(&[]);
}
