//! The rules of the interface, as Kubernetes' conformance suite checks them, on a driver that is all services on one socket.
#![allow(clippy::unwrap_used, reason = "the answer is in the panic")]

use glusterd_client::csi::generated::{
    CapacityRange, ControllerExpandVolumeRequest, ControllerGetCapabilitiesRequest,
    ControllerGetVolumeRequest, CreateVolumeRequest, DeleteVolumeRequest, GetCapacityRequest,
    GetPluginCapabilitiesRequest, GetPluginInfoRequest, ListVolumesRequest, NodeGetCapabilitiesRequest,
    NodeGetInfoRequest, NodeGetVolumeStatsRequest, NodePublishVolumeRequest, NodeStageVolumeRequest,
    NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest, ValidateVolumeCapabilitiesRequest, Volume,
    controller_service_capability::Type as ControllerType, node_service_capability::Type as NodeType,
    volume_capability::access_mode::Mode,
};
use tonic::{Code, Response, Status};

use crate::driver::{Caller, Driver, GIB, audit, capability, map};
use crate::lab::{Kind, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; identity_and_capabilities, controller, lists, node, hostile }

fn driver<'lab>(lab: &'lab crate::lab::Lab, name: &str) -> Driver<'lab> {
    lab.start_volume(name, Kind::Replica3);
    Driver::start(lab, name, &[])
}

#[track_caller]
fn fails<T: std::fmt::Debug>(reply: Result<Response<T>, Status>, code: Code) {
    let status = reply.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    // A sentence for an admin, and nothing that a sidecar would have to decode.
    assert!(status.message().len() > 10 && status.details().is_empty(), "{status:?}");
}

