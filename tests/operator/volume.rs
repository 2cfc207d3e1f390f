//! What becomes of a storage with its volume.

use serde_json::json;

use crate::bed::{CLASSES, ID, INFO, OTHER, STORAGE, a_while, ill, ready, report, until_condition};

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
