use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use wait4::Wait4;

use crate::cli::Failure;

/// A command that was run to its end: how long it took and the most memory it had, in KiB.
pub(super) struct Finished {
    pub(super) time: Duration,
    pub(super) peak: u64,
}

/// Runs a command with its output thrown away, from the start of the process to its end.
pub(super) fn run<S: AsRef<OsStr>>(program: &OsStr, arguments: &[S]) -> Result<Finished, Failure> {
    let shown = program.to_string_lossy().into_owned();
    let start = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure::other(format_args!("cannot run {shown}"), error))?;
    let used = child.wait4().map_err(|error| Failure::other(format_args!("{shown} is lost"), error))?;
    if !used.status.success() {
        return Err(Failure::other(format_args!("{shown} failed"), used.status));
    }
    Ok(Finished { time: start.elapsed(), peak: used.rusage.maxrss >> 10 })
}

/// Our own binary.
pub(super) fn this_program() -> Result<std::ffi::OsString, Failure> {
    let path = std::env::current_exe().map_err(|error| Failure::other("cannot find this program", error))?;
    Ok(path.into_os_string())
}

/// A `kadalu volfile-server` on loopback, ended with this value.
pub(super) struct VolfileServer {
    child: Child,
    pub(super) port: u16,
}

impl VolfileServer {
    /// Serves a directory on a free port of 127.0.0.1.
    pub(super) fn start(directory: &std::path::Path) -> Result<Self, Failure> {
        let failed = |error| Failure::other("cannot start kadalu volfile-server", error);
        let mut child = Command::new(this_program()?)
            .args(["volfile-server", "--log-format", "json", "--listen", "127.0.0.1:0", "--dir"])
            .arg(directory)
            .env("RUST_LOG", "warn,kadalu=info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stderr = child.stderr.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        let mut lines = BufReader::new(stderr).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            line["fields"]["address"].as_str()?.rsplit_once(':')?.1.parse().ok()
        });
        // What it says from now on is shown, and its pipe never fills.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("volfile-server: {line}"))
        });
        match port {
            Some(port) => Ok(Self { child, port }),
            None => Err(Failure::other("kadalu volfile-server", "it did not start to listen")),
        }
    }

    /// The most memory it has had up to now, in KiB.
    pub(super) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }
}

impl Drop for VolfileServer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
