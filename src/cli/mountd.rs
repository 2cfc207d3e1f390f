//! `kadalu mountd`.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::{
    mount::{Config, Host, control, generated::ListReply, metrics},
    transport::{Listener, ServerAddress},
};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Exit, Failure,
    mount_host::SOCKET,
    servers::{Reaching, seconds},
    volfile_server::{listen_address, listen_at, raise_open_files},
};

/// Mount volumes and keep them mounted while they change
///
/// Owns the glusterfs processes of this machine that kadalu mount asks for: follows their volumes, gives them each good
/// volfile once, and mounts anew what died. It may be killed, restarted and upgraded: no mount notices.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Mountd {
    /// Where kadalu mount, umount and mounts find it: a socket for root, or for the user that this runs as
    #[arg(long, env = "KADALU_SOCKET", value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// What must survive a restart; no two share one
    #[arg(long, env = "KADALU_STATE_DIR", value_name = "DIR", default_value = "/var/lib/kadalu/mountd")]
    state_dir: PathBuf,
    #[arg(long, env = "KADALU_METRICS", value_name = "ADDR", value_parser = listen_address, help = METRICS)]
    metrics: Option<ServerAddress>,
    /// At SIGTERM, unmount everything; otherwise mounts stay, and the next start takes them over
    #[arg(long, env = "KADALU_UNMOUNT_ON_EXIT", value_parser = FalseyValueParser::new())]
    unmount_on_exit: bool,
    /// Mount anew inside of running containers too; it takes the /proc of the machine: hostPID: true in a pod
    #[arg(long, env = "KADALU_REBIND_CONTAINERS", value_parser = FalseyValueParser::new())]
    rebind_containers: bool,
    /// The glusterfs to run, a path or a name
    #[arg(long, env = "KADALU_GLUSTERFS", value_name = "PROGRAM")]
    glusterfs: Option<PathBuf>,
    /// Seconds between looks at each mount
    #[arg(long, env = "KADALU_PROBE_INTERVAL", value_name = "SECONDS", value_parser = seconds)]
    probe_interval: Option<Duration>,
    /// Seconds until a look without an answer has failed
    #[arg(long, env = "KADALU_PROBE_DEADLINE", value_name = "SECONDS", value_parser = seconds)]
    probe_deadline: Option<Duration>,
    /// Seconds until I/O must work in a new mount, where kadalu mount does not say
    #[arg(long, env = "KADALU_MOUNT_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    mount_timeout: Option<Duration>,
    #[command(flatten)]
    reaching: Reaching,
}

/// No doc comment: its brackets would be links.
const METRICS: &str =
    "Where to answer GET /metrics and GET /healthz: host:port or [IPv6]:port, port 0 is any free one";

const EXAMPLES: &str = "Examples:\n  \
    kadalu mountd                                   as root; then: kadalu mount g1,g2:/vol /mnt\n  \
    kadalu mountd --metrics 127.0.0.1:9760          with metrics for Prometheus\n  \
    kadalu mountd --socket ./s --state-dir ./state  beside another one\n\n\
    As a service: deploy/systemd/kadalu-mountd.service. Exit codes: see kadalu --help.";

/// Between looks at what to tell systemd.
const STATUS: Duration = Duration::from_secs(15);

impl Mountd {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        raise_open_files();
        let mut signals = Signals::new()?;
        private_directory(&self.state_dir)?;
        self.socket.parent().map(private_directory).transpose()?;
        let control = Listener::unix(&self.socket).map_err(|error| {
            Failure::other(format_args!("cannot listen on {}", self.socket.display()), error)
        })?;
        let metrics = listen_at(self.metrics.as_ref()).await?;
        let scraped = metrics.as_ref().and_then(Listener::local_addr);
        let host = Host::start(self.config()?).await?;
        if let Some(listener) = metrics {
            tokio::spawn(metrics::serve(listener, host.clone()));
        }
        let metrics = scraped.map(|address| address.to_string());
        info!(target: "kadalu", socket = %self.socket.display(), metrics, "listening");
        notify(NotifyState::Ready);
        self.serve(host, control, &mut signals).await
    }

    /// Serves until a signal, and stops.
    async fn serve(&self, host: Host, control: Listener, signals: &mut Signals) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        let serving = control::serve(host.clone(), control, stop.clone().cancelled_owned());
        let mut serving = tokio::spawn(serving);
        tokio::spawn(keep_told(host.clone()));
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            name = signals.next() => {
                info!(target: "kadalu", signal = name, unmount = self.unmount_on_exit, "stopping");
                None
            }
        };
        notify(NotifyState::Stopping);
        stop.cancel();
        let stopping = async {
            let ended = match ended {
                Some(ended) => ended,
                None => serving.await,
            };
            host.stop(self.unmount_on_exit).await;
            ended
        };
        // Who asks a second time does not want to wait for what hangs.
        tokio::select! {
            ended = stopping => Ok(ended.map_err(|error| Failure::other("the control socket", error))??),
            name = signals.next() => Err(Failure::other("stopped before all was done", name)),
        }
    }

    fn config(&self) -> Result<Config, Failure> {
        let defaults = Config::new(self.state_dir.clone());
        Ok(Config {
            glusterfs: self.glusterfs.clone().unwrap_or(defaults.glusterfs),
            client: self.reaching.options()?,
            probe_interval: self.probe_interval.unwrap_or(defaults.probe_interval),
            probe_deadline: self.probe_deadline.unwrap_or(defaults.probe_deadline),
            mount_timeout: self.mount_timeout.unwrap_or(defaults.mount_timeout),
            rebind_containers: self.rebind_containers,
            ..defaults
        })
    }
}

/// The signals that end it.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::other("cannot wait for signals", error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Makes a directory and those above it, where they are not there, for this user only.
pub(super) fn private_directory(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| cannot(format_args!("make {}", path.display()), &error))
}

fn cannot(what: std::fmt::Arguments<'_>, error: &io::Error) -> Failure {
    let (exit, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => (Exit::Machine, ": run this as root, or choose another place"),
        _ => (Exit::Other, ""),
    };
    Failure::new(exit, format_args!("cannot {what}: {error}{advice}"))
}

/// Tells systemd how the mounts are, each time that has changed.
async fn keep_told(host: Host) {
    let mut told = String::new();
    loop {
        let status = status(&host.list());
        if status != told {
            notify(NotifyState::Status(&status));
            told = status;
        }
        tokio::time::sleep(STATUS).await;
    }
}

fn status(list: &ListReply) -> String {
    let pools = || list.volumes.iter().flat_map(|volume| &volume.pools);
    let targets = pools().map(|pool| pool.targets.len()).sum::<usize>();
    let ill = pools().filter(|pool| !metrics::serves_io(pool)).count();
    let ill = if ill == 0 { String::new() } else { format!(", {ill} of them without I/O") };
    format!("{targets} targets on {} glusterfs processes{ill}", pools().count())
}

/// Tells systemd, where it started us; where it did not, nobody is to be told.
pub(super) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(target: "kadalu", %error, "cannot notify systemd");
    }
}
