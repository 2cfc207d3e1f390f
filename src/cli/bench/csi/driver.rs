//! A driver of the bench's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use glusterd_client::{
    csi::generated::{ProbeRequest, identity_client::IdentityClient},
    mount::mountinfo::MountTable,
};
use tonic::transport::{Channel, Endpoint};

use super::{life::Life, unmount_below};
use crate::cli::{
    Failure,
    bench::{child::this_program, program::memory},
};

/// For it to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Driver {
    child: Child,
    channel: Channel,
    dir: PathBuf,
    servers: String,
    volume: String,
}

impl Driver {
    pub(super) async fn start(dir: &Path, servers: &str, volume: &str) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::other("the bench's own driver", error);
        let endpoint = format!("unix://{}/csi.sock", dir.display());
        let log = fs::File::create(dir.join("log")).map_err(|error| failed(&error))?;
        let mut child = Command::new(this_program()?)
            .args(["csi", "--mode", "all", "--node-id", "bench", "--endpoint", &endpoint, "--state-dir"])
            .arg(dir.join("state"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| failed(&error))?;
        let channel = Endpoint::from_shared(endpoint).map_err(|error| failed(&error))?.connect_lazy();
        let mut identity = IdentityClient::new(channel.clone());
        let began = Instant::now();
        loop {
            let status = match identity.probe(ProbeRequest {}).await {
                Ok(reply) if reply.get_ref().ready.is_none_or(|ready| ready) => break,
                Ok(_) => "it is not ready".to_owned(),
                Err(status) => status.message().to_owned(),
            };
            if began.elapsed() > PATIENCE || !matches!(child.try_wait(), Ok(None)) {
                let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
                let _ = child.kill();
                return Err(failed(&format_args!("{status}\n{log}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (servers, volume) = (servers.to_owned(), volume.to_owned());
        Ok(Self { child, channel, dir: dir.to_owned(), servers, volume })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn life(&self, name: &str) -> Life {
        Life::new(self.channel.clone(), &self.dir, name, &self.servers, &self.volume)
    }

    /// Where the controller has the pool's root.
    pub(super) fn pool(&self) -> Result<PathBuf, Failure> {
        let roots = self.dir.join("state/mnt");
        let table = MountTable::read().map_err(|error| Failure::other("cannot read mountinfo", error))?;
        let root = table.entries().iter().find(|entry| entry.mount_point.parent() == Some(&roots));
        root.map(|entry| entry.mount_point.clone()).ok_or_else(|| {
            Failure::other("the pool's root", format_args!("nothing is mounted in {}", roots.display()))
        })
    }

    /// In KiB.
    pub(super) fn memory(&self) -> u64 {
        memory(self.child.id())
    }

    /// The glusterfs processes of its state directory.
    pub(super) fn processes(&self) -> usize {
        self.pids().len()
    }

    fn pids(&self) -> Vec<i32> {
        let state = self.dir.join("state");
        let needle = state.as_os_str().as_encoded_bytes();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"glusterfs") && line.windows(needle.len()).any(|part| part == needle)
        })
        .collect()
    }

    /// Ends it, and all that it has mounted.
    pub(super) fn stop(mut self, dir: &Path) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.pids().into_iter().filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        unmount_below(dir);
        if let Err(error) = fs::remove_dir_all(dir) {
            tracing::warn!(target: "kadalu", dir = %dir.display(), %error, "left behind");
        }
    }
}
