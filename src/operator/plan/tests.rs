//! Storages in a small world of their own: what is planned is done, and seen in the next pass.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::DynamicObject;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    operator::{
        crd::Capacity,
        probe::completed,
        users::Volumes,
        world::{
            ACCEPT, CHECK, Class, ClassNames, DriverView, FINALIZER, MANAGER, Object, STORAGE, Settings,
            class_names,
        },
    },
    storage::check::{Facts, Finding, Outcome as How, Report},
};

const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
const OTHER: &str = "1a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
const RFC: &str = "kadalu.external.s";

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
    /// How often the state of bricks was asked for.
    asked: usize,
    driver: DriverView,
    told: Vec<String>,
    clock: u32,
}

fn finding(code: &'static str, outcome: How) -> Finding {
    let message = format!("{code} is {outcome:?}");
    Finding { code, outcome, subject: None, message, advice: None, micros: None }
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
            asked: 0,
            driver: DriverView::Absent,
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
        let volumes = Volumes::read(&self.volumes, "kadalu");
        let mut done = 0;
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
                now: &now,
            };
            let Outcome { actions, looks } = plan(&world);
            done += actions.len();
            actions.into_iter().for_each(|action| self.act(&key, action));
            looks.into_iter().for_each(|look| self.look(look));
        }
        done
    }

    fn look(&mut self, Look { target, bricks }: Look) {
        let of_server = self.clusters.get(&format!("{}/{}", target.servers[0], target.volume));
        let Some(found) = of_server.or(self.clusters.get(&target.volume)) else { return };
        let name = target.to_string();
        let before = self.reports.get(&name).cloned();
        let mut found = found.clone();
        let seen =
            before.as_ref().is_some_and(|report| report.findings.iter().any(|one| one.code == "file-system"));
        match bricks && !seen {
            true => self.asked += 1,
            false => {
                found.findings.retain(|finding| finding.code != "file-system");
                found.facts.capacity = None;
            }
        }
        self.reports.insert(name, completed(found, before.as_deref()));
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

#[test]
fn the_storage_of_the_rfc_becomes_classes_an_entry_and_a_status() {
    let mut sim = Sim::new();
    sim.create("ns", json!({ "type": "External", "details": [{ "gluster_node": "g1", "gluster_volname": "vol", "Gluster_options": "log_level=DEBUG" }] }));
    sim.pass();
    assert_eq!((sim.names().as_str(), sim.condition("Ready").as_str()), ("", "Unknown Checking"));
    sim.settle();
    assert_eq!(sim.names(), "kadalu.external.s kadalu.s");
    let class = &sim.classes[RFC].value;
    assert_eq!(class["parameters"], json!({ "hostvol_type": "External", "storage_name": "s" }));
    assert_eq!((&class["provisioner"], &class["allowVolumeExpansion"]), (&json!("kadalu"), &json!(true)));
    let info = sim.info();
    assert_eq!(
        (&info["gluster_volname"], &info["gluster_options"]),
        (&json!("vol"), &json!("log-level=DEBUG"))
    );
    let status = sim.status();
    assert_eq!(status.volume_id.as_deref(), Some(ID));
    assert_eq!(status.servers, ["g1:24007", "g2:24007", "g9:24007"]);
    assert_eq!(status.capacity, Some(Capacity { total: Some(100), free: Some(50), available: None }));
    assert_eq!(status.classes, [RFC, "kadalu.s"]);
    assert!(status.last_change.unwrap().what.contains("taken up"));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
    let order = status.conditions.iter().map(|condition| condition.type_.as_str()).collect::<Vec<_>>();
    assert_eq!(order, ["Ready", "Reachable", "AssumptionsMet", "QuotaEnforced", "Drifted"]);
    assert_eq!(sim.told, ["Ready/Ready", "Reachable/AllServers", "AssumptionsMet/AllMet", "Drifted/InSync"]);
    assert_eq!(sim.asked, 1);
    assert!(sim.read()[0].is_held());
}

#[test]
fn faults_are_said_and_the_last_good_one_stays() {
    let mut sim = Sim::new();
    sim.create("ns", spec(json!({ "gluster_hots": "g1", "gluster_volname": "vol" })));
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False InvalidConfiguration");
    assert!(sim.message("Ready").contains("gluster_hosts"), "{}", sim.message("Ready"));
    assert_eq!((sim.names().as_str(), sim.entries.len(), sim.asked), ("", 0, 0));
    assert!(!sim.read()[0].is_held());

    let mut sim = Sim::with(rfc());
    let before = (sim.classes.clone(), sim.entries.clone());
    sim.edit(spec(json!({ "gluster_volname": "vol" })));
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False InvalidConfiguration");
    assert_eq!((sim.classes.clone(), sim.entries.clone()), before);
    // What was in force is looked after all the same.
    sim.classes.remove(RFC);
    sim.settle();
    assert_eq!(sim.classes, before.0);
    sim.edit(rfc());
    sim.settle();
    assert_eq!(sim.condition("Ready"), "True Ready");
}

#[test]
fn classes_are_made_only_of_a_volume_that_was_seen_and_is_fit() {
    for (code, ready) in [("server", "False Unreachable"), ("layout", "False AssumptionsNotMet")] {
        let mut sim = Sim::new();
        sim.clusters.insert("vol".to_owned(), ill("vol", code));
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!((sim.names().as_str(), sim.condition("Ready").as_str()), ("", ready));
        sim.clusters.insert("vol".to_owned(), report("vol", ID));
        sim.reports.clear();
        sim.settle();
        assert_eq!((sim.classes.len(), sim.condition("Ready").as_str()), (2, "True Ready"));
        // What is there stays.
        let before = sim.state();
        sim.clusters.insert("vol".to_owned(), ill("vol", code));
        sim.pass();
        sim.settle();
        assert_eq!((sim.classes.len(), sim.condition("Ready").as_str()), (2, ready));
        assert_eq!(sim.state()["classes"], before["classes"]);
    }
}

#[test]
fn conditions_say_what_is_wrong() {
    let mut sim = Sim::with(rfc());
    let mut found = ill("vol", "brick-port");
    found.findings.push(Finding { subject: Some("g2:24007".to_owned()), ..finding("server", How::Failed) });
    sim.clusters.insert("vol".to_owned(), found);
    sim.told.clear();
    sim.settle();
    assert_eq!(sim.condition("Reachable"), "True SomeServers");
    assert!(
        sim.message("Reachable").contains("1 of 2 servers answer: g2:24007"),
        "{}",
        sim.message("Reachable")
    );
    assert_eq!(sim.condition("AssumptionsMet"), "False BrickPort");
    assert_eq!(sim.told, ["Ready/AssumptionsNotMet", "Reachable/SomeServers", "AssumptionsMet/BrickPort"]);
    let findings = sim.status().findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>();
    assert_eq!(findings, ["brick-port", "server"]);
    sim.clusters.insert(
        "vol".to_owned(),
        Report { findings: vec![finding("server", How::Failed)], ..report("vol", ID) },
    );
    sim.settle();
    assert_eq!(
        (sim.condition("Reachable"), sim.condition("AssumptionsMet")),
        ("False NoServer".to_owned(), "Unknown Unreachable".to_owned())
    );
}

#[test]
fn the_state_of_bricks_is_asked_for_once_and_what_was_found_is_kept() {
    let mut sim = Sim::new();
    sim.clusters.insert("vol".to_owned(), ill("vol", "file-system"));
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!(sim.condition("AssumptionsMet"), "False FileSystem");
    sim.clusters.insert("vol".to_owned(), report("vol", ID));
    let before = sim.state();
    for _ in 0..3 {
        sim.restart();
        sim.settle();
    }
    assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (1, "False FileSystem"));
    assert_eq!(sim.state(), before);
    // Another server in the list may be another volume: an edit is looked at anew.
    sim.edit(spec(json!({ "gluster_hosts": ["g2", "g1"], "gluster_volname": "vol" })));
    sim.settle();
    assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (2, "True AllMet"));
    sim.object("ns")["metadata"]["annotations"] = json!({ CHECK: "1" });
    sim.settle();
    assert_eq!(sim.asked, 3);
}

