//! `kadalu quotad`.

mod table;

use std::{
    fs::File,
    io::{self, Write},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::{
    quota::{
        BrickStatus, LocalBrick, Mode, Options, Xfs,
        daemon::{self, Config, Daemon, Watched},
        exports::{EXPORT, Exports, GLUSTERD},
        look, metrics, report,
    },
    transport::{Listener, ServerAddress},
};
use sd_notify::NotifyState;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{
    Exit, Failure,
    mountd::{Signals, notify, private_directory},
    output::Format,
    servers::seconds,
    volfile_server::{listen_address, listen_at},
};

/// Hold PVs to their sizes, on a host of bricks: with XFS project quota
///
/// Looks after the bricks of this host that are exported, sets the limit of each PV on them as soon as there is one, and
/// states on the brick what is in force. It may be killed, restarted and upgraded: limits are the kernel's and stay.
///
/// Exported is a volume with the option user.kadalu.export on, or one that is listed in kadalustorage.info, or a brick
/// that is listed in kadalu.info; both files are in glusterd's directory.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Quotad {
    /// Set what is missing once, and print how each PV is
    #[arg(long, env = "KADALU_ONCE", value_parser = FalseyValueParser::new(), conflicts_with_all = ["check", "dry_run"])]
    once: bool,
    /// Print how each PV is, and change nothing
    #[arg(long, env = "KADALU_CHECK", value_parser = FalseyValueParser::new(), conflicts_with = "dry_run")]
    check: bool,
    /// Print how each PV would be after --once, and change nothing
    #[arg(long, env = "KADALU_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// What is printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Where glusterd keeps its state
    #[arg(long, env = "KADALU_GLUSTERD_DIR", value_name = "DIR", default_value = GLUSTERD)]
    glusterd_dir: PathBuf,
    /// For a lock: there is one quotad on a host
    #[arg(long, env = "KADALU_RUNTIME_DIR", value_name = "DIR", default_value = "/run/kadalu-quotad")]
    runtime_dir: PathBuf,
    /// XFS projects to take for PVs that have none; those in use, and those of /etc/projid, are left out
    #[arg(long, env = "KADALU_PROJECT_IDS", value_name = "FIRST-LAST", default_value = PROJECTS, value_parser = projects)]
    project_ids: RangeInclusive<u32>,
    /// Seconds between looks at all PVs; longer where there are so many that a look takes long
    #[arg(long, env = "KADALU_CRAWL_INTERVAL", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    crawl_interval: Duration,
    #[arg(long, env = "KADALU_METRICS", value_name = "ADDR", value_parser = listen_address, help = METRICS)]
    metrics: Option<ServerAddress>,
}

/// No doc comment: its brackets would be links.
const METRICS: &str =
    "Where to answer GET /metrics and GET /healthz: host:port or [IPv6]:port, port 0 is any free one";

/// The second half of what fits into an `int`: out of the way of numbers that people give.
const PROJECTS: &str = "1073741824-2147483647";

const EXAMPLES: &str = "Examples:\n  \
    gluster volume set VOLUME user.kadalu.export on  have its bricks looked after, on each host that quotad runs on\n  \
    kadalu quotad --metrics 127.0.0.1:9762           as root; with metrics for Prometheus\n  \
    kadalu quotad --check                            a line a PV and brick; ends with 7 where a limit is not in force\n  \
    kadalu quotad --check --format json              for a script\n  \
    kadalu quotad --dry-run                          what quotad would do on this host\n\n\
    As a service: deploy/systemd/kadalu-quotad.service. Exit codes: see kadalu --help.";

/// Between looks at what to tell systemd.
const STATUS: Duration = Duration::from_secs(15);

