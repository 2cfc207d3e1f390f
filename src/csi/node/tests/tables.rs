//! The tables of the specification: what the same call again, and another for the same volume, come to.

use super::*;

#[tokio::test]
async fn staging_again() {
    let behind = Behind::start().await;
    let (staging, other) = (behind.staging("s"), behind.staging("o"));
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    let flags = MountVolume { mount_flags: vec!["acl".into()], ..Default::default() };
    let group = MountVolume { volume_mount_group: "1".into(), ..Default::default() };
    for capability in [
        capability(Mode::SingleNodeWriter),
        mount_with(Mode::MultiNodeMultiWriter, flags),
        mount_with(Mode::MultiNodeMultiWriter, group),
    ] {
        let again = behind.stage("pvc-1", &staging, capability).await;
        assert_eq!(code(again), Code::AlreadyExists);
    }
    // Another volume, by its directory.
    let another = behind.stage_at("pvc-2", &staging, many(), context("vol", "else")).await;
    assert_eq!(code(another), Code::AlreadyExists);
    // Another, which says to be in the same directory.
    assert_eq!(code(behind.stage("pvc-2", &staging, many()).await), Code::AlreadyExists);
    // The path of a kubelet of another version.
    behind.stage("pvc-1", &other, many()).await.unwrap();
    behind.unstage("pvc-1", &staging).await.unwrap();
    behind.publish("pvc-1", [&other, &behind.target("t")], many(), false).await.unwrap();
    let gone = behind.publish("pvc-1", [&staging, &behind.target("u")], many(), false).await;
    assert_eq!(code(gone), Code::FailedPrecondition);
}

/// Published in the first mode at one path: what comes of another call.
#[tokio::test]
async fn publishing_again() {
    use Code::{AlreadyExists, FailedPrecondition, Ok};
    use Mode::{
        MultiNodeMultiWriter as Many, MultiNodeReaderOnly as Readers, SingleNodeMultiWriter as Node,
        SingleNodeSingleWriter as Pod, SingleNodeWriter as Old,
    };
    for (first, second, same_path, other_path) in [
        (Many, Many, Ok, Ok),
        (Node, Node, Ok, Ok),
        (Old, Old, Ok, Ok),
        (Readers, Readers, Ok, Ok),
        (Pod, Pod, Ok, FailedPrecondition),
        (Many, Node, AlreadyExists, Ok),
        (Node, Pod, AlreadyExists, FailedPrecondition),
        (Pod, Node, AlreadyExists, FailedPrecondition),
    ] {
        let behind = Behind::start().await;
        let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
        behind.stage("pvc-1", &staging, capability(first)).await.unwrap();
        behind.publish("pvc-1", [&staging, &target], capability(first), false).await.unwrap();
        let again = behind.publish("pvc-1", [&staging, &target], capability(second), false).await;
        assert_eq!(code(again), same_path, "{first:?} {second:?}");
        let elsewhere = behind.publish("pvc-1", [&staging, &other], capability(second), false).await;
        assert_eq!(code(elsewhere), other_path, "{first:?} {second:?}");
        assert_eq!(other.exists(), other_path == Ok, "what is not published has no directory");
        // Read-only is another argument, but for those who read only anyway.
        let read_only = behind.publish("pvc-1", [&staging, &target], capability(first), true).await;
        assert_eq!(code(read_only), if first == Readers { Ok } else { AlreadyExists }, "{first:?}");
        assert_eq!(behind.fake.at(&target).read_only, first == Readers);
    }
}

#[tokio::test]
async fn a_pod_for_itself_is_followed_by_another() {
    let behind = Behind::start().await;
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    let alone = || capability(Mode::SingleNodeSingleWriter);
    behind.stage("pvc-1", &staging, alone()).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
    behind.unpublish("pvc-1", &target).await.unwrap();
    behind.publish("pvc-1", [&staging, &other], alone(), false).await.unwrap();
    // Unmounted by somebody else, it is not there any more.
    behind.fake.notes().targets.remove(&other);
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
}

#[tokio::test]
async fn the_end_comes_in_any_order() {
    let behind = Behind::start().await;
    let (staging, target) = (behind.staging("s"), behind.target("t"));
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], many(), false).await.unwrap();
    behind.unstage("pvc-1", &staging).await.unwrap();
    assert!(behind.stats("pvc-1", &target).await.is_ok(), "the pod goes on");
    behind.unpublish("pvc-1", &target).await.unwrap();
    // Of a volume that was never here, and of paths whose parents are not.
    behind.unstage("never", &behind.directory.path().join("no/such")).await.unwrap();
    behind.unpublish("never", &behind.directory.path().join("no/such")).await.unwrap();
    assert!(behind.files().is_empty());
}
