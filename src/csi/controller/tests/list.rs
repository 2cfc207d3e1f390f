//! `ListVolumes`, `ControllerListVolumeHealth` and `GetCapacity`: all pools.

use tonic::{Code, Request, Status};

use super::bed::{Bed, Behaviour, MIB, block, failure, id, inner, mounted};
use crate::{
    csi::{
        generated::{
            ControllerListVolumeHealthRequest, GetCapacityRequest, GetCapacityResponse, ListVolumesRequest,
            controller_server::Controller as _,
        },
        health::QUOTA_OFF,
    },
    mount::Reason,
};

async fn page(bed: &Bed, max_entries: i32, token: &str) -> Result<(Vec<String>, String), Status> {
    let request = ListVolumesRequest { max_entries, starting_token: token.to_owned() };
    let reply = inner(bed.controller.list_volumes(Request::new(request)).await)?;
    let ids = reply.entries.into_iter().map(|entry| {
        assert!(entry.status.unwrap().volume_condition.is_some());
        entry.volume.unwrap().volume_id
    });
    Ok((ids.collect(), reply.next_token))
}

async fn all(bed: &Bed, max_entries: i32) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(bed, max_entries, &token).await.unwrap();
        assert!(max_entries == 0 || more.len() <= max_entries as usize);
        ids.extend(more);
        if next.is_empty() {
            return ids;
        }
        token = next;
    }
}

async fn capacity(bed: &Bed, request: GetCapacityRequest) -> Result<GetCapacityResponse, Status> {
    inner(bed.controller.get_capacity(Request::new(request)).await)
}

#[tokio::test]
async fn all_volumes_are_listed_once_however_long_a_page_is() {
    let bed = Bed::start().await;
    assert_eq!(all(&bed, 0).await, Vec::<String>::new());
    bed.storage("pool-2", &bed.host(), "other", "");
    let mut expected: Vec<_> = (0..5).map(|n| format!("{}/pvc-{n}", id(1))).collect();
    for n in 0..5 {
        bed.create(&format!("pvc-{n}"), 1).await;
    }
    bed.kadalu_pv(2, "d3/d3/pvc-1", MIB as u64);
    expected.push("pvc-1".to_owned());
    for max_entries in [0, 1, 2, 3, 6, 100] {
        assert_eq!(all(&bed, max_entries).await, expected, "{max_entries}");
    }
    // A token lasts, whatever becomes of the volume that it names.
    let (_, token) = page(&bed, 2, "").await.unwrap();
    bed.delete(&expected[1]).await.unwrap();
    let bed = bed.restart().await;
    assert_eq!(page(&bed, 2, &token).await.unwrap().0, expected[2..4]);
}

#[tokio::test]
async fn what_is_deleted_is_not_listed() {
    let bed = Bed::start().await;
    for policy in ["delete", "archive", "retain"] {
        let volume = bed.ask(bed.request(policy, 1, &[("reclaim", policy)])).await.unwrap();
        assert_eq!(all(&bed, 0).await.len(), 1);
        bed.delete(&volume.volume_id).await.unwrap();
        assert_eq!(all(&bed, 0).await.len(), 0, "{policy}");
    }
}

