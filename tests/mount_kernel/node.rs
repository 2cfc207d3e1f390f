//! The CSI node service with a real mount host, real glusterfs processes and an embedded volfile server.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use glusterd_client::{
    csi::{
        generated::{
            NodeGetVolumeStatsRequest, NodePublishVolumeRequest, NodeStageVolumeRequest,
            NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest, VolumeCapability, VolumeUsage,
            node_server::Node as _,
            volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode},
        },
        node::{self, Node},
        operations::Operations,
    },
    mount::{self, Host, mountinfo::MountTable},
    server::{Limits, Server},
    storage::known::Known,
    transport::Listener,
};
use rustix::process::{Pid, Signal};
use tonic::{Code, Request, Status};

use crate::volume::{SOON, Volume, block_on, directory, helper, make};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_volume_is_staged_published_and_gone", || block_on(life())),
    ("a_dead_or_buried_target_is_removed", || block_on(dead_and_buried())),
    ("a_target_of_an_earlier_life_makes_room", || {
        let earlier = Volume::local("earlier");
        block_on(earlier_life(earlier));
    }),
    ("a_node_that_is_restarted_touches_no_mount", || block_on(restart())),
    ("a_volume_that_hangs_is_answered_for", || block_on(hanging())),
];

/// A node with one volume, whose brick is in the glusterfs process.
struct Behind {
    directory: PathBuf,
    host: Host,
    node: Node<Host>,
    servers: String,
}

const ID: &str = "pvc-1";

impl Behind {
    async fn start() -> Self {
        let directory = directory();
        make(directory.join("brick/pv/one"));
        make(directory.join("pods"));
        let server = Server::new(Limits::default());
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let servers = listener.local_addr().unwrap().to_string();
        let posix = format!(
            "volume posix\n type storage/posix\n option directory {}\nend-volume\n",
            directory.join("brick").display()
        );
        let volfile = posix + "volume vol\n type debug/io-stats\n subvolumes posix\nend-volume\n";
        server.publish("vol", volfile).unwrap();
        tokio::spawn(async move { server.serve(listener).await });
        let config = mount::Config {
            probe_deadline: Duration::from_secs(2),
            ..mount::Config::new(make(directory.join("host")))
        };
        let host = Host::start(config).await.unwrap();
        let node = Self::node(&directory, &host).await;
        Self { directory, host, node, servers }
    }

    async fn node(directory: &Path, host: &Host) -> Node<Host> {
        let state_dir = directory.join("state");
        let known = Arc::new(Known::open(&state_dir, None).unwrap());
        let config =
            node::Config { node_id: "n".into(), state_dir, helper: helper(), client: Default::default() };
        Node::start(config, known, host.clone(), Operations::default()).await.unwrap()
    }

    fn staging(&self) -> String {
        text(make(self.directory.join("staging")))
    }

    fn target(&self, name: &str) -> PathBuf {
        self.directory.join("pods").join(name)
    }

