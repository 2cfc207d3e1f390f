//! The operator beside an API server in memory: what a cluster goes through with it.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

#[path = "../fakes/api/mod.rs"]
mod api;
mod bed;
mod binary;

use std::collections::BTreeSet;

use api::{Api, Right};
use bed::{
    CLASSES, EVENTS, ID, INFO, KADALU, OTHER, Operator, RFC, STORAGE, Script, condition, entry, granted,
    grants, ill, ready, report, rfc, until, until_condition, volume,
};
use glusterd_client::operator::rbac::RULES;
use serde_json::{Value, json};

/// The reasons of the events of the storage, with their types.
fn told(api: &Api) -> Vec<String> {
    let word = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let told = api.list(EVENTS).into_iter().map(|event| {
        assert_eq!(event["regarding"]["kind"], "KadaluStorage");
        format!("{} {}/{}", word(&event, "type"), word(&event, "action"), word(&event, "reason"))
    });
    told.collect()
}

/// Looks go on for a while, in which passes are made.
async fn a_while(script: &Script) {
    let before = script.looks("volume_name").0;
    until("it was looked at again", || script.looks("volume_name").0 > before + 3).await;
}

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
async fn errors_of_the_api_are_retried_and_nothing_is_told_twice() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    api.put(STORAGE, rfc());
    for (line, code) in [
        ("GET kadalustorages", 500),
        ("GET persistentvolumes", 403),
        ("leases", 500),
        ("PATCH kadalustorages ext-storage", 409),
        ("PATCH configmaps", 500),
        ("PATCH storageclasses kadalu.ext-storage", 503),
        ("PATCH kadalustorages/status", 409),
        ("PATCH kadalustorages/status", 500),
    ] {
        api.fail(line, 1, code);
    }
    let operator = Operator::start(&api, "a", &script).await;
    until_condition(&api, STORAGE, "Drifted", "False InSync").await;
    assert_eq!(api.to_fail(), 0);
    api.cut();
    api.compact();
    api.put(STORAGE, json!({ "spec": { "pvReclaimPolicy": "retain" } }));
    until("the edit was seen", || entry(&api, "ext-storage")["pvReclaimPolicy"] == "retain").await;
    a_while(&script).await;
    let told = told(&api);
    assert_eq!(told.len(), told.iter().collect::<BTreeSet<_>>().len(), "{told:?}");
    assert_eq!(condition(&api, STORAGE, "Ready"), "True Ready");
    operator.stop().await;
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let (api, script, operator) = ready().await;
    volume(&api, "pvc-1");
    until_condition(&api, STORAGE, "QuotaEnforced", "Unknown NotListed").await;
    script.list(&format!("{ID}/pvc-1"));
    until_condition(&api, STORAGE, "QuotaEnforced", "True Enforced").await;
    a_while(&script).await;
    operator.stop().await;
    let (writes, storage, told_before) = (api.writes(), api.get(STORAGE), told(&api));
    for identity in ["b", "c"] {
        let operator = Operator::start(&api, identity, &script).await;
        a_while(&script).await;
        operator.kill().await;
    }
    assert_eq!((api.writes(), api.get(STORAGE), told(&api)), (writes, storage, told_before));
    assert_eq!(script.looks("volume_name").1, 1);
}

#[tokio::test]
async fn a_restart_of_the_driver_is_no_news() {
    let (api, script, operator) = ready().await;
    script.list(&format!("{ID}/pvc-1"));
    volume(&api, "pvc-1");
    until_condition(&api, STORAGE, "QuotaEnforced", "True Enforced").await;
    a_while(&script).await;
    let writes = api.writes();
    script.silence(3);
    until("it was asked", || script.silent() == 0).await;
    a_while(&script).await;
    assert_eq!((api.writes(), condition(&api, STORAGE, "QuotaEnforced").as_str()), (writes, "True Enforced"));
    operator.stop().await;
}

