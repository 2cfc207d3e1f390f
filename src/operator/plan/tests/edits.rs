//! What a spec becomes, at first and by edits.

use super::*;

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
    found.findings.push(Finding { subject: Some("g2:24007".to_owned()), ..finding("server", How::Warning) });
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
    assert_eq!(findings, ["server", "brick-port"]);
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
    for (code, how, condition) in [
        ("file-system", How::Failed, "False FileSystem"),
        ("inode-size", How::Warning, "True Warnings"),
        ("client-version", How::Warning, "True Warnings"),
    ] {
        let mut sim = Sim::new();
        sim.clusters.get_mut("vol").unwrap().replace(vec![finding(code, how)]);
        sim.create("ns", rfc());
        for _ in 0..3 {
            sim.settle();
            sim.pass();
        }
        assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (1, condition));
        assert_eq!(sim.classes.is_empty(), how == How::Failed);
        assert_eq!(sim.status().findings.len(), 1, "{:?}", sim.status().findings);
        sim.clusters.insert("vol".to_owned(), report("vol", ID));
        let (before, told) = (sim.objects.clone(), sim.told.len());
        for _ in 0..3 {
            sim.restart();
            sim.settle();
        }
        assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (1, condition));
        assert_eq!((&sim.objects, sim.told.len()), (&before, told));
        // Another server in the list may be another volume: an edit is looked at anew.
        sim.edit(spec(json!({ "gluster_hosts": ["g2", "g1"], "gluster_volname": "vol" })));
        sim.settle();
        assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (2, "True AllMet"));
        sim.object("ns")["metadata"]["annotations"] = json!({ CHECK: "1" });
        sim.settle();
        assert_eq!(sim.asked, 3);
    }
}

#[test]
fn a_version_that_does_not_fit_is_looked_at_again_by_itself() {
    for code in ["op-version", "client-version"] {
        let mut sim = Sim::new();
        let with = |how| Report {
            findings: [report("vol", ID).findings, vec![finding(code, how)]].concat(),
            ..report("vol", ID)
        };
        sim.clusters.insert("vol".to_owned(), with(How::Failed));
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!((sim.condition("Ready").as_str(), sim.asked), ("False AssumptionsNotMet", 1));
        // Also after a restart, as of another image; and nobody who is silent for a moment ends it.
        for _ in 0..2 {
            let before = (sim.objects.clone(), sim.told.len());
            sim.clusters.insert("vol".to_owned(), with(How::Unknown));
            sim.settle();
            sim.clusters.insert("vol".to_owned(), with(How::Failed));
            sim.restart();
            sim.settle();
            assert_eq!((sim.objects.clone(), sim.told.len()), before);
        }
        sim.restart();
        sim.clusters.insert("vol".to_owned(), with(How::Unknown));
        sim.settle();
        assert_eq!(sim.condition("Ready"), "False AssumptionsNotMet");
        sim.clusters.insert("vol".to_owned(), report("vol", ID));
        sim.settle();
        assert_eq!((sim.condition("Ready").as_str(), sim.status().findings.len()), ("True Ready", 0));
        assert_eq!(sim.asked, 1, "the lock of the volume was taken again");
        // It is not asked for any more, until it has failed again.
        let asked = sim.asked_versions;
        (0..3).for_each(|_| _ = sim.pass());
        assert!(asked > 0 && sim.asked_versions == asked);
    }
}

#[test]
fn bricks_that_have_not_told_are_asked_again_and_not_at_each_look() {
    let silent = |code| finding(code, How::Unknown);
    let mut sim = Sim::new();
    let codes = ["brick-online", "file-system", "project-quota", "inode-size", "free-space"];
    sim.clusters.get_mut("vol").unwrap().replace(codes.map(silent).into());
    sim.create("ns", rfc());
    (0..9).for_each(|_| _ = sim.pass());
    assert_eq!((sim.asked, sim.status().bricks_checked), (4, None));
    assert_eq!(sim.condition("Ready"), "True Ready");
    sim.restart();
    let before = sim.objects.clone();
    sim.settle();
    assert_eq!(sim.objects, before);
    sim.clusters.insert("vol".to_owned(), ill("vol", "file-system"));
    (0..9).for_each(|_| _ = sim.pass());
    assert!(sim.status().bricks_checked.is_some());
    assert_eq!(sim.condition("AssumptionsMet"), "False FileSystem");
    // A volume that cannot be used yet: its bricks have their say before it can.
    let mut sim = Sim::new();
    let mut stopped = ill("vol", "started");
    stopped.replace(codes.map(silent).into());
    sim.clusters.insert("vol".to_owned(), stopped);
    sim.create("ns", rfc());
    (0..6).for_each(|_| _ = sim.pass());
    sim.clusters.insert("vol".to_owned(), ill("vol", "file-system"));
    sim.settle();
    assert_eq!((sim.condition("AssumptionsMet").as_str(), sim.classes.len()), ("False FileSystem", 0));
}

