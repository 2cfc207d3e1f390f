//! `kadalu check`.

mod table;
mod watch;

use std::{path::PathBuf, time::SystemTime};

use clap::{Args, ValueEnum, builder::FalseyValueParser};
use glusterd_client::{
    mount::{
        control::Client,
        installed::{Installed, Version},
        source::Source,
    },
    storage::{
        check::{self, Outcome, Report, check, quota_daemon},
        config::Storage,
        enforced,
        parameters::{Allow, Parameters, PvKind},
        record::QuotaPolicy,
    },
    transport::ServerAddress,
};
use serde::Serialize;
use tokio::task::JoinSet;
use tracing::warn;

use self::table::table;
use super::{
    Exit, Failure,
    mounted::Mounted,
    output::{self, Format, shown},
    servers::{Reaching, seconds},
    storage_file,
};

/// Check whether a volume can be the home of PVs: servers, volume, versions, bricks
///
/// From any machine that reaches the cluster, without an account on it; nothing there is changed. What PVs assume is looked at
/// one by one; what is wrong comes with what to do.
#[derive(Debug, Args)]
#[command(name = "check", override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct CheckVolume {
    #[arg(value_name = "SERVERS:/VOLUME", required_unless_present = "file", help = VOLUME)]
    volume: Option<String>,
    /// The storages of a storage-config.yaml instead
    #[arg(short, long, env = "KADALU_FILE", value_name = "FILE", conflicts_with = "volume")]
    file: Option<PathBuf>,
    /// Only this one of them; NAMESPACE/NAME where several have the name
    #[arg(long, env = "KADALU_STORAGE", value_name = "NAME", conflicts_with = "volume")]
    storage: Option<String>,
    /// What is printed; with --watch and json, one object a line
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Do not ask for the state of the bricks, which takes the cluster's lock for the volume for a moment
    #[arg(long, env = "KADALU_NO_STATUS", value_parser = FalseyValueParser::new())]
    no_status: bool,
    /// What the sizes of its PVs are to be worth: required, best-effort or off
    #[arg(long, env = "KADALU_QUOTA", value_name = "POLICY")]
    quota: Option<QuotaPolicy>,
    /// The volume as a whole is to be one PV
    #[arg(long, env = "KADALU_SINGLE_PV_PER_POOL", value_parser = FalseyValueParser::new())]
    single_pv_per_pool: bool,
    /// Kinds of volumes that are permitted although sizes mean nothing there
    #[arg(long, env = "KADALU_ALLOW", value_name = "KIND", value_delimiter = ',')]
    allow: Vec<Allowed>,
    /// The socket of a kadalu mountd, through which each brick is mounted for a look at what kadalu quotad says there
    #[arg(long, env = "KADALU_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The glusterfs that will mount the volume, a path or a name
    #[arg(long, env = "KADALU_GLUSTERFS", value_name = "PROGRAM", default_value = "glusterfs")]
    glusterfs: PathBuf,
    #[arg(
        long,
        env = "KADALU_WATCH",
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10",
        value_parser = seconds,
        help = WATCH
    )]
    watch: Option<std::time::Duration>,
    #[command(flatten)]
    reaching: Reaching,
}

const USAGE: &str =
    "kadalu check [OPTIONS] <SERVERS:/VOLUME>\n       kadalu check [OPTIONS] -f <FILE> [--storage <NAME>]";

/// No doc comment: its brackets would be links.
const VOLUME: &str = "host[:port], a comma list of them, [IPv6]:port, or unix:/path, then the volume";

const WATCH: &str =
    "Go on, and look every so many seconds at what costs the cluster nothing; changes are printed";

const EXAMPLES: &str = "Examples:\n  \
    kadalu check g1,g2,g3:/vol                             all there is to know\n  \
    kadalu check g1:/vol --quota required --no-status      every size is to be enforced; no lock is taken\n  \
    kadalu check -f storage-config.yaml --format json      for a script; exit code 7 where something failed\n  \
    kadalu check g1:/vol --watch=5                         until it is stopped\n\n\
    Exit codes: 0 nothing failed, 7 something has, 2 usage, 6 the TLS files cannot be used.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Allowed {
    /// Files lie on one of several sets of bricks
    Distribute,
    /// Pieces of files lie outside of their directory
    Shard,
}

/// One volume that is to be looked at.
#[derive(Debug, Clone)]
struct Subject {
    /// Of the storage, where a file names it.
    storage: Option<String>,
    servers: Vec<ServerAddress>,
    volume: String,
    options: check::Options,
}

/// A report as it is printed.
#[derive(Debug, Serialize)]
struct Shown<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<&'r str>,
    /// The worst of all.
    outcome: Outcome,
    #[serde(flatten)]
    report: &'r Report,
}

