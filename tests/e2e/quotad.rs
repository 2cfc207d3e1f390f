//! What the stories of enforced quota share: a volume on XFS bricks with a driver, and `kadalu quotad` on each host.

use std::sync::{Mutex, MutexGuard, PoisonError};

use glusterd_client::csi::generated::Volume;
use serde_json::Value;
use tonic::Status;

use crate::driver::{Driver, again};
use crate::lab::{Host, Kind, Lab, Output, Running, Signal, eventually};
use crate::labs::Labs;

pub(crate) const MIB: u64 = 1 << 20;

/// Where the quotad of a host locks.
const RUNTIME: &str = "/run/kadalu-quotad";

/// What says that a quotad looks after what is exported.
const READY: &str = "looking after the exported bricks";

/// There is one quotad on a host, which looks after all that is exported: one story at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Makes sure that a program says that it was stopped by a limit.
#[track_caller]
pub(crate) fn stopped(said: &str) {
    assert!(["No space left on device", "Disk quota exceeded"].iter().any(|s| said.contains(s)), "{said}");
}

/// `kadalu quotad` on one host; killed when dropped.
pub(crate) struct Quotad<'lab> {
    pub(crate) host: &'lab Host,
    flags: Vec<String>,
    running: Option<Running>,
    /// What those before have said.
    said: String,
}

impl<'lab> Quotad<'lab> {
    /// Starts it and waits until it says that it looks after what is exported.
    pub(crate) fn start(host: &'lab Host, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut this = Self { host, flags, running: None, said: String::new() };
        this.restart();
        this
    }

    /// Starts it again, after [`Quotad::end`].
    pub(crate) fn restart(&mut self) {
        let mut args = vec!["quotad", "--runtime-dir", RUNTIME];
        args.extend(self.flags.iter().map(String::as_str));
        let running = self.running.insert(self.host.spawn_kadalu(&args));
        eventually("quotad looks after what is exported", || {
            assert!(running.runs(), "quotad ended: {}", running.stderr());
            running.stderr().contains(READY).then_some(())
        });
    }

    /// Ends it by `signal` and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) {
        let mut running = self.running.take().expect("it runs");
        running.signal(signal);
        running.wait();
        self.said += &running.stderr();
    }

    /// What it has ever said.
    pub(crate) fn log(&self) -> String {
        let now = self.running.as_ref().map(Running::stderr).unwrap_or_default();
        format!("{}{now}", self.said)
    }
}

/// An exported volume on XFS, its driver, and a quotad on each host.
pub(crate) struct Bed<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) volume: &'static str,
    pub(crate) kind: Kind,
    pub(crate) bricks: Vec<(&'lab Host, String)>,
    pub(crate) driver: Driver<'lab>,
    pub(crate) quotads: Vec<Quotad<'lab>>,
    _alone: MutexGuard<'static, ()>,
}

impl<'lab> Bed<'lab> {
    /// All of it, on the file system `quota` of each host.
    pub(crate) fn start(labs: &'lab Labs, volume: &'static str, kind: Kind) -> Self {
        let mut bed = Self::without_quotad(labs, "quota", volume, kind);
        bed.start_quotads(&[]);
        bed
    }

