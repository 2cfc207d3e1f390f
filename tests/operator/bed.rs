//! An operator beside an API in memory, with a script in the place of clusters and driver.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use glusterd_client::{
    operator::{
        self, Options,
        driver::{Driver, Refusal},
        election::Times,
        probe::{Depth, Prober},
        rbac::{RULES, Rule, Scope},
        world::{ClassNames, Limit, Settings, Target},
    },
    storage::check::{CODES, Facts, Finding, Outcome, Report, is_once},
};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Right};

pub(crate) const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
pub(crate) const OTHER: &str = "1a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

pub(crate) const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
pub(crate) const RFC: &str = "/apis/storage.k8s.io/v1/storageclasses/kadalu.external.ext-storage";
pub(crate) const KADALU: &str = "/apis/storage.k8s.io/v1/storageclasses/kadalu.ext-storage";
pub(crate) const INFO: &str = "/api/v1/namespaces/kadalu/configmaps/kadalu-info";
pub(crate) const EVENTS: &str = "/apis/events.k8s.io/v1/events";
pub(crate) const STORAGE: &str =
    "/apis/kadalu-operator.storage/v1alpha1/namespaces/default/kadalustorages/ext-storage";

pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kadalu/leases/kadalu-operator";

/// A guard against tests that hang; nothing is measured with it.
const HANG: Duration = Duration::from_secs(60);

/// What volumes are, by their names, and what the driver says.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    volumes: BTreeMap<String, Report>,
    looks: Vec<(String, bool)>,
    asked: usize,
    limits: BTreeMap<String, Limit>,
    /// What it says of storages, where it does not know them.
    not_known: Option<String>,
    /// How many questions to the driver are still to fail.
    silent: usize,
}

impl Script {
    pub(crate) fn set(&self, volume: &str, report: Report) {
        self.0.lock().unwrap().volumes.insert(volume.to_owned(), report);
    }

    /// The driver knows a PV, and its limit is in force.
    pub(crate) fn list(&self, handle: &str) {
        self.limit(handle, Limit::Enforced);
    }

    pub(crate) fn not_enforced(&self, handle: &str) {
        self.limit(handle, Limit::NotEnforced("no quotad".to_owned()));
    }

    fn limit(&self, handle: &str, limit: Limit) {
        self.0.lock().unwrap().limits.insert(handle.to_owned(), limit);
    }

    /// Whether the driver knows storages; why not.
    pub(crate) fn knows(&self, storages: Result<(), &str>) {
        self.0.lock().unwrap().not_known = storages.err().map(str::to_owned);
    }

    /// How often the driver was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    /// The driver is away for so many questions.
    pub(crate) fn silence(&self, times: usize) {
        self.0.lock().unwrap().silent = times;
    }

    /// How many of these are still to come.
    pub(crate) fn silent(&self) -> usize {
        self.0.lock().unwrap().silent
    }

    /// How often a volume was looked at, and how often with its bricks.
    pub(crate) fn looks(&self, volume: &str) -> (usize, usize) {
        let told = self.0.lock().unwrap();
        let of = told.looks.iter().filter(|(name, _)| name == volume);
        (of.clone().count(), of.filter(|(_, bricks)| *bricks).count())
    }
}

impl Prober for Script {
    async fn look(&self, target: Target, depth: Depth) -> Report {
        let mut told = self.0.lock().unwrap();
        told.looks.push((target.volume.clone(), depth == Depth::Bricks));
        let unknown = || ill(&target.volume, "server");
        as_checked(told.volumes.get(&target.volume).cloned().unwrap_or_else(unknown), depth)
    }
}

impl Driver for Script {
    async fn limits(&self) -> Result<BTreeMap<String, Limit>, String> {
        let mut told = self.0.lock().unwrap();
        told.asked += 1;
        match told.silent {
            0 => Ok(told.limits.clone()),
            _ => {
                told.silent -= 1;
                Err("it is away".to_owned())
            }
        }
    }

    async fn available(&self, class: BTreeMap<String, String>) -> Result<u64, Refusal> {
        if let Some(why) = self.0.lock().unwrap().not_known.clone() {
            return Err(Refusal::NotKnown(why));
        }
        class.get("storage_name").map(|_| 1024).ok_or_else(|| Refusal::Trouble("which storage?".to_owned()))
    }
}

fn finding(code: &'static str, outcome: Outcome) -> Finding {
    let message = format!("{code} is {outcome:?}");
    Finding { code, outcome, subject: None, message, advice: None, micros: None }
}

/// A volume as it should be.
pub(crate) fn report(volume: &str, id: &str) -> Report {
    let facts = Facts { id: Some(id.to_owned()), ..Facts::default() };
    let findings =
        ["server", "volume", "layout", "file-system"].map(|code| finding(code, Outcome::Ok)).into();
    Report { volume: volume.to_owned(), findings, facts }
}

/// One of which something is wrong.
pub(crate) fn ill(volume: &str, code: &'static str) -> Report {
    let mut report = report(volume, ID);
    report.replace(vec![finding(code, Outcome::Failed)]);
    report
}

/// What the real check says of such a volume: what is looked at once stands in a report with all of it, or not at all, and
/// where no server answers nothing of the volume does.
fn as_checked(mut report: Report, depth: Depth) -> Report {
    let is_asked = |code: &str| match depth {
        Depth::Cheap => !is_once(code),
        Depth::Versions => !is_once(code) || ["op-version", "client-version"].contains(&code),
        Depth::Bricks => true,
    };
    report.findings.retain(|finding| is_asked(finding.code));
    report.facts.capacity = report.facts.capacity.filter(|_| depth == Depth::Bricks);
    if report.of("server").all(|server| server.outcome == Outcome::Failed) {
        report.findings.retain(|finding| finding.code == "server");
        report.facts = Facts::default();
        return report;
    }
    for code in CODES.iter().map(|known| known.code).filter(|code| is_asked(code) && is_once(code)) {
        if report.of(code).next().is_none() {
            let outcome = if code == "quota-daemon" { Outcome::Unknown } else { Outcome::Ok };
            report.findings.push(finding(code, outcome));
        }
    }
    report
}

