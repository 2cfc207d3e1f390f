//! What the stories of the CSI driver share: `kadalu csi` on a client host, spoken to as the sidecars and kubelet speak.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glusterd_client::csi::generated::{
    CapacityRange, ControllerExpandVolumeRequest, ControllerGetVolumeHealthRequest, CreateVolumeRequest,
    DeleteVolumeRequest, NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest,
    NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest, ProbeRequest, Volume,
    VolumeCapability,
    controller_client::ControllerClient,
    identity_client::IdentityClient,
    node_client::NodeClient,
    volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode},
};
use tokio::runtime::Runtime;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::lab::{Host, Lab, Running, Signal, eventually};

pub(crate) const GIB: i64 = 1 << 30;

/// `kadalu csi --mode all` on the client host. All that it has mounted goes with this value.
pub(crate) struct Driver<'lab> {
    pub(crate) client: &'lab Host,
    /// Where state, staging paths and targets lie, in the host.
    dir: String,
    flags: Vec<String>,
    /// The socket, as this process sees it.
    socket: PathBuf,
    running: Option<Running>,
    runtime: Runtime,
    caller: Caller,
}

impl<'lab> Driver<'lab> {
    /// Starts it, in a directory of this name, and waits until it is ready.
    pub(crate) fn start(lab: &'lab Lab, name: &str, flags: &[&str]) -> Self {
        let client = lab.client();
        let runtime = runtime();
        let (socket, dir) = (lab.shared().join(format!("{name}/csi.sock")), format!("/mnt/live/{name}"));
        let seen = client.mnt().join("live").join(name);
        let caller = runtime.block_on(async { Caller::new(&socket, &dir, &seen) });
        client.shell(&format!("mkdir -p {dir} /mnt/shared/{name}"));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut this = Self { client, dir, flags, socket, running: None, runtime, caller };
        this.spawn();
        this.wait_ready();
        this
    }

    fn spawn(&mut self) {
        let name = self.dir.rsplit('/').next().expect("it has one");
        let (endpoint, state) =
            (format!("unix:///mnt/shared/{name}/csi.sock"), format!("{}/state", self.dir));
        let mut args = vec!["csi", "--endpoint", &endpoint, "--node-id", "node-1", "--mode", "all"];
        args.extend(["--state-dir", &state]);
        args.extend(self.flags.iter().map(String::as_str));
        self.running = Some(self.client.spawn_kadalu(&args));
    }

    /// Starts the program again and returns how long it took to be ready.
    pub(crate) fn restart(&mut self) -> Duration {
        let begin = Instant::now();
        self.spawn();
        self.wait_ready();
        begin.elapsed()
    }

    fn wait_ready(&mut self) {
        eventually("the driver is ready", || {
            let running = self.running.as_mut().expect("it was started");
            assert!(running.runs(), "the driver ended: {}", running.stderr());
            self.probe().is_ok_and(|ready| ready).then_some(())
        });
    }

