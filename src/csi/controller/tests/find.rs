//! `ValidateVolumeCapabilities`, `ControllerGetVolume` and the health of one volume.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use tonic::{Code, Request, Status};

use super::bed::{Bed, Behaviour, MIB, block, failure, id, inner, mounted};
use crate::{
    csi::generated::{
        CapacityRange, ControllerExpandVolumeRequest, ControllerGetVolumeHealthRequest,
        ControllerGetVolumeRequest, ControllerGetVolumeResponse, ValidateVolumeCapabilitiesRequest,
        ValidateVolumeCapabilitiesResponse, VolumeHealthErrorType, controller_server::Controller as _,
    },
    mount::Reason,
};

fn question(volume_id: &str) -> ValidateVolumeCapabilitiesRequest {
    ValidateVolumeCapabilitiesRequest {
        volume_id: volume_id.to_owned(),
        volume_capabilities: vec![mounted(1), mounted(5)],
        ..Default::default()
    }
}

async fn validate(
    bed: &Bed,
    request: ValidateVolumeCapabilitiesRequest,
) -> Result<ValidateVolumeCapabilitiesResponse, Status> {
    inner(bed.controller.validate_volume_capabilities(Request::new(request)).await)
}

async fn get(bed: &Bed, volume_id: &str) -> Result<ControllerGetVolumeResponse, Status> {
    let request = ControllerGetVolumeRequest { volume_id: volume_id.to_owned() };
    inner(bed.controller.controller_get_volume(Request::new(request)).await)
}

