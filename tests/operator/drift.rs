//! What others change of what was made.

use serde_json::json;

use crate::{
    api::Api,
    bed::{INFO, RFC, STORAGE, a_while, condition, entry, ready, told, until, until_condition},
};

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