    /// Ends it by `signal` and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) {
        let mut running = self.running.take().expect("it runs");
        running.signal(signal);
        running.wait();
    }

    /// What it has said on standard error since its last start.
    pub(crate) fn log(&self) -> String {
        self.running.as_ref().map(Running::stderr).unwrap_or_default()
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> String {
        format!("{}/state", self.dir)
    }

    /// Runs a future that speaks to it.
    pub(crate) fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// What the sidecars and kubelet call; a clone for each task.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// Makes another one, which belongs to the runtime that it is called in.
    pub(crate) fn connector(&self) -> impl FnOnce() -> Caller + Send + 'static {
        let (socket, dir, seen) = (self.socket.clone(), self.dir.clone(), self.caller.seen.clone());
        move || Caller::new(&socket, &dir, &seen)
    }

    /// Whether Probe says that it is ready.
    pub(crate) fn probe(&self) -> Result<bool, Status> {
        let reply = self.block(async { self.caller.identity().probe(ProbeRequest {}).await })?;
        Ok(reply.into_inner().ready.is_none_or(|ready| ready))
    }

    /// What the controller says of a PV for one of these reasons.
    #[track_caller]
    pub(crate) fn health(&self, volume: &Volume, reasons: &[&str]) -> Option<String> {
        let volume_id = volume.volume_id.clone();
        let request = ControllerGetVolumeHealthRequest { volume_id, ..Default::default() };
        let reply =
            self.block(async { self.caller.controller().controller_get_volume_health(request).await });
        let reply = reply.unwrap_or_else(|status| panic!("{status:?}\n{}", self.log())).into_inner();
        let health = reply.volume_health.expect("the health of one volume");
        let mut statuses = health.health_statuses.into_iter();
        statuses.find(|of| reasons.contains(&of.reason.as_str())).map(|of| of.message)
    }

    /// Creates the directory that kubelet makes for a pod's volume, and returns the target in it.
    pub(crate) fn pod(&self, name: &str) -> String {
        self.client.shell(&format!("mkdir -p {}/pods/{name}", self.dir));
        format!("{}/pods/{name}/mount", self.dir)
    }

    /// Mount points below its directory that are a pod's or a staging path.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let said = self.client.shell("cat /proc/self/mountinfo");
        let points = said.lines().filter_map(|line| line.split(' ').nth(4));
        let ours = [format!("{}/pods/", self.dir), format!("{}/stage/", self.dir)];
        points.filter(|point| ours.iter().any(|dir| point.starts_with(dir))).map(str::to_owned).collect()
    }

    /// The glusterfs processes that it has started.
    pub(crate) fn processes(&self) -> Vec<String> {
        let script = format!(
            "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in glusterfs*) \
             grep -qs {}/ $p/cmdline && echo ${{p#/proc/}};; esac; done; true",
            self.dir
        );
        self.client.shell(&script).lines().map(str::to_owned).collect()
    }

    /// Creates, stages and publishes a PV of 1 GiB for one pod.
    #[track_caller]
    pub(crate) fn serve(&self, name: &str, parameters: &[(&str, &str)]) -> (Volume, String) {
        let (caller, target) = (self.caller(), self.pod(name));
        let volume = self.block(async {
            let volume = caller.create(name, GIB, parameters).await?;
            caller.stage(&volume).await?;
            caller.publish(&volume, &target, false).await?;
            Ok::<_, Status>(volume)
        });
        (volume.unwrap_or_else(|status| panic!("{name}: {status:?}\n{}", self.log())), target)
    }

    /// Unpublishes, unstages and deletes it.
    #[track_caller]
    pub(crate) fn end_of(&self, volume: &Volume, target: &str) {
        let caller = self.caller();
        let ended = self.block(async {
            caller.unpublish(&volume.volume_id, target).await?;
            caller.unstage(&volume.volume_id).await?;
            caller.delete(&volume.volume_id).await
        });
        ended.unwrap_or_else(|status| panic!("{}: {status:?}\n{}", volume.volume_id, self.log()));
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        drop(self.running.take());
        for pid in self.processes() {
            self.client.exec("kill", &["-KILL", &pid]);
        }
        let said = self.client.shell("cat /proc/self/mountinfo");
        let points: Vec<_> = said.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        for point in points.into_iter().rev().filter(|point| point.starts_with(&format!("{}/", self.dir))) {
            self.client.exec("umount", &["--lazy", point]);
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// A runtime of its own thread.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The calls of a PV's life, as Kubernetes makes them.
#[derive(Clone)]
pub(crate) struct Caller {
    channel: Channel,
    dir: String,
    /// The same, as this process sees it.
    seen: PathBuf,
}

pub(crate) type Called<T> = Result<T, Status>;

impl Caller {
    fn new(socket: &Path, dir: &str, seen: &Path) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).expect("an endpoint");
        Self { channel: endpoint.connect_lazy(), dir: dir.to_owned(), seen: seen.to_owned() }
    }

    pub(crate) fn identity(&self) -> IdentityClient<Channel> {
        IdentityClient::new(self.channel.clone())
    }

    pub(crate) fn controller(&self) -> ControllerClient<Channel> {
        ControllerClient::new(self.channel.clone())
    }

    pub(crate) fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(self.channel.clone())
    }

    /// The staging path of a volume: one directory a volume.
    pub(crate) fn staging(&self, id: &str) -> String {
        format!("{}/{}", self.dir, Self::stage_dir(id))
    }

    fn stage_dir(id: &str) -> String {
        format!("stage/{}/globalmount", id.replace(['/', ':'], "-"))
    }

    /// The same, made as kubelet makes it.
    pub(crate) fn make_staging(&self, id: &str) -> String {
        std::fs::create_dir_all(self.seen.join(Self::stage_dir(id))).expect("a staging path");
        self.staging(id)
    }

    pub(crate) async fn create(&self, name: &str, bytes: i64, parameters: &[(&str, &str)]) -> Called<Volume> {
        let request = CreateVolumeRequest {
            name: name.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            volume_capabilities: vec![capability(Mode::MultiNodeMultiWriter)],
            parameters: map(parameters),
            ..Default::default()
        };
        let reply = self.controller().create_volume(request).await?;
        Ok(reply.into_inner().volume.expect("a volume"))
    }

    pub(crate) async fn delete(&self, id: &str) -> Called<()> {
        let request = DeleteVolumeRequest { volume_id: id.to_owned(), ..Default::default() };
        self.controller().delete_volume(request).await.map(drop)
    }

    pub(crate) async fn expand(&self, id: &str, bytes: i64) -> Called<i64> {
        let request = ControllerExpandVolumeRequest {
            volume_id: id.to_owned(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            ..Default::default()
        };
        Ok(self.controller().controller_expand_volume(request).await?.into_inner().capacity_bytes)
    }

    pub(crate) async fn stage(&self, volume: &Volume) -> Called<()> {
        let request = NodeStageVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: self.make_staging(&volume.volume_id),
            volume_capability: Some(capability(Mode::MultiNodeMultiWriter)),
            volume_context: volume.volume_context.clone(),
            ..Default::default()
        };
        self.node().node_stage_volume(request).await.map(drop)
    }

    pub(crate) async fn publish(&self, volume: &Volume, target: &str, readonly: bool) -> Called<()> {
        let request = NodePublishVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: self.staging(&volume.volume_id),
            target_path: target.to_owned(),
            volume_capability: Some(capability(Mode::MultiNodeMultiWriter)),
            volume_context: volume.volume_context.clone(),
            readonly,
            ..Default::default()
        };
        self.node().node_publish_volume(request).await.map(drop)
    }

    pub(crate) async fn unpublish(&self, id: &str, target: &str) -> Called<()> {
        let request = NodeUnpublishVolumeRequest { volume_id: id.to_owned(), target_path: target.to_owned() };
        self.node().node_unpublish_volume(request).await.map(drop)
    }

    pub(crate) async fn unstage(&self, id: &str) -> Called<()> {
        let request =
            NodeUnstageVolumeRequest { volume_id: id.to_owned(), staging_target_path: self.staging(id) };
        self.node().node_unstage_volume(request).await.map(drop)
    }

    pub(crate) async fn stats(&self, id: &str, path: &str) -> Called<NodeGetVolumeStatsResponse> {
        let request = NodeGetVolumeStatsRequest {
            volume_id: id.to_owned(),
            volume_path: path.to_owned(),
            staging_target_path: self.staging(id),
        };
        self.node().node_get_volume_stats(request).await.map(tonic::Response::into_inner)
    }
}

