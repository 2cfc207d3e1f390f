use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::mount::options::MountOptions;

#[tokio::test]
async fn a_volume_lives_on_a_node() {
    let behind = Behind::start().await;
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    let flags =
        MountVolume { mount_flags: vec!["acl".into(), "log-level=DEBUG".into()], ..Default::default() };
    let capability = || mount_with(Mode::MultiNodeMultiWriter, flags.clone());
    for _ in 0..2 {
        behind.stage("pvc-1", &staging, capability()).await.unwrap();
        behind.publish("pvc-1", [&staging, &target], capability(), false).await.unwrap();
        behind.publish("pvc-1", [&staging, &other], capability(), true).await.unwrap();
    }
    let asked = behind.fake.at(&target);
    assert_eq!((asked.volume.as_str(), asked.subdirectory.as_str()), ("vol", "subvol/aa/bb/pvc-1"));
    assert_eq!((asked.servers.join(","), asked.read_only), ("g1:24007,g2:24007".into(), false));
    // One process serves them all.
    let options = |path: &Path| MountOptions::parse(&behind.fake.at(path).options).unwrap().canonical();
    assert_eq!(options(&target), "acl,log-level=DEBUG");
    assert_eq!(options(&staging), options(&target));
    assert!(behind.fake.at(&other).read_only && !behind.fake.at(&staging).read_only);
    assert!(target.is_dir() && behind.files().len() == 1);
    assert_eq!(fs::metadata(&behind.files()[0]).unwrap().mode() & 0o7777, 0o600);

    let stats = behind.stats("pvc-1", &target).await.unwrap();
    let amounts = stats.usage.iter().map(|it| (it.unit().as_str_name(), it.total, it.available, it.used));
    assert!(amounts.eq([("BYTES", 100, 60, 40), ("INODES", i64::MAX, 60, 40)]), "{stats:?}");
    assert!(!stats.volume_condition.unwrap().abnormal);
    assert!(behind.stats("pvc-1", &staging).await.is_ok());

    for _ in 0..2 {
        behind.unpublish("pvc-1", &target).await.unwrap();
        behind.unpublish("pvc-1", &other).await.unwrap();
        behind.unstage("pvc-1", &staging).await.unwrap();
    }
    assert!(!target.exists() && !other.exists() && staging.exists());
    assert!(behind.fake.notes().targets.is_empty() && behind.files().is_empty());
}

#[tokio::test]
async fn a_restart_touches_no_mount_and_knows_all() {
    let mut behind = Behind::start().await;
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    let alone = || capability(Mode::SingleNodeSingleWriter);
    behind.stage("pvc-1", &staging, alone()).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
    // A file that a kill has left half done, and one that is none.
    let state = behind.directory.path().join("state/node");
    fs::write(state.join(".kadalu-x"), "{").unwrap();
    fs::write(state.join("bad.json"), "{").unwrap();
    let mounts = behind.fake.notes().mounts;
    behind.restart().await;
    assert_eq!(behind.fake.notes().mounts, mounts);
    assert_eq!(behind.fake.notes().targets.len(), 2);
    assert!(!state.join(".kadalu-x").exists());
    assert!(behind.stats("pvc-1", &target).await.is_ok());
    let second = behind.publish("pvc-1", [&staging, &other], alone(), false).await;
    assert_eq!(code(second), Code::FailedPrecondition);
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
    behind.unpublish("pvc-1", &target).await.unwrap();
    assert!(!target.exists());
}

#[tokio::test]
async fn what_the_state_has_lost_the_mount_host_knows() {
    let mut behind = Behind::start().await;
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    let id = "g1:/vol/subvol/aa/bb/pvc-1";
    behind.stage(id, &staging, many()).await.unwrap();
    behind.publish(id, [&staging, &target], many(), false).await.unwrap();
    fs::remove_dir_all(behind.directory.path().join("state")).unwrap();
    behind.restart().await;
    assert!(behind.stats(id, &target).await.is_ok());
    assert_eq!(code(behind.stats("g1:/vol/subvol/aa/bb/pvc-2", &target).await), Code::NotFound);
    behind.publish(id, [&staging, &other], many(), false).await.unwrap();
    // Another that says to be in the same directory has not been staged.
    let another = behind.publish("g1:/other/a", [&staging, &behind.target("x")], many(), false).await;
    assert_eq!(code(another), Code::FailedPrecondition);
    behind.unpublish(id, &target).await.unwrap();
    behind.unpublish(id, &other).await.unwrap();
    behind.unstage(id, &staging).await.unwrap();
    assert!(behind.fake.notes().targets.is_empty() && !target.exists() && !other.exists());
}

