//! An API or a driver with faults, and restarts.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use crate::{
    api::Api,
    bed::{
        ID, OTHER, Operator, RFC, STORAGE, Script, a_while, condition, entry, ready, report, rfc, told,
        until, until_condition, volume,
    },
};

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

/// Pauses of 0.5, 1, 2 … 32 s, and then of a minute, each of them or up to a fifth less.
#[tokio::test(start_paused = true)]
async fn retries_are_more_and_more_seldom_and_go_on_each_minute() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    api.put(STORAGE, rfc());
    let line = "PATCH storageclasses kadalu.external.ext-storage";
    api.fail(line, 40, 500);
    let operator = Operator::start_paused(&api, "a", &script);
    let tried = || api.requests(line);
    until("it has begun", || tried() > 0).await;
    for (minutes, expected) in [(1, 7..=9), (9, 15..=20), (20, 34..=45)] {
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        assert!(expected.contains(&tried()), "{minutes}: {}", tried());
    }
    // What has worked begins anew.
    tokio::time::sleep(Duration::from_secs(600)).await;
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    let before = tried();
    api.fail(line, 3, 500);
    api.remove(RFC);
    until("it was put back", || api.get(RFC).is_some()).await;
    assert_eq!(tried(), before + 4);
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

/// Its own hour has not come yet.
#[tokio::test(start_paused = true)]
async fn a_volume_of_which_the_driver_says_something_else_is_looked_at() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    script.set("other", report("other", OTHER));
    api.put(STORAGE, rfc());
    let details = json!({ "gluster_hosts": "node1", "gluster_volname": "other" });
    let next = STORAGE.replace("ext-storage", "next");
    api.put(&next, json!({ "spec": { "type": "External", "details": details } }));
    let operator = Operator::start_paused(&api, "a", &script);
    for path in [STORAGE, &next] {
        until_condition(&api, path, "Ready", "True Ready").await;
    }
    // All storages are in force and known to the driver: from now on only another PV has it asked.
    let settled = || api.get(&next).unwrap()["status"]["capacity"]["available"] == 1024;
    until("the driver has told", settled).await;
    let looks = || (script.looks("volume_name").0, script.looks("other").0);
    assert_eq!(looks(), (1, 1));
    script.list(&format!("{ID}/pvc-1"));
    script.not_enforced(&format!("{ID}/pvc-1"));
    volume(&api, "pvc-1");
    until_condition(&api, STORAGE, "QuotaEnforced", "False QuotaNotEnforced").await;
    until("it is looked at", || looks().0 == 2).await;
    assert_eq!(looks(), (2, 1));
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