#[test]
fn edits_of_hosts_options_and_policies_take_effect() {
    let mut sim = Sim::with(rfc());
    sim.volume("pvc-1");
    let mut edited =
        spec(json!({ "gluster_hosts": ["g3", "g1"], "gluster_volname": "vol", "gluster_options": "acl" }));
    edited["pvReclaimPolicy"] = json!("archive");
    sim.edit(edited);
    sim.settle();
    let info = sim.info();
    assert_eq!((&info["gluster_options"], &info["pvReclaimPolicy"]), (&json!("acl"), &json!("archive")));
    assert!(info["gluster_hosts"].as_str().unwrap().starts_with("g3"));
    let change = sim.status().last_change.unwrap();
    assert!(change.what.contains("servers, options, pvReclaimPolicy changed"), "{}", change.what);
    assert_eq!(
        (sim.condition("Drifted"), sim.condition("Ready")),
        ("False InSync".to_owned(), "True Ready".to_owned())
    );
    assert_eq!(sim.status().observed_generation, Some(2));
}

#[test]
fn an_edit_that_would_take_pvs_away_is_refused_and_says_why() {
    let whole = |words: Value| {
        let mut spec = spec(words);
        spec["single_pv_per_pool"] = json!(true);
        spec
    };
    for (edited, reason, what) in [
        (
            spec(json!({ "gluster_hosts": "g1", "gluster_volname": "new" })),
            "VolumeChanged",
            "1 PV is (pvc-1) of the volume vol",
        ),
        (
            whole(json!({ "gluster_hosts": ["g1", "g2"], "gluster_volname": "vol" })),
            "KindChanged",
            "single_pv_per_pool",
        ),
        (spec(json!({ "gluster_hosts": "h1", "gluster_volname": "vol" })), "ClusterChanged", OTHER),
    ] {
        let mut sim = Sim::with(rfc());
        sim.volume("pvc-1");
        sim.settle();
        let before = (sim.classes.clone(), sim.entries.clone());
        sim.clusters.insert("h1:24007/vol".to_owned(), report("vol", OTHER));
        sim.edit(edited);
        sim.settle();
        assert_eq!(sim.condition("Drifted"), format!("True {reason}"));
        assert!(sim.message("Drifted").contains(what), "{}", sim.message("Drifted"));
        assert_eq!(sim.condition("Ready"), "True Ready");
        assert_eq!((sim.classes.clone(), sim.entries.clone()), before);
        // Nobody is on it any more: the edit is taken up.
        sim.volumes.clear();
        sim.settle();
        assert_eq!(sim.condition("Drifted"), "False InSync");
        assert_ne!(sim.entries, before.1);
    }
}