#[tokio::test]
async fn after_a_reboot_nothing_is_where_it_was() {
    let mut behind = Behind::start().await;
    let (staging, target) = (behind.staging("s"), behind.target("t"));
    let alone = || capability(Mode::SingleNodeSingleWriter);
    behind.stage("pvc-1", &staging, alone()).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
    // The mount host comes later than we do: what is known is not believed where it is in the way.
    behind.fake.notes().targets.clear();
    behind.fake.notes().is_gone = true;
    behind.restart().await;
    assert_eq!(behind.files().len(), 1);
    behind.fake.notes().is_gone = false;
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    behind.publish("pvc-1", [&staging, &behind.target("o")], many(), false).await.unwrap();
    behind.unpublish("pvc-2", &target).await.unwrap();
    assert!(!target.exists(), "not of another volume any more");
    // It comes before.
    behind.fake.notes().targets.clear();
    behind.restart().await;
    assert!(behind.files().is_empty());
    let unstaged = behind.publish("pvc-1", [&staging, &target], many(), false).await;
    assert_eq!(code(unstaged), Code::FailedPrecondition);
}

#[tokio::test]
async fn what_the_mount_host_does_not_list_is_known_while_it_is_mounted() {
    let mut behind = Behind::start().await;
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    let alone = || capability(Mode::SingleNodeSingleWriter);
    behind.stage("pvc-1", &staging, alone()).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], alone(), false).await.unwrap();
    // A mount that every machine has, in the place of that pod's, which only the kernel lists.
    let mut volume = behind.node.0.state.get("pvc-1").unwrap();
    let published = volume.published.remove(&target).unwrap();
    volume.published.insert("/proc".into(), published);
    behind.node.0.state.put(volume).await.unwrap();
    behind.fake.notes().targets.remove(&target);
    behind.restart().await;
    let second = behind.publish("pvc-1", [&staging, &other], alone(), false).await;
    assert_eq!(code(second), Code::FailedPrecondition, "one pod has it already");
    assert_eq!(code(behind.unpublish("pvc-2", Path::new("/proc")).await), Code::NotFound);
    behind.fake.notes().targets.clear();
    behind.restart().await;
    let volume = behind.node.0.state.get("pvc-1").unwrap();
    assert!(volume.staged.is_empty() && volume.is_at(Path::new("/proc")));
}

#[tokio::test]
async fn the_way_to_a_path_may_have_links() {
    let mut behind = Behind::start().await;
    let staging = behind.staging("s");
    symlink(behind.directory.path().join("pods"), behind.directory.path().join("linked")).unwrap();
    let linked = behind.directory.path().join("linked/t");
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    behind.publish("pvc-1", [&staging, &linked], many(), false).await.unwrap();
    // As the mount host lists it.
    assert!(behind.fake.notes().targets.contains_key(&behind.target("t")));
    behind.restart().await;
    assert!(behind.stats("pvc-1", &linked).await.is_ok());
    behind.unpublish("pvc-1", &linked).await.unwrap();
    assert!(!behind.target("t").exists());
}

