//! A controller with a cluster and a mount host that mounts nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;
use tonic::{Code, Request, Response, Status, transport::Channel};

use crate::{
    client,
    csi::{
        controller::{Config, Controller},
        generated::{
            CapacityRange, CreateVolumeRequest, DeleteVolumeRequest, Volume, VolumeCapability,
            controller_client::ControllerClient,
            controller_server::Controller as _,
            node_server::Node,
            volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume},
        },
        identity::{DriverName, Identity},
        server::{Endpoint, Services, serve},
    },
    mount::{
        Error, Reason,
        control::Mounts,
        generated::{self, ListReply, MountRequest, Mounted, Target, Usage},
    },
    server::{Limits, Server},
    storage::{known::Known, pool::Pool},
    transport::{ConnectOptions, Listener, ServerAddress},
    volfile::{Volfile, example::Example},
};

pub(super) const MIB: i64 = 1 << 20;

/// The id of the volume with this number.
pub(super) fn id(number: u8) -> String {
    format!("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8{number:02x}")
}

/// The id of the volume that the controller means: it stands in the path.
fn volume_of(request: &MountRequest) -> String {
    Path::new(&request.target).file_name().unwrap().to_string_lossy()[..id(0).len()].to_owned()
}

/// What the mount host does with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Refuses(Reason),
    Hangs,
    /// Its process is in this state.
    Is(&'static str),
    /// It has this id.
    IsAnother,
}

/// Mounts nothing: what is asked for is a directory, and stays one.
#[derive(Debug, Clone, Default)]
pub(super) struct Fake(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    mounted: Vec<MountRequest>,
    asked: usize,
    /// By the volume's name, or by the option of one brick of it.
    behaves: BTreeMap<String, Behaviour>,
    conflicts: BTreeSet<String>,
    /// Of its glusterfs, where it is not 10.3.
    version: Option<&'static str>,
}

impl Fake {
    pub(super) fn set(&self, volume: &str, behaviour: Option<Behaviour>) {
        let behaves = &mut self.0.lock().unwrap().behaves;
        match behaviour {
            Some(behaviour) => drop(behaves.insert(volume.to_owned(), behaviour)),
            None => drop(behaves.remove(volume)),
        }
    }

    /// Something else is mounted at the root of this volume.
    pub(super) fn conflict(&self, volume: &str) {
        self.0.lock().unwrap().conflicts.insert(volume.to_owned());
    }

    /// Its glusterfs is of this version.
    pub(super) fn has(&self, version: &'static str) {
        self.0.lock().unwrap().version = Some(version);
    }

    /// How often it was asked to mount.
    pub(super) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    pub(super) fn mounted(&self) -> Vec<MountRequest> {
        self.0.lock().unwrap().mounted.clone()
    }
}

impl Mounts for Fake {
    async fn mount(&self, request: MountRequest, _: UnboundedSender<String>) -> Result<Mounted, Error> {
        let behaves = {
            let mut inner = self.0.lock().unwrap();
            inner.asked += 1;
            if inner.conflicts.contains(&request.volume) {
                return Err(Error::new(Reason::TargetInUse, "something else is mounted there"));
            }
            // By its name it is the volume that is mounted already, whose bricks are gone.
            let joins = |known: &MountRequest| {
                known.volume == request.volume && volume_of(known) != volume_of(&request)
            };
            if inner.mounted.iter().any(joins) {
                return Err(Error::new(Reason::Bricks, "I/O fails on the mount that is there already"));
            }
            let of_brick = request.options.iter().find_map(|option| inner.behaves.get(option));
            of_brick.or_else(|| inner.behaves.get(&request.volume)).copied()
        };
        match behaves {
            Some(Behaviour::Refuses(reason)) => return Err(Error::new(reason, "the mount host refuses")),
            Some(Behaviour::Hangs) => std::future::pending().await,
            _ => {}
        }
        // Others wait for it meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.0.lock().unwrap().mounted.push(request);
        Ok(Mounted::default())
    }