#[tokio::test]
async fn tokens_of_others_are_refused() {
    let bed = Bed::start().await;
    let long = "x".repeat(1_000_000);
    for token in ["invalid-token", "pvc-1", "..", &long, &format!("{}/../x", id(1)), "\0"] {
        assert_eq!(failure(page(&bed, 1, token).await).0, Code::Aborted, "{token:.100}");
        let request =
            ControllerListVolumeHealthRequest { starting_token: token.to_owned(), ..Default::default() };
        let reply = bed.controller.controller_list_volume_health(Request::new(request)).await;
        assert_eq!(failure(reply).0, Code::Aborted);
    }
    assert_eq!(failure(page(&bed, -1, "").await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_storage_that_nobody_has_used_is_left_out_while_it_is_dead() {
    let bed = Bed::start().await;
    bed.storage("pool-2", &bed.host(), "other", "");
    bed.storage("pool-3", "unix:/nobody.sock", "vol", "");
    bed.mounts.set("other", Some(Behaviour::Refuses(Reason::Bricks)));
    let volume = bed.create("pvc-1", 1).await;
    assert_eq!(all(&bed, 0).await, [volume.volume_id]);
    let sum = capacity(&bed, GetCapacityRequest::default()).await.unwrap();
    let one = bed.pool(1).capacity().unwrap().available(1.0).unwrap() as i64;
    assert!((sum.available_capacity - one).abs() < 1 << 30, "{sum:?} {one}");
}

#[tokio::test]
async fn a_list_without_the_pvs_of_a_dead_pool_is_none() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    bed.ask(bed.request("pvc-2", 1, &[("gluster_volname", "other")])).await.unwrap();
    assert_eq!(all(&bed, 0).await.len(), 2);
    let bed = bed.restart_with("other", Behaviour::Refuses(Reason::Bricks)).await;
    let (code, sentence) = failure(page(&bed, 0, "").await);
    assert!(code == Code::Unavailable && sentence.contains("volume other"), "{sentence}");
    let request = ControllerListVolumeHealthRequest::default();
    let (code, _) = failure(bed.controller.controller_list_volume_health(Request::new(request)).await);
    assert_eq!(code, Code::Unavailable);
}

#[tokio::test]
async fn capacity_is_that_of_the_pool_or_of_all() {
    let bed = Bed::start().await;
    let of = |pairs: &[(&str, &str)]| GetCapacityRequest {
        parameters: bed.request("", 1, pairs).parameters,
        ..Default::default()
    };
    assert_eq!(capacity(&bed, GetCapacityRequest::default()).await.unwrap().available_capacity, 0);
    // The pool is known from now on, also to who has only the id of a PV.
    let first = capacity(&bed, of(&[])).await.unwrap();
    assert_eq!(first.maximum_volume_size, Some(first.available_capacity));
    assert_eq!(failure(bed.delete(&format!("{}/pvc-1", id(9))).await).0, Code::FailedPrecondition);
    bed.delete(&format!("{}/pvc-1", id(1))).await.unwrap();
    let doubled = capacity(&bed, of(&[("overcommit", "2")])).await.unwrap().available_capacity;
    assert!(doubled > first.available_capacity);
    for impossible in [
        of(&[("gluster_volname", "dist")]),
        GetCapacityRequest { volume_capabilities: vec![mounted(1), block()], ..of(&[]) },
    ] {
        assert_eq!(capacity(&bed, impossible).await.unwrap().available_capacity, 0);
    }
    let absent = capacity(&bed, of(&[("gluster_volname", "absent")])).await;
    assert_eq!(failure(absent).0, Code::FailedPrecondition);
    let request = GetCapacityRequest { volume_capabilities: vec![mounted(0)], ..of(&[]) };
    assert_eq!(failure(capacity(&bed, request).await).0, Code::InvalidArgument);
}

/// As `kadalu operator` asks whether a storage is known as it is.
#[tokio::test]
async fn capacity_tells_whether_a_storage_is_known() {
    let bed = Bed::start().await;
    let of = |storage: &str, volume: &str| {
        let pairs = [("hostvol_type", "External"), ("storage_name", storage), ("gluster_volname", volume)];
        let parameters = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        GetCapacityRequest { parameters, ..Default::default() }
    };
    let (code, sentence) = failure(capacity(&bed, of("pool-1", "vol")).await);
    assert!(code == Code::FailedPrecondition && sentence.contains("no storage \"pool-1\""), "{sentence}");
    bed.storage("pool-1", &bed.host(), "vol", "");
    assert!(capacity(&bed, of("pool-1", "vol")).await.unwrap().available_capacity > 0);
    let (code, _) = failure(capacity(&bed, of("pool-1", "other")).await);
    assert_eq!(code, Code::InvalidArgument);
    // The list is of the volume that it was.
    bed.storage("pool-1", &bed.host(), "vol", &format!(r#", "gluster_volume_id": "{}""#, id(7)));
    let (code, sentence) = failure(capacity(&bed, of("pool-1", "vol")).await);
    assert!(code == Code::FailedPrecondition && sentence.contains("another volume"), "{sentence}");
}

#[tokio::test]
async fn only_ill_volumes_are_listed_as_such() {
    let bed = Bed::start().await;
    for (name, quota) in
        [("pvc-1", "off"), ("pvc-2", "best-effort"), ("pvc-3", "off"), ("pvc-4", "best-effort")]
    {
        bed.ask(bed.request(name, 1, &[("quota", quota)])).await.unwrap();
    }
    let ill = async |max_entries, token: &str| {
        let starting_token = token.to_owned();
        let request = ControllerListVolumeHealthRequest { max_entries, starting_token, ..Default::default() };
        let reply = inner(bed.controller.controller_list_volume_health(Request::new(request)).await).unwrap();
        let shown = reply.entries.into_iter().map(|entry| {
            let reasons: Vec<_> = entry.health_statuses.into_iter().map(|status| status.reason).collect();
            format!("{} {}", entry.volume_id.rsplit('/').next().unwrap(), reasons.join(" "))
        });
        (shown.collect::<Vec<_>>(), reply.next_token)
    };
    assert_eq!(ill(0, "").await.0, ["pvc-2 QuotaNotEnforced", "pvc-4 QuotaNotEnforced"]);
    // That no limit was asked for is no trouble, and stands in the list.
    let listed = bed.controller.list_volumes(Request::new(ListVolumesRequest::default())).await;
    let conditions = inner(listed)
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.status.unwrap().volume_condition.unwrap());
    let off = conditions.map(|condition| (condition.abnormal, condition.message == QUOTA_OFF));
    assert_eq!(off.collect::<Vec<_>>(), [(false, true), (false, false), (false, true), (false, false)]);
    let (first, token) = ill(1, "").await;
    assert_eq!(first, ["pvc-2 QuotaNotEnforced"]);
    assert_eq!(ill(1, &token).await, (vec!["pvc-4 QuotaNotEnforced".to_owned()], String::new()));
    bed.mounts.set("vol", Some(Behaviour::Is("hung")));
    assert_eq!(ill(0, "").await.0.len(), 4);
}
