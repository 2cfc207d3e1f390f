//! What the stories of the operator share: a cluster of Kubernetes with the real operator and the real driver. Its API server
//! and its kubelet are what is not real.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use glusterd_client::csi::generated::Volume;
use serde_json::{Value, json};

use crate::api::Api;
use crate::driver::{Driver, runtime};
use crate::lab::{Kind, Lab, PATIENCE, Running, Signal};

/// Seconds between two looks at a volume.
pub(crate) const INTERVAL: u64 = 2;

const CONFIG: &str = "/api/v1/namespaces/kadalu/configmaps/kadalu-info";
const EVENTS: &str = "/apis/events.k8s.io/v1/events";

/// The API, an operator, a driver on a client host, and one storage.
pub(crate) struct Kubernetes<'lab> {
    lab: &'lab Lab,
    pub(crate) api: Api,
    pub(crate) driver: Driver<'lab>,
    operator: Running,
    /// The storage's name.
    name: String,
    /// Where the driver sees kadalu's ConfigMap, as this process does.
    storages: PathBuf,
}

impl<'lab> Kubernetes<'lab> {
    /// Starts all of it, for a storage of this name that is not there yet.
    pub(crate) fn start(lab: &'lab Lab, name: &str) -> Self {
        Self::start_with(lab, name, &[])
    }

    /// The same, with a driver that has these flags too.
    pub(crate) fn start_with(lab: &'lab Lab, name: &str, flags: &[&str]) -> Self {
        let api = serve(lab.client().listen());
        let storages = lab.shared().join(name).join("storages");
        fs::create_dir_all(&storages).expect("a folder");
        fs::write(lab.shared().join(name).join("kubeconfig"), api.kubeconfig()).expect("a kubeconfig");
        let at = format!("/mnt/shared/{name}/storages");
        let driver = Driver::start(lab, name, &[&["--storages", &at], flags].concat());
        let operator = operator(lab, name);
        Self { lab, api, driver, operator, name: name.to_owned(), storages }
    }

    /// Where the storage is.
    pub(crate) fn storage(&self) -> String {
        format!("/apis/kadalu-operator.storage/v1alpha1/namespaces/kadalu/kadalustorages/{}", self.name)
    }

    /// Where its storage class is, by the RFC's name.
    pub(crate) fn class(&self) -> String {
        format!("/apis/storage.k8s.io/v1/storageclasses/kadalu.external.{}", self.name)
    }