    async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), Error> {
        assert!(lazy && target.is_dir());
        let mut inner = self.0.lock().unwrap();
        inner.conflicts.clear();
        inner.mounted.retain(|request| Path::new(&request.target) != target);
        Ok(())
    }

    async fn list(&self) -> Result<ListReply, Error> {
        let inner = self.0.lock().unwrap();
        let volume = |request: &MountRequest| {
            let behaves = inner.behaves.get(&request.volume);
            let state = match behaves {
                Some(Behaviour::Is(state)) => state,
                _ => "healthy",
            };
            let targets = vec![Target { path: request.target.clone(), ..Target::default() }];
            let pool = generated::Pool { state: state.to_owned(), targets, ..generated::Pool::default() };
            generated::Volume {
                name: request.volume.clone(),
                id: if behaves == Some(&Behaviour::IsAnother) { id(0xff) } else { volume_of(request) },
                servers: request.servers.clone(),
                connected: "g1:24007".to_owned(),
                pools: vec![pool],
                ..Default::default()
            }
        };
        let volumes = inner.mounted.iter().map(volume).collect();
        let glusterfs_version = inner.version.unwrap_or("10.3").to_owned();
        Ok(ListReply { volumes, glusterfs_version, ..ListReply::default() })
    }

    async fn usage(&self, _: &Path, _: Duration) -> Result<Usage, Error> {
        unreachable!("asked by nodes only")
    }

    async fn replace(&self, _: &Path) -> Result<i32, Error> {
        unreachable!("asked by people only")
    }

    async fn accept_replaced(&self, _: &str) -> Result<String, Error> {
        unreachable!("asked by people only")
    }
}

/// A controller, its cluster and its mount host.
pub(super) struct Bed {
    pub(super) controller: Controller<Fake>,
    pub(super) mounts: Fake,
    pub(super) cluster: Server,
    pub(super) dir: tempfile::TempDir,
}

/// The node service is not here.
struct NoNode;

#[tonic::async_trait]
impl Node for NoNode {}

/// A volume of three copies.
pub(super) fn replica(volume: &str, number: u8) -> Example {
    Example::with_bricks(volume, 3, 3).option("cluster/replicate", "volume-id", &id(number))
}

/// A volume that cuts its files into pieces.
fn sharded(volume: &str, number: u8) -> Volfile<'static> {
    let mut volfile = replica(volume, number).volfile();
    volfile.volume(format!("{volume}-shard"), "features/shard").subvolumes([volume]);
    volfile
}

