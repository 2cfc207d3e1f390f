//! Of several operators one works.

use serde_json::{Value, json};

use crate::{
    api::Api,
    bed::{
        ID, LEASE, Operator, RFC, STORAGE, Script, a_while, entry, ill, ready, report, rfc, until,
        until_condition, volume,
    },
};

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
    another_leads(&api).await;
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

/// The driver has told another the same.
#[tokio::test(start_paused = true)]
async fn what_the_driver_said_before_another_led_counts_no_more() {
    let (api, script) = (Api::start().await, Script::default());
    script.set("volume_name", report("volume_name", ID));
    script.list(&format!("{ID}/pvc-1"));
    api.put(STORAGE, rfc());
    volume(&api, "pvc-1");
    script.not_enforced(&format!("{ID}/pvc-1"));
    let first = Operator::start_paused(&api, "a", &script);
    until_condition(&api, STORAGE, "QuotaEnforced", "False QuotaNotEnforced").await;
    until_condition(&api, STORAGE, "Ready", "True Ready").await;
    let seen_by_another = api.get(STORAGE).unwrap()["status"].clone();
    script.list(&format!("{ID}/pvc-1"));
    first.stop().await;
    let operator = Operator::start_paused(&api, "b", &script);
    until_condition(&api, STORAGE, "QuotaEnforced", "True Enforced").await;
    another_leads(&api).await;
    script.not_enforced(&format!("{ID}/pvc-1"));
    api.put(&format!("{STORAGE}/status"), json!({ "status": seen_by_another }));
    let (writes, asked) = (api.writes(), script.asked());
    until("the driver was asked again", || script.asked() > asked).await;
    let renewals = api.requests("PUT leases");
    until("that was thought over", || api.requests("PUT leases") > renewals + 2).await;
    assert_eq!(api.writes(), writes);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_begins_nothing_of_what_was_planned() {
    let (api, script) = (Api::start().await, Script::default());
    for name in ["volume_name", "other"] {
        script.set(name, report(name, ID));
    }
    let next = STORAGE.replace("ext-storage", "next");
    let details = json!({ "gluster_hosts": "node1", "gluster_volname": "other" });
    api.put(STORAGE, rfc());
    api.put(&next, json!({ "spec": { "type": "External", "details": details } }));
    let operator = Operator::start_paused(&api, "a", &script);
    for path in [STORAGE, &next] {
        until_condition(&api, path, "Ready", "True Ready").await;
    }
    // Both are planned at one time, and what is to be done for the first hangs.
    let entries = api.requests("PATCH configmaps");
    api.hang("PATCH configmaps", 1);
    for path in [STORAGE, &next] {
        api.put(path, json!({ "spec": { "pvReclaimPolicy": "retain" } }));
    }
    until("it writes", || api.requests("PATCH configmaps") > entries).await;
    let writes = api.writes();
    another_leads(&api).await;
    let renewals = api.requests("PUT leases");
    // That takes longer than any call is waited for.
    until("it leads again", || {
        let leads = api.requests("PUT leases") > renewals;
        assert!(leads || api.writes() == writes, "{:?}", api.writes());
        leads
    })
    .await;
    let retained = |name: &str| entry(&api, name)["pvReclaimPolicy"] == "retain";
    until("both are written", || retained("ext-storage") && retained("next")).await;
    operator.stop().await;
}

/// Somebody else has taken the lease, and ours is not renewed any more.
async fn another_leads(api: &Api) {
    api.put(LEASE, json!({ "spec": { "holderIdentity": "another" } }));
    let lost = api.requests("GET leases");
    until("it has seen that", || api.requests("GET leases") > lost + 2).await;
}