#[test]
fn a_class_of_another_kind_is_made_anew_with_what_others_put_on_it() {
    let mut sim = Sim::with(rfc());
    sim.classes.get_mut(RFC).unwrap().value["metadata"]["annotations"]["default"] = json!("true");
    let mut whole = rfc();
    whole["single_pv_per_pool"] = json!(true);
    sim.edit(whole);
    sim.settle();
    let class = &sim.classes[RFC].value;
    assert_eq!((&class["reclaimPolicy"], &class["allowVolumeExpansion"]), (&json!("Retain"), &json!(false)));
    assert_eq!(class["metadata"]["annotations"]["default"], "true");
    assert_eq!(sim.condition("QuotaEnforced"), "True WholeVolume");
}

#[test]
fn a_volume_that_was_made_anew_is_never_taken_silently() {
    let mut sim = Sim::with(rfc());
    sim.clusters.insert("vol".to_owned(), report("vol", OTHER));
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.status().volume_id.as_deref()),
        ("False VolumeReplaced", Some(ID))
    );
    assert!(sim.message("Ready").contains(&format!("{ACCEPT}={OTHER}")), "{}", sim.message("Ready"));
    let before = sim.state();
    sim.restart();
    sim.pass();
    sim.settle();
    assert_eq!(
        (sim.state(), sim.told.iter().filter(|told| *told == "Ready/VolumeReplaced").count()),
        (before, 1)
    );
    sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: ID });
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False VolumeReplaced");
    sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: OTHER });
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.status().volume_id.as_deref()),
        ("True Ready", Some(OTHER))
    );
    assert!(sim.status().last_change.unwrap().what.contains(ID));
    // And back: the old one comes from a backup.
    sim.clusters.insert("vol".to_owned(), report("vol", ID));
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False VolumeReplaced");
}

