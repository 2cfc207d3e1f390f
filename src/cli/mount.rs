//! `kadalu mount`.

use std::{
    ffi::OsString,
    future::Future,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, Instant},
};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::mount::{
    self,
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
    storage_file::storage,
};

/// Mount a volume, or a directory of one, through kadalu mountd
///
/// It is there when this returns: I/O was tried. Targets of one volume with the same options share a glusterfs process.
/// The mount follows the volume, and outlives mountd.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = format!("{EXAMPLES}\n\nOptions of -o:\n{}", options::help()))]
pub(crate) struct Mount {
    #[arg(value_names = ["SERVERS:/VOLUME[/DIR]", "TARGET"], num_args = 1..=2, required = true, help = WORDS)]
    words: Vec<OsString>,
    /// Mount the volume of a KadaluStorage, from its servers and with its options; - for standard input
    #[arg(short, long, env = "KADALU_FILE", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which storage of the file, where it has more than one; NAMESPACE/NAME where several have the name
    #[arg(long, env = "KADALU_STORAGE", value_name = "NAME", requires = "file")]
    storage: Option<String>,
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

const USAGE: &str = "kadalu mount [OPTIONS] <SERVERS:/VOLUME[/DIR]> <TARGET>\n       \
    kadalu mount [OPTIONS] -f <FILE> [--storage <NAME>] <TARGET>";

/// No doc comment: its brackets would be links.
const WORDS: &str = "host[:port], a comma list of them, [IPv6]:port, or unix:/path; then the volume, and a directory of \
    it; not with -f. And where to mount it: a directory that exists";

const OPTIONS: &str = "Options of glusterfs, a comma list of NAME or NAME=VALUE; may be given again";

const EXAMPLES: &str = "Examples:\n  \
    kadalu mount g1,g2,g3:/vol /mnt                    a volume, by any of three servers\n  \
    kadalu mount g1:/vol/home/me /home/me              a directory of it\n  \
    kadalu mount g1:/vol /mnt -o acl,log-level=DEBUG   with options of glusterfs\n  \
    kadalu mount -f storage-config.yaml /mnt           what a storage of Kubernetes is on\n  \
    kadalu mount '[2001:db8::1]:24007:/vol' /mnt --read-only\n\n\
    Exit codes: see kadalu --help.";

/// Who waits for longer is told what for.
const SHORT: Duration = Duration::from_secs(1);

/// The most characters of a line that is rewritten in place: one that wraps would leave its first part behind.
const WIDTH: usize = 72;

impl Mount {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (Source { servers, volume, subdirectory }, mut options) = self.source()?;
        let target = absolute(self.target()?)?;
        let target = target.to_str().ok_or_else(|| {
            Failure::new(Exit::Usage, format_args!("{}: a target must be UTF-8", target.display()))
        })?;
        options.extend(self.options);
        let request = MountRequest {
            servers: servers.iter().map(ToString::to_string).collect(),
            volume,
            subdirectory,
            target: target.to_owned(),
            read_only: self.read_only,
            options,
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

    /// What is mounted, and the options that come with it.
    fn source(&self) -> Result<(Source, Vec<String>), Failure> {
        let usage = |error: mount::Error| Failure::new(Exit::Usage, error);
        match (&self.file, self.words.as_slice()) {
            (Some(file), [_]) => {
                let parameters = storage(file, self.storage.as_deref())?.parameters;
                let volume = parameters.volume.unwrap_or_default();
                let source = Source::new(parameters.servers, &volume, "").map_err(usage)?;
                let options = parameters.options.canonical();
                Ok((source, Some(options).filter(|options| !options.is_empty()).into_iter().collect()))
            }
            (None, [source, _]) => Ok((Source::parse(&source.to_string_lossy()).map_err(usage)?, Vec::new())),
            (Some(_), _) => Err(Failure::new(
                Exit::Usage,
                "the file of -f says what is mounted: give no more than <TARGET>",
            )),
            (None, _) => {
                let sentence = "give <SERVERS:/VOLUME> and <TARGET>, or -f <FILE> and <TARGET>";
                Err(Failure::new(Exit::Usage, sentence))
            }
        }
    }

    fn target(&self) -> Result<&Path, Failure> {
        let target = self.words.last().filter(|target| !target.is_empty()).map(Path::new);
        target.ok_or_else(|| Failure::new(Exit::Usage, "<TARGET> is missing"))
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    enum Words {
        Mount(Mount),
    }

    #[test]
    fn what_is_asked_of_the_host() {
        let of = |words: &[&str]| {
            let words = ["kadalu", "mount"].iter().chain(words).chain(&["/mnt"]);
            let Words::Mount(mount) =
                Words::try_parse_from(words).map_err(|error| error.to_string()).unwrap();
            let (source, options) = mount.source().unwrap();
            (source.to_string(), [options, mount.options].concat().join(";"))
        };
        let storages = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storages");
        let (rfc, nodes) = (format!("{storages}/rfc.yaml"), format!("{storages}/nodes.yaml"));
        // Where options stand does not matter.
        assert_eq!(of(&["g1:/vol/a", "-o", "acl"]), ("g1:24007:/vol/a".to_owned(), "acl".to_owned()));
        // Of options given twice the last one counts.
        assert_eq!(
            of(&["-f", &rfc, "-o", "log-level=INFO"]),
            ("node1:24007:/volume_name".to_owned(), "log-level=DEBUG;log-level=INFO".to_owned())
        );
        assert_eq!(
            of(&["--file", &nodes, "--storage", "nodes"]),
            ("g1:24008,g2:24008,g3:24007:/vol".to_owned(), String::new())
        );
    }
}