#[tokio::test]
async fn a_storage_is_ready_when_the_driver_knows_it() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    script.knows(Err("there is no storage"));
    api.put(STORAGE, rfc());
    let operator = Operator::start(&api, "a", &script).await;
    until_condition(&api, STORAGE, "Ready", "Unknown DriverNotReady").await;
    assert!(api.get(RFC).is_some());
    a_while(&script).await;
    assert!(told(&api).iter().all(|told| !told.contains("Ready/")), "{:?}", told(&api));
    script.knows(Ok(()));
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    until("the driver has told", || api.get(STORAGE).unwrap()["status"]["capacity"]["available"] == 1024)
        .await;
    a_while(&script).await;
    let writes = api.writes();
    script.knows(Err("it starts"));
    a_while(&script).await;
    operator.stop().await;
    let operator = Operator::start(&api, "b", &script).await;
    a_while(&script).await;
    assert_eq!((api.writes(), condition(&api, STORAGE, "Ready").as_str()), (writes, "True Ready"));
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

#[tokio::test]
async fn a_replaced_volume_waits_for_a_word() {
    let (api, script, operator) = ready().await;
    script.set("volume_name", report("volume_name", OTHER));
    until_condition(&api, STORAGE, "Ready", "False VolumeReplaced").await;
    a_while(&script).await;
    assert_eq!(api.get(STORAGE).unwrap()["status"]["volumeId"], ID);
    let accept = json!({ "kadalu-operator.storage/accept-volume-id": OTHER });
    api.put(STORAGE, json!({ "metadata": { "annotations": accept } }));
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    assert_eq!(api.get(STORAGE).unwrap()["status"]["volumeId"], OTHER);
    operator.stop().await;
}