pub(crate) fn capability(mode: Mode) -> VolumeCapability {
    VolumeCapability {
        access_mode: Some(AccessMode { mode: mode.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Whether a sidecar would make the call again: it does not know how it ended.
pub(crate) fn again(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

/// What lies on a volume, as seen by the first server's brick: records, directories of PVs, and trash.
pub(crate) struct Audit {
    pub(crate) records: Vec<String>,
    pub(crate) directories: Vec<String>,
    pub(crate) trash: Vec<String>,
}

/// Reads the server's brick of a volume: nothing of the driver's is between.
pub(crate) fn audit(server: &Host, volume: &str) -> Audit {
    let brick = brick(server, volume);
    let find = |dir: &str, args: &str| -> Vec<String> {
        let said = server
            .shell(&format!("cd {brick}; [ -d {dir} ] || exit 0; find {dir} {args} -printf '%f\\n' | sort"));
        said.lines().map(str::to_owned).collect()
    };
    Audit {
        records: find("info/subvol", "-type f"),
        directories: find("subvol", "-mindepth 3 -maxdepth 3"),
        trash: find(".kadalu-trash", "-mindepth 1 -maxdepth 1"),
    }
}

/// The path of the server's brick of a volume.
pub(crate) fn brick(server: &Host, volume: &str) -> String {
    let info = server.gluster(&["volume", "info", volume]);
    let place = format!(" {}:", server.name());
    let mut bricks = info.lines().filter_map(|line| line.strip_prefix("Brick")?.split_once(&place));
    let (_, path) = bricks.next().unwrap_or_else(|| panic!("{} has no brick: {info}", server.name()));
    path.split(' ').next().unwrap_or(path).to_owned()
}