impl CheckVolume {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let subjects = self.subjects().await?;
        let mut running = JoinSet::new();
        for (n, subject) in subjects.iter().cloned().enumerate() {
            let socket = self.socket.clone();
            running.spawn(async move { (n, look(&subject, socket).await) });
        }
        let mut reports = running.join_all().await;
        reports.sort_unstable_by_key(|(n, _)| *n);
        let reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
        if let Some(period) = self.watch {
            return watch::run(&subjects, reports, period, self.format).await;
        }
        let shown: Vec<_> = subjects.iter().zip(&reports).map(|(of, report)| of.shown(report)).collect();
        let text: Vec<_> =
            subjects.iter().zip(&reports).map(|(of, report)| table(of.name(), report)).collect();
        match (&shown[..], &self.file) {
            ([one], None) => self.format.print(one, &text.concat())?,
            (all, _) => self.format.print(&all, &text.join("\n"))?,
        }
        // How much of it failed is told above.
        let failed = subjects.iter().zip(&reports).filter(|(_, report)| report.outcome() == Outcome::Failed);
        let names: Vec<_> = failed.map(|(of, _)| output::shown(of.name())).collect();
        if names.is_empty() {
            return Ok(());
        }
        let message = format!("not fit for such PVs as it is: {}", names.join(", "));
        Err(Failure::new(Exit::CheckFailed, message))
    }

    async fn subjects(&self) -> Result<Vec<Subject>, Failure> {
        let installed = self.installed().await;
        let client = self.reaching.options()?;
        let subject = |storage: Option<String>, parameters: &Parameters| {
            let single = self.single_pv_per_pool.then_some(PvKind::Whole);
            let allowed = |kind| self.allow.contains(&kind);
            let allow = Allow {
                distribute: parameters.allow.distribute || allowed(Allowed::Distribute),
                shard: parameters.allow.shard || allowed(Allowed::Shard),
            };
            let options = check::Options {
                client: client.clone(),
                installed,
                kind: single.or(parameters.kind).unwrap_or_default(),
                allow,
                quota: self.quota.or(parameters.quota).unwrap_or_default(),
                status: !self.no_status,
            };
            let volume = parameters.volume.clone().unwrap_or_default();
            Subject { storage, servers: parameters.servers.clone(), volume, options }
        };
        let Some(file) = &self.file else {
            let source = Source::parse(self.volume.as_deref().unwrap_or_default())?;
            if !source.subdirectory.is_empty() {
                let message = format!("{source}: write SERVERS:/VOLUME; a directory of it is not checked");
                return Err(Failure::new(Exit::Usage, message));
            }
            let (servers, volume) = (source.servers, Some(source.volume));
            return Ok(vec![subject(None, &Parameters { servers, volume, ..Parameters::default() })]);
        };
        let storages = storage_file::storages(file)?;
        for storage in &storages {
            if let Storage::Foreign { name, kind } = storage
                && self.storage.as_ref().is_none_or(|wanted| wanted == name)
            {
                let (name, kind) = (shown(name), shown(kind));
                warn!(target: "kadalu", "{name} is of type {kind}, whose bricks kadalu runs itself: it is left out");
            }
        }
        let all = storage_file::external(storages);
        let wanted = |storage: &&_| {
            self.storage.as_ref().is_none_or(|wanted| storage_file::is_called(storage, wanted))
        };
        let subjects: Vec<_> = all
            .iter()
            .filter(wanted)
            .map(|storage| subject(Some(storage_file::label(storage, &all)), &storage.parameters))
            .collect();
        if subjects.is_empty() {
            let name = self.storage.as_deref().map(|name| format!(" of the name {:?}", shown(name)));
            let message = format!(
                "{}: there is no storage of type External{}",
                file.display(),
                name.unwrap_or_default()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(subjects)
    }

    /// The glusterfs of this machine, where there is one.
    async fn installed(&self) -> Option<Version> {
        let found = Installed::find(&self.glusterfs).await;
        let found = found.inspect_err(|error| tracing::debug!(%error, "no glusterfs"));
        found.ok().map(|installed| installed.version())
    }
}

impl Subject {
    fn shown<'r>(&'r self, report: &'r Report) -> Shown<'r> {
        Shown { storage: self.storage.as_deref(), outcome: report.outcome(), report }
    }

    fn name(&self) -> &str {
        self.storage.as_deref().unwrap_or(&self.volume)
    }
}

/// Looks at a volume, and at its bricks through a mount host where there is one.
async fn look(subject: &Subject, socket: Option<PathBuf>) -> Report {
    let mut report = check(&subject.servers, &subject.volume, &subject.options).await;
    if let (Some(socket), Some(kind)) = (socket, &report.facts.kind) {
        let bricks = enforced::bricks(kind);
        let seen = match Client::connect(&socket).await {
            Ok(host) => {
                let source = Source {
                    servers: subject.servers.clone(),
                    volume: subject.volume.clone(),
                    subdirectory: String::new(),
                };
                let mut mounted = Mounted::new(host, source);
                let seen = mounted.bricks(&bricks, [].into()).await;
                if let Err(failure) = mounted.end().await {
                    warn!(target: "kadalu", "{}", failure.message);
                }
                seen.map_err(|failure| failure.message)
            }
            Err(error) => Err(error.to_string()),
        };
        let seen = seen.unwrap_or_else(|why| bricks.iter().map(|_| Err(why.clone())).collect());
        let seen: Vec<_> = bricks.into_iter().zip(seen).collect();
        report.replace(quota_daemon(&seen, &subject.options, SystemTime::now()));
    }
    report
}
