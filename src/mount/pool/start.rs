//! A new glusterfs: started, and believed when I/O works.

use std::{ffi::OsString, io, path::Path, process::ExitStatus, time::Duration};

use bytes::Bytes;
use rustix::{io::Errno, process::Signal};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, timeout},
};
use tracing::info;

use super::{Given, Live, Runner};
use crate::{
    client::digest,
    glusterd::cli::VolumeStatus,
    mount::{
        Error, Reason,
        diagnose::{Evidence, diagnose},
        dress::{Dress, dress},
        file::read_tail,
        helper::{Brick, Failed, remove_mount_point},
        installed::Installed,
        mountinfo::MountTable,
        ports,
        process::{Launch, Process, StartError},
        store::{StoredPool, StoredProcess, make_directory},
        volume::{Wanted, ask},
    },
    transport::ServerAddress,
    volfile::{Graph, Volfile},
};

/// How long a volume's connection to its cluster is waited for before a process is started without one.
const CONNECTED: Duration = Duration::from_secs(3);

/// How long I/O may fail before it is believed that it will not work: bricks may be starting.
const GRACE: Duration = Duration::from_secs(5);

/// For one probe while it starts.
const PROBE: Duration = Duration::from_secs(5);

/// For a bind or an unmount, which can have to wait for bricks.
pub(super) const HELPER: Duration = Duration::from_secs(20);

/// Between two probes while it starts.
const PAUSE: Duration = Duration::from_millis(100);

impl Runner {
    /// Starts a glusterfs and waits until I/O works on it. What fails leaves nothing behind.
    pub(super) async fn start(
        &mut self,
        within: Duration,
        progress: Option<&UnboundedSender<String>>,
    ) -> Result<Live, Error> {
        let say = |what: String| {
            if let Some(progress) = progress {
                // Whoever asked may have gone.
                let _ = progress.send(what);
            }
        };
        let until = Instant::now() + within;
        let given = self.choose(&say).await?;
        self.last_number += 1;
        let number = self.last_number;
        let mount = self.context.store.mount(&self.id, number);
        let failed = |error: io::Error| Error::other(format_args!("cannot make {}", mount.display()), error);
        make_directory(&mount).map_err(failed)?;
        let log = self.context.store.log(&self.id);
        let log_start = std::fs::metadata(&log).map_or(0, |log| log.len());
        let installed = self.context.glusterfs.look().await?;
        let launch = self.launch(number, &given, &installed)?;
        self.publish(number, &given)?;
        say(format!("starting glusterfs {}", launch.version));
        let began = Instant::now();
        let outcome = match Process::start(&launch, within).await {
            Ok(process) => match self.works(&process, &given, until, &say).await {
                Ok(bricks_down) => Ok((process, bricks_down)),
                Err(trouble) => {
                    process.signal(Signal::KILL);
                    Err(trouble)
                }
            },
            Err(StartError::Run(error)) => {
                self.discard(number).await;
                let program = launch.program.display();
                return Err(Error::new(Reason::Machine, format_args!("cannot run {program}: {error}")));
            }
            Err(StartError::Ended(status)) => Err(Trouble { exit: Some(status), ..Trouble::default() }),
            Err(StartError::TimedOut | StartError::Lost) => Err(Trouble::default()),
        };
        match outcome {
            Ok((process, bricks_down)) => {
                let table =
                    MountTable::read().map_err(|error| Error::other("cannot read mountinfo", error))?;
                let Some(device) = table.top_at(&mount).map(|entry| entry.device) else {
                    process.signal(Signal::KILL);
                    self.discard(number).await;
                    return Err(Error::new(Reason::Other, "the FUSE mount vanished while it was looked at"));
                };
                info!(target: "kadalu", pool = self.id, pid = process.pid, version = process.version,
                    offline = given.offline, milliseconds = began.elapsed().as_millis() as u64, "started glusterfs");
                let mut status = self.status();
                status.bricks_down = bricks_down;
                status.graphs = 1;
                status.digest_active.clone_from(&given.accepted.digest);
                status.drift.clear();
                drop(status);
                Ok(Live { process, device, given })
            }
            Err(mut trouble) => {
                let status = self.volume_status().await;
                // `.meta` cannot be read while no brick answers: its root is asked for first.
                if trouble.bricks.is_empty()
                    && trouble.exit.is_none()
                    && status != Some(VolumeStatus::Stopped)
                {
                    trouble.bricks = ports::reachable(self.volume.cluster(), &given.accepted).await;
                }
                let error =
                    trouble.diagnose(&self.volume.stored().name, &given, &read_tail(&log, log_start), status);
                self.discard(number).await;
                Err(error)
            }
        }
    }

