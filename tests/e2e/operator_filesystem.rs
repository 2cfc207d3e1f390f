//! Bricks that cannot enforce sizes, where they have to: there is no storage class, however often the operator looks and
//! whatever is forgotten by a restart; and there is one as soon as nobody insists on them.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::kubernetes::{INTERVAL, Kubernetes, message, state};
use crate::lab::{Host, Kind, Lab, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; file_system }

const NAME: &str = "operator-ext4";

fn file_system(labs: &Labs) {
    let lab = labs.plain();
    lab.servers().iter().for_each(|server| server.make_ext4(NAME, 2 << 30));
    let brick = format!("/mnt/ext4/{NAME}/brick");
    let bricks: Vec<(&Host, String)> = lab.servers().iter().map(|server| (server, brick.clone())).collect();
    lab.start_volume_at(NAME, Kind::Replica3, &bricks);
    lab.host(0).wait_online(NAME);
    let mut kubernetes = Kubernetes::start(lab, NAME);
    kubernetes.apply("required");
    let said = kubernetes.wait_condition("AssumptionsMet", "False FileSystem");
    assert_eq!(state(&said, "Ready"), "False AssumptionsNotMet", "{said:#}");
    for server in lab.servers() {
        let brick = format!("{}:{brick}", server.name());
        assert!(message(&said, "AssumptionsMet").contains(&brick), "{brick} is not in {said:#}");
    }

    // Later looks do not ask the bricks, as these show that find something else.
    toggled(lab, &mut kubernetes, "Started", &["stop"], &["start"]);
    let writable = |value: &'static str| ["set", "features.read-only", value];
    toggled(lab, &mut kubernetes, "Writable", &writable("on"), &writable("off"));
    assert!(nothing_is_made(&kubernetes));

    // Nor does a restart, which changes nothing at all.
    kubernetes.stop();
    let before = (kubernetes.api.get(&kubernetes.storage()), kubernetes.told(), kubernetes.api.writes());
    kubernetes.go_on();
    kubernetes.wait_look();
    thread::sleep(Duration::from_secs(2 * INTERVAL));
    let after = (kubernetes.api.get(&kubernetes.storage()), kubernetes.told(), kubernetes.api.writes());
    assert_eq!(after, before);
    assert!(nothing_is_made(&kubernetes));

    kubernetes.apply("best-effort");
    let storage = kubernetes.wait_condition("Ready", "True Ready");
    assert_eq!(state(&storage, "AssumptionsMet"), "True Warnings", "{storage:#}");
    let findings = storage["status"]["findings"].as_array().expect("findings");
    let of_disks = findings.iter().filter(|finding| finding["code"] == "file-system").collect::<Vec<_>>();
    assert!(of_disks.len() == 3 && of_disks.iter().all(|finding| finding["outcome"] == "warning"));
    let class = kubernetes.class();
    kubernetes.wait("its storage class", &class, |class| Some(class.clone()));
    let (pv, target) = kubernetes.driver.serve("pvc-ext4", &kubernetes.parameters());
    kubernetes.driver.end_of(&pv, &target);
}

/// The volume gets another trouble, which is found, and loses it; the first one stays.
#[track_caller]
fn toggled(lab: &Lab, kubernetes: &mut Kubernetes<'_>, reason: &str, ill: &[&str], well: &[&str]) {
    let gluster = |words: &[&str]| {
        let (verb, rest) = words.split_first().expect("a verb");
        lab.host(0).gluster(&[&["volume", verb, NAME], rest].concat());
    };
    gluster(ill);
    let storage = kubernetes.wait_condition("AssumptionsMet", &format!("False {reason}"));
    assert!(has_file_system(&storage), "{storage:#}");
    gluster(well);
    let storage = kubernetes.wait_condition("AssumptionsMet", "False FileSystem");
    assert!(has_file_system(&storage), "{storage:#}");
}

fn has_file_system(storage: &Value) -> bool {
    let findings = storage["status"]["findings"].as_array().expect("findings");
    findings.iter().filter(|found| found["code"] == "file-system" && found["outcome"] == "failed").count()
        == 3
}

fn nothing_is_made(kubernetes: &Kubernetes<'_>) -> bool {
    kubernetes.api.get(&kubernetes.class()).is_none() && kubernetes.entry().is_none()
}
