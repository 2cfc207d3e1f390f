//! Storages in a small world of their own: what is planned is done, and seen in the next pass.

mod bounds;
mod edits;
mod names;
mod others;
mod properties;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::{
    operator::{
        crd::Capacity,
        probe::{completed, depth_of},
        users::Volumes,
        world::{
            ACCEPT, CHECK, Class, ClassNames, DriverView, FINALIZER, Home, Identity, Limit, MANAGER, Object,
            STORAGE, Settings,
        },
    },
    storage::check::{CODES, Facts, Finding, Outcome as How, Report, is_once},
    storage::config::class_names,
};

const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
const OTHER: &str = "1a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
const RFC: &str = "kadalu.external.s";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The API, the clusters and the driver, as far as the operator sees them.
#[derive(Clone)]
struct Sim {
    settings: Settings,
    objects: BTreeMap<String, Value>,
    classes: BTreeMap<String, Class>,
    entries: BTreeMap<String, String>,
    volumes: Vec<Arc<PersistentVolume>>,
    /// What a look at a volume finds, by its name; nothing for one that is still being looked at.
    clusters: BTreeMap<String, Report>,
    reports: BTreeMap<String, Arc<Report>>,
    /// How often each was looked at since the start.
    looks: BTreeMap<String, u64>,
    /// How often the state of bricks was asked for.
    asked: usize,
    /// How often, without them, which clients may load a volume.
    asked_versions: usize,
    driver: DriverView,
    may_put_back: bool,
    told: Vec<String>,
    clock: u32,
}

fn finding(code: &'static str, outcome: How) -> Finding {
    Finding {
        code,
        outcome,
        subject: None,
        message: format!("{code} is {outcome:?}"),
        advice: None,
        micros: None,
    }
}

/// A volume as it should be.
fn report(volume: &str, id: &str) -> Report {
    let facts = Facts {
        id: Some(id.to_owned()),
        servers: vec!["g1:24007".to_owned(), "g9:24007".to_owned(), "g2:24007".to_owned()],
        capacity: Some((100, 50)),
        ..Facts::default()
    };
    let findings = ["server", "volume", "layout", "file-system"].map(|code| finding(code, How::Ok)).into();
    Report { volume: volume.to_owned(), findings, facts }
}

fn ill(volume: &str, code: &'static str) -> Report {
    let mut report = report(volume, ID);
    report.findings.retain(|finding| finding.code != code);
    report.findings.push(finding(code, How::Failed));
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
    if report.of("server").all(|server| server.outcome == How::Failed) {
        report.findings.retain(|finding| finding.code == "server");
        report.facts = Facts::default();
        return report;
    }
    for code in CODES.iter().map(|known| known.code).filter(|code| is_asked(code) && is_once(code)) {
        if report.of(code).next().is_none() {
            let outcome = if code == "quota-daemon" { How::Unknown } else { How::Ok };
            report.findings.push(finding(code, outcome));
        }
    }
    report
}

/// A driver that is not reached.
fn down() -> DriverView {
    DriverView::Failed { why: "down".to_owned(), home: Home::NotAsked }
}

fn spec(words: Value) -> Value {
    let mut spec = json!({ "type": "External" });
    let words = words.as_object().unwrap().clone();
    spec["details"] = Value::Object(words);
    spec
}

fn rfc() -> Value {
    spec(json!({ "gluster_hosts": ["g1", "g2"], "gluster_volname": "vol" }))
}

impl Sim {
    fn new() -> Self {
        let settings = Settings {
            namespace: "kadalu".to_owned(),
            driver: "kadalu".to_owned(),
            class_names: ClassNames::Both,
        };
        Self {
            settings,
            objects: BTreeMap::new(),
            classes: BTreeMap::new(),
            entries: BTreeMap::new(),
            volumes: Vec::new(),
            clusters: BTreeMap::from([
                ("vol".to_owned(), report("vol", ID)),
                ("new".to_owned(), report("new", OTHER)),
            ]),
            reports: BTreeMap::new(),
            looks: BTreeMap::new(),
            asked: 0,
            asked_versions: 0,
            driver: DriverView::Absent,
            may_put_back: true,
            told: Vec::new(),
            clock: 0,
        }
    }

