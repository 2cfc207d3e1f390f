//! The RFC's object, applied to Kubernetes' API: the real operator and the real driver make of it a volume that is mounted
//! from its storage class. The API server is the one thing here that is not real.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::config_rfc::{RFC, prepare, serves};
use crate::driver::{Driver, runtime};
use crate::lab::{Lab, LabOptions, PATIENCE, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; object_to_volume }

const STORAGE: &str = "/apis/kadalu-operator.storage/v1alpha1/namespaces/kadalu/kadalustorages/ext-storage";
const CLASS: &str = "/apis/storage.k8s.io/v1/storageclasses/kadalu.external.ext-storage";
const CONFIG: &str = "/api/v1/namespaces/kadalu/configmaps/kadalu-info";
const PV: &str = "/api/v1/persistentvolumes/pvc-operator";

/// A cluster of Kubernetes that consists of its API, an operator and a driver.
struct Kubernetes<'lab> {
    lab: &'lab Lab,
    api: Api,
    driver: Driver<'lab>,
    operator: Running,
    /// Where the driver sees kadalu's ConfigMap, as this process does.
    storages: PathBuf,
}

impl<'lab> Kubernetes<'lab> {
    fn start(lab: &'lab Lab) -> Self {
        let api = serve(lab.client().listen());
        let storages = lab.shared().join("operator/storages");
        fs::create_dir_all(&storages).expect("a folder");
        fs::write(lab.shared().join("operator/kubeconfig"), api.kubeconfig()).expect("a kubeconfig");
        let driver = Driver::start(lab, "operator", &["--storages", "/mnt/shared/operator/storages"]);
        let operator = operator(lab);
        Self { lab, api, driver, operator, storages }
    }

    /// Ends the operator and starts it again.
    fn restart(&mut self) {
        self.operator.signal(Signal::Term);
        self.operator.wait();
        self.operator = operator(self.lab);
    }

