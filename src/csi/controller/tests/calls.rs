//! What holds for every call: capabilities, what is not there, what is missing in a request, and bad words.

use std::collections::BTreeSet;

use tonic::{Code, Request, Status};

use super::bed::{Bed, MIB, failure, id, inner, mounted};
use crate::csi::generated::{
    CapacityRange, ControllerExpandVolumeRequest, ControllerGetCapabilitiesRequest,
    ControllerGetVolumeHealthRequest, ControllerGetVolumeRequest, ControllerModifyVolumeRequest,
    ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest, CreateSnapshotRequest,
    CreateVolumeRequest, DeleteSnapshotRequest, DeleteVolumeRequest, GetCapacityRequest,
    ListSnapshotsRequest, ValidateVolumeCapabilitiesRequest,
    controller_server::Controller as _,
    controller_service_capability::{Type, rpc},
};

/// What each call that takes the id of a volume says to this one.
async fn all_with(bed: &Bed, id: &str) -> [(&'static str, Result<(), Status>); 5] {
    let volume_id = || id.to_owned();
    let controller = &bed.controller;
    let expand = ControllerExpandVolumeRequest {
        volume_id: volume_id(),
        capacity_range: Some(CapacityRange { required_bytes: MIB, limit_bytes: 0 }),
        ..Default::default()
    };
    let validate = ValidateVolumeCapabilitiesRequest {
        volume_id: volume_id(),
        volume_capabilities: vec![mounted(1)],
        ..Default::default()
    };
    let delete = DeleteVolumeRequest { volume_id: volume_id(), ..Default::default() };
    let get = ControllerGetVolumeRequest { volume_id: volume_id() };
    let health = ControllerGetVolumeHealthRequest { volume_id: volume_id(), ..Default::default() };
    [
        ("delete", controller.delete_volume(Request::new(delete)).await.map(drop)),
        ("expand", controller.controller_expand_volume(Request::new(expand)).await.map(drop)),
        ("validate", controller.validate_volume_capabilities(Request::new(validate)).await.map(drop)),
        ("get", controller.controller_get_volume(Request::new(get)).await.map(drop)),
        ("health", controller.controller_get_volume_health(Request::new(health)).await.map(drop)),
    ]
}

#[tokio::test]
async fn the_calls_that_are_announced_are_there_and_no_others() {
    let bed = Bed::start().await;
    let controller = &bed.controller;
    let reply = controller.controller_get_capabilities(Request::new(ControllerGetCapabilitiesRequest {}));
    let capabilities = reply.await.unwrap().into_inner().capabilities;
    let name = |Type::Rpc(rpc)| rpc::Type::try_from(rpc.r#type).unwrap().as_str_name();
    let names = capabilities.iter().filter_map(|capability| capability.r#type.map(name));
    let expected = "CREATE_DELETE_VOLUME EXPAND_VOLUME GET_CAPACITY GET_VOLUME GET_VOLUME_HEALTH LIST_VOLUMES \
                    LIST_VOLUME_HEALTH SINGLE_NODE_MULTI_WRITER VOLUME_CONDITION";
    assert_eq!(names.collect::<BTreeSet<_>>(), expected.split(' ').collect());
    for status in [
        controller
            .controller_publish_volume(Request::new(ControllerPublishVolumeRequest::default()))
            .await
            .map(drop),
        controller
            .controller_unpublish_volume(Request::new(ControllerUnpublishVolumeRequest::default()))
            .await
            .map(drop),
        controller.create_snapshot(Request::new(CreateSnapshotRequest::default())).await.map(drop),
        controller.delete_snapshot(Request::new(DeleteSnapshotRequest::default())).await.map(drop),
        controller.list_snapshots(Request::new(ListSnapshotsRequest::default())).await.map(drop),
        controller
            .controller_modify_volume(Request::new(ControllerModifyVolumeRequest::default()))
            .await
            .map(drop),
    ] {
        assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_missing_field_is_an_invalid_argument() {
    let bed = Bed::start().await;
    let invalid = |outcome: Result<(), Status>, field: &str| {
        let (code, sentence) = failure(outcome);
        assert_eq!(code, Code::InvalidArgument, "{sentence}");
        assert!(sentence.contains(field), "{field}: {sentence}");
    };
    for (call, outcome) in all_with(&bed, "").await {
        invalid(
            outcome.map_err(|status| Status::new(status.code(), format!("{call}: {}", status.message()))),
            "volume_id",
        );
    }
    invalid(bed.ask(bed.request("", 1, &[])).await.map(drop), "name");
    let request = CreateVolumeRequest { volume_capabilities: vec![], ..bed.request("a", 1, &[]) };
    invalid(bed.ask(request).await.map(drop), "volume_capabilities");
    let request = CreateVolumeRequest { parameters: Default::default(), ..bed.request("a", 1, &[]) };
    invalid(bed.ask(request).await.map(drop), "gluster_volname");
    let volume_id = bed.create("pvc-1", 1).await.volume_id;
    let request = ControllerExpandVolumeRequest { volume_id: volume_id.clone(), ..Default::default() };
    invalid(bed.controller.controller_expand_volume(Request::new(request)).await.map(drop), "capacity_range");
    let request = ValidateVolumeCapabilitiesRequest { volume_id, ..Default::default() };
    invalid(
        bed.controller.validate_volume_capabilities(Request::new(request)).await.map(drop),
        "volume_capabilities",
    );
}

#[tokio::test]
async fn an_unknown_volume_is_not_found_and_deleted_at_once() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    for unknown in ["reallyfakevolumeid", &format!("{}/pvc-2", id(1)), &id(1), "default/claim", ".."] {
        for (call, outcome) in all_with(&bed, unknown).await {
            match call {
                "delete" => outcome.unwrap(),
                _ => assert_eq!(failure(outcome).0, Code::NotFound, "{call} {unknown}"),
            }
        }
    }
}

#[tokio::test]
async fn a_volume_of_a_pool_that_nobody_knows_is_neither_missing_nor_deleted() {
    let bed = Bed::start().await;
    for (call, outcome) in all_with(&bed, &format!("{}/pvc-1", id(9))).await {
        if call == "health" {
            outcome.unwrap();
        } else {
            let (code, sentence) = failure(outcome);
            assert_eq!(code, Code::FailedPrecondition, "{call}");
            assert!(sentence.contains("--storages"), "{sentence}");
        }
    }
    // A storage says where it may be.
    bed.storage("pool-9", &bed.host(), "vol", "");
    let outcome = bed.delete(&format!("{}/pvc-1", id(1))).await;
    outcome.unwrap();
}

#[tokio::test]
async fn hostile_words_are_refused_in_short_sentences() {
    let bed = Bed::start().await;
    let long = "x".repeat(10_000_000);
    let pool = id(1);
    for volume_id in [
        &long,
        "a\0b",
        "a\nb",
        "\u{1b}[31m",
        &format!("{pool}/../../etc/passwd"),
        &format!("{pool}/.."),
        &format!("{pool}/a/b"),
        &format!("{pool}/{long}"),
        &format!("{pool}/archived-pvc-1"),
    ] {
        for (call, outcome) in all_with(&bed, volume_id).await {
            assert_eq!(failure(outcome).0, Code::InvalidArgument, "{call} {volume_id:.100}");
        }
    }
    for name in [&long, "a\0b", "a\u{7f}b", "a\u{9f}"] {
        assert_eq!(failure(bed.ask(bed.request(name, 1, &[])).await).0, Code::InvalidArgument, "{name:.100}");
    }
    for (key, value) in [
        (long.as_str(), "x"),
        ("gluster_hosts", &long),
        ("gluster_volname", "../../etc"),
        ("gluster_volname", "a\0b"),
        ("gluster_volname", "a/b"),
        ("gluster_hosts", "`id`"),
        ("options", "fuse-mountopts=allow_other`id`,nonsense"),
        ("secret", "x"),
    ] {
        let outcome = bed.ask(bed.request("a", 1, &[(key, value)])).await;
        assert_eq!(failure(outcome).0, Code::InvalidArgument, "{key:.100}={value:.100}");
    }
    let parameters = [("volume".to_owned(), long.clone())].into();
    let request = GetCapacityRequest { parameters, ..Default::default() };
    assert_eq!(
        failure(inner(bed.controller.get_capacity(Request::new(request)).await)).0,
        Code::InvalidArgument
    );
    assert!(bed.mounts.mounted().is_empty());
}