fn identity_and_capabilities(labs: &Labs) {
    let driver = driver(labs.plain(), "csi-identity");
    assert!(driver.probe().expect("an answer"));
    let caller = driver.caller();
    driver.block(async {
        let info = caller.identity().get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
        assert_eq!((info.name.as_str(), info.vendor_version.is_empty()), ("kadalu", false));
        let can = caller.identity().get_plugin_capabilities(GetPluginCapabilitiesRequest {}).await.unwrap();
        assert_eq!(can.into_inner().capabilities.len(), 2, "a controller, and expansion while in use");
        let can = caller.controller().controller_get_capabilities(ControllerGetCapabilitiesRequest {}).await;
        for capability in can.unwrap().into_inner().capabilities {
            assert!(matches!(capability.r#type, Some(ControllerType::Rpc(_))), "{capability:?}");
        }
        let can = caller.node().node_get_capabilities(NodeGetCapabilitiesRequest {}).await;
        for capability in can.unwrap().into_inner().capabilities {
            assert!(matches!(capability.r#type, Some(NodeType::Rpc(_))), "{capability:?}");
        }
        let info = caller.node().node_get_info(NodeGetInfoRequest {}).await.unwrap().into_inner();
        assert_eq!(info.node_id, "node-1");
    });
}

fn create(name: &str, parameters: &[(&str, &str)]) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: name.to_owned(),
        capacity_range: Some(CapacityRange { required_bytes: GIB, limit_bytes: 0 }),
        volume_capabilities: vec![capability(Mode::SingleNodeWriter)],
        parameters: map(parameters),
        ..Default::default()
    }
}

fn controller(labs: &Labs) {
    let lab = labs.plain();
    let driver = driver(lab, "csi-controller");
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", "csi-controller")];
    driver.block(async {
        let mut controller = caller.controller();
        fails(controller.create_volume(create("", &parameters)).await, Code::InvalidArgument);
        let without = CreateVolumeRequest { volume_capabilities: Vec::new(), ..create("a", &parameters) };
        fails(controller.create_volume(without).await, Code::InvalidArgument);
        let range = Some(CapacityRange { required_bytes: GIB, limit_bytes: GIB / 2 });
        let range = CreateVolumeRequest { capacity_range: range, ..create("a", &parameters) };
        fails(controller.create_volume(range).await, Code::OutOfRange);
        fails(controller.create_volume(create("a", &[("gluster_volnam", "x")])).await, Code::InvalidArgument);
        // A name as long as names can be.
        let longest = "n".repeat(128);
        let volume = controller.create_volume(create(&longest, &parameters)).await.unwrap();
        let volume = volume.into_inner().volume.expect("a volume");
        assert!(volume.volume_id.len() <= 128 && volume.capacity_bytes == GIB, "{volume:?}");
        let again = controller.create_volume(create(&longest, &parameters)).await.unwrap();
        assert_eq!(again.into_inner().volume.as_ref(), Some(&volume));
        let id = volume.volume_id.clone();

        let validate = |id: &str, capabilities| ValidateVolumeCapabilitiesRequest {
            volume_id: id.to_owned(),
            volume_capabilities: capabilities,
            ..Default::default()
        };
        let modes = vec![capability(Mode::MultiNodeMultiWriter)];
        fails(
            controller.validate_volume_capabilities(validate("", modes.clone())).await,
            Code::InvalidArgument,
        );
        fails(
            controller.validate_volume_capabilities(validate(&id, Vec::new())).await,
            Code::InvalidArgument,
        );
        fails(
            controller.validate_volume_capabilities(validate("no-such", modes.clone())).await,
            Code::NotFound,
        );
        let valid = controller.validate_volume_capabilities(validate(&id, modes)).await.unwrap().into_inner();
        assert!(valid.confirmed.is_some(), "{valid:?}");

        let expand = |id: &str, range| ControllerExpandVolumeRequest {
            volume_id: id.to_owned(),
            capacity_range: range,
            ..Default::default()
        };
        let two = Some(CapacityRange { required_bytes: 2 * GIB, limit_bytes: 0 });
        fails(controller.controller_expand_volume(expand("", two)).await, Code::InvalidArgument);
        fails(controller.controller_expand_volume(expand(&id, None)).await, Code::InvalidArgument);
        fails(controller.controller_expand_volume(expand("no-such", two)).await, Code::NotFound);
        let grown = controller.controller_expand_volume(expand(&id, two)).await.unwrap().into_inner();
        assert_eq!((grown.capacity_bytes, grown.node_expansion_required), (2 * GIB, false));

        let get = ControllerGetVolumeRequest { volume_id: id.clone() };
        let got = controller.controller_get_volume(get).await.unwrap().into_inner();
        assert_eq!(got.volume.map(|volume| volume.capacity_bytes), Some(2 * GIB));
        let get = ControllerGetVolumeRequest { volume_id: "no-such".to_owned() };
        fails(controller.controller_get_volume(get).await, Code::NotFound);

        let capacity = controller.get_capacity(GetCapacityRequest::default()).await.unwrap().into_inner();
        assert!(capacity.available_capacity > 0, "{capacity:?}");

        let delete = |id: &str| DeleteVolumeRequest { volume_id: id.to_owned(), ..Default::default() };
        fails(controller.delete_volume(delete("")).await, Code::InvalidArgument);
        controller.delete_volume(delete("no-such")).await.unwrap();
        controller.delete_volume(delete(&id)).await.unwrap();
        controller.delete_volume(delete(&id)).await.unwrap();
    });
}

async fn list(caller: &Caller, most: i32, token: &str) -> Result<(Vec<Volume>, String), Status> {
    let request = ListVolumesRequest { max_entries: most, starting_token: token.to_owned() };
    let reply = caller.controller().list_volumes(request).await?.into_inner();
    Ok((reply.entries.into_iter().filter_map(|entry| entry.volume).collect(), reply.next_token))
}

fn lists(labs: &Labs) {
    let lab = labs.plain();
    let driver = driver(lab, "csi-lists");
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", "csi-lists")];
    driver.block(async {
        for n in 0..5 {
            caller.create(&format!("pvc-{n}"), GIB, &parameters).await.unwrap();
        }
        let (all, token) = list(&caller, 0, "").await.unwrap();
        assert_eq!((all.len(), token.as_str()), (5, ""));
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let (some, next) = list(&caller, 2, &token).await.unwrap();
            assert!(some.len() <= 2);
            paged.extend(some);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, all);
        let (_, token) = list(&caller, 3, "").await.unwrap();
        // What goes and comes between two pages is no trouble.
        caller.delete(&all[2].volume_id).await.unwrap();
        caller.create("pvc-9", GIB, &parameters).await.unwrap();
        let (rest, _) = list(&caller, 0, &token).await.unwrap();
        assert_eq!(rest.len(), 3, "{rest:?}");
        assert_eq!(list(&caller, 0, "no token").await.unwrap_err().code(), Code::Aborted);
        assert_eq!(list(&caller, -1, "").await.unwrap_err().code(), Code::InvalidArgument);
    });
}

fn node(labs: &Labs) {
    let lab = labs.plain();
    let driver = driver(lab, "csi-node");
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", "csi-node")];
    let target = driver.pod("pod");
    driver.block(async {
        let volume = caller.create("pvc-node", GIB, &parameters).await.unwrap();
        let mut node = caller.node();
        let stage = NodeStageVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: caller.make_staging(&volume.volume_id),
            volume_capability: Some(capability(Mode::SingleNodeWriter)),
            volume_context: volume.volume_context.clone(),
            ..Default::default()
        };
        for wrong in [
            NodeStageVolumeRequest { volume_id: String::new(), ..stage.clone() },
            NodeStageVolumeRequest { staging_target_path: String::new(), ..stage.clone() },
            NodeStageVolumeRequest { volume_capability: None, ..stage.clone() },
        ] {
            fails(node.node_stage_volume(wrong).await, Code::InvalidArgument);
        }
        node.node_stage_volume(stage.clone()).await.unwrap();
        let publish = NodePublishVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: stage.staging_target_path.clone(),
            target_path: target.clone(),
            volume_capability: stage.volume_capability.clone(),
            volume_context: volume.volume_context.clone(),
            ..Default::default()
        };
        for wrong in [
            NodePublishVolumeRequest { volume_id: String::new(), ..publish.clone() },
            NodePublishVolumeRequest { target_path: String::new(), ..publish.clone() },
            NodePublishVolumeRequest { volume_capability: None, ..publish.clone() },
        ] {
            fails(node.node_publish_volume(wrong).await, Code::InvalidArgument);
        }
        let no_staging = NodePublishVolumeRequest { staging_target_path: String::new(), ..publish.clone() };
        fails(node.node_publish_volume(no_staging).await, Code::FailedPrecondition);
        node.node_publish_volume(publish).await.unwrap();
        let stats = |id: &str, path: &str| NodeGetVolumeStatsRequest {
            volume_id: id.to_owned(),
            volume_path: path.to_owned(),
            ..Default::default()
        };
        fails(node.node_get_volume_stats(stats("", &target)).await, Code::InvalidArgument);
        fails(node.node_get_volume_stats(stats(&volume.volume_id, "")).await, Code::InvalidArgument);
        fails(node.node_get_volume_stats(stats("no-such", &target)).await, Code::NotFound);
        fails(node.node_get_volume_stats(stats(&volume.volume_id, "/some/where")).await, Code::NotFound);
        node.node_get_volume_stats(stats(&volume.volume_id, &target)).await.unwrap();
        let unpublish = |id: &str, target: &str| NodeUnpublishVolumeRequest {
            volume_id: id.to_owned(),
            target_path: target.to_owned(),
        };
        fails(node.node_unpublish_volume(unpublish("", &target)).await, Code::InvalidArgument);
        fails(node.node_unpublish_volume(unpublish(&volume.volume_id, "")).await, Code::InvalidArgument);
        node.node_unpublish_volume(unpublish(&volume.volume_id, &target)).await.unwrap();
        let unstage = |id: &str, path: &str| NodeUnstageVolumeRequest {
            volume_id: id.to_owned(),
            staging_target_path: path.to_owned(),
        };
        fails(node.node_unstage_volume(unstage("", "/x")).await, Code::InvalidArgument);
        fails(node.node_unstage_volume(unstage(&volume.volume_id, "")).await, Code::InvalidArgument);
        node.node_unstage_volume(unstage(&volume.volume_id, &stage.staging_target_path)).await.unwrap();
        caller.delete(&volume.volume_id).await.unwrap();
    });
    driver.client.shell(&format!("test ! -e {target}"));
}

