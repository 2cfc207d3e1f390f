//! Names that somebody else has, or had before, and words that are nobody's.

use super::*;

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

/// The API tells seconds: of two of one second one has the name, and one only.
#[test]
fn of_two_of_one_second_one_has_the_name() {
    let mut sim = Sim::new();
    sim.create("ns", rfc());
    sim.create("a-first", spec(json!({ "gluster_hosts": "g1", "gluster_volname": "new" })));
    for namespace in ["ns", "a-first"] {
        sim.object(namespace)["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False NameTaken");
    assert_eq!(sim.info()["gluster_volname"], "new");
    assert_eq!(sim.classes[RFC].storage.as_deref(), Some("a-first/s"));
}

/// The PVs of the name are those of who has it, and hold nobody else.
#[test]
fn who_has_lost_the_name_is_not_held_by_pvs() {
    let mut sim = Sim::new();
    sim.create("a-first", json!({ "type": "Replica3", "storage": [] }));
    sim.create("ns", rfc());
    sim.volume("pvc-1");
    sim.settle();
    assert_eq!(sim.condition("Ready"), "True Ready");
    sim.object("a-first")["spec"] = rfc();
    sim.settle();
    assert_eq!(sim.condition("Ready"), "False NameTaken");
    sim.delete();
    sim.settle();
    assert_eq!(sim.objects.keys().collect::<Vec<_>>(), ["a-first/s"]);
    assert_eq!(
        (sim.names().as_str(), &sim.info()["gluster_volname"]),
        ("kadalu.external.s kadalu.s", &json!("vol"))
    );
    assert_eq!(sim.classes[RFC].storage.as_deref(), Some("a-first/s"));
}

/// Its parameters would do, but claims of it go to another driver.
#[test]
fn a_class_of_another_driver_leads_nowhere() {
    let parameters =
        json!({ "hostvol_type": "External", "gluster_hosts": "g1,g2", "gluster_volname": "vol" });
    for (provisioner, ready) in [("kadalu", "True Ready"), ("other.example.com", "False ClassNotOurs")] {
        let mut sim = Sim::new();
        sim.settings.class_names = ClassNames::Rfc;
        let value =
            json!({ "metadata": { "name": RFC }, "provisioner": provisioner, "parameters": parameters });
        sim.classes.insert(RFC.to_owned(), Class { storage: None, uid: "theirs".to_owned(), value });
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!(sim.condition("Ready"), ready);
        assert_eq!(sim.classes[RFC].uid, "theirs");
    }
}

/// The same volume under another name is another storage of kadalu's.
#[test]
fn an_entry_of_another_name_is_not_taken_over() {
    for (name, ready) in [("s", "True Ready"), ("t", "False EntryNotOurs")] {
        let entry =
            json!({ "volname": name, "type": "External", "gluster_hosts": "g1", "gluster_volname": "vol" });
        let mut sim = Sim::new();
        sim.entries.insert("s".to_owned(), entry.to_string());
        sim.create("ns", rfc());
        sim.settle();
        assert_eq!((sim.condition("Ready").as_str(), sim.info()["volname"].as_str()), (ready, Some(name)));
    }
}

/// The pairs that kadalu's definitions of the kind leave in the store: the second of each may be nobody's word.
#[test]
fn defaults_of_kadalu_are_no_words_of_the_user() {
    let with = |single: bool, format: &str| {
        let mut spec = rfc();
        spec["single_pv_per_pool"] = json!(single);
        spec["kadalu_format"] = json!(format);
        spec["pvReclaimPolicy"] = json!("delete");
        spec
    };
    for (single, format, whole) in
        [(false, "non-native", true), (true, "native", true), (false, "native", false)]
    {
        let mut sim = Sim::with(with(single, format));
        assert_eq!(sim.condition("Ready"), "True Ready", "{single} {format}");
        assert_eq!(sim.info()["single_pv_per_pool"], whole, "{single} {format}");
        // What was applied is what its user wrote.
        let mut words = with(single, format);
        sim.object("ns")["metadata"]["annotations"] =
            json!({ LAST_APPLIED: json!({ "spec": words }).to_string() });
        sim.settle();
        let ready = if whole { "False InvalidConfiguration" } else { "True Ready" };
        assert_eq!(sim.condition("Ready"), ready, "{single} {format}");
        words.as_object_mut().unwrap().remove(if single { "kadalu_format" } else { "single_pv_per_pool" });
        sim.object("ns")["metadata"]["annotations"] =
            json!({ LAST_APPLIED: json!({ "spec": words }).to_string() });
        sim.settle();
        assert_eq!(sim.condition("Ready"), "True Ready", "{single} {format}");
    }
}