    /// What the provisioner gives the driver of it.
    pub(crate) fn parameters(&self) -> [(&'static str, &str); 2] {
        [("hostvol_type", "External"), ("storage_name", &self.name)]
    }

    /// Makes the storage, or changes it, as somebody does with kubectl: of the lab's volume that has its name.
    pub(crate) fn apply(&self, quota: &str) {
        let servers = self.lab.servers().iter().map(|server| server.name()).collect::<Vec<_>>();
        let details = json!({ "gluster_hosts": servers, "gluster_volname": self.name });
        let spec = json!({ "type": "External", "quota": quota, "details": details });
        self.api.put(&self.storage(), json!({ "metadata": { "namespace": "kadalu" }, "spec": spec }));
    }

    /// The entry that the driver reads.
    pub(crate) fn entry(&self) -> Option<Value> {
        let map = self.api.get(CONFIG)?;
        let text = map["data"][format!("{}.info", self.name)].as_str()?;
        Some(serde_json::from_str(text).expect("an entry is JSON"))
    }

    /// Makes the object of a PV that the driver has made, as the provisioner does, and returns where it is.
    pub(crate) fn provisioned(&self, volume: &Volume) -> String {
        let name = volume.volume_id.rsplit('/').next().expect("it ends with its directory");
        let path = format!("/api/v1/persistentvolumes/{name}");
        let csi = json!({
            "driver": "kadalu",
            "volumeHandle": volume.volume_id,
            "volumeAttributes": volume.volume_context,
        });
        let class = format!("kadalu.external.{}", self.name);
        self.api.put(&path, json!({ "spec": { "storageClassName": class, "csi": csi } }));
        path
    }

    /// What was told of the storage, as `Warning Unreachable`, in alphabetical order.
    pub(crate) fn told(&self) -> Vec<String> {
        let events = self.api.list(EVENTS);
        let told = events.iter().map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            format!("{} {}", text("type"), text("reason"))
        });
        let mut told: Vec<String> = told.collect();
        told.sort_unstable();
        told
    }

    /// Ends the operator and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.go_on();
    }

    /// Ends the operator: what it has not written until then it does not write.
    pub(crate) fn stop(&mut self) {
        self.operator.signal(Signal::Term);
        self.operator.wait();
    }

    /// Starts the operator again.
    pub(crate) fn go_on(&mut self) {
        self.operator = operator(self.lab, &self.name);
    }

    /// Waits until the operator has looked at the volume since it has started.
    pub(crate) fn wait_look(&mut self) {
        let begin = Instant::now();
        loop {
            if self.metrics().contains("kadalu_assumption{") {
                return;
            }
            self.goes_on("it has looked at the volume", begin, &Value::Null);
        }
    }

    /// What the operator answers to Prometheus; nothing while it starts.
    fn metrics(&self) -> String {
        let said = self.operator.stderr();
        let address = said.split("metrics=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let port = address.and_then(|address| address.trim_matches('"').rsplit(':').next());
        let Some(port) = port else { return String::new() };
        let get = "GET /metrics HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n";
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{get}' >&3; cat <&3");
        self.lab.client().exec("bash", &["-c", &script]).text()
    }

    /// Waits until an object is so.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            let object = self.api.get(path).unwrap_or_default();
            // Of what is seen nothing is still on its way to the driver.
            self.project();
            if let Some(value) = Some(&object).filter(|object| !object.is_null()).and_then(&wanted) {
                return value;
            }
            self.goes_on(what, begin, &object);
        }
    }

    /// Waits until a condition of the storage is so, `True Ready`, and returns the storage.
    #[track_caller]
    pub(crate) fn wait_condition(&mut self, name: &str, wanted: &str) -> Value {
        self.wait(&format!("{name}: {wanted}"), &self.storage(), |storage| {
            (state(storage, name) == wanted).then(|| storage.clone())
        })
    }

    /// Waits until nothing is left of the storage and of what was made of it.
    #[track_caller]
    pub(crate) fn wait_gone(&mut self) {
        let begin = Instant::now();
        loop {
            let made = [self.storage(), self.class(), self.class().replace("kadalu.external.", "kadalu.")];
            let left = made.iter().find_map(|path| self.api.get(path)).or_else(|| self.entry());
            self.project();
            match left {
                None => return,
                Some(left) => self.goes_on("nothing of it is left", begin, &left),
            }
        }
    }

    #[track_caller]
    fn goes_on(&mut self, what: &str, begin: Instant, object: &Value) {
        let goes_on = self.operator.runs() && begin.elapsed() < PATIENCE;
        let said = || format!("{object:#}\n{}\n{}", self.operator.stderr(), self.driver.log());
        assert!(goes_on, "the operator ended, or this has not come: {what}: {}", said());
        thread::sleep(Duration::from_millis(50));
    }

    /// Brings the ConfigMap to the driver as the kubelet does: a new directory, a link that is changed to it at once, and
    /// links to what is in it.
    fn project(&self) {
        let Some(map) = self.api.get(CONFIG) else { return };
        let data = map["data"].as_object().cloned().unwrap_or_default();
        let version = format!("..{}", map["metadata"]["resourceVersion"].as_str().expect("a version"));
        let dir = self.storages.join(&version);
        if dir.exists() {
            return;
        }
        fs::create_dir_all(&dir).expect("a folder");
        for (name, text) in &data {
            fs::write(dir.join(name), text.as_str().expect("text")).expect("a file");
        }
        let link = |to: &str, name: &str| {
            let new = self.storages.join("..new");
            std::os::unix::fs::symlink(to, &new).expect("a link");
            fs::rename(new, self.storages.join(name)).expect("it takes its place");
        };
        link(&version, "..data");
        data.keys().for_each(|name| link(&format!("..data/{name}"), name));
        let there = fs::read_dir(&self.storages).expect("the folder").flatten();
        let names = there.filter_map(|entry| entry.file_name().into_string().ok());
        let stale = names.filter(|name| !name.starts_with("..") && !data.contains_key(name));
        stale.for_each(|name| fs::remove_file(self.storages.join(name)).expect("a stale link"));
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

fn operator(lab: &Lab, name: &str) -> Running {
    let client = lab.client();
    let args = [
        &format!("KUBECONFIG=/mnt/shared/{name}/kubeconfig"),
        client.binary(),
        "operator",
        "--namespace=kadalu",
        &format!("--csi=unix:///mnt/shared/{name}/csi.sock"),
        &format!("--check-interval={INTERVAL}"),
        "--metrics-address=127.0.0.1:0",
    ];
    client.spawn("env", &args)
}

/// What a condition of a storage says.
pub(crate) fn condition<'o>(storage: &'o Value, name: &str) -> Option<&'o Value> {
    storage["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// A condition, as `True Ready`.
pub(crate) fn state(storage: &Value, name: &str) -> String {
    let found = condition(storage, name);
    let word = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or("-").to_owned();
    format!("{} {}", word("status"), word("reason"))
}

/// The message of a condition.
pub(crate) fn message<'o>(storage: &'o Value, name: &str) -> &'o str {
    condition(storage, name).and_then(|found| found["message"].as_str()).unwrap_or_default()
}

/// Starts a volume of three copies.
pub(crate) fn volume(lab: &Lab, name: &str) {
    lab.start_volume(name, Kind::Replica3);
    lab.host(0).wait_online(name);
}

/// The id of a volume, as its cluster tells it.
pub(crate) fn id(lab: &Lab, name: &str) -> String {
    let info = lab.host(0).gluster(&["volume", "info", name]);
    let id = info.lines().find_map(|line| line.strip_prefix("Volume ID: ")).expect("its id");
    id.trim().to_owned()
}