    /// What a new process is given: what is wanted now, by brick addresses and ports where no glusterd answers.
    async fn choose(&mut self, say: &impl Fn(String)) -> Result<Given, Error> {
        if self.wanted.borrow().connected.is_none() {
            say("waiting for a server of the cluster".to_owned());
            // What it becomes is read below.
            let _ = timeout(CONNECTED, self.wanted.wait_for(|wanted| wanted.connected.is_some())).await;
        }
        let wanted = self.wanted.borrow_and_update().clone();
        let offline = wanted.connected.is_none();
        if offline {
            say("no server answers: starting from the last good volfile".to_owned());
        }
        self.given(&wanted, 0, offline).ok_or_else(|| {
            let sentence = "no server of the cluster has given a volfile yet, and there is none on disk";
            Error::new(Reason::Unreachable, sentence)
        })
    }

    /// The accepted volfile, dressed.
    pub(super) fn given(&self, wanted: &Wanted, graph: u32, offline: bool) -> Option<Given> {
        let accepted = wanted.accepted.clone()?;
        let bricks = if offline { self.volume.stored().bricks } else { Vec::new() };
        // Only online is there a server that another process could ask.
        let host = wanted.connected.as_ref().and_then(|server| match server {
            ServerAddress::Tcp { host, .. } => Some(host.as_str()),
            ServerAddress::Unix(_) => None,
        });
        let text = Bytes::from(dress(&accepted.text, Dress { bricks: &bricks, graph, host }).into_owned());
        Some(Given { digest: digest(&text), text, accepted, graph, offline })
    }

    /// Serves a process its volfile, and keeps it for our next start.
    pub(super) fn publish(&self, number: u32, given: &Given) -> Result<(), Error> {
        self.context
            .server
            .publish(&self.key(number), &given.text)
            .map_err(|error| Error::new(Reason::InvalidVolfile, error))?;
        if let Err(error) = self.context.store.save_pool_volfile(&self.id, &given.text) {
            self.error(&format!("cannot save the volfile: {error}"));
        }
        Ok(())
    }

