use super::*;
use crate::{
    csi::generated::VolumeHealth,
    mount::generated::Rejection,
    server::{Limits, Server},
    transport::Listener,
    volfile::example::Example,
};

impl Behind {
    async fn health(&self, id: &str, path: &Path) -> Result<VolumeHealth, Status> {
        let request = NodeGetVolumeHealthRequest {
            volume_id: id.into(),
            volume_publish_path: request::text(path),
            ..Default::default()
        };
        let health = self.node.node_get_volume_health(Request::new(request)).await?.into_inner();
        Ok(health.volume_health.unwrap())
    }

    /// Each as `STATUS Reason`.
    async fn wrong(&self, id: &str, path: &Path) -> Vec<String> {
        let health = self.health(id, path).await.unwrap();
        assert_eq!(health.volume_id, id);
        let shown = health.health_statuses.iter().map(|it| {
            assert!(!it.message.is_empty() && it.message.len() < 4200);
            format!("{} {}", it.status().as_str_name(), it.reason)
        });
        shown.collect()
    }

    async fn storage(&self) -> Vec<String> {
        let request = Request::new(NodeGetStorageHealthRequest::default());
        let health = self.node.node_get_storage_health(request).await.unwrap().into_inner().backend_health;
        health.iter().map(|it| format!("{} {}", it.status().as_str_name(), it.reason)).collect()
    }
}

async fn staged() -> (Behind, PathBuf) {
    let behind = Behind::start().await;
    let staging = behind.staging("s");
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    (behind, staging)
}

#[tokio::test]
async fn what_is_wrong_has_a_word_for_it() {
    let (behind, staging) = staged().await;
    assert!(behind.wrong("pvc-1", &staging).await.is_empty() && behind.storage().await.is_empty());
    let replaced = |by: &str| {
        Some(Rejection {
            replaced_by: by.into(),
            reasons: vec!["it has a cycle".into()],
            ..Default::default()
        })
    };
    type Change = fn(&mut Notes);
    let degrade = |notes: &mut Notes| {
        notes.pool.state = "degraded".into();
        notes.pool.bricks_down = vec!["g1:/b".repeat(5000)];
    };
    let changes: [(Change, &str, &str); 5] = [
        (degrade, "DEGRADED ReplicaDown", "STORAGE_DEGRADED"),
        (|notes| notes.pool.drift = "not connected".into(), "DEGRADED VolfileStale", "STORAGE_DEGRADED"),
        (|notes| notes.pool.state = "failing".into(), "INACCESSIBLE Disconnected", "STORAGE_UNREACHABLE"),
        (|notes| notes.pool.state = "dead".into(), "INACCESSIBLE Disconnected", "STORAGE_UNREACHABLE"),
        (|notes| notes.pool.state = "hung".into(), "INACCESSIBLE Disconnected", "STORAGE_UNREACHABLE"),
    ];
    let healthy = behind.fake.notes().pool.clone();
    for (change, expected, of_storage) in changes {
        behind.fake.notes().pool = healthy.clone();
        change(&mut behind.fake.notes());
        assert_eq!(behind.wrong("pvc-1", &staging).await, [expected]);
        let (_, reason) = expected.split_once(' ').unwrap();
        assert_eq!(behind.storage().await, [format!("{of_storage} {reason}")]);
        let condition = behind.stats("pvc-1", &staging).await.unwrap().volume_condition.unwrap();
        assert!(
            condition.abnormal && condition.message.contains("vol") && condition.message.len() < 4200,
            "{condition:?}"
        );
    }
    behind.fake.notes().pool = healthy;
    for (by, expected) in [("an id", "INACCESSIBLE VolumeReplaced"), ("", "DEGRADED VolfileRejected")] {
        behind.fake.notes().volume.rejected = replaced(by);
        assert_eq!(behind.wrong("pvc-1", &staging).await, [expected]);
    }
    behind.fake.notes().volume = Volume { trouble: "refused".into(), ..Default::default() };
    assert_eq!(behind.wrong("pvc-1", &staging).await, ["DEGRADED ServersUnreachable"]);
    assert_eq!(behind.storage().await, ["STORAGE_DEGRADED ServersUnreachable"]);
}

