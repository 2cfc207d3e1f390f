//! One of three glusterds is away: who reads the status knows which, and who claims PVs notices nothing.

use serde_json::Value;

use crate::kubernetes::{Kubernetes, condition, message, volume};
use crate::lab::{Signal, eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; server_away }

const NAME: &str = "operator-away";

/// What nobody notices: the class, the driver's entry, and since when and why the storage is ready.
fn noticed(kubernetes: &Kubernetes<'_>) -> (Option<Value>, Option<Value>, Option<Value>) {
    let storage = kubernetes.api.get(&kubernetes.storage()).expect("the storage");
    let ready = condition(&storage, "Ready").cloned();
    (kubernetes.api.get(&kubernetes.class()), kubernetes.entry(), ready)
}

fn server_away(labs: &Labs) {
    let lab = &*labs.breakable();
    volume(lab, NAME);
    let mut kubernetes = Kubernetes::start(lab, NAME);
    kubernetes.apply("best-effort");
    kubernetes.wait_condition("Ready", "True Ready");
    kubernetes.wait_condition("Reachable", "True AllServers");
    let told = eventually("all is told", || {
        let told = kubernetes.told();
        ["Ready", "InSync"].iter().all(|reason| told.contains(&format!("Normal {reason}"))).then_some(told)
    });
    let before = noticed(&kubernetes);

    let away = lab.host(2);
    away.kill_glusterd(Signal::Term);
    let storage = kubernetes.wait_condition("Reachable", "True SomeServers");
    let said = message(&storage, "Reachable");
    assert!(said.contains("2 of 3") && said.contains(&format!("{}:24007", away.name())), "{said}");
    assert_eq!(noticed(&kubernetes), before);
    let (pv, target) = kubernetes.driver.serve("pvc-away", &kubernetes.parameters());
    kubernetes.driver.end_of(&pv, &target);

    away.start_glusterd();
    let storage = kubernetes.wait_condition("Reachable", "True AllServers");
    assert!(message(&storage, "Reachable").contains("3 of 3"), "{storage:#}");
    assert_eq!(noticed(&kubernetes), before);
    // Nor was it otherwise meanwhile.
    let mut news = kubernetes.told();
    news.retain(|event| !told.contains(event));
    assert_eq!(news, ["Normal SomeServers"]);
}