async fn health(bed: &Bed, volume_id: &str) -> Vec<(VolumeHealthErrorType, String)> {
    let request = ControllerGetVolumeHealthRequest { volume_id: volume_id.to_owned(), ..Default::default() };
    let reply = inner(bed.controller.controller_get_volume_health(Request::new(request)).await);
    let health = reply.unwrap().volume_health.unwrap();
    assert_eq!(health.volume_id, volume_id);
    health.health_statuses.into_iter().map(|entry| (entry.status(), entry.reason)).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_way_of_use_is_confirmed_or_told_to_be_impossible() {
    let bed = Bed::start().await;
    let volume = bed.create("pvc-1", 1).await;
    let good = ValidateVolumeCapabilitiesRequest {
        volume_context: volume.volume_context.clone(),
        parameters: bed.request("", 1, &[]).parameters,
        ..question(&volume.volume_id)
    };
    let confirmed = validate(&bed, good.clone()).await.unwrap().confirmed.unwrap();
    assert_eq!(confirmed.volume_capabilities, good.volume_capabilities);
    assert_eq!(
        (confirmed.volume_context, confirmed.parameters),
        (volume.volume_context, good.parameters.clone())
    );
    for (request, word) in [
        (
            ValidateVolumeCapabilitiesRequest {
                volume_capabilities: vec![mounted(1), block()],
                ..good.clone()
            },
            "Filesystem",
        ),
        (
            ValidateVolumeCapabilitiesRequest { parameters: map(&[("frobnicate", "1")]), ..good.clone() },
            "frobnicate",
        ),
        (
            ValidateVolumeCapabilitiesRequest { mutable_parameters: map(&[("a", "1")]), ..good.clone() },
            "mutable",
        ),
        (
            ValidateVolumeCapabilitiesRequest {
                volume_context: map(&[("gluster_volname", "vol"), ("path", "../etc")]),
                ..good.clone()
            },
            "..",
        ),
    ] {
        let reply = validate(&bed, request).await.unwrap();
        assert!(reply.confirmed.is_none() && reply.message.contains(word), "{word}: {reply:?}");
    }
    let incomplete = ValidateVolumeCapabilitiesRequest { volume_capabilities: vec![mounted(0)], ..good };
    assert_eq!(failure(validate(&bed, incomplete).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_pv_that_was_written_by_hand_is_looked_for_in_its_volume() {
    let bed = Bed::start().await;
    fs::create_dir_all(bed.root(1).join("home/a b")).unwrap();
    symlink("/", bed.root(1).join("home/link")).unwrap();
    symlink("a b", bed.root(1).join("home/inside")).unwrap();
    fs::write(bed.root(1).join("home/file"), "").unwrap();
    let by_hand = |path: &str| format!("{}:/vol{path}", bed.host());
    for path in ["", "/home", "/home/a b"] {
        assert!(validate(&bed, question(&by_hand(path))).await.unwrap().confirmed.is_some(), "{path}");
        let volume = get(&bed, &by_hand(path)).await.unwrap().volume.unwrap();
        assert_eq!((volume.capacity_bytes, volume.volume_id), (0, by_hand(path)));
        assert_eq!(health(&bed, &by_hand(path)).await, []);
    }
    for path in ["/absent", "/home/file", "/home/file/a"] {
        assert_eq!(failure(validate(&bed, question(&by_hand(path))).await).0, Code::NotFound, "{path}");
    }
    for path in ["/home/link", "/home/link/etc", "/home/inside"] {
        let (code, sentence) = failure(validate(&bed, question(&by_hand(path))).await);
        assert!(code == Code::FailedPrecondition && sentence.contains("link"), "{path}: {sentence}");
    }
    let host = bed.host();
    let context = |path| map(&[("gluster_volname", "vol"), ("gluster_hosts", &host), ("path", path)]);
    for id in ["my-data", "default/my-data"] {
        let with = |path| ValidateVolumeCapabilitiesRequest { volume_context: context(path), ..question(id) };
        assert!(validate(&bed, with("home")).await.unwrap().confirmed.is_some(), "{id}");
        assert_eq!(failure(validate(&bed, with("absent")).await).0, Code::NotFound);
    }
}

#[tokio::test]
async fn a_volume_is_described_as_it_was_created() {
    let bed = Bed::start().await;
    let volume = bed.create("pvc-1", 3).await;
    let reply = get(&bed, &volume.volume_id).await.unwrap();
    assert_eq!(reply.volume.unwrap(), volume);
    let condition = reply.status.unwrap().volume_condition.unwrap();
    assert!(!condition.abnormal && condition.message.contains("size"), "{condition:?}");
    bed.storage("pool-1", &bed.host(), "vol", "");
    bed.kadalu_pv(1, "a6/bf/pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c", 5 * MIB as u64);
    let of_kadalu = get(&bed, "pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c").await.unwrap().volume.unwrap();
    assert_eq!(of_kadalu.capacity_bytes, 5 * MIB);
    assert_eq!(of_kadalu.volume_context["volume_uuid"], id(1));
}

#[tokio::test]
async fn what_is_wrong_is_said_by_its_name() {
    let bed = Bed::start().await;
    let with = |quota: &'static str, name: &'static str| bed.ask(bed.request(name, 1, &[("quota", quota)]));
    let best = with("best-effort", "pvc-1").await.unwrap().volume_id;
    let off = with("off", "pvc-2").await.unwrap().volume_id;
    let quota = (VolumeHealthErrorType::Degraded, "QuotaNotEnforced".to_owned());
    assert_eq!(health(&bed, &best).await.as_slice(), std::slice::from_ref(&quota));
    assert_eq!(health(&bed, &off).await, []);
    for (state, expected) in [
        ("degraded", (VolumeHealthErrorType::Degraded, "ReplicaDown")),
        ("hung", (VolumeHealthErrorType::Inaccessible, "Disconnected")),
    ] {
        bed.mounts.set("vol", Some(Behaviour::Is(state)));
        assert_eq!(health(&bed, &off).await, [(expected.0, expected.1.to_owned())]);
        assert_eq!(health(&bed, &best).await.last(), Some(&quota));
        let reply = get(&bed, &best).await.unwrap();
        assert!(reply.status.unwrap().volume_condition.unwrap().abnormal);
    }
    // Its directory is gone.
    bed.mounts.set("vol", None);
    fs::remove_dir(bed.root(1).join("subvol/d3/d3/pvc-1")).unwrap();
    assert_eq!(health(&bed, &best).await, [(VolumeHealthErrorType::Inaccessible, "Unusable".to_owned())]);
    // The pool cannot be mounted any more.
    let bed = bed.restart().await;
    bed.mounts.set("vol", Some(Behaviour::Refuses(Reason::Bricks)));
    let unmounted = health(&bed, &off).await;
    assert!(unmounted.is_empty() || unmounted[0].1 == "Disconnected", "{unmounted:?}");
}

#[tokio::test]
async fn a_retained_pv_is_not_there_any_more() {
    let bed = Bed::start().await;
    let retain = ("reclaim", "retain");
    let directory = bed.ask(bed.request("pvc-1", 1, &[retain])).await.unwrap().volume_id;
    let other = [retain, ("gluster_volname", "other"), ("single_pv_per_pool", "True")];
    let whole = bed.ask(bed.request("pvc-2", 1, &other)).await.unwrap().volume_id;
    for volume_id in [directory.as_str(), &whole, "pvc-1"] {
        bed.delete(volume_id).await.unwrap();
        let expand = ControllerExpandVolumeRequest {
            volume_id: volume_id.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: 2 * MIB, limit_bytes: 0 }),
            ..Default::default()
        };
        for code in [
            failure(validate(&bed, question(volume_id)).await).0,
            failure(get(&bed, volume_id).await).0,
            failure(bed.controller.controller_expand_volume(Request::new(expand)).await).0,
        ] {
            assert_eq!(code, Code::NotFound, "{volume_id}");
        }
        bed.delete(volume_id).await.unwrap();
    }
}