    fn with(spec: Value) -> Self {
        let mut sim = Self::new();
        sim.create("ns", spec);
        sim.settle();
        sim
    }

    fn create(&mut self, namespace: &str, spec: Value) {
        self.clock += 1;
        let metadata = json!({
            "name": "s", "namespace": namespace, "uid": format!("uid-{namespace}"), "generation": 1,
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", self.clock),
        });
        let object = json!({ "apiVersion": "v", "kind": "k", "metadata": metadata, "spec": spec });
        self.objects.insert(format!("{namespace}/s"), object);
    }

    fn object(&mut self, namespace: &str) -> &mut Value {
        self.objects.get_mut(&format!("{namespace}/s")).unwrap()
    }

    fn edit(&mut self, spec: Value) {
        let object = self.object("ns");
        object["spec"] = spec;
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
    }

    fn delete(&mut self) {
        self.object("ns")["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
    }

    /// Somebody deletes the one of a namespace, if it is there: what nobody holds is gone at once.
    fn gone(&mut self, namespace: &str) {
        let key = format!("{namespace}/s");
        let is_held = self.read().iter().any(|object| object.key() == key && object.is_held());
        match self.objects.get_mut(&key) {
            Some(object) if is_held => {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z")
            }
            _ => drop(self.objects.remove(&key)),
        }
    }

    /// A PV of ours.
    fn volume(&mut self, name: &str) {
        let csi = json!({ "driver": "kadalu", "volumeHandle": format!("{ID}/{name}") });
        let spec = json!({ "storageClassName": RFC, "csi": csi });
        let volume = json!({ "metadata": { "name": name }, "spec": spec });
        self.volumes.push(Arc::new(serde_json::from_value(volume).unwrap()));
    }

    fn read(&self) -> Vec<Object> {
        let read =
            |object: &Value| Object::read(&serde_json::from_value::<DynamicObject>(object.clone()).unwrap());
        self.objects.values().map(read).collect()
    }

    /// Plans for all, and does it.
    fn pass(&mut self) -> usize {
        self.clock += 1;
        let now = format!("2026-01-01T00:{:02}:{:02}Z", self.clock / 60 % 60, self.clock % 60);
        let objects = self.read();
        let mut volumes = Volumes::new("kadalu");
        for volume in &self.volumes {
            volumes.put(volume);
        }
        let (mut done, mut wanted) = (0, BTreeSet::new());
        for object in &objects {
            let rival =
                objects.iter().filter(|other| !other.is_foreign()).find(|other| other.is_before(object));
            let key = object.key();
            let names = class_names(&object.name);
            let classes = self.classes.clone().into_iter();
            let reports = self.reports.clone();
            let world = World {
                settings: &self.settings.clone(),
                object,
                rival: rival.map(Object::key),
                classes: classes
                    .filter(|(name, class)| names.contains(name) || class.storage.as_ref() == Some(&key))
                    .collect(),
                entry: self.entries.get("s").cloned(),
                users: volumes.of(
                    "s",
                    object.status.volume_id.as_deref(),
                    object.in_force().as_ref(),
                    &BTreeMap::new(),
                ),
                reports: &reports,
                driver: self.driver.clone(),
                may_put_back: self.may_put_back,
                now: &now,
            };
            let Outcome { actions, looks, .. } = plan(&world);
            done += actions.len();
            actions.into_iter().for_each(|action| self.act(&key, action));
            wanted.extend(looks.iter().map(|look| look.target.to_string()));
            looks.into_iter().for_each(|look| self.look(look));
        }
        // What nobody wants to be looked at any more is forgotten.
        self.reports.retain(|target, _| wanted.contains(target));
        self.looks.retain(|target, _| wanted.contains(target));
        done
    }

    fn look(&mut self, Look { target, depth }: Look) {
        let of_server = self.clusters.get(&format!("{}/{}", target.servers[0], target.volume));
        let Some(found) = of_server.or(self.clusters.get(&target.volume)) else { return };
        let name = target.to_string();
        let before = self.reports.get(&name).cloned();
        let looks = self.looks.entry(name.clone()).or_default();
        *looks += 1;
        let depth = depth_of(depth, before.as_deref(), *looks);
        self.asked += usize::from(depth == Depth::Bricks);
        self.asked_versions += usize::from(depth == Depth::Versions);
        self.reports.insert(name, completed(as_checked(found.clone(), depth), before.as_deref()));
    }

    fn act(&mut self, key: &str, action: Action) {
        let object = self.objects.get_mut(key).unwrap();
        match action {
            Action::Hold => object["metadata"]["finalizers"] = json!(["other", FINALIZER]),
            Action::Release => {
                self.objects.remove(key);
            }
            Action::WriteEntry(text) => drop(self.entries.insert("s".to_owned(), text)),
            Action::RemoveEntry => drop(self.entries.remove("s")),
            Action::ApplyClass { class, force } => {
                let name = class["metadata"]["name"].as_str().unwrap().to_owned();
                assert!(force || !self.classes.contains_key(&name));
                assert_eq!(class["metadata"]["labels"]["app.kubernetes.io/managed-by"], MANAGER);
                let storage = class["metadata"]["annotations"][STORAGE].as_str().map(str::to_owned);
                self.classes.insert(name, Class { storage, uid: "u".to_owned(), value: class });
            }
            Action::DeleteClass { name, uid } => {
                assert_eq!(self.classes.remove(&name).unwrap().uid, uid);
            }
            Action::WriteStatus(status) => object["status"] = serde_json::to_value(status).unwrap(),
            Action::Tell(Told { condition, reason, .. }) => self.told.push(format!("{condition}/{reason}")),
        }
    }

    fn settle(&mut self) {
        for _ in 0..10 {
            if self.pass() == 0 && self.pass() == 0 {
                return;
            }
        }
        panic!("it does not end: {:#?}", self.objects);
    }

    fn status(&self) -> KadaluStorageStatus {
        let objects = self.read();
        objects.iter().find(|object| object.namespace == "ns").unwrap().status.clone()
    }

    fn condition(&self, which: &str) -> String {
        let status = self.status();
        let found = status.conditions.iter().find(|condition| condition.type_ == which).unwrap();
        format!("{:?} {}", found.status, found.reason)
    }

    fn message(&self, which: &str) -> String {
        let status = self.status();
        status.conditions.iter().find(|condition| condition.type_ == which).unwrap().message.clone()
    }

    fn info(&self) -> Value {
        serde_json::from_str(&self.entries["s"]).unwrap()
    }

    fn names(&self) -> String {
        self.classes.keys().cloned().collect::<Vec<_>>().join(" ")
    }

    /// As after a restart: nothing is known but what the API has.
    fn restart(&mut self) {
        self.reports.clear();
        self.looks.clear();
        if self.driver != DriverView::Absent {
            self.driver = DriverView::NotAsked;
        }
    }

    /// What stands in the API, without times.
    fn state(&self) -> Value {
        let mut objects = self.objects.clone();
        for object in objects.values_mut() {
            if let Some(status) = object.get_mut("status") {
                status.as_object_mut().unwrap().remove("lastChange");
                for condition in status["conditions"].as_array_mut().into_iter().flatten() {
                    condition.as_object_mut().unwrap().remove("lastTransitionTime");
                }
            }
        }
        let classes = self.classes.iter().map(|(name, class)| (name.clone(), class.value.clone()));
        json!({ "objects": objects, "classes": classes.collect::<BTreeMap<_, _>>(), "entries": self.entries })
    }
}