/// What a hostile caller, or a pod that writes into its volume, can try.
fn hostile(labs: &Labs) {
    let lab = labs.plain();
    let driver = driver(lab, "csi-hostile");
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", "csi-hostile")];
    let (pv, target) = driver.serve("pvc-hostile", &parameters);
    let neighbour = driver.block(caller.create("pvc-neighbour", GIB, &parameters)).expect("a neighbour");
    let uuid = pv.volume_id.split('/').next().expect("the pool").to_owned();
    driver.block(async {
        for id in ["../..", "a/../..", "/etc", "..", &format!("{uuid}/.."), &format!("{uuid}/../../etc")] {
            // There is no such volume, or that is no id: nothing is deleted.
            if let Err(status) = caller.delete(id).await {
                assert_eq!(status.code(), Code::InvalidArgument, "{id}: {status:?}");
            }
        }
        for id in ["a\0b", "a\nb", &"x".repeat(1 << 20)] {
            let status = caller.delete(id).await.expect_err("it is refused");
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().len() <= 4096);
        }
        let crafted = map(&[
            ("gluster_hosts", servers.as_str()),
            ("gluster_volname", "csi-hostile"),
            ("path", "subvol/../../../etc"),
        ]);
        let volume =
            Volume { volume_id: "static-1".to_owned(), volume_context: crafted, ..Default::default() };
        let status = caller.stage(&volume).await.expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    });
    let there = audit(lab.host(0), "csi-hostile");
    assert_eq!(there.directories, ["pvc-hostile", "pvc-neighbour"]);
    assert_eq!(there.records, ["pvc-hostile.json", "pvc-neighbour.json"]);
    // A pod plants links: in its own volume only, where nobody follows them.
    lab.client().shell(&format!(
        "ln -s / {target}/root; ln -s ../../.. {target}/up; mkdir {target}/deep; ln -s /etc {target}/deep/etc"
    ));
    driver.end_of(&pv, &target);
    driver.block(caller.stage(&neighbour)).expect("the neighbour is whole");
    lab.client().shell("test -e /etc/passwd");
    driver.block(async {
        caller.unstage(&neighbour.volume_id).await.unwrap();
        caller.delete(&neighbour.volume_id).await.unwrap();
    });
}