#[tokio::test]
async fn a_target_is_removed_but_nothing_in_it() {
    let behind = Behind::start().await;
    let target = behind.target("t");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("data"), "of this machine").unwrap();
    let kept = behind.unpublish("pvc-1", &target).await.unwrap_err();
    assert_eq!(kept.code(), Code::FailedPrecondition);
    assert!(kept.message().contains("move it away") && target.join("data").exists(), "{kept}");
    // A link is no directory, and not followed.
    let link = behind.target("link");
    symlink(&target, &link).unwrap();
    assert_eq!(code(behind.unpublish("pvc-1", &link).await), Code::FailedPrecondition);
    let staging = behind.staging("s");
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    let linked = behind.publish("pvc-1", [&staging, &link], many(), false).await;
    assert_eq!(code(linked), Code::FailedPrecondition);
    // Of another volume.
    let other = behind.target("o");
    behind.publish("pvc-1", [&staging, &other], many(), false).await.unwrap();
    assert_eq!(code(behind.unpublish("pvc-2", &other).await), Code::NotFound);
    assert_eq!(code(behind.unstage("pvc-2", &staging).await), Code::NotFound);
    assert!(behind.fake.notes().targets.len() == 2 && other.exists());
}

#[tokio::test]
async fn a_group_gets_the_directory_once_it_is_mounted() {
    let behind = Behind::start().await;
    let helped = || fs::read_to_string(behind.directory.path().join("helped")).unwrap_or_default();
    let group = |mode, flags: &[&str]| {
        let mount_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let volume_mount_group = "4711".to_owned();
        mount_with(mode, MountVolume { mount_flags, volume_mount_group, ..Default::default() })
    };
    // What is only read is not changed.
    behind.stage("pvc-1", &behind.staging("a"), group(Mode::MultiNodeReaderOnly, &[])).await.unwrap();
    behind.stage("pvc-1", &behind.staging("b"), group(Mode::MultiNodeMultiWriter, &["ro"])).await.unwrap();
    assert_eq!(helped(), "");
    let staging = behind.staging("c");
    behind.stage("pvc-1", &staging, group(Mode::MultiNodeMultiWriter, &[])).await.unwrap();
    assert_eq!(helped(), format!("{{\"Group\":{{\"path\":\"{}\",\"gid\":4711}}}}", staging.display()));
}

#[tokio::test]
async fn a_pod_of_another_group_than_the_staged_one_gets_the_directory_alone() {
    let mut behind = Behind::start().await;
    let helped = behind.directory.path().join("helped");
    let group = |gid: &str| {
        let mount = MountVolume { volume_mount_group: gid.to_owned(), ..Default::default() };
        mount_with(Mode::MultiNodeMultiWriter, mount)
    };
    let (staging, target, other) = (behind.staging("s"), behind.target("t"), behind.target("o"));
    behind.stage("pvc-1", &staging, group("1")).await.unwrap();
    fs::remove_file(&helped).unwrap();
    // As it was staged, for none, and for one who only reads: nothing is changed.
    for (capability, read_only) in [(group("1"), false), (many(), false), (group("2"), true)] {
        behind.publish("pvc-1", [&staging, &target], capability, read_only).await.unwrap();
        behind.unpublish("pvc-1", &target).await.unwrap();
    }
    assert!(!helped.exists());
    behind.publish("pvc-1", [&staging, &target], group("2"), false).await.unwrap();
    let asked = fs::read_to_string(&helped).unwrap();
    assert_eq!(asked, format!("{{\"Group\":{{\"path\":\"{}\",\"gid\":2}}}}", target.display()));
    // Its own again, and another pod of it.
    behind.restart().await;
    for target in [&target, &other] {
        behind.publish("pvc-1", [&staging, target], group("2"), false).await.unwrap();
    }
    let refused = behind.publish("pvc-1", [&staging, &behind.target("x")], group("1"), false).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("fsGroup") && !behind.target("x").exists(), "{refused}");
    assert_eq!(fs::read_to_string(&helped).unwrap(), asked);
    // When it has gone, the staged group has the directory no more.
    behind.unpublish("pvc-1", &target).await.unwrap();
    behind.unpublish("pvc-1", &other).await.unwrap();
    behind.publish("pvc-1", [&staging, &target], group("1"), false).await.unwrap();
    assert!(fs::read_to_string(&helped).unwrap().ends_with("\"gid\":1}}"));
}