    /// A volume on the file system `disk` of each host, which are there already, and no quotad.
    pub(crate) fn without_quotad(labs: &'lab Labs, disk: &str, volume: &'static str, kind: Kind) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = labs.quota();
        let bricks = lab.xfs_bricks(disk, volume, kind);
        lab.start_volume_at(volume, kind, &bricks);
        lab.set(volume, "user.kadalu.export", "on");
        let driver = Driver::start(lab, volume, &[]);
        Self { lab, volume, kind, bricks, driver, quotads: Vec::new(), _alone: alone }
    }

    /// Starts one on each host.
    pub(crate) fn start_quotads(&mut self, flags: &[&str]) {
        self.quotads = self.lab.servers().iter().map(|host| Quotad::start(host, flags)).collect();
    }

    /// Asks the controller once for a PV of so many bytes.
    pub(crate) fn try_create(
        &self,
        pv: &str,
        bytes: u64,
        parameters: &[(&str, &str)],
    ) -> Result<Volume, Status> {
        let servers = self.lab.server_list();
        let mut all = vec![("gluster_hosts", servers.as_str()), ("gluster_volname", self.volume)];
        all.extend(parameters);
        let bytes = i64::try_from(bytes).expect("a size");
        self.driver.block(self.driver.caller().create(pv, bytes, &all))
    }

    /// Creates a PV whose size is enforced on every brick, as often as the provisioner would try.
    #[track_caller]
    pub(crate) fn create(&self, pv: &str, bytes: u64, parameters: &[(&str, &str)]) -> Volume {
        let mut all = vec![("quota", "required")];
        all.extend(parameters);
        eventually(&format!("{pv} is created"), || match self.try_create(pv, bytes, &all) {
            Ok(volume) => Some(volume),
            Err(status) => {
                eprintln!("{pv}: {}", status.message());
                assert!(again(&status), "{status:?}\n{}", self.logs());
                None
            }
        })
    }

    /// Stages and publishes a PV for one pod, and returns where.
    #[track_caller]
    pub(crate) fn publish(&self, volume: &Volume, pod: &str) -> String {
        let (caller, target) = (self.driver.caller(), self.driver.pod(pod));
        let published = self.driver.block(async {
            caller.stage(volume).await?;
            caller.publish(volume, &target, false).await
        });
        published.unwrap_or_else(|status| panic!("{pod}: {status:?}\n{}", self.logs()));
        target
    }

    /// Writes so many KiB into a file as a pod does, and syncs: standard error says why where not all could be written.
    pub(crate) fn write(&self, file: &str, kib: u64) -> Output {
        let (of, count) = (format!("of={file}"), format!("count={}", kib / 64));
        self.lab.client().exec("dd", &["if=/dev/zero", &of, "bs=64K", &count, "conv=fsync"])
    }

    /// How each PV of this volume is on each brick, as `kadalu quotad --check` says: those of each brick, in the bricks' order.
    pub(crate) fn check(&self) -> Vec<Value> {
        let args = ["quotad", "--check", "--format", "json", "--runtime-dir", RUNTIME];
        let said = |host: &Host| serde_json::from_slice::<Vec<Value>>(&host.kadalu(&args).stdout);
        let all = self.lab.servers().iter().flat_map(|host| said(host).expect("a list of bricks"));
        let all = all.collect::<Vec<_>>();
        let brick = |(host, path): &(&Host, String)| {
            let name = format!("{}:{path}", host.name());
            let found = all.iter().find(|brick| brick["brick"] == name.as_str());
            found.unwrap_or_else(|| panic!("{name} is not looked after: {all:?}")).clone()
        };
        self.bricks.iter().map(brick).collect()
    }

    /// How one PV is on each brick; `null` where that brick knows nothing of it.
    pub(crate) fn check_pv(&self, pv: &str) -> Vec<Value> {
        let of = |brick: Value| {
            let pvs = brick["pvs"].as_array().cloned().unwrap_or_default();
            let its = |of: &Value| of["path"].as_str().is_some_and(|path| path.ends_with(&format!("/{pv}")));
            pvs.into_iter().find(its).unwrap_or_default()
        };
        self.check().into_iter().map(of).collect()
    }

    /// The path of a PV from the volume's root.
    pub(crate) fn path(volume: &Volume) -> &str {
        volume.volume_context.get("path").map_or("", String::as_str)
    }

    /// What the driver and the quotads have said, for a failure.
    pub(crate) fn logs(&self) -> String {
        let said = self.quotads.iter().map(|quotad| format!("{}:\n{}", quotad.host.name(), quotad.log()));
        format!("{}\n{}", self.driver.log(), said.collect::<String>())
    }
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        // Else the quotads of the next story would look after it too.
        let off = ["volume", "set", self.volume, "user.kadalu.export", "off"];
        if let Err(said) = self.lab.host(0).try_gluster(&off) {
            eprintln!("{}: {said}", self.volume);
        }
    }
}