    fn launch(&self, number: u32, given: &Given, installed: &Installed) -> Result<Launch, Error> {
        let store = &self.context.store;
        let stored = self.volume.stored();
        let mut arguments = vec![
            format!("--volfile-server={}", store.socket().display()),
            "--volfile-server-transport=unix".to_owned(),
            format!("--volfile-id={}", self.key(number)),
            "--process-name=fuse".to_owned(),
            format!("--pid-file={}", store.pid_file(&self.id, number).display()),
            format!("--log-file={}", store.log(&self.id).display()),
        ];
        // What `df` and mountinfo show; an unknown option before 10 (facts §11.6).
        if installed.version().major >= 10 {
            arguments.push(format!("--fs-display-name={}:/{}", stored.servers.join(","), stored.name));
        }
        arguments.extend(self.options.arguments(installed.version())?);
        let version = installed.version().to_string();
        let process = Some(StoredProcess { pid: 0, start_ticks: 0, number, version: version.clone() });
        let (offline, graph) = (given.offline, given.graph);
        // Only what it is for: the rest is found in mountinfo.
        let (targets, draining) = (Vec::new(), Vec::new());
        let pool = StoredPool { process, offline, graph, targets, draining, ..self.stored() };
        Ok(Launch {
            program: self.context.glusterfs.program().to_owned(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            mount: store.mount(&self.id, number),
            pid_file: store.pid_file(&self.id, number),
            pool: serde_json::to_string(&pool)
                .map_err(|error| Error::other("cannot describe the pool", error))?,
            number,
            version,
        })
    }

    /// Waits until I/O works, and returns the bricks that are not connected all the same.
    async fn works(
        &self,
        process: &Process,
        given: &Given,
        until: Instant,
        say: &impl Fn(String),
    ) -> Result<Vec<String>, Trouble> {
        let began = Instant::now();
        let mut trouble = Trouble::default();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let probed = tokio::select! {
                probed = self.context.helper.probe(&process.mount, true, PROBE.min(left)) => probed,
                () = process.ended() => return Err(trouble),
            };
            let waits = match probed {
                Ok(probe) => {
                    if let Some(Ok(graph)) = &probe.graph {
                        trouble.bricks.clone_from(&graph.bricks);
                    }
                    // Where the mount has vanished, it is the directory below that answers.
                    let mounted =
                        MountTable::read().is_ok_and(|table| table.top_at(&process.mount).is_some());
                    if probe.works() && mounted {
                        return Ok(super::follow::bricks_down(given, &trouble.bricks));
                    }
                    trouble.lookup = probe.lookup.and_then(|answer| answer.result.err());
                    trouble.lookup.is_none() || began.elapsed() < GRACE
                }
                Err(Failed::TimedOut(_)) => true,
                Err(Failed::Errno { .. } | Failed::Broken(_)) => began.elapsed() < GRACE,
            };
            if !waits || Instant::now() >= until {
                return Err(trouble);
            }
            let down = super::follow::bricks_down(given, &trouble.bricks);
            say(match down.is_empty() {
                true => "waiting for I/O".to_owned(),
                false => format!("waiting for bricks: {}", down.join(", ")),
            });
            sleep(PAUSE).await;
        }
    }

    /// Whether the cluster says that the volume is started.
    async fn volume_status(&self) -> Option<VolumeStatus> {
        let server = self.wanted.borrow().connected.clone()?;
        let name = self.volume.stored().name;
        Some(ask(&server, self.volume.cluster(), &name).await?.status)
    }

    /// Removes what is left of a process that has ended or is about to.
    pub(super) async fn discard(&self, number: u32) {
        let mount = self.context.store.mount(&self.id, number);
        self.context.server.withdraw(&self.key(number));
        self.detach(&mount).await;
        self.context.store.remove_pid_file(&self.id, number);
    }

    /// Takes a FUSE mount out of sight and its directory away; those who have files open in it keep them.
    pub(super) async fn detach(&self, mount: &Path) {
        match self.context.helper.unmount(mount, true, HELPER).await {
            // Not mounted, or nothing there.
            Err(failed)
                if !matches!(
                    failed.errno().map(Errno::from_raw_os_error),
                    Some(Errno::INVAL | Errno::NOENT)
                ) =>
            {
                self.error(&format!("cannot detach {}: {failed}", mount.display()));
            }
            _ => {}
        }
        if let Err(error) = remove_mount_point(mount) {
            self.error(&format!("cannot remove {}: {error}", mount.display()));
        }
    }
}

/// What was seen of a process on which I/O does not work.
#[derive(Debug, Default)]
struct Trouble {
    exit: Option<ExitStatus>,
    lookup: Option<i32>,
    bricks: Vec<Brick>,
}

impl Trouble {
    fn diagnose(self, volume: &str, given: &Given, log: &[u8], status: Option<VolumeStatus>) -> Error {
        let connected = self.bricks.into_iter().map(|brick| (brick.client, brick.connected)).collect();
        let volfile = Volfile::parse(&given.text).unwrap_or_default();
        let graph = Graph::new(&volfile);
        let (exit, lookup) = (self.exit, self.lookup);
        diagnose(&Evidence {
            volume,
            log,
            exit,
            connected: &connected,
            graph: graph.as_ref(),
            lookup,
            status,
        })
    }
}
