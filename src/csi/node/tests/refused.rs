//! What is missing, what makes no sense, and what cannot be.

use super::*;
use crate::csi::generated::volume_capability::BlockVolume;

#[tokio::test]
async fn who_it_is_and_what_it_offers() {
    let behind = Behind::start().await;
    let info = behind.node.node_get_info(Request::new(NodeGetInfoRequest {})).await.unwrap().into_inner();
    assert_eq!((info.node_id.as_str(), info.max_volumes_per_node), ("node-1", 0));
    let offered =
        behind.node.node_get_capabilities(Request::new(NodeGetCapabilitiesRequest {})).await.unwrap();
    let offered = offered.into_inner().capabilities;
    let names = offered.iter().map(|it| match it.r#type {
        Some(Type::Rpc(rpc)) => rpc.r#type().as_str_name(),
        None => "none",
    });
    assert_eq!(
        names.collect::<Vec<_>>().join(" "),
        "STAGE_UNSTAGE_VOLUME GET_VOLUME_STATS VOLUME_CONDITION SINGLE_NODE_MULTI_WRITER VOLUME_MOUNT_GROUP \
         GET_VOLUME_HEALTH GET_STORAGE_HEALTH"
    );
    let expanded = behind.node.node_expand_volume(Request::new(NodeExpandVolumeRequest::default())).await;
    assert_eq!(code(expanded), Code::Unimplemented);
    for node_id in ["", "a\nb", &"n".repeat(257)] {
        let state_dir = behind.directory.path().join("state");
        let known = Arc::new(Known::open(&state_dir, None).unwrap());
        let config = Config {
            node_id: node_id.into(),
            state_dir,
            helper: Helper::default(),
            client: Default::default(),
        };
        let started = Node::start(config, known, behind.fake.clone(), Operations::default()).await;
        assert_eq!(started.err().unwrap().reason(), storage::Reason::Invalid, "{node_id:?}");
    }
}

/// Each request as it should be but for one field.
#[tokio::test]
async fn every_field_that_is_missing_is_named() {
    let behind = Behind::start().await;
    let (staging, target) = (behind.staging("s"), behind.target("t"));
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    let says = |outcome: Result<(), Status>, expected: Code, field: &str| {
        let status = outcome.unwrap_err();
        assert_eq!(status.code(), expected, "{status}");
        assert!(status.message().contains(field), "{status}");
    };
    let invalid = Code::InvalidArgument;
    let none = Path::new("");
    says(behind.stage("", &staging, many()).await, invalid, "volume_id is missing");
    says(behind.stage("pvc-1", none, many()).await, invalid, "staging_target_path is missing");
    let stage = |volume_capability| {
        let request = NodeStageVolumeRequest {
            volume_id: "pvc-1".into(),
            staging_target_path: request::text(&staging),
            volume_capability,
            ..Default::default()
        };
        behind.node.node_stage_volume(Request::new(request))
    };
    let mut without_mode = many();
    without_mode.access_mode = None;
    let mut without_type = many();
    without_type.access_type = None;
    let mut block = many();
    block.access_type = Some(AccessType::Block(BlockVolume {}));
    let mut unknown = many();
    unknown.access_mode = Some(AccessMode { mode: 99 });
    let strange = |flag: &str| {
        mount_with(
            Mode::SingleNodeWriter,
            MountVolume { mount_flags: vec![flag.into()], ..Default::default() },
        )
    };
    let group = |group: &str| {
        let volume_mount_group = group.to_owned();
        mount_with(Mode::SingleNodeWriter, MountVolume { volume_mount_group, ..Default::default() })
    };
    for (capability, field) in [
        (None, "volume_capability is missing"),
        (Some(without_mode), "access_mode"),
        (Some(unknown), "access_mode"),
        (Some(capability(Mode::Unknown)), "access_mode"),
        (Some(without_type), "access_type"),
        (Some(block), "Filesystem"),
        (Some(strange("log-levle=DEBUG")), "do you mean \"log-level\"?"),
        (Some(strange("acl\0")), "control character"),
        (Some(group("users")), "volume_mount_group"),
        (Some(group("4294967296")), "volume_mount_group"),
    ] {
        says(stage(capability).await.map(drop), invalid, field);
    }
    let publish = |id: &'static str, [staging, target]: [&'static str; 2], capability| {
        let request = NodePublishVolumeRequest {
            volume_id: id.into(),
            staging_target_path: staging.into(),
            target_path: target.into(),
            volume_capability: capability,
            ..Default::default()
        };
        behind.node.node_publish_volume(Request::new(request))
    };
    says(publish("", ["/s", "/t"], Some(many())).await.map(drop), invalid, "volume_id");
    says(publish("pvc-1", ["/s", ""], Some(many())).await.map(drop), invalid, "target_path is missing");
    says(publish("pvc-1", ["/s", "/t"], None).await.map(drop), invalid, "volume_capability");
    let unstaged = publish("pvc-1", ["", "/t"], Some(many())).await.map(drop);
    says(unstaged, Code::FailedPrecondition, "staging_target_path is missing");
    says(behind.unpublish("", &target).await, invalid, "volume_id");
    says(behind.unpublish("pvc-1", none).await, invalid, "target_path");
    says(behind.unstage("", &staging).await, invalid, "volume_id");
    says(behind.unstage("pvc-1", none).await, invalid, "staging_target_path");
    says(behind.stats("", &staging).await.map(drop), invalid, "volume_id");
    says(behind.stats("pvc-1", none).await.map(drop), invalid, "volume_path");
    says(behind.stats("pvc-1", &target).await.map(drop), Code::NotFound, "it is not at");
    says(behind.stats("pvc-2", &staging).await.map(drop), Code::NotFound, "it is not at");
}