#[test]
fn what_bricks_say_of_a_moment_is_no_obstacle_and_not_kept() {
    for code in ["brick-online", "free-space"] {
        let mut sim = Sim::new();
        sim.clusters.insert("vol".to_owned(), ill("vol", code));
        sim.create("ns", rfc());
        (0..2).for_each(|_| _ = sim.pass());
        assert_eq!(
            (sim.condition("AssumptionsMet"), sim.condition("Ready")),
            ("True Warnings".to_owned(), "True Ready".to_owned())
        );
        sim.settle();
        assert_eq!((sim.asked, sim.condition("AssumptionsMet").as_str()), (1, "True AllMet"));
        assert!(sim.status().findings.is_empty());
    }
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

/// Nobody has told anything of it: a server that answers is no volume.
#[test]
fn a_volume_of_which_nobody_tells_is_not_taken_up() {
    let mut sim = Sim::new();
    let mut silent = report("vol", ID);
    silent.facts.id = None;
    sim.clusters.insert("vol".to_owned(), silent.clone());
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!((sim.condition("Ready").as_str(), sim.names().as_str()), ("False NotSeen", ""));
    // By its volfile it is known, where the servers tell no id.
    silent.facts.digest = Some("sha256:07".to_owned());
    sim.clusters.insert("vol".to_owned(), silent);
    sim.settle();
    assert_eq!((sim.condition("Ready").as_str(), sim.classes.len()), ("True Ready", 2));
}

/// Why it waits is known until somebody has looked again.
#[test]
fn a_restart_does_not_forget_why_an_edit_waits() {
    let mut sim = Sim::with(rfc());
    sim.volume("pvc-1");
    sim.clusters.insert("h1:24007/vol".to_owned(), report("vol", OTHER));
    let strange = spec(json!({ "gluster_hosts": "h1", "gluster_volname": "vol" }));
    sim.edit(strange);
    sim.settle();
    assert_eq!(sim.condition("Drifted"), "True ClusterChanged");
    let (before, told) = (sim.objects.clone(), sim.told.clone());
    let clusters = std::mem::take(&mut sim.clusters);
    sim.restart();
    sim.settle();
    assert_eq!((&sim.objects, &sim.told), (&before, &told));
    sim.clusters = clusters;
    sim.settle();
    assert_eq!((&sim.objects, &sim.told), (&before, &told));
    // Of another edit it is not known.
    sim.clusters.clear();
    sim.edit(spec(json!({ "gluster_hosts": "h2", "gluster_volname": "vol" })));
    sim.settle();
    assert_eq!(sim.condition("Drifted"), "True EditPending");
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
fn servers_that_nobody_has_looked_at_are_not_in_force() {
    let mut sim = Sim::with(rfc());
    let before = sim.entries.clone();
    let strange = finding("cluster", How::Failed);
    let mut mixed = report("vol", ID);
    mixed.findings.push(strange);
    sim.clusters.insert("vol".to_owned(), mixed);
    sim.edit(spec(json!({ "gluster_hosts": ["g1", "x1"], "gluster_volname": "vol" })));
    sim.pass();
    assert_eq!(
        (sim.condition("Drifted"), &sim.entries),
        ("True EditPending".to_owned(), &before),
        "its look has only begun"
    );
    sim.settle();
    assert_eq!((sim.condition("Drifted"), &sim.entries), ("True ClusterChanged".to_owned(), &before));
    sim.clusters.insert("vol".to_owned(), report("vol", ID));
    sim.settle();
    assert_eq!(sim.condition("Drifted"), "False InSync");
    assert!(sim.info()["gluster_hosts"].as_str().unwrap().contains("x1"));
    // What was learned is of the cluster.
    sim.clusters.clear();
    sim.edit(spec(json!({ "gluster_hosts": ["g9", "g1"], "gluster_volname": "vol" })));
    sim.settle();
    assert!(sim.info()["gluster_hosts"].as_str().unwrap().starts_with("g9"));
}

#[test]
fn a_name_whose_class_is_that_of_another_storage_is_refused() {
    let mut sim = Sim::new();
    sim.create("ns", rfc());
    let mut object = sim.objects.remove("ns/s").unwrap();
    object["metadata"]["name"] = json!("external.s");
    sim.objects.insert("ns/external.s".to_owned(), object);
    // They are those of the other.
    sim.volume("pvc-1");
    sim.settle();
    assert!(!sim.read()[0].is_held());
    assert_eq!((sim.condition("Ready").as_str(), sim.names().as_str()), ("False InvalidConfiguration", ""));
    assert!(
        sim.message("Ready").contains("kadalu.external.s, which is that of a storage named s"),
        "{}",
        sim.message("Ready")
    );
}
