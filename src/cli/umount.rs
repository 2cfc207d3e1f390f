//! `kadalu umount`.

use std::path::PathBuf;

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::mount::control::Mounts;

use super::{
    Failure,
    mount_host::{MountHost, absolute},
};

/// Unmount what kadalu mount mounted
///
/// The last target of a volume takes its glusterfs process along.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Umount {
    /// Where it is mounted
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// Also while files are open there: they stay usable until they are closed
    #[arg(long, env = "KADALU_LAZY", value_parser = FalseyValueParser::new())]
    lazy: bool,
    #[command(flatten)]
    host: MountHost,
}

const EXAMPLES: &str = "Examples:\n  \
    kadalu umount /mnt\n  \
    kadalu umount --lazy /mnt  while files are open there\n\n\
    Exit codes: see kadalu --help.";

impl Umount {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let target = absolute(&self.target)?;
        Ok(self.host.connect().await?.unmount(&target, self.lazy).await?)
    }
}
