//! `kadalu mount`.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::mount::{
    control::Mounts,
    generated::{MountRequest, Mounted},
    options,
    source::Source,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    Exit, Failure,
    mount_host::{MountHost, absolute},
    servers::seconds,
};

/// Mount a volume, or a directory of one, through kadalu mountd
///
/// It is there when this returns: I/O was tried. Targets of one volume with the same options share a glusterfs process.
/// The mount follows the volume, and outlives mountd.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\nOptions of -o:\n{}", options::help()))]
pub(crate) struct Mount {
    #[arg(value_name = "SERVERS:/VOLUME[/DIR]", help = SOURCE)]
    source: String,
    /// A directory that exists
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    #[arg(short, long, env = "KADALU_MOUNT_OPTIONS", value_name = "OPTIONS", help = OPTIONS)]
    options: Vec<String>,
    /// Nothing can be written through this target
    #[arg(long, env = "KADALU_READ_ONLY", value_parser = FalseyValueParser::new())]
    read_only: bool,
    /// Seconds until I/O must work; without it, as long as mountd thinks fit
    #[arg(long, env = "KADALU_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    host: MountHost,
}

/// No doc comment: its brackets would be links.
const SOURCE: &str =
    "host[:port], a comma list of them, [IPv6]:port, or unix:/path; then the volume, and a directory of it";

const OPTIONS: &str = "Options of glusterfs, a comma list of NAME or NAME=VALUE; may be given again";

const EXAMPLES: &str = "Examples:\n  \
    kadalu mount g1,g2,g3:/vol /mnt                    a volume, by any of three servers\n  \
    kadalu mount g1:/vol/home/me /home/me              a directory of it\n  \
    kadalu mount g1:/vol /mnt -o acl,log-level=DEBUG   with options of glusterfs\n  \
    kadalu mount '[2001:db8::1]:24007:/vol' /mnt --read-only\n\n\
    Exit codes: see kadalu --help.";

/// Who waits for longer is told what for.
const SHORT: Duration = Duration::from_secs(1);

/// The most characters of a line that is rewritten in place: one that wraps would leave its first part behind.
const WIDTH: usize = 72;

impl Mount {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let Source { servers, volume, subdirectory } =
            Source::parse(&self.source).map_err(|error| Failure::new(Exit::Usage, error))?;
        let target = absolute(&self.target)?;
        let target = target.to_str().ok_or_else(|| {
            Failure::new(Exit::Usage, format_args!("{}: a target must be UTF-8", target.display()))
        })?;
        let request = MountRequest {
            servers: servers.iter().map(ToString::to_string).collect(),
            volume,
            subdirectory,
            target: target.to_owned(),
            read_only: self.read_only,
            options: self.options,
            // Up to a day; a part of a second is one, as 0 is no time given.
            timeout_seconds: self.timeout.map_or(0, |timeout| timeout.as_secs_f64().ceil() as u32),
        };
        let host = self.host.connect_soon().await?;
        let (progress, lines) = mpsc::unbounded_channel();
        let mounting = host.mount(request, progress);
        let mounted = match io::stderr().is_terminal() {
            true => shown(mounting, lines).await,
            false => mounting.await,
        }?;
        tell(&mounted);
        Ok(())
    }
}

/// Waits for a mount and shows, each second, what it waits for: one line, rewritten in place, gone at the end.
async fn shown<T>(mounting: impl Future<Output = T>, mut lines: UnboundedReceiver<String>) -> T {
    let started = Instant::now();
    let mut mounting = pin!(mounting);
    let (mut line, mut there) = ("waiting for mountd".to_owned(), false);
    let mut every = tokio::time::interval_at((started + SHORT).into(), SHORT);
    let mut stderr = io::stderr();
    // Who cannot be told is not.
    let outcome = loop {
        tokio::select! {
            outcome = &mut mounting => break outcome,
            Some(next) = lines.recv() => line = next,
            _ = every.tick() => {
                let text = line.chars().filter(|char| !char.is_control()).take(WIDTH).collect::<String>();
                let _ = write!(stderr, "\r\x1b[K{text} {} s", started.elapsed().as_secs());
                there = true;
            }
        }
    };
    if there {
        let _ = write!(stderr, "\r\x1b[K");
    }
    outcome
}

/// Says what the user should know, on standard error.
fn tell(mounted: &Mounted) {
    let offline = mounted.offline.then(|| {
        format!(
            "{}: no server is reachable; mounted from the last good volfile, and it goes back to the cluster's by itself",
            mounted.target
        )
    });
    for line in offline.iter().chain(&mounted.warnings) {
        // Nobody reading any more does not undo the mount.
        let _ = writeln!(io::stderr(), "kadalu: {line}");
    }
}