#[tokio::test]
async fn a_volume_that_does_not_answer_is_answered_for() {
    let (behind, staging) = staged().await;
    behind.fake.notes().trouble = "Transport endpoint is not connected".into();
    let stats = behind.stats("pvc-1", &staging).await.unwrap();
    let condition = stats.volume_condition.unwrap();
    assert!(stats.usage.is_empty() && condition.abnormal, "{condition:?}");
    assert!(condition.message.contains("Transport endpoint"), "{condition:?}");
    assert_eq!(behind.wrong("pvc-1", &staging).await, ["INACCESSIBLE Disconnected"]);
    // The mount host has it no longer, or is no longer there.
    behind.fake.notes().targets.clear();
    assert_eq!(behind.wrong("pvc-1", &staging).await, ["INACCESSIBLE NotMounted"]);
    assert_eq!(code(behind.stats("pvc-1", &staging).await), Code::NotFound);
    behind.fake.notes().is_gone = true;
    assert_eq!(behind.wrong("pvc-1", &staging).await, ["INACCESSIBLE Disconnected"]);
    assert_eq!(behind.storage().await, ["STORAGE_UNREACHABLE MountHostUnreachable"]);
}

#[tokio::test]
async fn a_volume_that_could_not_be_mounted_has_a_health_too() {
    let behind = Behind::start().await;
    let (staging, nowhere) = (behind.staging("s"), Path::new(""));
    assert_eq!(code(behind.health("pvc-1", nowhere).await), Code::NotFound);
    for (volume, path, expected) in
        [("vol", "gone", "INACCESSIBLE VolumeMissing"), ("stopped", "a", "INACCESSIBLE MountFailed")]
    {
        behind.stage_at("pvc-1", &staging, many(), context(volume, path)).await.unwrap_err();
        assert_eq!(behind.wrong("pvc-1", nowhere).await, [expected]);
        assert_eq!(behind.wrong("pvc-1", &staging).await, [expected]);
    }
    behind.unstage("pvc-1", &staging).await.unwrap();
    assert_eq!(code(behind.health("pvc-1", nowhere).await), Code::NotFound);
    behind.fake.notes().is_gone = true;
    behind.stage("pvc-1", &staging, many()).await.unwrap_err();
    assert_eq!(behind.wrong("pvc-1", nowhere).await, ["INACCESSIBLE Disconnected"]);
    behind.fake.notes().is_gone = false;
    behind.stage("pvc-1", &staging, many()).await.unwrap();
    assert!(behind.wrong("pvc-1", nowhere).await.is_empty());
    assert_eq!(code(behind.health("pvc-1", &behind.target("t")).await), Code::NotFound);
    assert_eq!(code(behind.health("", nowhere).await), Code::InvalidArgument);
}

/// A server of a volume whose bricks it knows nothing of.
async fn server() -> (tokio::task::JoinHandle<()>, String) {
    let server = Server::new(Limits::default());
    let bricks = [("127.0.0.1", "/a"), ("127.0.0.1", "/b"), ("127.0.0.1", "/c")];
    server.publish("vol", Example::new("vol", 3, bricks).volfile().render().unwrap()).unwrap();
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (tokio::spawn(async move { server.serve(listener).await }), address)
}

#[tokio::test]
async fn the_way_to_servers_and_bricks_is_looked_at_once_a_minute() {
    let (behind, _) = staged().await;
    let (serving, address) = server().await;
    behind.fake.notes().volume.servers = vec![address];
    assert_eq!(behind.storage().await, ["STORAGE_UNREACHABLE BricksUnreachable"]);
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(behind.storage().await, ["STORAGE_UNREACHABLE BricksUnreachable"]);
    // Another is looked at anew.
    behind.fake.notes().volume.servers = vec!["127.0.0.1:1".into()];
    assert_eq!(behind.storage().await, ["STORAGE_DEGRADED ServersUnreachable"]);
}
