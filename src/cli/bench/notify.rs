use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{child, raw::Raw, stats::Times};
use crate::cli::{
    Failure, output,
    servers::{Connecting, Target},
};

/// Time the way from glusterd's answer with a new volfile to the printed change
///
/// Runs a command that changes the volume, N times. Beside `kadalu volfile-get --watch` there is a floor client: a raw
/// socket that fetches at each FETCHSPEC and notes when the answer with the new volfile could be read.
///
/// Example: kadalu bench notify g1 vol --change 'gluster volume set vol network.ping-timeout {}'
#[derive(Debug, Args)]
pub(crate) struct NotifyBench {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connecting: Connecting,
    /// A shell command that changes the volfile; {} in it is another number each time
    #[arg(long, env = "KADALU_CHANGE", value_name = "COMMAND")]
    change: String,
    /// How many changes
    #[arg(long, env = "KADALU_COUNT", value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl NotifyBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (servers, volume) = self.target.parse()?;
        // Both must be notified by the same server.
        let [server, ..] = &servers[..] else { return Ok(()) };
        let cluster = glusterd_client::client::Cluster::new([server.clone()], self.connecting.options()?);
        cluster.fetch(&volume).await?;

        let floor = floor(Raw::connect(server, &volume)?)?;
        let (watcher, changes) = watcher(&server.to_string(), &volume)?;
        let late =
            |_| Failure::other("the change", format_args!("nothing was seen of it within {PATIENCE:?}"));
        // The first volfile.
        changes.recv_timeout(PATIENCE).map_err(late)?;
        let mut delays = Vec::new();
        let mut sooner = 0;
        for n in 0..self.count {
            let command = self.change.replace("{}", &(20 + n).to_string());
            let status = Command::new("sh").args(["-c", &command]).stdout(Stdio::null()).status();
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(Failure::other(format_args!("{command:?}"), status)),
                Err(error) => return Err(Failure::other("cannot run sh", error)),
            }
            let readable = floor.recv_timeout(PATIENCE).map_err(late)?;
            let printed = changes.recv_timeout(PATIENCE).map_err(late)?;
            sooner += u32::from(printed < readable);
            delays.push(printed.saturating_duration_since(readable));
        }
        drop(watcher);
        let text = format!(
            "volume {volume}, {} changes: printed after the floor client could read the answer\n  {}   most {:.3} ms   \
             before it {sooner} times\n",
            self.count,
            Times::new(delays.clone()),
            Times::new(delays).percentile(1.0).as_secs_f64() * 1e3,
        );
        output::print(text.as_bytes())
    }
}

/// A thread that fetches at each notification; sends the moment at which each new volfile was there.
fn floor(mut raw: Raw) -> Result<mpsc::Receiver<Instant>, Failure> {
    let failed = |error| Failure::other("the floor client", error);
    let mut last = raw.fetch().map_err(failed)?[28..].to_vec();
    let (moments, receiver) = mpsc::channel();
    thread::spawn(move || {
        loop {
            match raw.notification() {
                Ok(()) => {}
                // Nothing happened for a minute: the read timeout.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            let Ok(record) = raw.fetch() else { return };
            let now = Instant::now();
            // Behind the header: the same results are the same volfile.
            if record[28..] != last[..] {
                last = record[28..].to_vec();
                if moments.send(now).is_err() {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}

/// Ends the watching process.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `kadalu volfile-get --watch`; sends the moment at which each volfile's line could be read.
fn watcher(server: &str, volume: &str) -> Result<(Watcher, mpsc::Receiver<Instant>), Failure> {
    let failed = |error| Failure::other("cannot run kadalu volfile-get", error);
    let mut child = Command::new(child::this_program()?)
        .args(["volfile-get", server, volume, "--watch", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
    let (moments, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let now = Instant::now();
            if (line.contains("\"initial\"") || line.contains("\"changed\"")) && moments.send(now).is_err() {
                return;
            }
        }
    });
    Ok((Watcher(child), receiver))
}
