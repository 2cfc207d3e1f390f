//! Many calls at one time, and pools that hang.

use std::time::Duration;

use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Request};

use super::bed::{Bed, Behaviour, failure};
use crate::csi::generated::{DeleteVolumeRequest, ListVolumesRequest, controller_server::Controller as _};

#[tokio::test]
async fn fifty_pvs_come_and_go_side_by_side() {
    let bed = Bed::start().await;
    let mut creating = JoinSet::new();
    for n in 0..50 {
        let (controller, request) = (bed.controller.clone(), bed.request(&format!("pvc-{n}"), 1, &[]));
        creating.spawn(async move { controller.create_volume(Request::new(request)).await });
    }
    let created = creating.join_all().await;
    let ids: Vec<_> =
        created.into_iter().map(|reply| reply.unwrap().into_inner().volume.unwrap().volume_id).collect();
    assert_eq!(bed.mounts.asked(), 1, "one mount for all who wait for it");
    assert_eq!(bed.pool(1).list().unwrap().len(), 50);
    let mut deleting = JoinSet::new();
    for volume_id in ids {
        let controller = bed.controller.clone();
        let request = DeleteVolumeRequest { volume_id, ..Default::default() };
        deleting.spawn(async move { controller.delete_volume(Request::new(request)).await.map(drop) });
    }
    assert!(deleting.join_all().await.iter().all(Result::is_ok));
    assert!(bed.pool(1).list().unwrap().is_empty());
}

#[tokio::test]
async fn one_call_at_a_time_for_a_volume() {
    let bed = Bed::start().await;
    let mut creating = JoinSet::new();
    for _ in 0..10 {
        let (controller, request) = (bed.controller.clone(), bed.request("pvc-1", 1, &[]));
        creating.spawn(async move { controller.create_volume(Request::new(request)).await });
    }
    let outcomes = creating.join_all().await;
    assert!(outcomes.iter().any(Result::is_ok));
    assert!(outcomes.into_iter().filter_map(Result::err).all(|status| status.code() == Code::Aborted));
    bed.create("pvc-1", 1).await;
}

#[tokio::test]
async fn a_pool_that_hangs_keeps_nobody_from_another() {
    let bed = Bed::start().await;
    bed.mounts.set("other", Some(Behaviour::Hangs));
    let hanging = bed.request("pvc-1", 1, &[("gluster_volname", "other")]);
    let waiting = bed.ask(hanging.clone());
    assert!(timeout(Duration::from_millis(300), waiting).await.is_err());
    // What was begun goes on, and is not begun twice.
    assert_eq!(failure(bed.ask(hanging).await).0, Code::Aborted);
    let begun = std::time::Instant::now();
    bed.create("pvc-2", 1).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    bed.storage("pool-2", &bed.host(), "other", "");
    let mut client = bed.serve().await;
    let mut request = Request::new(ListVolumesRequest::default());
    request.set_timeout(Duration::from_secs(2));
    // In time, although it cannot be complete.
    let (code, sentence) = failure(client.list_volumes(request).await);
    assert!(code == Code::Unavailable && sentence.contains("pool-2"), "{sentence}");
    assert!(begun.elapsed() < Duration::from_secs(8));
}