#[test]
fn what_is_ours_is_put_back_and_what_is_not_is_left_alone() {
    let mut sim = Sim::with(rfc());
    let good = (sim.classes.clone(), sim.entries.clone());
    for spoil in [
        (|sim: &mut Sim| drop(sim.classes.remove(RFC))) as fn(&mut Sim),
        |sim| sim.classes.get_mut(RFC).unwrap().value["allowVolumeExpansion"] = json!(false),
        |sim| sim.classes.get_mut(RFC).unwrap().value["parameters"] = json!({}),
        |sim| drop(sim.entries.insert("s".to_owned(), "{".to_owned())),
        |sim| sim.entries.clear(),
    ] {
        sim.told.clear();
        spoil(&mut sim);
        sim.settle();
        assert_eq!((sim.classes.clone(), sim.entries.clone()), good);
        assert_eq!(sim.told, ["Drifted/Restored", "Drifted/InSync"]);
    }
    let theirs = |parameters: Value| {
        let value = json!({ "metadata": { "name": RFC }, "provisioner": "kadalu", "parameters": parameters });
        Class { storage: None, uid: "theirs".to_owned(), value }
    };
    let other =
        theirs(json!({ "hostvol_type": "External", "gluster_hosts": "g1", "gluster_volname": "other" }));
    for names in [ClassNames::Both, ClassNames::Rfc] {
        let mut sim = Sim::new();
        sim.settings.class_names = names;
        sim.classes.insert(RFC.to_owned(), other.clone());
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!(sim.classes[RFC], other);
        assert_eq!(sim.condition("Drifted"), "True ClassNotOurs");
        let ready = if names == ClassNames::Both { "True Ready" } else { "False ClassNotOurs" };
        assert_eq!(sim.condition("Ready"), ready);
    }
    // kadalu's own class leads to the same volume.
    let own = theirs(
        json!({ "hostvol_type": "External", "gluster_hosts": "g2,g1", "gluster_volname": "vol", "single_pv_per_pool": "False" }),
    );
    let mut sim = Sim::new();
    sim.classes.insert(RFC.to_owned(), own.clone());
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!((&sim.classes[RFC], sim.condition("Drifted").as_str()), (&own, "False InSync"));
    assert!(sim.message("Ready").contains(RFC));
    sim.delete();
    sim.settle();
    assert_eq!((sim.names().as_str(), sim.objects.len()), (RFC, 0));
}

#[test]
fn an_entry_of_kadalu_is_taken_over_and_one_of_others_is_not() {
    let kadalus = r#"{"volname": "s", "volume_id": "4ff6f4a2", "type": "External", "pvReclaimPolicy": "delete",
        "single_pv_per_pool": false, "gluster_hosts": "g1", "gluster_volname": "vol", "gluster_options": ""}"#;
    let mut sim = Sim::new();
    sim.entries.insert("s".to_owned(), kadalus.to_owned());
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!(
        (&sim.info()["volume_id"], sim.condition("Ready").as_str()),
        (&json!("4ff6f4a2"), "True Ready")
    );
    // Also when somebody has thrown it away.
    sim.entries.clear();
    sim.settle();
    assert_eq!(sim.info()["volume_id"], "4ff6f4a2");
    for theirs in [r#"{"type": "Replica3", "volname": "s"}"#, "{", &kadalus.replace("vol\"", "other\"")] {
        let mut sim = Sim::new();
        sim.entries.insert("s".to_owned(), theirs.to_owned());
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!(sim.condition("Ready"), "False EntryNotOurs");
        assert_eq!((sim.entries["s"].as_str(), sim.names().as_str()), (theirs, ""));
        sim.delete();
        sim.settle();
        assert_eq!(sim.entries["s"], theirs);
    }
}