    /// Waits until an object is so.
    #[track_caller]
    fn wait<T>(&mut self, what: &str, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            let object = self.api.get(path).unwrap_or_default();
            if let Some(value) = Some(&object).filter(|object| !object.is_null()).and_then(&wanted) {
                return value;
            }
            let goes_on = self.operator.runs() && begin.elapsed() < PATIENCE;
            let said = || format!("{object:#}\n{}\n{}", self.operator.stderr(), self.driver.log());
            assert!(goes_on, "the operator ended, or this has not come: {what}: {}", said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Brings the ConfigMap to the driver as the kubelet does: a new directory, and a link that is changed to it at once.
    fn project(&self) {
        let map = self.api.get(CONFIG).expect("kadalu's ConfigMap");
        let data = map["data"].as_object().expect("its data");
        let version = format!("..{}", map["metadata"]["resourceVersion"].as_str().expect("a version"));
        let dir = self.storages.join(&version);
        fs::create_dir_all(&dir).expect("a folder");
        for (name, text) in data {
            fs::write(dir.join(name), text.as_str().expect("text")).expect("a file");
        }
        let link = |to: &str, name: &str| {
            let new = self.storages.join("..new");
            std::os::unix::fs::symlink(to, &new).expect("a link");
            fs::rename(new, self.storages.join(name)).expect("it takes its place");
        };
        link(&version, "..data");
        data.keys().for_each(|name| link(&format!("..data/{name}"), name));
    }
}

/// An API server that answers there as long as this process lives.
fn serve(listener: TcpListener) -> Api {
    let (sender, api) = channel();
    thread::spawn(move || {
        runtime().block_on(async {
            sender.send(Api::start_on(listener).await).expect("somebody waits for it");
            std::future::pending::<()>().await;
        });
    });
    api.recv().expect("it has started")
}

fn operator(lab: &Lab) -> Running {
    let client = lab.client();
    let args = [
        "KUBECONFIG=/mnt/shared/operator/kubeconfig",
        client.binary(),
        "operator",
        "--namespace=kadalu",
        "--csi=unix:///mnt/shared/operator/csi.sock",
        "--check-interval=2",
    ];
    client.spawn("env", &args)
}

/// What a condition of a storage says.
fn condition<'o>(storage: &'o Value, name: &str) -> Option<&'o Value> {
    storage["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

fn object_to_volume(_: &Labs) {
    // Of its own: the volume is stopped, and it can have no other name.
    let lab = &Lab::new(LabOptions::default());
    prepare(lab);
    let mut kubernetes = Kubernetes::start(lab);
    let text = fs::read_to_string(RFC).expect("the RFC's file");
    let mut object: Value = serde_saphyr::from_str(&text).expect("an object");
    // As kubectl does.
    object["metadata"]["namespace"] = "kadalu".into();
    kubernetes.api.put(STORAGE, object);

    let class = kubernetes.wait("the RFC's storage class", CLASS, |class| Some(class.clone()));
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
    kubernetes
        .wait("the driver's configuration", CONFIG, |map| map["data"]["ext-storage.info"].as_str().map(drop));
    kubernetes.project();
    let parameters = [("hostvol_type", "External"), ("storage_name", "ext-storage")];
    serves(&kubernetes.driver, lab, "pvc-operator", &parameters);

    let storage = kubernetes.wait("a storage that is ready", STORAGE, |storage| {
        let holds =
            |name: &str| condition(storage, name).is_some_and(|condition| condition["status"] == "True");
        (holds("Ready") && holds("Reachable")).then(|| storage.clone())
    });
    let status = &storage["status"];
    let info = lab.host(0).gluster(&["volume", "info", "volume_name"]);
    let id = info.lines().find_map(|line| line.strip_prefix("Volume ID: ")).expect("its id");
    assert_eq!(status["volumeId"], id.trim(), "{status:#}");
    assert!(status["kind"].as_str().is_some_and(|kind| kind.contains("replicate")), "{status:#}");
    let servers = status["servers"].as_array().expect("servers");
    for server in ["node1", "g2", "g3"] {
        let its = |known: &Value| known.as_str().is_some_and(|known| known.starts_with(server));
        assert!(servers.iter().any(its), "{server} is not in {status:#}");
    }

    // What is not as the RFC assumes is said: the lab's bricks are on ext4.
    let stopped = |storage: &Value| {
        let condition = condition(storage, "AssumptionsMet")?;
        (condition["status"] == "False" && condition["message"].as_str()?.contains("volume start"))
            .then_some(())
    };
    lab.host(0).gluster(&["volume", "stop", "volume_name"]);
    kubernetes.wait("a volume that is stopped", STORAGE, stopped);
    lab.host(0).gluster(&["volume", "start", "volume_name"]);
    kubernetes
        .wait("a volume that is started again", STORAGE, |storage| stopped(storage).is_none().then_some(()));
    assert_eq!(kubernetes.api.get(CLASS), Some(class), "nothing has happened to the class");

    let written = kubernetes.api.writes().len();
    kubernetes.restart();
    let handle = format!("{}/pvc-operator", id.trim());
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "pvc-operator" },
        "spec": {
            "storageClassName": "kadalu.external.ext-storage",
            "csi": { "driver": "kadalu", "volumeHandle": handle, "volumeAttributes": {} },
        },
    });
    kubernetes.api.put(PV, volume);
    kubernetes.api.remove(STORAGE);
    kubernetes.wait("who holds it is said", STORAGE, |storage| {
        storage.to_string().contains("pvc-operator").then_some(())
    });
    // The run after the restart has found all as it should be.
    let of_ours = |line: &&String| line.contains("storageclasses") || line.contains("configmaps");
    let again: Vec<_> = kubernetes.api.writes().into_iter().skip(written).collect();
    assert_eq!(again.iter().find(of_ours), None, "{again:?}");
    assert!(kubernetes.api.get(CLASS).is_some(), "a class goes with the last PV");
    kubernetes.api.remove(PV);
    eventually("the storage and all that was made of it are gone", || {
        let left = [STORAGE, CLASS].into_iter().any(|path| kubernetes.api.get(path).is_some());
        let entry = kubernetes.api.get(CONFIG).is_some_and(|map| map["data"]["ext-storage.info"].is_string());
        (!left && !entry).then_some(())
    });
}