    async fn stage(&self) -> Result<(), Status> {
        let pairs = [("gluster_hosts", &*self.servers), ("gluster_volname", "vol"), ("path", "pv/one")];
        let request = NodeStageVolumeRequest {
            volume_id: ID.into(),
            staging_target_path: self.staging(),
            volume_capability: Some(capability()),
            volume_context: BTreeMap::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))),
            ..Default::default()
        };
        self.node.node_stage_volume(Request::new(request)).await.map(drop)
    }

    async fn publish(&self, target: &Path, readonly: bool) -> Result<(), Status> {
        let request = NodePublishVolumeRequest {
            volume_id: ID.into(),
            staging_target_path: self.staging(),
            target_path: text(target.to_owned()),
            volume_capability: Some(capability()),
            readonly,
            ..Default::default()
        };
        self.node.node_publish_volume(Request::new(request)).await.map(drop)
    }

    async fn unpublish(&self, target: &Path) -> Result<(), Status> {
        let request =
            NodeUnpublishVolumeRequest { volume_id: ID.into(), target_path: text(target.to_owned()) };
        self.node.node_unpublish_volume(Request::new(request)).await.map(drop)
    }

    async fn unstage(&self) -> Result<(), Status> {
        let request = NodeUnstageVolumeRequest { volume_id: ID.into(), staging_target_path: self.staging() };
        self.node.node_unstage_volume(Request::new(request)).await.map(drop)
    }

    /// What is said of a target, and whether it is abnormal.
    async fn stats(&self, target: &Path) -> (Vec<VolumeUsage>, bool) {
        let volume_path = text(target.to_owned());
        let request = NodeGetVolumeStatsRequest { volume_id: ID.into(), volume_path, ..Default::default() };
        let stats = self.node.node_get_volume_stats(Request::new(request)).await.unwrap().into_inner();
        (stats.usage, stats.volume_condition.unwrap().abnormal)
    }

    /// The glusterfs of the volume.
    fn process(&self) -> Pid {
        let list = self.host.list();
        Pid::from_raw(list.volumes[0].pools[0].process.as_ref().unwrap().pid).unwrap()
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

fn capability() -> VolumeCapability {
    VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

/// The numbers of the mounts at a path.
fn mounts(path: &Path) -> Vec<u64> {
    MountTable::read().unwrap().at(path).iter().map(|entry| entry.id).collect()
}

fn run(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
}

async fn within(limit: Duration, doing: impl Future<Output = Result<(), Status>>) {
    let began = Instant::now();
    doing.await.unwrap();
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
}

async fn life() {
    let behind = Behind::start().await;
    let (target, other) = (behind.target("t"), behind.target("o"));
    for _ in 0..2 {
        behind.stage().await.unwrap();
        behind.publish(&target, false).await.unwrap();
        behind.publish(&other, true).await.unwrap();
    }
    assert_eq!((mounts(&target).len(), mounts(&other).len()), (1, 1));
    fs::write(target.join("file"), "data").unwrap();
    assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "data");
    assert_eq!(fs::read_to_string(behind.directory.join("brick/pv/one/file")).unwrap(), "data");
    let refused = fs::write(other.join("file"), "").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let (usage, _) = behind.stats(&target).await;
    assert!(usage.len() == 2 && usage.iter().all(|it| it.total > 0 && it.used > 0), "{usage:?}");
    for _ in 0..2 {
        // Also while a file is open.
        let open = fs::File::open(behind.directory.join("brick/pv/one/file")).unwrap();
        behind.unpublish(&target).await.unwrap();
        behind.unpublish(&other).await.unwrap();
        behind.unstage().await.unwrap();
        drop(open);
    }
    assert!(!target.exists() && !other.exists());
    // It is told a moment after the last unmount that nothing is left.
    let gone = async {
        while !behind.host.list().volumes.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
    assert_eq!(fs::read_to_string(behind.directory.join("brick/pv/one/file")).unwrap(), "data");
    // A directory that is not there is not made.
    fs::remove_dir_all(behind.directory.join("brick/pv")).unwrap();
    assert_eq!(behind.stage().await.unwrap_err().code(), Code::NotFound);
    assert!(!behind.directory.join("brick/pv").exists() && mounts(Path::new(&behind.staging())).is_empty());
}

async fn dead_and_buried() {
    let behind = Behind::start().await;
    behind.stage().await.unwrap();
    let (dead, buried) = (behind.target("dead"), behind.target("buried"));
    behind.publish(&dead, false).await.unwrap();
    behind.publish(&buried, false).await.unwrap();
    run("mount", &["--bind", &behind.staging(), buried.to_str().unwrap()]);
    run("mount", &["-t", "tmpfs", "other", buried.to_str().unwrap()]);
    assert_eq!(mounts(&buried).len(), 3);
    within(Duration::from_secs(5), behind.unpublish(&buried)).await;
    assert!(!buried.exists() && mounts(&buried).is_empty());
    // Whoever comes first, this or the healing.
    rustix::process::kill_process(behind.process(), Signal::KILL).unwrap();
    within(Duration::from_secs(10), behind.unpublish(&dead)).await;
    assert!(!dead.exists() && mounts(&dead).is_empty());
    // Not of this node.
    let foreign = make(behind.target("foreign"));
    run("mount", &["-t", "tmpfs", "other", foreign.to_str().unwrap()]);
    assert_eq!(behind.unpublish(&foreign).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(mounts(&foreign).len(), 1);
    behind.unstage().await.unwrap();
}

async fn earlier_life(mut earlier: Volume) {
    let behind = Behind::start().await;
    behind.stage().await.unwrap();
    let (again, gone) = (make(behind.target("again")), make(behind.target("gone")));
    for target in [&again, &gone, &gone] {
        run("mount", &["--bind", earlier.mount.to_str().unwrap(), target.to_str().unwrap()]);
    }
    // One that lives is somebody's.
    assert_eq!(behind.publish(&again, false).await.unwrap_err().code(), Code::AlreadyExists);
    earlier.process.kill();
    behind.publish(&again, false).await.unwrap();
    fs::write(again.join("file"), "data").unwrap();
    assert_eq!(mounts(&again).len(), 1);
    behind.unpublish(&gone).await.unwrap();
    assert!(!gone.exists() && mounts(&gone).is_empty());
    behind.unpublish(&again).await.unwrap();
    behind.unstage().await.unwrap();
}

async fn restart() {
    let mut behind = Behind::start().await;
    behind.stage().await.unwrap();
    let targets: Vec<_> = (0..20).map(|n| behind.target(&n.to_string())).collect();
    for target in &targets {
        behind.publish(target, false).await.unwrap();
    }
    let before: Vec<_> = targets.iter().map(|target| mounts(target)).collect();
    behind.node = Behind::node(&behind.directory, &behind.host).await;
    for target in &targets {
        assert_eq!(behind.stats(target).await.0.len(), 2);
        behind.publish(target, false).await.unwrap();
    }
    assert_eq!(targets.iter().map(|target| mounts(target)).collect::<Vec<_>>(), before);
    for target in &targets {
        behind.unpublish(target).await.unwrap();
    }
    behind.unstage().await.unwrap();
}

async fn hanging() {
    let behind = Behind::start().await;
    behind.stage().await.unwrap();
    let target = behind.target("t");
    behind.publish(&target, false).await.unwrap();
    let process = behind.process();
    rustix::process::kill_process(process, Signal::STOP).unwrap();
    let began = Instant::now();
    assert_eq!(behind.stats(&target).await, (Vec::new(), true));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    within(Duration::from_secs(15), behind.unpublish(&target)).await;
    assert!(!target.exists());
    rustix::process::kill_process(process, Signal::CONT).unwrap();
    behind.unstage().await.unwrap();
}