impl Quotad {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mode = match (self.once, self.check, self.dry_run) {
            (true, ..) => Mode::Apply,
            (_, true, _) => Mode::Check,
            (.., true) => Mode::DryRun,
            _ => return self.serve().await,
        };
        let looked = spawn_blocking(move || self.once(mode)).await;
        looked.map_err(Failure::defect)?
    }

    /// Looks after bricks until a signal.
    async fn serve(self) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let _lock = self.lock()?;
        let listener = listen_at(self.metrics.as_ref()).await?;
        let metrics = listener.as_ref().and_then(Listener::local_addr).map(|address| address.to_string());
        let config = Config { options: self.options(), glusterd: self.glusterd_dir };
        let daemon = Daemon::start(config, Arc::new(Xfs::default()))
            .map_err(|error| Failure::other("cannot start", error))?;
        if let Some(listener) = listener {
            tokio::spawn(metrics::serve(listener, daemon.watched()));
        }
        info!(target: "kadalu", metrics, "looking after the exported bricks of this host");
        notify(NotifyState::Ready);
        tokio::spawn(keep_told(daemon.watched()));
        let name = signals.next().await;
        info!(target: "kadalu", signal = name, "stopping; limits stay");
        notify(NotifyState::Stopping);
        // Who asks a second time does not want to wait for what hangs.
        tokio::select! {
            _ = spawn_blocking(move || daemon.stop()) => Ok(()),
            name = signals.next() => Err(Failure::other("stopped before all was done", name)),
        }
    }

    /// Looks at all bricks once.
    fn once(&self, mode: Mode) -> Result<(), Failure> {
        let _lock = match mode {
            Mode::Apply => Some(self.lock()?),
            Mode::Check | Mode::DryRun => None,
        };
        let exports = Exports::read(&self.glusterd_dir).map_err(|why| Failure::new(Exit::Machine, why))?;
        exports.faults.iter().for_each(|fault| warn!(target: "kadalu", "{fault}"));
        if !rustix::process::geteuid().is_root() && !exports.bricks.is_empty() {
            warn!(target: "kadalu", "only root is shown the attributes of bricks: run this as root");
        }
        let bricks = looks(&exports.bricks, &self.options(), mode);
        if self.format == Format::Table && bricks.is_empty() {
            // Words; a script that counts lines counts none.
            let _ = writeln!(
                io::stderr(),
                "kadalu: no brick of this host is exported: gluster volume set VOLUME {EXPORT} on"
            );
        } else {
            self.format.print(&bricks, &table::table(&bricks))?;
        }
        let ill = bricks.iter().map(|brick| report::faults(brick).len()).sum::<usize>();
        match ill + exports.faults.len() {
            0 => Ok(()),
            _ => Err(Failure::new(Exit::CheckFailed, "not every PV is limited as was asked; see above")),
        }
    }

    fn options(&self) -> Options {
        Options { project_ids: self.project_ids.clone(), crawl_interval: self.crawl_interval }
    }

    fn lock(&self) -> Result<File, Failure> {
        private_directory(&self.runtime_dir)?;
        daemon::lock(&self.runtime_dir).map_err(|why| Failure::new(Exit::Other, why))
    }
}

/// Looks at bricks, each in a thread of its own: their disks are others.
fn looks(bricks: &[LocalBrick], options: &Options, mode: Mode) -> Vec<BrickStatus> {
    let kernel = Xfs::default();
    std::thread::scope(|scope| {
        let looks = bricks.iter().map(|brick| scope.spawn(|| look(brick, options, mode, &kernel)));
        let looks = looks.collect::<Vec<_>>();
        looks.into_iter().filter_map(|look| look.join().ok()).collect()
    })
}

/// Tells systemd how the limits are, each time that has changed.
async fn keep_told(watched: Watched) {
    let mut told = String::new();
    loop {
        let status = watched.state().summary();
        if status != told {
            notify(NotifyState::Status(&status));
            told = status;
        }
        tokio::time::sleep(STATUS).await;
    }
}

/// XFS knows projects from 1 to 2^32 - 2.
fn projects(text: &str) -> Result<RangeInclusive<u32>, String> {
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match ends {
        Some((first, last)) if 0 < first && first <= last && last < u32::MAX => Ok(first..=last),
        _ => Err(format!("FIRST-LAST is wanted, two numbers from 1 to {}", u32::MAX - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_projects() {
        assert_eq!(projects("7-7"), Ok(7..=7));
        assert_eq!(projects("1-4294967294"), Ok(1..=4_294_967_294));
        assert_eq!(projects(PROJECTS), Ok(1 << 30..=(1 << 31) - 1));
        for bad in ["", "7", "-", "0-7", "8-7", "1-4294967295", "1-2-3", "-1-2", "a-b"] {
            assert!(projects(bad).is_err(), "{bad}");
        }
    }
}