impl Bed {
    /// With the volumes `vol` (1), `other` (2), `dist` (3), `shard` (4) and `anonymous`, which does not tell its id.
    pub(super) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Fake::default()).await
    }

    /// After everything else has ended, with what is on disk.
    pub(super) async fn restart(self) -> Self {
        self.restart_as(Fake::default()).await
    }

    /// The same, and a volume behaves so from the start.
    pub(super) async fn restart_with(self, volume: &str, behaviour: Behaviour) -> Self {
        let mounts = Fake::default();
        mounts.set(volume, Some(behaviour));
        self.restart_as(mounts).await
    }

    async fn restart_as(self, mounts: Fake) -> Self {
        let Self { dir, cluster, .. } = self;
        drop(cluster);
        // The old one listens there.
        std::fs::remove_file(dir.path().join("g.sock")).unwrap();
        Self::start_in(dir, mounts).await
    }

    async fn start_in(dir: tempfile::TempDir, mounts: Fake) -> Self {
        let cluster = Server::new(Limits::default());
        let publish = |name: &str, volfile: Volfile<'_>| {
            cluster.publish(name, volfile.render().unwrap()).unwrap();
        };
        publish("vol", replica("vol", 1).volfile());
        publish("other", replica("other", 2).volfile());
        let distributed = Example::with_bricks("dist", 3, 6).option("cluster/replicate", "volume-id", &id(3));
        publish("dist", distributed.volfile());
        publish("shard", sharded("shard", 4));
        publish("anonymous", Example::with_bricks("anonymous", 3, 3).volfile());
        let listener = Listener::bind(&ServerAddress::Unix(dir.path().join("g.sock"))).await.unwrap();
        let serving = cluster.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let (storages, state) = (dir.path().join("storages"), dir.path().join("state"));
        std::fs::create_dir_all(&storages).unwrap();
        let known = Arc::new(Known::open(&state, Some(&storages)).unwrap());
        let connect = ConnectOptions { timeout: Duration::from_secs(5), ..ConnectOptions::default() };
        let client = client::Options { connect, ..client::Options::default() };
        let quota_wait = Duration::from_secs(2);
        let config = Config { client, quota_wait, is_visible: Some(|_| true), ..Config::new(&state) };
        let controller = Controller::start(config, known, mounts.clone()).unwrap();
        Self { controller, mounts, cluster, dir }
    }

    /// The controller behind its socket.
    pub(super) async fn serve(&self) -> ControllerClient<Channel> {
        let path = self.dir.path().join("csi.sock");
        let endpoint = path.to_str().unwrap().parse::<Endpoint>().unwrap();
        let identity = Identity::new(DriverName::default(), self.mounts.clone());
        let controller = Some(self.controller.clone());
        let services = Services { identity, controller, node: None::<NoNode> };
        tokio::spawn(serve(services, endpoint.listen().unwrap(), std::future::pending()));
        ControllerClient::connect(endpoint.to_string()).await.unwrap()
    }

    pub(super) fn host(&self) -> String {
        format!("unix:{}", self.dir.path().join("g.sock").display())
    }

    /// The root of the volume with this number.
    pub(super) fn root(&self, number: u8) -> PathBuf {
        self.dir.path().join("state/mnt").join(id(number))
    }

    /// Where the controller mounts a brick of the volume `vol` by itself, and what it calls it.
    pub(super) fn brick(&self, n: usize) -> (PathBuf, String) {
        let name = format!("server-{n}.example.net:/bricks/vol/brick-{n}");
        let hash = twox_hash::XxHash64::oneshot(0, name.as_bytes());
        let root = self.dir.path().join(format!("state/mnt/{}-brick-{hash:016x}", id(1)));
        std::fs::create_dir_all(&root).unwrap();
        (root, name)
    }

    /// As kadalu's operator writes it.
    pub(super) fn storage(&self, name: &str, host: &str, volume: &str, more: &str) {
        let text = format!(
            r#"{{"type": "External", "gluster_hosts": "{host}", "gluster_volname": "{volume}"{more}}}"#
        );
        std::fs::write(self.dir.path().join(format!("storages/{name}.info")), text).unwrap();
    }

    /// The pool of the volume with this number, without the controller.
    pub(super) fn pool(&self, number: u8) -> Pool {
        std::fs::create_dir_all(self.root(number)).unwrap();
        Pool::open(&self.root(number)).unwrap()
    }

    /// As kadalu would have made it.
    pub(super) fn kadalu_pv(&self, number: u8, path: &str, size: u64) {
        let root = self.root(number);
        std::fs::create_dir_all(root.join("subvol").join(path)).unwrap();
        let record = root.join(format!("info/subvol/{path}.json"));
        std::fs::create_dir_all(record.parent().unwrap()).unwrap();
        let prefix = Path::new(path).parent().unwrap().display();
        std::fs::write(record, format!(r#"{{"size": {size}, "path_prefix": "subvol/{prefix}"}}"#)).unwrap();
    }

    pub(super) fn request(&self, name: &str, mib: i64, parameters: &[(&str, &str)]) -> CreateVolumeRequest {
        let mut all = BTreeMap::from([
            ("gluster_hosts".to_owned(), self.host()),
            ("gluster_volname".to_owned(), "vol".to_owned()),
        ]);
        all.extend(parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: mib * MIB, limit_bytes: 0 }),
            volume_capabilities: vec![mounted(5)],
            parameters: all,
            ..Default::default()
        }
    }

    pub(super) async fn ask(&self, request: CreateVolumeRequest) -> Result<Volume, Status> {
        let reply = self.controller.create_volume(Request::new(request)).await;
        reply.map(|reply| reply.into_inner().volume.unwrap())
    }

    pub(super) async fn create(&self, name: &str, mib: i64) -> Volume {
        self.ask(self.request(name, mib, &[])).await.unwrap()
    }

    pub(super) async fn delete(&self, volume_id: &str) -> Result<(), Status> {
        let request = DeleteVolumeRequest { volume_id: volume_id.to_owned(), ..Default::default() };
        self.controller.delete_volume(Request::new(request)).await.map(drop)
    }
}

/// Mounted, in one of the modes of CSI.
pub(super) fn mounted(mode: i32) -> VolumeCapability {
    VolumeCapability {
        access_mode: Some(AccessMode { mode }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

pub(super) fn block() -> VolumeCapability {
    VolumeCapability { access_type: Some(AccessType::Block(BlockVolume {})), ..mounted(1) }
}

/// The code and the sentence of a failure, which must fit into a status and say something.
pub(super) fn failure<T: Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    assert!((10..=4200).contains(&status.message().len()), "{status:?}");
    assert!(status.details().is_empty(), "CSI wants none");
    (status.code(), status.message().to_owned())
}

pub(super) fn inner<T>(reply: Result<Response<T>, Status>) -> Result<T, Status> {
    reply.map(Response::into_inner)
}