#[tokio::test]
async fn hostile_words_come_to_nothing() {
    let behind = Behind::start().await;
    let staging = behind.staging("s");
    let long = "x".repeat(10_000_000);
    for id in ["a\0b", "a\nb", &long, &format!("{POOL}/../../etc"), &format!("{POOL}/a/b")] {
        let staged = behind.stage(id, &staging, many()).await.unwrap_err();
        assert_eq!(staged.code(), Code::InvalidArgument);
        assert!(staged.message().len() < 1000, "{}", staged.message().len());
        assert_eq!(code(behind.unpublish(id, &behind.target("t")).await), Code::InvalidArgument);
        assert_eq!(code(behind.stats(id, &staging).await), Code::InvalidArgument);
    }
    for path in ["/", "relative", "/a/../b", "/..", "/a\0b", "/a\nb", &format!("/{long}")] {
        let staged = behind.stage("pvc-1", Path::new(path), many()).await.unwrap_err();
        assert_eq!(staged.code(), Code::InvalidArgument, "{path:.40}");
        assert_eq!(code(behind.unpublish("pvc-1", Path::new(path)).await), Code::InvalidArgument);
        assert_eq!(code(behind.unstage("pvc-1", Path::new(path)).await), Code::InvalidArgument);
    }
    for (key, value) in [
        ("path", "../../etc"),
        ("path", "a/../b"),
        ("path", "a\0b"),
        ("gluster_volname", "../vol"),
        ("gluster_hosts", "a b;c$(d)"),
        ("options", "volfile=/etc/passwd"),
        ("volume_uuid", "x"),
        ("path", &long),
    ] {
        let mut context = context("vol", "a");
        context.insert(key.into(), value.into());
        let staged = behind.stage_at("pvc-1", &staging, many(), context).await.unwrap_err();
        assert_eq!(staged.code(), Code::InvalidArgument, "{key}");
        assert!(staged.message().len() < 1000, "{}", staged.message().len());
    }
    // Nothing says where it is.
    let nowhere = behind.stage_at("pvc-1", &staging, many(), BTreeMap::new()).await;
    assert_eq!(code(nowhere), Code::InvalidArgument);
    assert_eq!((behind.fake.notes().mounts, behind.files().len()), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_mounted_leaves_nothing() {
    let mut behind = Behind::start().await;
    let (staging, target) = (behind.staging("s"), behind.target("t"));
    // A missing directory of a PV is not made.
    let gone = behind.stage_at("pvc-1", &staging, many(), context("vol", "gone")).await;
    assert_eq!(code(gone), Code::NotFound);
    let stopped = behind.stage_at("pvc-2", &staging, many(), context("stopped", "a")).await;
    assert_eq!(code(stopped), Code::FailedPrecondition);
    // Another volume has taken the name.
    let mut other = context("vol", "a");
    other.insert("volume_uuid".into(), POOL.replace('0', "1"));
    let replaced = behind.stage_at("pvc-3", &staging, many(), other.clone()).await.unwrap_err();
    assert_eq!(replaced.code(), Code::FailedPrecondition);
    assert!(replaced.message().contains(POOL), "{replaced}");
    assert!(behind.fake.notes().targets.is_empty() && behind.files().is_empty());
    other.insert("volume_uuid".into(), POOL.into());
    behind.stage_at("pvc-3", &staging, many(), other.clone()).await.unwrap();
    // Since it was staged; one more pod does not see it, and another keeps what it has.
    let before = behind.target("before");
    behind.publish("pvc-3", [&staging, &before], many(), false).await.unwrap();
    behind.fake.notes().other_id = Some(POOL.replace('0', "1"));
    for at in [&target, &before] {
        let replaced = behind.publish("pvc-3", [&staging, at], many(), false).await.unwrap_err();
        assert_eq!(replaced.code(), Code::FailedPrecondition);
        assert!(replaced.message().contains(POOL), "{replaced}");
    }
    assert!(!target.exists() && before.exists() && behind.fake.notes().targets.len() == 2);
    behind.restart().await;
    assert_eq!(
        code(behind.publish("pvc-3", [&staging, &target], many(), false).await),
        Code::FailedPrecondition
    );
    behind.fake.notes().other_id = None;
    // The parent of a target is made by whoever asks.
    let orphan = behind.publish("pvc-3", [&staging, &target.join("a/b")], many(), false).await;
    assert_eq!(code(orphan), Code::FailedPrecondition);
    behind.fake.notes().is_gone = true;
    let gone = behind.publish("pvc-3", [&staging, &target], many(), false).await;
    assert_eq!(code(gone), Code::Unavailable);
    assert!(!target.exists());
    // It would mount it again: better to wait for it.
    assert_eq!(code(behind.unstage("pvc-3", &staging).await), Code::Unavailable);
    assert_eq!(code(behind.stats("pvc-3", &staging).await), Code::Unavailable);
}
