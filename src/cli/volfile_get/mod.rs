//! `kadalu volfile-get`.

mod against;
mod check;
mod pool;
mod show;
mod watch;

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::FalseyValueParser};
use glusterd_client::{
    client::{Cluster, Kind, NoVolfile},
    volfile::faults,
};

use super::{
    Exit, Failure, output,
    servers::{Connecting, Target},
};

/// Fetch a volume's client volfile from its cluster, and follow it
///
/// Prints the volfile's bytes exactly as served; the first server that serves it is enough.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VolfileGet {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connecting: Connecting,
    /// What is printed; with --watch, --diff, --check and --servers: json, or else words
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "raw")]
    format: Format,
    /// Write to FILE instead, at one moment and readable by its owner only; with --watch, keep FILE at the current volfile
    #[arg(short, long, env = "KADALU_OUTPUT", value_name = "FILE", conflicts_with_all = ["diff", "list_servers", "check"])]
    output: Option<PathBuf>,
    /// Ask for this key instead of the volume's name, such as shd/VOLUME or VOLUME.tcp-fuse
    #[arg(long, env = "KADALU_KEY", value_name = "KEY")]
    key: Option<String>,
    /// Show each RPC frame, decoded, on standard error
    #[arg(long, env = "KADALU_TRACE", value_parser = FalseyValueParser::new())]
    pub(crate) trace: bool,
    /// Go on, and print each change; with --format json one object a line
    #[arg(long, env = "KADALU_WATCH", value_parser = FalseyValueParser::new(), conflicts_with_all = ["diff", "list_servers", "check"])]
    watch: bool,
    /// Seconds between looks at a watched volume that nobody announced a change of
    #[arg(long, env = "KADALU_POLL", value_name = "SECONDS", requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    poll: Option<u32>,
    /// Print how the volfile differs from this file, or from the one that is mounted there
    #[arg(long, env = "KADALU_DIFF", value_name = "FILE|MOUNTPOINT", conflicts_with_all = ["list_servers", "check"])]
    diff: Option<PathBuf>,
    /// Print who else serves this cluster
    #[arg(long = "servers", id = "list_servers", env = "KADALU_LIST_SERVERS", value_parser = FalseyValueParser::new(), conflicts_with = "check")]
    list_servers: bool,
    /// Print what the volume is and what is wrong with it
    #[arg(long, env = "KADALU_CHECK", value_parser = FalseyValueParser::new())]
    check: bool,
}

const EXAMPLES: &str = "Examples:\n  \
    kadalu volfile-get g1,g2,g3:/vol                        the volfile, byte for byte\n  \
    kadalu volfile-get g1,g2,g3 vol --watch                 follow it, in words\n  \
    kadalu volfile-get g1 vol --watch --format json         follow it, for a script\n  \
    kadalu volfile-get g1 vol --format tree                 its translators\n  \
    kadalu volfile-get g1 vol --diff /mnt                   against what is mounted at /mnt\n  \
    kadalu volfile-get g1 vol --check                       what kind of volume, and is it well\n  \
    kadalu volfile-get g1 vol -o vol.vol                    into a file, at one moment\n  \
    kadalu volfile-get unix:/run/volfiles.sock vol --trace  each RPC frame, decoded\n\n\
    Exit codes: see kadalu --help.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The volfile's bytes
    Raw,
    /// An object, credentials left out
    Json,
    /// The translators from the top down
    Tree,
    /// For Graphviz
    Dot,
    /// sha256:… of the bytes
    Digest,
}

impl VolfileGet {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut options = self.connecting.options()?;
        if self.list_servers {
            return pool::run(&Cluster::new(self.target.servers()?, options), self.format).await;
        }
        // The time is for each reply of a watch, and for the whole of a fetch: the other one must not end before.
        match self.watch {
            true => options.fetch = options.reply * 2,
            false => options.reply = options.fetch * 2,
        }
        let (servers, volume) = self.target.parse()?;
        let key = self.key.clone().unwrap_or_else(|| volume.clone());
        if let Some(poll) = self.poll {
            options.poll = std::time::Duration::from_secs(poll.into());
        }
        let cluster = Cluster::new(servers, options);
        if self.watch {
            return watch::run(&cluster, &volume, &key, self.format, self.output.as_deref()).await;
        }
        let fetched = cluster.fetch(&key).await?;
        if let Some(path) = &self.diff {
            return against::run(path, &fetched.text, self.format).await;
        }
        if self.check {
            return check::run(&volume, &fetched, self.format);
        }
        let shown = show::show(self.format, &volume, &fetched)?;
        let faults = faults(&fetched.text);
        match &self.output {
            // What may be loaded from there stays loadable.
            Some(path) if faults.is_empty() => output::replace(path, &shown)?,
            Some(_) => {}
            None => output::print(&shown)?,
        }
        if faults.is_empty() { Ok(()) } else { Err(invalid(&faults)) }
    }
}

/// A volfile that no glusterfs may be given.
fn invalid(faults: &[String]) -> Failure {
    Failure::new(Exit::InvalidVolfile, format_args!("invalid volfile:\n  {}", faults.join("\n  ")))
}

/// Why a watch that has not begun cannot.
fn cannot_begin(error: &NoVolfile) -> Option<Failure> {
    // A cluster whose servers disagree may agree in a moment.
    (error.kind() != Kind::Other).then(|| error.clone().into())
}