#[test]
fn a_storage_is_held_while_there_are_pvs_and_then_leaves_nothing() {
    let mut sim = Sim::with(rfc());
    sim.volume("pvc-1");
    sim.volume("pvc-2");
    sim.delete();
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False HeldByVolumes");
    assert!(sim.message("Ready").contains("2 PVs are (pvc-1, pvc-2)"), "{}", sim.message("Ready"));
    assert_eq!((sim.classes.len(), sim.told.last().unwrap().as_str()), (2, "Ready/HeldByVolumes"));
    sim.volumes.clear();
    sim.settle();
    assert_eq!((sim.objects.len(), sim.classes.len(), sim.entries.len()), (0, 0, 0));
    // One that never came into force holds nobody up, and neither does one without our finalizer.
    let mut sim = Sim::new();
    sim.create("ns", spec(json!({})));
    sim.settle();
    sim.delete();
    assert_eq!(sim.pass(), 0);
}

#[test]
fn of_two_of_one_name_the_older_has_it_and_the_younger_follows() {
    let mut sim = Sim::new();
    sim.create("a-first", rfc());
    sim.create("ns", spec(json!({ "gluster_hosts": "g1", "gluster_volname": "new" })));
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False NameTaken");
    assert!(sim.message("Ready").contains("a-first/s"));
    assert_eq!(sim.info()["gluster_volname"], "vol");
    sim.object("a-first")["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), &sim.info()["gluster_volname"]),
        ("True Ready", &json!("new"))
    );
    assert_eq!(sim.classes[RFC].storage.as_deref(), Some("ns/s"));
    // A storage of another kind takes no name.
    let mut sim = Sim::new();
    sim.create("a-first", json!({ "type": "Replica3", "storage": [] }));
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.objects["a-first/s"].get("status")),
        ("True Ready", None)
    );
}

#[test]
fn a_storage_that_becomes_one_of_kadalu_keeps_what_it_was() {
    let mut sim = Sim::with(rfc());
    sim.edit(json!({ "type": "Replica3", "storage": [{ "node": "n", "device": "/dev/sdb" }] }));
    sim.settle();
    assert_eq!((sim.condition("Ready").as_str(), sim.classes.len()), ("False InvalidConfiguration", 2));
    sim.delete();
    sim.settle();
    assert_eq!((sim.objects.len(), sim.classes.len()), (0, 0));
}

#[test]
fn quota_is_what_the_driver_says() {
    let mut sim = Sim::with(rfc());
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown NotObserved");
    sim.driver = DriverView::Failed("down".to_owned());
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown DriverUnreachable");
    let seen = |lacking: &[&str]| {
        let lacking = lacking.iter().map(|name| (format!("{ID}/{name}"), "no quotad".to_owned()));
        DriverView::Seen { not_enforced: Arc::new(lacking.collect()), available: Some(7) }
    };
    sim.driver = seen(&[]);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown NoVolumes");
    sim.volume("pvc-1");
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "True Enforced");
    assert_eq!(sim.status().capacity.unwrap().available, Some(7));
    sim.driver = seen(&["pvc-1", "of-another"]);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "False QuotaNotEnforced");
    assert!(
        sim.message("QuotaEnforced").contains("1 of 1 PVs")
            && sim.message("QuotaEnforced").contains("no quotad")
    );
    let mut off = rfc();
    off["quota"] = json!("off");
    sim.edit(off);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "False Off");
}

