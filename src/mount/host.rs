//! A stand-in until the mount host is there: it mounts nothing.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

use super::{Error, Reason, generated};
use crate::client;

/// How a mount host works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it keeps its state.
    pub state_dir: PathBuf,
    /// The program.
    pub glusterfs: PathBuf,
    /// How to reach clusters.
    pub client: client::Options,
    /// The command of the helper.
    pub helper: Vec<OsString>,
    /// Between probes of a mount.
    pub probe_interval: Duration,
    /// The time for one probe.
    pub probe_deadline: Duration,
    /// Time until I/O must work.
    pub mount_timeout: Duration,
}

impl Config {
    /// The defaults.
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            glusterfs: "glusterfs".into(),
            client: client::Options::default(),
            helper: vec!["/proc/self/exe".into(), "mount-helper".into()],
            probe_interval: Duration::from_secs(5),
            probe_deadline: Duration::from_secs(5),
            mount_timeout: Duration::from_secs(45),
        }
    }
}

/// The mount host.
#[derive(Debug, Clone)]
pub struct Host;

impl Host {
    /// Adopts what runs, starts serving volfiles.
    pub async fn start(_config: Config) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Mounts.
    pub async fn mount(
        &self,
        _request: generated::MountRequest,
        progress: UnboundedSender<String>,
    ) -> Result<generated::Mounted, Error> {
        let _ = progress.send("waiting".to_owned());
        Err(Error::new(Reason::Machine, "this mount host is a stand-in"))
    }

    /// Unmounts.
    pub async fn unmount(&self, target: &Path, _lazy: bool) -> Result<(), Error> {
        Err(Error::new(Reason::NotMounted, format_args!("{} is not mounted by this host", target.display())))
    }

    /// What is mounted.
    pub fn list(&self) -> generated::ListReply {
        generated::ListReply::default()
    }

    /// Replaces.
    pub async fn replace(&self, target: &Path) -> Result<i32, Error> {
        Err(Error::new(Reason::NotMounted, format_args!("{} is not mounted by this host", target.display())))
    }

    /// Accepts.
    pub async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
        Err(Error::new(Reason::NoSuchVolume, format_args!("{volume}: no such volume")))
    }

    /// Stops.
    pub async fn stop(&self, _unmount: bool) {}
}
