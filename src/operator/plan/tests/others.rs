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

/// Whoever edits something else has not accepted it, although there are no PVs yet.
#[test]
fn an_edit_does_not_accept_a_volume_that_was_made_anew() {
    let mut whole = rfc();
    whole["single_pv_per_pool"] = json!(true);
    let mut sim = Sim::with(rfc());
    let before = sim.entries.clone();
    sim.clusters.insert("vol".to_owned(), report("vol", OTHER));
    // The edit is the first to be looked at.
    sim.edit(whole);
    sim.settle();
    assert_eq!((sim.condition("Ready").as_str(), &sim.entries), ("False VolumeReplaced", &before));
    assert_eq!(
        (sim.status().volume_id.as_deref(), sim.condition("Drifted").as_str()),
        (Some(ID), "True EditPending")
    );
    let (before, told) = (sim.objects.clone(), sim.told.len());
    sim.restart();
    sim.settle();
    assert_eq!((&sim.objects, sim.told.len()), (&before, told));
    sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: OTHER });
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.condition("Drifted").as_str()),
        ("True Ready", "False InSync")
    );
    assert_eq!(
        (&sim.info()["gluster_volume_id"], sim.status().volume_id.as_deref()),
        (&json!(OTHER), Some(OTHER))
    );
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
    // And of one that makes no sense: it is a typo, and they are there.
    let mut sim = Sim::new();
    sim.volume("pvc-1");
    sim.create("ns", spec(json!({ "gluster_hots": "g1", "gluster_volname": "vol" })));
    sim.settle();
    assert_eq!(
        (sim.read()[0].is_held(), sim.condition("Ready").as_str()),
        (true, "False InvalidConfiguration")
    );
    sim.delete();
    sim.settle();
    assert_eq!((sim.objects.len(), sim.condition("Ready").as_str()), (1, "False HeldByVolumes"));
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
    sim.driver = down();
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "Unknown DriverUnreachable");
    let home = || Home::Known { of: identity("vol", ID), available: Some(7) };
    let seen = |limits: &[(&str, Limit)]| {
        let limits = limits.iter().map(|(name, limit)| (format!("{ID}/{name}"), limit.clone()));
        let asked = Arc::new(BTreeSet::from([format!("{ID}/pvc-1")]));
        DriverView::Seen { limits: Arc::new(limits.collect()), asked, home: home() }
    };
    let (well, off) = (|name| (name, Limit::Enforced), |name| (name, Limit::Off));
    let late = |name| (name, Limit::Unknown("it is late".to_owned()));
    let lacks = |name| (name, Limit::NotEnforced("no quotad".to_owned()));
    sim.driver = seen(&[]);
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
    sim.driver = seen(&[well("pvc-1")]);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "True Enforced");
    assert_eq!(sim.status().capacity.unwrap().available, Some(7));
    // It is younger than what the driver has said.
    sim.volume("pvc-2");
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "True Enforced");
    for (limits, condition, said) in [
        (&[well("pvc-1"), off("pvc-2")][..], "True Enforced", "the limits of all 1 PVs; 1 have no limit"),
        (&[off("pvc-1"), off("pvc-2")], "False Off", "none of 2 PVs has a limit"),
        (&[well("pvc-1"), late("pvc-2")], "Unknown QuotaUnknown", "of 1 of 2 PVs nobody tells: "),
        (&[late("pvc-1")], "Unknown QuotaUnknown", "pvc-1: it is late; 1 made by hand"),
        (&[well("pvc-2")], "Unknown NotListed", "1 of 2 PVs are not known"),
        (&[late("pvc-1"), lacks("pvc-2")], "False QuotaNotEnforced", "1 of 2 PVs are not limited"),
        (&[lacks("pvc-1"), lacks("of-another")], "False QuotaNotEnforced", "pvc-1: no quotad"),
    ] {
        sim.driver = seen(limits);
        sim.settle();
        assert_eq!(sim.condition("QuotaEnforced"), condition, "{limits:?}");
        assert!(sim.message("QuotaEnforced").contains(said), "{}", sim.message("QuotaEnforced"));
    }
    let mut off = rfc();
    off["quota"] = json!("off");
    sim.edit(off);
    sim.settle();
    assert_eq!(sim.condition("QuotaEnforced"), "False Off");
}

fn identity(volume: &str, id: &str) -> Identity {
    Identity { volume: Some(volume.to_owned()), id: Some(id.to_owned()) }
}

#[test]
fn a_storage_is_ready_when_the_driver_knows_it() {
    let seen = |home| DriverView::Seen { limits: Arc::default(), asked: Arc::default(), home };
    let known = |volume, id| seen(Home::Known { of: identity(volume, id), available: None });
    let not_known = || seen(Home::NotKnown("there is no storage \"s\"".to_owned()));
    let mut sim = Sim::new();
    sim.driver = DriverView::NotAsked;
    sim.create("ns", rfc());
    for (driver, ready, said) in [
        (DriverView::NotAsked, "Unknown Checking", ""),
        (down(), "Unknown DriverNotReady", "the driver does not answer: down"),
        (seen(Home::NotAsked), "Unknown DriverNotReady", "down"),
        (not_known(), "Unknown DriverNotReady", "there is no storage \"s\""),
        (known("other", ID), "Unknown DriverNotReady", ""),
        (known("vol", OTHER), "Unknown DriverNotReady", ""),
    ] {
        sim.driver = driver;
        sim.settle();
        assert_eq!((sim.condition("Ready").as_str(), sim.classes.len()), (ready, 2));
        assert!(sim.message("Ready").contains(said), "{}", sim.message("Ready"));
        // It is made, and nobody has to do anything.
        assert!(sim.told.iter().all(|told| !told.starts_with("Ready")), "{:?}", sim.told);
    }
    // It is of no matter that the driver does not tell of the PVs, as the volume of others does not answer.
    sim.driver = match known("vol", ID) {
        DriverView::Seen { home, .. } => DriverView::Failed { why: "volume other".to_owned(), home },
        other => other,
    };
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.told.last().unwrap().as_str()),
        ("True Ready", "Ready/Ready")
    );
    // What becomes of the driver is no news of the storage.
    let before = sim.status().conditions.into_iter().find(|one| one.type_ == "Ready");
    for driver in [DriverView::NotAsked, down(), seen(Home::NotAsked), not_known()] {
        sim.driver = driver;
        sim.settle();
        assert_eq!(sim.status().conditions.into_iter().find(|one| one.type_ == "Ready"), before);
    }
    // After troubles of its own too, where the driver knows it.
    sim.driver = known("vol", ID);
    let well = sim.clusters.insert("vol".to_owned(), ill("vol", "server")).unwrap();
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False Unreachable");
    sim.clusters.insert("vol".to_owned(), well);
    sim.settle();
    assert_eq!(sim.condition("Ready"), "True Ready");
    // Another volume: until the driver is told, it would make PVs on the other one.
    sim.edit(spec(json!({ "gluster_hosts": ["g1", "g2"], "gluster_volname": "new" })));
    sim.settle();
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.info()["gluster_volname"].as_str()),
        ("Unknown Checking", Some("new"))
    );
    sim.driver = known("new", OTHER);
    sim.settle();
    assert_eq!(sim.condition("Ready"), "True Ready");
    sim.clusters.insert("new".to_owned(), report("new", ID));
    sim.settle();
    sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: ID });
    sim.settle();
    assert_ne!(sim.condition("Ready"), "True Ready");
    sim.driver = known("new", ID);
    sim.settle();
    assert_eq!(sim.condition("Ready"), "True Ready");
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
