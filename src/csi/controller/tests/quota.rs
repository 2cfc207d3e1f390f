//! What is said of sizes that nobody enforces.

use tonic::Code;

use super::bed::{Bed, failure, id};

#[tokio::test]
async fn a_quota_that_cannot_be_proven_is_not_promised() {
    let bed = Bed::start().await;
    let (code, sentence) = failure(bed.ask(bed.request("pvc-1", 1, &[("quota", "required")])).await);
    assert!(code == Code::FailedPrecondition && sentence.contains("best-effort"), "{sentence}");
    assert!(bed.mounts.mounted().is_empty());
    bed.ask(bed.request("pvc-1", 1, &[("quota", "best-effort")])).await.unwrap();
    bed.ask(bed.request("pvc-2", 1, &[("quota", "off")])).await.unwrap();
    for (name, quota) in [("pvc-1", "best-effort"), ("pvc-2", "off")] {
        assert_eq!(bed.pool(1).get(name).unwrap().unwrap().quota.unwrap().to_string(), quota);
    }
    // A whole volume is as large as it is.
    let whole = [("quota", "required"), ("single_pv_per_pool", "true"), ("gluster_volname", "other")];
    assert_eq!(bed.ask(bed.request("pvc-3", 1, &whole)).await.unwrap().volume_id, format!("{}:pvc-3", id(2)));
}