#[tokio::test]
async fn a_group_that_cannot_be_given_leaves_nothing_staged() {
    let mut behind = Behind::start().await;
    let known = Arc::new(Known::open(&behind.directory.path().join("state"), None).unwrap());
    let script = "cat > /dev/null; echo '{\"Done\":{\"Err\":{\"errno\":1,\"doing\":\"x\"}}}'";
    let config = Config {
        node_id: "n".into(),
        state_dir: behind.directory.path().join("state"),
        helper: Helper { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] },
        client: Default::default(),
    };
    behind.node = Node::start(config, known, behind.fake.clone(), Operations::default()).await.unwrap();
    let volume_mount_group = "4711".to_owned();
    let group = MountVolume { volume_mount_group, ..Default::default() };
    let staging = behind.staging("s");
    let refused = behind.stage("pvc-1", &staging, mount_with(Mode::MultiNodeMultiWriter, group)).await;
    assert_eq!(code(refused), Code::FailedPrecondition);
    assert!(behind.fake.notes().targets.is_empty() && behind.files().is_empty());
    // Nor published, where it was staged for none.
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    let target = behind.target("t");
    let group = MountVolume { volume_mount_group: "4711".to_owned(), ..Default::default() };
    let capability = mount_with(Mode::MultiNodeMultiWriter, group);
    let refused = behind.publish("pvc-1", [&staging, &target], capability, false).await;
    assert_eq!(code(refused), Code::FailedPrecondition);
    assert!(!target.exists() && behind.fake.notes().targets.len() == 1);
}

#[tokio::test]
async fn fifty_volumes_come_and_go_at_once() {
    let behind = Arc::new(Behind::start().await);
    let lives = (0..50).map(|n| {
        let behind = behind.clone();
        tokio::spawn(async move {
            let (id, name) = (format!("pvc-{n}"), n.to_string());
            let (staging, target) = (behind.staging(&name), behind.target(&name));
            behind.stage(&id, &staging, many()).await?;
            behind.publish(&id, [&staging, &target], many(), false).await?;
            behind.stats(&id, &target).await?;
            behind.unpublish(&id, &target).await?;
            behind.unstage(&id, &staging).await
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap().unwrap();
    }
    assert!(behind.fake.notes().targets.is_empty() && behind.files().is_empty());
    assert_eq!(fs::read_dir(behind.directory.path().join("pods")).unwrap().count(), 0);
}

#[tokio::test]
async fn one_thing_at_a_time_is_done_to_a_volume() {
    let behind = Arc::new(Behind::start().await);
    let staging = behind.staging("s");
    let slow = || context("slow", "a");
    let first = tokio::spawn({
        let (behind, staging) = (behind.clone(), staging.clone());
        async move { behind.stage_at("pvc-1", &staging, many(), slow()).await }
    });
    while behind.fake.notes().mounts == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(code(behind.stage_at("pvc-1", &staging, many(), slow()).await), Code::Aborted);
    assert_eq!(code(behind.unstage("pvc-1", &staging).await), Code::Aborted);
    assert_eq!(code(behind.unpublish("pvc-1", &behind.target("t")).await), Code::Aborted);
    // Others are not held up; and whoever asked may go.
    behind.stage("pvc-2", &behind.staging("other"), many()).await.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(code(behind.unstage("pvc-1", &staging).await), Code::Aborted);
    behind.fake.0.release.notify_one();
    while code(behind.unstage("pvc-1", &staging).await) == Code::Aborted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(behind.fake.notes().targets.len(), 1);
}

#[tokio::test]
async fn hundreds_of_volumes_are_known_at_once() {
    let mut behind = Behind::start().await;
    for n in 0..500 {
        let (id, name) = (format!("pvc-{n}"), n.to_string());
        let staging = behind.staging(&name);
        behind.stage(&id, &staging, many()).await.unwrap();
        behind.publish(&id, [&staging, &behind.target(&name)], many(), false).await.unwrap();
    }
    let bytes = behind.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    assert!(bytes < 500 * 2048, "{bytes}");
    let began = std::time::Instant::now();
    behind.restart().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(behind.fake.notes().mounts, 1000);
    assert!(behind.stats("pvc-499", &behind.target("499")).await.is_ok());
}
