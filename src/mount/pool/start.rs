//! A new glusterfs: started, and believed when I/O works.

use std::{ffi::OsString, path::Path, process::ExitStatus, time::Duration};

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
        dress::{Dress, dress, narrow},
        file::read_tail,
        helper::{Brick, Failed, remove_mount_point},
        installed::Installed,
        mountinfo::MountTable,
        ports,
        process::{Launch, Process, StartError},
        store::{StoredPool, StoredProcess, StoredVolume, make_directory},
        volume::{Accepted, Wanted, ask},
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

/// Servers that the name of a mount's source lists, and bricks of a sentence.
const SHOWN: usize = 8;

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
        let installed = self.context.glusterfs.look().await?;
        self.last_number = self.context.store.free_number(&self.id, self.last_number);
        let number = self.last_number;
        let launch = self.launch(number, &given, &installed)?;
        let failed = |error| Error::other(format_args!("cannot make {}", launch.mount.display()), error);
        make_directory(&launch.mount).map_err(failed)?;
        let log = self.context.store.log(&self.id);
        let log_start = std::fs::metadata(&log).map_or(0, |log| log.len());
        say(format!("starting glusterfs {}", launch.version));
        let began = Instant::now();
        let error = match self.run_until_it_works(&launch, &given, until, &say).await {
            Ok((process, Works { device, bricks_down })) => {
                info!(target: "kadalu", pool = self.id, pid = process.pid, version = process.version,
                    offline = given.offline, milliseconds = began.elapsed().as_millis() as u64, "started glusterfs");
                let mut status = self.status();
                status.bricks_down = bricks_down;
                status.graphs = 1;
                status.digest_active.clone_from(&given.accepted.digest);
                status.drift.clear();
                drop(status);
                return Ok(Live { process, device, given });
            }
            Err(Fails::Known(error)) => error,
            Err(Fails::Diagnose(mut trouble)) => {
                let status = self.volume_status().await;
                // `.meta` cannot be read while no brick answers: its root is asked for first. Nobody waits for a healing.
                let unknown = trouble.bricks.is_empty() && trouble.exit.is_none();
                if unknown && progress.is_some() && status != Some(VolumeStatus::Stopped) {
                    let mut clients = given.accepted.clients();
                    clients.retain(|(_, of)| self.options.brick().is_none_or(|brick| brick == of));
                    trouble.bricks = ports::reachable(self.volume.cluster(), clients).await;
                }
                trouble.diagnose(&self.volume.stored().name, &given, &read_tail(&log, log_start), status)
            }
        };
        self.discard(number).await;
        Err(error)
    }

    /// A process that runs, or none.
    async fn run_until_it_works(
        &self,
        launch: &Launch,
        given: &Given,
        until: Instant,
        say: &impl Fn(String),
    ) -> Result<(Process, Works), Fails> {
        self.publish(launch.number, given).map_err(Fails::Known)?;
        let left = until.saturating_duration_since(Instant::now());
        let process = Process::start(launch, left).await.map_err(|error| match error {
            StartError::Run(error) => {
                let program = launch.program.display();
                Fails::Known(Error::new(Reason::Machine, format_args!("cannot run {program}: {error}")))
            }
            StartError::Ended(status) => {
                Fails::Diagnose(Trouble { exit: Some(status), ..Trouble::default() })
            }
            StartError::TimedOut | StartError::Lost => Fails::Diagnose(Trouble::default()),
        })?;
        match self.works(&process, given, until, say).await {
            Ok(works) => Ok((process, works)),
            Err(trouble) => {
                process.signal(Signal::KILL);
                Err(Fails::Diagnose(trouble))
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
        self.given(&wanted, 0, offline)
    }

    /// The accepted volfile, narrowed to one brick where that is wanted, and dressed.
    pub(super) fn given(&self, wanted: &Wanted, graph: u32, offline: bool) -> Result<Given, Error> {
        let accepted = wanted.accepted.clone().ok_or_else(|| {
            let sentence = "no server of the cluster has given a volfile yet, and there is none on disk";
            Error::new(Reason::Unreachable, sentence)
        })?;
        let text = self.narrowed(&accepted)?;
        let bricks = if offline { self.volume.stored().bricks } else { Vec::new() };
        // Only online is there a server that another process could ask.
        let host = wanted.connected.as_ref().and_then(|connected| match &connected.server {
            ServerAddress::Tcp { host, .. } => Some(host.as_str()),
            ServerAddress::Unix(_) => None,
        });
        let text = Bytes::from(dress(&text, Dress { bricks: &bricks, graph, host }).into_owned());
        Ok(Given { digest: digest(&text), text, accepted, graph, offline })
    }

    /// The accepted volfile, or that of one brick.
    ///
    /// # Errors
    /// The volume has no such brick.
    pub(super) fn narrowed(&self, accepted: &Accepted) -> Result<Bytes, Error> {
        let Some(brick) = self.options.brick() else { return Ok(accepted.text.clone()) };
        narrow(&accepted.text, brick).map(Bytes::from).map_err(|bricks| {
            let bricks: Vec<_> = bricks.iter().take(SHOWN).map(ToString::to_string).collect();
            let name = self.volume.stored().name;
            let sentence = format!("{brick} is no brick of volume {name}, which has {}", bricks.join(", "));
            Error::new(Reason::Invalid, sentence)
        })
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
            // mount(2) takes no more than a page.
            let servers: Vec<_> = stored.servers.iter().take(SHOWN).cloned().collect();
            arguments.push(format!("--fs-display-name={}:/{}", servers.join(","), stored.name));
        }
        arguments.extend(self.options.arguments(installed.version())?);
        let version = installed.version().to_string();
        let id = given.accepted.id.clone();
        let process = StoredProcess { pid: 0, start_ticks: 0, number, version: version.clone(), volume: id };
        // Only what it is for: the rest is found in mountinfo. The kernel takes no more than 128 KiB.
        let pool = StoredPool {
            volume: StoredVolume { bricks: Vec::new(), ..self.volume.stored() },
            process: Some(process),
            offline: given.offline,
            graph: given.graph,
            targets: Vec::new(),
            draining: Vec::new(),
            file_systems: Vec::new(),
            former: Vec::new(),
            ..self.stored()
        };
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

    /// Waits until I/O works.
    async fn works(
        &self,
        process: &Process,
        given: &Given,
        until: Instant,
        say: &impl Fn(String),
    ) -> Result<Works, Trouble> {
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
                    let table = MountTable::read().unwrap_or_default();
                    if let (true, Some(mount)) = (probe.works(), table.top_at(&process.mount)) {
                        let bricks_down = super::follow::bricks_down(given, &trouble.bricks);
                        return Ok(Works { device: mount.device, bricks_down });
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
        let server = self.wanted.borrow().connected.as_ref()?.server.clone();
        let name = self.volume.stored().name;
        Some(ask(&server, self.volume.cluster(), &name).await?.status)
    }

    /// Removes what is left of a process that has ended or is about to; whether nothing is left.
    pub(super) async fn discard(&self, number: u32) -> bool {
        let mount = self.context.store.mount(&self.id, number);
        self.context.server.withdraw(&self.key(number));
        self.context.store.remove_pid_file(&self.id, number);
        self.detach(&mount).await
    }

    /// Takes a FUSE mount out of sight and its directory away, and says whether they are gone; those who have files open in it keep them.
    pub(super) async fn detach(&self, mount: &Path) -> bool {
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
        let removed = remove_mount_point(mount);
        if let Err(error) = &removed {
            self.error(&format!("cannot remove {}: {error}", mount.display()));
        }
        removed.is_ok()
    }
}

/// A process on which I/O works: its file system, and the bricks that are not connected all the same.
struct Works {
    device: (u32, u32),
    bricks_down: Vec<String>,
}

/// Why there is none.
enum Fails {
    Known(Error),
    Diagnose(Trouble),
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
