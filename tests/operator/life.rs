//! What becomes of a storage: made, edited, held and deleted.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    api::Api,
    bed::{
        CLASSES, ID, INFO, KADALU, OTHER, Operator, RFC, STORAGE, Script, a_while, condition, entry, ready,
        report, told, until, until_condition, volume,
    },
};

#[tokio::test]
async fn the_storage_of_the_rfc_from_its_creation_to_its_end() {
    let (api, script, operator) = ready().await;
    let class = api.get(RFC).unwrap();
    assert_eq!(class["parameters"], json!({ "hostvol_type": "External", "storage_name": "ext-storage" }));
    assert_eq!(class["provisioner"], "kadalu");
    assert!(api.get(KADALU).is_some());
    assert_eq!(entry(&api, "ext-storage")["gluster_options"], "log-level=DEBUG");
    let status = &api.get(STORAGE).unwrap()["status"];
    assert_eq!((&status["volumeId"], &status["capacity"]["available"]), (&json!(ID), &json!(1024)));
    until("all was told", || told(&api).len() == 4).await;
    let expected = ["AssumptionsMet/AllMet", "Drifted/InSync", "Reachable/AllServers", "Ready/Ready"];
    let told = told(&api).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(told, expected.iter().map(|told| format!("Normal {told}")).collect());
    assert_eq!(script.looks("volume_name").1, 1);

    api.remove(STORAGE);
    until("it is gone", || api.get(STORAGE).is_none()).await;
    assert_eq!((api.list(CLASSES), entry(&api, "ext-storage")), (Vec::new(), Value::Null));
    operator.stop().await;
}

#[tokio::test]
async fn objects_and_lists_of_kadalu_are_taken_over_and_others_left_alone() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    let kadalus = json!({
        "volname": "ext-storage", "volume_id": "4ff6f4a2", "type": "External", "pvReclaimPolicy": "delete",
        "single_pv_per_pool": false, "gluster_hosts": "node1", "gluster_volname": "volume_name", "gluster_options": "",
    });
    let others = json!({ "ext-storage.info": kadalus.to_string(), "pool.info": "{\"type\": \"Replica3\"}", "uid": "u" });
    api.put(INFO, json!({ "data": others }));
    let class = json!({
        "provisioner": "kadalu", "reclaimPolicy": "Delete", "allowVolumeExpansion": true,
        "parameters": { "hostvol_type": "External", "gluster_hosts": "node1", "gluster_volname": "volume_name",
            "single_pv_per_pool": "False" },
    });
    api.put(KADALU, class);
    let before = api.get(KADALU);
    let foreign = STORAGE.replace("ext-storage", "pool");
    api.put(
        &foreign,
        json!({ "spec": { "type": "Replica3", "storage": [{ "node": "n", "device": "/dev/sdb" }] } }),
    );
    let untouched = api.get(&foreign);
    let spec = json!({
        "type": "External", "pvReclaimPolicy": "delete", "single_pv_per_pool": false,
        "details": { "gluster_hosts": ["node1"], "gluster_volname": "volume_name" },
    });
    api.put(STORAGE, json!({ "spec": spec }));
    let operator = Operator::start(&api, "a", &script).await;
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    a_while(&script).await;
    assert_eq!(entry(&api, "ext-storage")["volume_id"], "4ff6f4a2");
    assert_eq!(api.get(INFO).unwrap()["data"]["pool.info"], others["pool.info"]);
    assert_eq!((api.get(KADALU), api.get(&foreign)), (before, untouched));
    assert!(api.get(RFC).is_some());
    assert_eq!(condition(&api, STORAGE, "Drifted"), "False InSync");
    operator.stop().await;
}

