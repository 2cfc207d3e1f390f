//! The node service beside a mount host that only takes notes.

mod health;
mod life;
mod refused;
mod tables;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{Notify, mpsc::UnboundedSender};
use tonic::{Code, Request, Status};

use super::*;
use crate::{
    csi::generated::{
        VolumeCapability,
        node_server::Node as _,
        volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode},
    },
    mount::generated::{Amount, Mounted, Pool, Target, Usage, Volume},
};

/// The id of the volume `vol`.
const POOL: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

/// A mount host that mounts nothing and knows what it would have.
#[derive(Clone, Default)]
struct Fake(Arc<Shared>);

#[derive(Default)]
struct Shared {
    notes: Mutex<Notes>,
    /// For mounts of the volume `slow`.
    release: Notify,
}

#[derive(Default)]
struct Notes {
    targets: BTreeMap<PathBuf, MountRequest>,
    /// Mounts that were asked for.
    mounts: usize,
    /// What every pool is like.
    pool: Pool,
    /// What every volume is like.
    volume: Volume,
    /// The id of the volume `vol`, where it is not [`POOL`] any more.
    other_id: Option<String>,
    /// Why volumes do not answer.
    trouble: String,
    /// Nobody answers at the socket.
    is_gone: bool,
}

impl Fake {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap()
    }

    /// What was asked to be mounted there.
    fn at(&self, target: &Path) -> MountRequest {
        self.notes().targets.get(target).unwrap_or_else(|| panic!("nothing is at {target:?}")).clone()
    }

    fn check(&self) -> Result<(), mount::Error> {
        if self.notes().is_gone { Err(mount::Error::new(Reason::NoHost, "no mount host")) } else { Ok(()) }
    }
}

impl Notes {
    fn list(&self) -> ListReply {
        let mut volumes = BTreeMap::<&str, Volume>::new();
        for (path, request) in &self.targets {
            let own = self.other_id.as_deref().unwrap_or(POOL);
            let id = if request.volume == "vol" { own } else { "" };
            let volume = volumes.entry(&request.volume).or_insert_with(|| Volume {
                name: request.volume.clone(),
                id: id.to_owned(),
                pools: vec![Pool { targets: Vec::new(), ..self.pool.clone() }],
                ..self.volume.clone()
            });
            volume.pools[0].targets.push(Target {
                path: path.display().to_string(),
                subdirectory: request.subdirectory.clone(),
                read_only: request.read_only,
            });
        }
        ListReply { volumes: volumes.into_values().collect(), ..ListReply::default() }
    }
}

impl Mounts for Fake {
    async fn mount(
        &self,
        request: MountRequest,
        _: UnboundedSender<String>,
    ) -> Result<Mounted, mount::Error> {
        self.check()?;
        self.notes().mounts += 1;
        let target = PathBuf::from(&request.target);
        assert!(target.is_dir(), "{target:?}");
        match (request.volume.as_str(), request.subdirectory.as_str()) {
            ("stopped", _) => return Err(mount::Error::new(Reason::Stopped, "volume stopped is stopped")),
            (_, "gone") => {
                return Err(mount::Error::new(Reason::NoSuchDirectory, "there is no directory \"gone\""));
            }
            ("slow", _) => self.0.release.notified().await,
            _ => {}
        }
        let mut notes = self.notes();
        let known = notes.targets.entry(target).or_insert_with(|| request.clone());
        if (&known.volume, &known.subdirectory, known.read_only)
            != (&request.volume, &request.subdirectory, request.read_only)
        {
            return Err(mount::Error::new(Reason::TargetInUse, "another is mounted there"));
        }
        Ok(Mounted::default())
    }

    async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), mount::Error> {
        assert!(lazy);
        self.check()?;
        let not_mounted = || mount::Error::new(Reason::NotMounted, "not mounted by this host");
        self.notes().targets.remove(target).map(drop).ok_or_else(not_mounted)
    }

    async fn list(&self) -> Result<ListReply, mount::Error> {
        self.check()?;
        Ok(self.notes().list())
    }

    async fn usage(&self, target: &Path, within: Duration) -> Result<Usage, mount::Error> {
        assert!(within <= Duration::from_secs(5));
        self.check()?;
        let notes = self.notes();
        let Some(request) = notes.targets.get(target) else {
            return Err(mount::Error::new(Reason::NotMounted, "not mounted by this host"));
        };
        let volume = notes.list().volumes.into_iter().find(|volume| volume.name == request.volume);
        let answers = notes.trouble.is_empty();
        let amount = |total| answers.then_some(Amount { total, available: 60, used: 40 });
        Ok(Usage { bytes: amount(100), inodes: amount(u64::MAX), trouble: notes.trouble.clone(), volume })
    }

    async fn replace(&self, _: &Path) -> Result<i32, mount::Error> {
        unreachable!("a node replaces nothing")
    }

    async fn accept_replaced(&self, _: &str) -> Result<String, mount::Error> {
        unreachable!("an admin does")
    }
}

