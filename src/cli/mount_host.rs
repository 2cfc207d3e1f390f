//! Where the mount host is, for the subcommands that ask it for something.

use std::path::{Path, PathBuf};

use clap::Args;
use glusterd_client::mount::control::Client;

use super::{Exit, Failure};

/// Where a mount host listens unless another place is given.
pub(crate) const SOCKET: &str = "/run/kadalu/mountd.sock";

/// Which mount host.
#[derive(Debug, Args)]
pub(crate) struct MountHost {
    /// The socket of kadalu mountd
    #[arg(long, env = "KADALU_SOCKET", value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

impl MountHost {
    /// Connects to it.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.socket).await?)
    }
}

/// A target as the host wants it: absolute, without a slash at its end. Nothing is looked up on the way, as a dead mount
/// could be there.
pub(crate) fn absolute(target: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(target)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("{target:?}: {error}")))?;
    Ok(absolute.components().collect())
}