/// Whether deploy/kubernetes/rbac-operator.yaml grants it.
pub(crate) fn granted(right: &Right) -> bool {
    RULES.iter().any(|rule| rule.verbs.contains(&right.verb) && grants(rule, right))
}

/// Whether a rule is of this object.
pub(crate) fn grants(rule: &Rule, right: &Right) -> bool {
    (rule.group, rule.resource) == (right.group.as_str(), right.resource.as_str())
        && (rule.scope == Scope::Cluster || right.namespace.as_deref() == Some("kadalu"))
        && rule.name.is_none_or(|name| right.name.as_deref() == Some(name))
}

/// An operator that runs.
pub(crate) struct Operator {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Operator {
    pub(crate) async fn start(api: &Api, identity: &str, script: &Script) -> Self {
        let config = Config::new(format!("http://{}", api.address).parse().unwrap());
        // Short, so that much happens.
        let lease = Times {
            lease: Duration::from_secs(2),
            renewed: Duration::from_millis(1500),
            retry: Duration::from_millis(100),
        };
        let client = Client::try_from(config).unwrap();
        Self::with(api, client, identity, script, Duration::from_millis(100), lease)
    }

    /// With the times of every day, for a test whose clock is paused.
    pub(crate) fn start_paused(api: &Api, identity: &str, script: &Script) -> Self {
        let interval = Duration::from_secs(3600);
        Self::with(api, api.client(), identity, script, interval, Times::default())
    }

    fn with(
        api: &Api,
        client: Client,
        identity: &str,
        script: &Script,
        check_interval: Duration,
        lease: Times,
    ) -> Self {
        api.allow(granted);
        let settings = Settings {
            namespace: "kadalu".to_owned(),
            driver: "kadalu".to_owned(),
            class_names: ClassNames::Both,
        };
        let options = Options { settings, identity: identity.to_owned(), check_interval, lease };
        let stop = CancellationToken::new();
        let running =
            operator::run(client, options, script.clone(), Some(script.clone()), None, stop.clone());
        Self { stop, running: tokio::spawn(running) }
    }

    /// As by SIGTERM.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(HANG, self.running).await.expect("it does not stop").unwrap();
    }

    /// As by SIGKILL.
    pub(crate) async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = timeout(HANG, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited for ever until {what}"));
}

/// Waits until a condition of the storage is so: `True Ready`.
pub(crate) async fn until_condition(api: &Api, path: &str, which: &str, wanted: &str) {
    let seen = || condition(api, path, which);
    let waited = timeout(HANG, until("", || seen() == wanted)).await;
    waited.unwrap_or_else(|_| panic!("{which} is {:?} and not {wanted:?}: {:#?}", seen(), api.get(path)));
}

/// A condition, as `True Ready`.
pub(crate) fn condition(api: &Api, path: &str, which: &str) -> String {
    let storage = api.get(path).unwrap_or_default();
    let conditions = storage["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == which);
    let word = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or("-").to_owned();
    format!("{} {}", word("status"), word("reason"))
}

/// The storage of the RFC, as kubectl sends it.
pub(crate) fn rfc() -> Value {
    json!({
        "spec": {
            "type": "External",
            "details": [{ "gluster_node": "node1", "gluster_volname": "volume_name", "Gluster_options": "log_level=DEBUG" }],
        },
    })
}

/// The entry of the storage in the ConfigMap.
pub(crate) fn entry(api: &Api, name: &str) -> Value {
    let map = api.get(INFO).unwrap_or_default();
    let text = map["data"][format!("{name}.info")].as_str().unwrap_or("null").to_owned();
    serde_json::from_str(&text).unwrap()
}

/// A PV of ours.
pub(crate) fn volume(api: &Api, name: &str) {
    let csi = json!({ "driver": "kadalu", "volumeHandle": format!("{ID}/{name}") });
    let spec = json!({ "storageClassName": "kadalu.external.ext-storage", "csi": csi });
    api.put(&format!("/api/v1/persistentvolumes/{name}"), json!({ "spec": spec }));
}

/// An API with the storage of the RFC, its operator, and all of it ready.
pub(crate) async fn ready() -> (Api, Script, Operator) {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    api.put(STORAGE, rfc());
    let operator = Operator::start(&api, "a", &script).await;
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    until_condition(&api, STORAGE, "Drifted", "False InSync").await;
    until_condition(&api, STORAGE, "QuotaEnforced", "Unknown NoVolumes").await;
    until("the driver has told", || api.get(STORAGE).unwrap()["status"]["capacity"]["available"] == 1024)
        .await;
    (api, script, operator)
}

/// The reasons of the events of the storage, with their types.
pub(crate) fn told(api: &Api) -> Vec<String> {
    let word = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let told = api.list(EVENTS).into_iter().map(|event| {
        assert_eq!(event["regarding"]["kind"], "KadaluStorage");
        format!("{} {}/{}", word(&event, "type"), word(&event, "action"), word(&event, "reason"))
    });
    told.collect()
}

/// Looks go on for a while, in which passes are made.
pub(crate) async fn a_while(script: &Script) {
    let before = script.looks("volume_name").0;
    until("it was looked at again", || script.looks("volume_name").0 > before + 3).await;
}
