//! What others do: clusters, people, the driver, and other storages.

use super::*;

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
    // The driver is told which one it may use.
    assert_eq!(sim.info()["gluster_volume_id"], ID);
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
    assert_eq!(sim.info()["gluster_volume_id"], OTHER);
    assert!(!sim.told.iter().any(|told| told == "Drifted/Restored"), "{:?}", sim.told);
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
        |sim| drop(sim.entries.insert("s".to_owned(), sim.entries["s"].replace(ID, OTHER))),
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
    // PVs of kadalu, of a volume that is not fit: it is theirs before it is in force.
    let mut sim = Sim::new();
    sim.clusters.insert("vol".to_owned(), ill("vol", "layout"));
    sim.volume("pvc-1");
    sim.create("ns", rfc());
    sim.settle();
    sim.delete();
    sim.settle();
    assert_eq!((sim.objects.len(), sim.condition("Ready").as_str()), (1, "False HeldByVolumes"));
    assert!(sim.message("Ready").contains("are served until then"), "{}", sim.message("Ready"));
    sim.volumes.clear();
    sim.settle();
    assert_eq!(sim.objects.len(), 0);
    // Killed when it had written the entry, and not yet the status.
    let mut sim = Sim::with(rfc());
    sim.object("ns").as_object_mut().unwrap().remove("status");
    sim.classes.clear();
    sim.delete();
    sim.settle();
    assert_eq!((sim.objects.len(), sim.entries.len()), (0, 0));
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
    let seen = |listed: &[&str], lacking: &[&str]| {
        let handle = |name: &&str| format!("{ID}/{name}");
        let lacking = lacking.iter().map(|name| (handle(name), "no quotad".to_owned()));
        let listed = Arc::new(listed.iter().map(handle).collect());
        let asked = Arc::new(BTreeSet::from(["pvc-1"].map(|name| handle(&name))));
        DriverView::Seen { listed, asked, not_enforced: Arc::new(lacking.collect()), available: Some(7) }
    };
    sim.driver = seen(&[], &[]);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown NoVolumes");
    // Nobody limits what somebody has written by hand, and nobody has said so.
    let csi = json!({ "driver": "kadalu", "volumeHandle": "g1:/vol/home" });
    let by_hand = json!({ "metadata": { "name": "home" }, "spec": { "csi": csi } });
    sim.volumes.push(Arc::new(serde_json::from_value(by_hand).unwrap()));
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown NoVolumes");
    assert!(sim.message("QuotaEnforced").contains("1 made by hand"), "{}", sim.message("QuotaEnforced"));
    sim.volume("pvc-1");
    sim.settle();
    // What nobody lists is no PV that is limited.
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown NotListed");
    assert!(
        sim.message("QuotaEnforced")
            .contains(&format!("1 of 1 PVs are not known to the driver ({ID}/pvc-1)"))
    );
    sim.driver = seen(&["pvc-1"], &[]);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "True Enforced");
    assert_eq!(sim.status().capacity.unwrap().available, Some(7));
    // It is younger than what the driver has said.
    sim.volume("pvc-2");
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "True Enforced");
    sim.volumes.pop();
    sim.driver = seen(&["pvc-1"], &["pvc-1", "of-another"]);
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