#[tokio::test]
async fn a_failing_check_changes_conditions_and_deletes_nothing() {
    let (api, script, operator) = ready().await;
    let made = (api.list(CLASSES), api.get(INFO));
    for (code, ready) in [("server", "False Unreachable"), ("layout", "False AssumptionsNotMet")] {
        script.set("volume_name", ill("volume_name", code));
        until_condition(&api, STORAGE, "Ready", ready).await;
        assert_eq!((api.list(CLASSES), api.get(INFO)), made);
    }
    script.set("volume_name", report("volume_name", ID));
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    operator.stop().await;
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_put_back() {
    let (api, _, operator) = ready().await;
    let class = |api: &Api| {
        api.get(RFC).map(|class| (class["parameters"].clone(), class["allowVolumeExpansion"].clone()))
    };
    let good = class(&api);
    for spoil in [
        (|api: &Api| api.remove(RFC)) as fn(&Api),
        |api| drop(api.put(RFC, json!({ "allowVolumeExpansion": false }))),
        |api| api.remove(INFO),
        |api| drop(api.put(INFO, json!({ "data": { "ext-storage.info": "{}" } }))),
    ] {
        spoil(&api);
        until("it is as it was", || {
            class(&api) == good && entry(&api, "ext-storage")["gluster_hosts"] == "node1"
        })
        .await;
        until_condition(&api, STORAGE, "Drifted", "False InSync").await;
    }
    until("it was told", || told(&api).contains(&"Warning Drifted/Restored".to_owned())).await;
    operator.stop().await;
}

/// As a GitOps tool that heals what it has in its repository.
#[tokio::test]
async fn who_puts_back_too_is_not_fought_for_ever() {
    let (api, script, operator) = ready().await;
    let other = tokio::spawn({
        let api = api.clone();
        async move {
            loop {
                if api.get(RFC).is_some_and(|class| class["allowVolumeExpansion"] != false) {
                    api.put(RFC, json!({ "allowVolumeExpansion": false }));
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    });
    until_condition(&api, STORAGE, "Drifted", "True Contested").await;
    for _ in 0..10 {
        a_while(&script).await;
    }
    let writes = api.writes();
    let restored = writes.iter().filter(|line| line.ends_with("storageclasses kadalu.external.ext-storage"));
    // Once when it was made; then, of intervals, after 0, 1, 3, 7, 15 and 31.
    assert!((2..10).contains(&restored.count()), "{writes:?}");
    assert_eq!(condition(&api, STORAGE, "Drifted"), "True Contested");
    let drifted = |told: &&String| told.contains("Drifted/") && !told.contains("InSync");
    let told = told(&api);
    assert_eq!(
        told.iter().filter(drifted).collect::<Vec<_>>(),
        ["Warning Drifted/Restored", "Warning Drifted/Contested"]
    );
    other.abort();
    until_condition(&api, STORAGE, "Drifted", "False InSync").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    api.put(STORAGE, rfc());
    api.hang("PATCH kadalustorages/status", 1);
    let operator = Operator::start(&api, "a", &script).await;
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    operator.stop().await;
}

/// While another leads he looks, and writes what he sees.
#[tokio::test]
async fn what_was_seen_before_another_led_counts_no_more() {
    let (api, script, operator) = ready().await;
    script.set("volume_name", ill("volume_name", "server"));
    until_condition(&api, STORAGE, "Ready", "False Unreachable").await;
    let seen_by_another = api.get(STORAGE).unwrap()["status"].clone();
    script.set("volume_name", report("volume_name", ID));
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    a_while(&script).await;
    let renewals = || api.requests("PUT leases");
    api.put(LEASE, json!({ "spec": { "holderIdentity": "another" } }));
    let lost = api.requests("GET leases");
    until("it has seen that", || api.requests("GET leases") > lost + 2).await;
    script.set("volume_name", ill("volume_name", "server"));
    api.put(&format!("{STORAGE}/status"), json!({ "status": seen_by_another }));
    let (writes, before) = (api.writes(), renewals());
    until("it leads again", || renewals() > before).await;
    a_while(&script).await;
    assert_eq!(api.writes(), writes);
    operator.stop().await;
}

#[tokio::test]
async fn of_two_operators_one_works_and_the_other_takes_over() {
    let (api, script, first) = ready().await;
    let second = Operator::start(&api, "b", &script).await;
    a_while(&script).await;
    let writes = api.writes();
    let holder = |api: &Api| api.get(LEASE).unwrap()["spec"]["holderIdentity"].clone();
    assert_eq!(holder(&api), "a");
    first.stop().await;
    until("the other has it", || holder(&api) == "b").await;
    a_while(&script).await;
    assert_eq!(api.writes(), writes);
    api.remove(RFC);
    until("it works", || api.get(RFC).is_some()).await;
    // One that is killed lets go of nothing: its time has to pass.
    second.kill().await;
    let third = Operator::start(&api, "c", &script).await;
    until("the third has it", || holder(&api) == "c").await;
    assert_eq!(api.get(LEASE).unwrap()["spec"]["leaseTransitions"], 2);
    third.stop().await;
    assert_eq!(holder(&api), Value::Null);
}

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kadalu/leases/kadalu-operator";

/// What deploy/kubernetes grants is what the operator does: no more, and no less.
#[tokio::test]
async fn what_is_asked_of_the_api_is_what_is_allowed() {
    let (api, script, operator) = ready().await;
    for _ in 0..2 {
        api.remove(RFC);
        until("it is there again", || api.get(RFC).is_some()).await;
        a_while(&script).await;
    }
    // The same again within minutes is counted in the event that is there.
    let is_counted = |right: &Right| (right.resource.as_str(), right.verb) == ("events", "patch");
    until("it was counted", || api.asked().iter().any(is_counted)).await;
    api.remove(STORAGE);
    until("it is gone", || api.get(STORAGE).is_none()).await;
    operator.stop().await;
    let asked = api.asked();
    assert_eq!(asked.iter().filter(|right| !granted(right)).collect::<Vec<_>>(), Vec::<&Right>::new());
    for rule in RULES {
        for verb in rule.verbs {
            let uses = |right: &&Right| right.verb == *verb && grants(&rule, right);
            assert!(asked.iter().any(|right| uses(&right)), "nobody needs {verb} of {rule:?}");
        }
    }
    // Of another namespace, and of another name.
    for (namespace, name) in [("default", "kadalu-info"), ("kadalu", "other")] {
        let maps = ["", "configmaps"].map(str::to_owned);
        let [group, resource] = maps;
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        assert!(!granted(&Right { group, resource, verb: "patch", namespace, name }));
    }
}
