//! A glusterfs process: started into a life of its own, found again, told from others, ended.

use std::{
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{net::unix::pipe, process::Command, time::timeout};

use super::{file::read_bounded, store::StoredProcess};

/// Under this name the environment of a glusterfs says what it is for, as the JSON of a `StoredPool`.
pub(super) const ENVIRONMENT: &str = "KADALU_POOL";

/// How a glusterfs is started.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) mount: PathBuf,
    pub(super) pid_file: PathBuf,
    /// For [`ENVIRONMENT`].
    pub(super) pool: String,
    pub(super) number: u32,
    pub(super) version: String,
}

/// A glusterfs that did not start.
#[derive(Debug)]
pub(super) enum StartError {
    /// The program cannot be run.
    Run(io::Error),
    /// It ended by itself.
    Ended(ExitStatus),
    /// It has not said in time that the mount is made.
    TimedOut,
    /// It says that it runs, but there is no such process.
    Lost,
}

/// A glusterfs that runs, or has ended and not been replaced yet.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) number: u32,
    pub(super) mount: PathBuf,
    pub(super) version: String,
    start_ticks: u64,
    started: SystemTime,
    /// Readable when the process has ended.
    ended: pipe::Receiver,
}

impl Process {
    /// Starts a glusterfs and waits until it has made its mount. It becomes a daemon in a session of its own, so that it lives
    /// on without us.
    pub(super) async fn start(launch: &Launch, within: Duration) -> Result<Self, StartError> {
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .arg(&launch.mount)
            .env(ENVIRONMENT, &launch.pool)
            // Those of systemd are about us.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        // One of an earlier process would name a stranger.
        match fs::remove_file(&launch.pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StartError::Run(error)),
            _ => {}
        }
        let mut child = command.spawn().map_err(StartError::Run)?;
        match timeout(within, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => return Err(StartError::Ended(status)),
            Ok(Err(error)) => return Err(StartError::Run(error)),
            Err(_) => {
                // The daemon too, whose number is in the file by now.
                if let Ok(process) = Self::of_pid_file(launch) {
                    process.signal(Signal::KILL);
                }
                let _ = child.start_kill();
                return Err(StartError::TimedOut);
            }
        }
        Self::of_pid_file(launch).map_err(|_| StartError::Lost)
    }

    fn of_pid_file(launch: &Launch) -> io::Result<Self> {
        let text = fs::read_to_string(&launch.pid_file)?;
        let pid = text.trim().parse().map_err(io::Error::other)?;
        let stored = StoredProcess {
            pid,
            start_ticks: start_ticks(pid)?,
            number: launch.number,
            version: launch.version.clone(),
            volume: None,
        };
        Self::open(stored, launch.mount.clone())
    }

    /// A process that was started before; an error where it has ended, or where its number belongs to another by now.
    pub(super) fn open(stored: StoredProcess, mount: PathBuf) -> io::Result<Self> {
        let StoredProcess { pid, start_ticks: ticks, number, version, .. } = stored;
        let handle = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let ended: OwnedFd = pidfd_open(handle, PidfdFlags::NONBLOCK)?;
        // Looked at while we hold it: it is this one or none.
        if start_ticks(pid)? != ticks || has_ended(pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let ended = pipe::Receiver::from_owned_fd_unchecked(ended)?;
        Ok(Self { pid, number, mount, version, start_ticks: ticks, started: started(ticks), ended })
    }

    /// A process that runs, of which only the number is known.
    pub(super) fn find(pid: i32, number: u32, mount: PathBuf) -> io::Result<Self> {
        let told = told(pid).and_then(|told| serde_json::from_str::<serde_json::Value>(&told).ok());
        let version = told.and_then(|told| told["process"]["version"].as_str().map(str::to_owned));
        let version = version.unwrap_or_default();
        let start_ticks = start_ticks(pid)?;
        Self::open(StoredProcess { pid, start_ticks, number, version, volume: None }, mount)
    }

    /// Its entry in the state, where it serves this volume.
    pub(super) fn stored(&self, volume: Option<String>) -> StoredProcess {
        let (pid, start_ticks, number) = (self.pid, self.start_ticks, self.number);
        StoredProcess { pid, start_ticks, number, version: self.version.clone(), volume }
    }

    /// When it was started.
    pub(super) fn started(&self) -> SystemTime {
        self.started
    }

    /// Returns when it has ended. Cancel safe.
    pub(super) async fn ended(&self) {
        // A pidfd is readable from the end of its process on; an error means the end of the runtime.
        let _ = self.ended.readable().await;
    }

    /// Ready when it has ended; wakes the last task that has asked.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.ended.poll_read_ready(context).map(drop)
    }

    /// Sends it a signal; one that has ended gets none.
    pub(super) fn signal(&self, signal: Signal) {
        use std::os::fd::AsFd;
        let _ = pidfd_send_signal(self.ended.as_fd(), signal);
    }

    /// The memory that it has in use, in bytes; 0 where it has ended.
    pub(super) fn memory(&self) -> u64 {
        memory(self.pid)
    }
}

/// The resident memory of a process, in bytes.
pub(super) fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = size.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// The fields of `/proc/PID/stat` from the third on; the second is the program's name, which may hold anything.
fn stat(pid: i32) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = text.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?.1;
    Ok(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

/// When a process was started, in clock ticks since the machine's start.
pub(super) fn start_ticks(pid: i32) -> io::Result<u64> {
    let field = stat(pid)?.get(19).and_then(|ticks| ticks.parse().ok());
    field.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A zombie has ended too: whose child it is does not matter.
fn has_ended(pid: i32) -> bool {
    stat(pid).map_or(true, |fields| matches!(fields.first().map(String::as_str), Some("Z" | "X") | None))
}

fn started(ticks: u64) -> SystemTime {
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let since = Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second());
    SystemTime::UNIX_EPOCH + Duration::from_secs(boot.unwrap_or(0)) + since
}

/// What a running process was told by its environment, for one whose state is lost.
///
/// Anybody can say anything there: only processes of our own user are believed.
pub(super) fn told(pid: i32) -> Option<String> {
    let owner = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return None;
    }
    let environment = read_bounded(Path::new(&format!("/proc/{pid}/environ")), 1 << 20).ok()?;
    let told = environment.split(|byte| *byte == 0).find_map(|entry| {
        entry.strip_prefix(ENVIRONMENT.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
    })?;
    String::from_utf8(told).ok()
}

/// The processes that serve a FUSE mount at `mount`, by their command lines: glusterfs has it as its last argument.
pub(super) fn serving(mount: &Path) -> Vec<i32> {
    use std::os::unix::ffi::OsStrExt;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let line = read_bounded(Path::new(&format!("/proc/{pid}/cmdline")), 1 << 20).unwrap_or_default();
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        line.rsplit(|byte| *byte == 0).next() == Some(mount.as_os_str().as_bytes())
            && told(*pid).is_some()
            && !has_ended(*pid)
    })
    .collect()
}