/// A node and its mount host, with directories of their own.
struct Behind {
    directory: tempfile::TempDir,
    fake: Fake,
    node: Node<Fake>,
}

impl Behind {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for made in ["staging", "pods"] {
            fs::create_dir(directory.path().join(made)).unwrap();
        }
        let fake = Fake::default();
        fake.notes().pool.state = "healthy".into();
        fake.notes().volume.connected = "g1:24007".into();
        let node = start(directory.path(), fake.clone()).await;
        Self { directory, fake, node }
    }

    /// As after an end of the process, whatever its state has become meanwhile.
    async fn restart(&mut self) {
        self.node = start(self.directory.path(), self.fake.clone()).await;
    }

    /// The files of the state.
    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory.path().join("state/node")).unwrap();
        files.map(|entry| entry.unwrap().path()).collect()
    }

    fn staging(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join("staging").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn target(&self, name: &str) -> PathBuf {
        self.directory.path().join("pods").join(name)
    }

    async fn stage(&self, id: &str, path: &Path, capability: VolumeCapability) -> Result<(), Status> {
        self.stage_at(id, path, capability, context("vol", "subvol/aa/bb/pvc-1")).await
    }

    async fn stage_at(
        &self,
        id: &str,
        path: &Path,
        capability: VolumeCapability,
        volume_context: BTreeMap<String, String>,
    ) -> Result<(), Status> {
        let request = NodeStageVolumeRequest {
            volume_id: id.into(),
            staging_target_path: request::text(path),
            volume_capability: Some(capability),
            volume_context,
            ..Default::default()
        };
        self.node.node_stage_volume(Request::new(request)).await.map(drop)
    }

    async fn publish(
        &self,
        id: &str,
        [staging, target]: [&Path; 2],
        capability: VolumeCapability,
        readonly: bool,
    ) -> Result<(), Status> {
        let request = NodePublishVolumeRequest {
            volume_id: id.into(),
            staging_target_path: request::text(staging),
            target_path: request::text(target),
            volume_capability: Some(capability),
            readonly,
            volume_context: context("vol", "subvol/aa/bb/pvc-1"),
            ..Default::default()
        };
        self.node.node_publish_volume(Request::new(request)).await.map(drop)
    }

    async fn unpublish(&self, id: &str, target: &Path) -> Result<(), Status> {
        let request = NodeUnpublishVolumeRequest { volume_id: id.into(), target_path: request::text(target) };
        self.node.node_unpublish_volume(Request::new(request)).await.map(drop)
    }

    async fn unstage(&self, id: &str, path: &Path) -> Result<(), Status> {
        let request =
            NodeUnstageVolumeRequest { volume_id: id.into(), staging_target_path: request::text(path) };
        self.node.node_unstage_volume(Request::new(request)).await.map(drop)
    }

    async fn stats(&self, id: &str, path: &Path) -> Result<NodeGetVolumeStatsResponse, Status> {
        let request = NodeGetVolumeStatsRequest {
            volume_id: id.into(),
            volume_path: request::text(path),
            ..Default::default()
        };
        self.node.node_get_volume_stats(Request::new(request)).await.map(Response::into_inner)
    }
}

/// The helper says that all went well, and keeps what it was asked.
async fn start(directory: &Path, fake: Fake) -> Node<Fake> {
    let state_dir = directory.join("state");
    let script = format!("cat >> {}/helped; echo '{{\"Done\":{{\"Ok\":null}}}}'", directory.display());
    let helper = Helper { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
    let known = Arc::new(Known::open(&state_dir, None).unwrap());
    let config = Config { node_id: "node-1".into(), state_dir, helper, client: Default::default() };
    Node::start(config, known, fake, Operations::default()).await.unwrap()
}

fn context(volume: &str, path: &str) -> BTreeMap<String, String> {
    let pairs = [("gluster_hosts", "g1,g2"), ("gluster_volname", volume), ("path", path)];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// A mount in this mode.
fn capability(mode: Mode) -> VolumeCapability {
    mount_with(mode, MountVolume::default())
}

fn mount_with(mode: Mode, mount: MountVolume) -> VolumeCapability {
    VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(AccessType::Mount(mount)),
    }
}

fn many() -> VolumeCapability {
    capability(Mode::MultiNodeMultiWriter)
}

fn code<T>(outcome: Result<T, Status>) -> Code {
    outcome.map_or_else(|status| status.code(), |_| Code::Ok)
}
