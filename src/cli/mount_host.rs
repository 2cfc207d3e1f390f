//! Where the mount host is, for the subcommands that ask it for something.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use glusterd_client::mount::control::Client;

use super::{Exit, Failure};

/// Where a mount host listens unless another place is given.
pub(crate) const SOCKET: &str = "/run/kadalu/mountd.sock";

/// How long one that was started at this moment, or anew, takes to listen.
const STARTING: Duration = Duration::from_secs(3);

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

    /// Connects to it, also where it has not begun to listen yet.
    pub(crate) async fn connect_soon(&self) -> Result<Client, Failure> {
        let begun = Instant::now();
        loop {
            match self.connect().await {
                Err(failure) if failure.exit == Exit::NoHost && begun.elapsed() < STARTING => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A target as the host wants it: absolute, without a slash at its end. Nothing is looked up on the way, as a dead mount
/// could be there.
pub(crate) fn absolute(target: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(target)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("{target:?}: {error}")))?;
    Ok(absolute.components().collect())
}
