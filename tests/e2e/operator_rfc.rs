//! The RFC's object, applied to Kubernetes' API: the real operator and the real driver make of it a volume that is mounted
//! from its storage class. The API server is the one thing here that is not real.

use std::fs;

use serde_json::{Value, json};

use crate::config_rfc::{RFC, prepare, serves};
use crate::kubernetes::{Kubernetes, condition, id};
use crate::lab::{Lab, LabOptions, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; object_to_volume }

const PV: &str = "/api/v1/persistentvolumes/pvc-operator";

fn object_to_volume(_: &Labs) {
    // Of its own: the volume is stopped, and it can have no other name.
    let lab = &Lab::new(LabOptions::default());
    prepare(lab);
    let mut kubernetes = Kubernetes::start(lab, "ext-storage");
    let (storage_at, class_at) = (kubernetes.storage(), kubernetes.class());
    let text = fs::read_to_string(RFC).expect("the RFC's file");
    let mut object: Value = serde_saphyr::from_str(&text).expect("an object");
    // As kubectl does.
    object["metadata"]["namespace"] = "kadalu".into();
    kubernetes.api.put(&storage_at, object);

    let class = kubernetes.wait("the RFC's storage class", &class_at, |class| Some(class.clone()));
    assert_eq!(
        (&class["provisioner"], &class["allowVolumeExpansion"]),
        (&"kadalu".into(), &true.into()),
        "{class}"
    );
    assert_eq!(
        class["parameters"],
        json!({ "hostvol_type": "External", "storage_name": "ext-storage" }),
        "{class}"
    );
    serves(&kubernetes.driver, lab, "pvc-operator", &kubernetes.parameters());

    let storage = kubernetes.wait("a storage that is ready", &storage_at, |storage| {
        let holds =
            |name: &str| condition(storage, name).is_some_and(|condition| condition["status"] == "True");
        (holds("Ready") && holds("Reachable")).then(|| storage.clone())
    });
    let status = &storage["status"];
    let id = id(lab, "volume_name");
    assert_eq!(status["volumeId"], id, "{status:#}");
    assert!(status["kind"].as_str().is_some_and(|kind| kind.contains("replicate")), "{status:#}");
    let servers = status["servers"].as_array().expect("servers");
    for server in ["node1", "g2", "g3"] {
        let its = |known: &Value| known.as_str().is_some_and(|known| known.starts_with(server));
        assert!(servers.iter().any(its), "{server} is not in {status:#}");
    }

    // What is not as the RFC assumes is said.
    let stopped = |storage: &Value| {
        let condition = condition(storage, "AssumptionsMet")?;
        (condition["status"] == "False" && condition["message"].as_str()?.contains("volume start"))
            .then_some(())
    };
    lab.host(0).gluster(&["volume", "stop", "volume_name"]);
    kubernetes.wait("a volume that is stopped", &storage_at, stopped);
    lab.host(0).gluster(&["volume", "start", "volume_name"]);
    kubernetes.wait("a volume that is started again", &storage_at, |storage| {
        stopped(storage).is_none().then_some(())
    });
    assert_eq!(kubernetes.api.get(&class_at), Some(class), "nothing has happened to the class");

    let written = kubernetes.api.writes().len();
    kubernetes.restart();
    let handle = format!("{}/pvc-operator", id);
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pvc-operator" },
        "spec": {
            "storageClassName": "kadalu.external.ext-storage",
            "csi": { "driver": "kadalu", "volumeHandle": handle, "volumeAttributes": {} },
        },
    });
    kubernetes.api.put(PV, volume);
    kubernetes.api.remove(&storage_at);
    kubernetes.wait("who holds it is said", &storage_at, |storage| {
        storage.to_string().contains("pvc-operator").then_some(())
    });
    // The run after the restart has found all as it should be.
    let of_ours = |line: &&String| line.contains("storageclasses") || line.contains("configmaps");
    let again: Vec<_> = kubernetes.api.writes().into_iter().skip(written).collect();
    assert_eq!(again.iter().find(of_ours), None, "{again:?}");
    assert!(kubernetes.api.get(&class_at).is_some(), "a class goes with the last PV");
    kubernetes.api.remove(PV);
    kubernetes.wait_gone();
}