#[test]
fn names_that_are_not_wanted_any_more_go_unless_pvs_have_them() {
    let mut sim = Sim::with(rfc());
    sim.settings.class_names = ClassNames::Kadalu;
    sim.volume("pvc-1");
    sim.settle();
    assert_eq!(sim.classes.len(), 2);
    sim.volumes.clear();
    sim.settle();
    assert_eq!((sim.names().as_str(), sim.condition("Drifted").as_str()), ("kadalu.s", "False InSync"));
}

/// Something that happens beside the operator.
#[derive(Debug, Clone, Copy)]
enum Event {
    Seen,
    DriverAnswers,
    Restart,
    ClassDeleted,
    ClassChanged,
    EntryLost,
    Volume,
    Options,
    Annotated,
}

impl Event {
    fn happen(self, sim: &mut Sim) {
        match self {
            Self::Seen => drop(sim.clusters.insert("vol".to_owned(), report("vol", ID))),
            Self::DriverAnswers => {
                sim.driver = DriverView::Seen { not_enforced: Arc::default(), available: Some(9) };
            }
            Self::Restart => sim.reports.clear(),
            Self::ClassDeleted => drop(sim.classes.remove(RFC)),
            Self::ClassChanged => {
                if let Some(class) = sim.classes.get_mut("kadalu.s") {
                    class.value["parameters"] = json!({ "storage_name": "t" });
                }
            }
            Self::EntryLost => sim.entries.clear(),
            Self::Volume => sim.volume("pvc-1"),
            Self::Options => {
                sim.edit(spec(json!({ "gluster_hosts": ["g2", "g3"], "gluster_volname": "vol", "gluster_options": "acl" })));
            }
            Self::Annotated => sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: OTHER }),
        }
    }
}

const EVENTS: [Event; 9] = [
    Event::Seen,
    Event::DriverAnswers,
    Event::Restart,
    Event::ClassDeleted,
    Event::ClassChanged,
    Event::EntryLost,
    Event::Volume,
    Event::Options,
    Event::Annotated,
];

/// A storage whose volume is not seen yet.
fn begun() -> Sim {
    let mut sim = Sim::new();
    sim.clusters.clear();
    sim.driver = DriverView::NotAsked;
    sim.create("ns", rfc());
    sim
}

proptest! {
    #[test]
    fn any_order_of_events_ends_in_the_same_state(
        events in Just(EVENTS.to_vec()).prop_shuffle(),
        passes in proptest::collection::vec(0..3_usize, EVENTS.len()),
    ) {
        let mut expected = begun();
        EVENTS.iter().for_each(|event| event.happen(&mut expected));
        expected.settle();
        let mut sim = begun();
        for (event, passes) in events.into_iter().zip(passes) {
            for _ in 0..passes {
                sim.pass();
            }
            event.happen(&mut sim);
        }
        sim.settle();
        prop_assert_eq!(sim.state(), expected.state());
        prop_assert_eq!(sim.condition("Ready"), "True Ready");
    }

    #[test]
    fn what_is_done_is_done_and_a_restart_changes_nothing(
        events in proptest::collection::vec((0..EVENTS.len(), 0..3_usize), 0..12),
        wrong in prop_oneof![Just(None), Just(Some("layout")), Just(Some("server"))],
        deleted in any::<bool>(),
    ) {
        let mut sim = begun();
        for (event, passes) in events {
            EVENTS[event].happen(&mut sim);
            for _ in 0..passes {
                sim.pass();
            }
        }
        if let Some(code) = wrong {
            sim.clusters.insert("vol".to_owned(), ill("vol", code));
        }
        if deleted {
            sim.delete();
        }
        sim.settle();
        let (state, told) = (sim.objects.clone(), sim.told.len());
        prop_assert_eq!(sim.pass(), 0);
        sim.restart();
        sim.settle();
        prop_assert_eq!((sim.objects, sim.told.len()), (state, told));
    }
}