/// As kadalu's definition of the kind has them stored: of each pair one is a default, which nobody wrote.
#[tokio::test]
async fn defaults_of_kadalu_are_no_words_of_the_user() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    let pairs = [
        ("newer", false, "non-native", true),
        ("older", true, "native", true),
        ("pool", false, "native", false),
    ];
    for (name, single, format, _) in pairs {
        let spec = json!({
            "type": "External", "pvReclaimPolicy": "delete", "single_pv_per_pool": single, "kadalu_format": format,
            "details": { "gluster_hosts": ["node1"], "gluster_volname": "volume_name" },
        });
        api.put(&STORAGE.replace("ext-storage", name), json!({ "spec": spec }));
    }
    let operator = Operator::start(&api, "a", &script).await;
    for (name, _, _, whole) in pairs {
        until_condition(&api, &STORAGE.replace("ext-storage", name), "Ready", "True Ready").await;
        assert_eq!(entry(&api, name)["single_pv_per_pool"], whole, "{name}");
    }
    operator.stop().await;
}

#[tokio::test]
async fn edits_take_effect_or_say_why_not() {
    let (api, script, operator) = ready().await;
    volume(&api, "pvc-1");
    let details = |volume: &str| json!([{ "gluster_hosts": ["node2", "node1"], "gluster_volname": volume }]);
    api.put(STORAGE, json!({ "spec": { "details": details("volume_name"), "pvReclaimPolicy": "archive" } }));
    until("it has taken effect", || entry(&api, "ext-storage")["pvReclaimPolicy"] == "archive").await;
    until("it is said", || {
        let change = api.get(STORAGE).unwrap()["status"]["lastChange"]["what"].clone();
        change.as_str().is_some_and(|what| what.contains("servers, options, pvReclaimPolicy changed"))
    })
    .await;

    script.set("other", report("other", OTHER));
    let before = entry(&api, "ext-storage");
    api.put(STORAGE, json!({ "spec": { "details": details("other") } }));
    until_condition(&api, STORAGE, "Drifted", "True VolumeChanged").await;
    a_while(&script).await;
    assert_eq!(
        (condition(&api, STORAGE, "Ready").as_str(), entry(&api, "ext-storage")),
        ("True Ready", before)
    );
    api.remove("/api/v1/persistentvolumes/pvc-1");
    until_condition(&api, STORAGE, "Drifted", "False InSync").await;
    assert_eq!(entry(&api, "ext-storage")["gluster_volname"], "other");
    assert_eq!(api.get(STORAGE).unwrap()["status"]["volumeId"], OTHER);

    api.put(STORAGE, json!({ "spec": { "gluster_hots": "node1" } }));
    until_condition(&api, STORAGE, "Ready", "False InvalidConfiguration").await;
    assert!(api.get(RFC).is_some());
    operator.stop().await;
}

#[tokio::test]
async fn a_storage_with_pvs_is_held() {
    let (api, script, operator) = ready().await;
    volume(&api, "pvc-1");
    script.not_enforced(&format!("{ID}/pvc-1"));
    until_condition(&api, STORAGE, "QuotaEnforced", "False QuotaNotEnforced").await;
    api.remove(STORAGE);
    until_condition(&api, STORAGE, "Ready", "False HeldByVolumes").await;
    until("it was told", || told(&api).contains(&"Warning Ready/HeldByVolumes".to_owned())).await;
    assert!(api.get(RFC).is_some());
    api.remove("/api/v1/persistentvolumes/pvc-1");
    until("it is gone", || api.get(STORAGE).is_none()).await;
    assert_eq!(api.list(CLASSES), Vec::<Value>::new());
    operator.stop().await;
}

#[tokio::test]
async fn of_two_of_one_name_the_older_has_it() {
    let (api, script, operator) = ready().await;
    let younger = STORAGE.replace("/default/", "/another/");
    script.set("other", report("other", OTHER));
    let spec =
        json!({ "type": "External", "details": { "gluster_hosts": "h1", "gluster_volname": "other" } });
    let created = json!({ "creationTimestamp": "2026-06-01T00:00:00Z" });
    api.put(&younger, json!({ "metadata": created, "spec": spec }));
    until_condition(&api, &younger, "Ready", "False NameTaken").await;
    assert_eq!(entry(&api, "ext-storage")["gluster_volname"], "volume_name");
    assert_eq!(condition(&api, STORAGE, "Ready"), "True Ready");
    api.remove(STORAGE);
    until_condition(&api, &younger, "Ready", "True Ready").await;
    assert_eq!(entry(&api, "ext-storage")["gluster_volname"], "other");
    operator.stop().await;
}
