//! The control interface of a mount host: gRPC on a private unix socket, both ends.
//!
//! [`serve`] lets root, and the user that it runs as, use a host; [`Client`] is the other end. Both ends are [`Mounts`],
//! so that what mounts volumes need not know whether the host is in its own process.

mod client;
mod graceful;
mod incoming;
mod server;
mod status;
#[cfg(test)]
mod tests;

use std::{future::Future, path::Path, time::Duration};

pub use client::Client;
pub(crate) use graceful::graceful;
pub(crate) use incoming::incoming;
pub use server::serve;
pub(crate) use status::{code, cut};
use tokio::sync::mpsc::UnboundedSender;

use super::{Error, Host, generated};

/// What can mount volumes: a [`Host`] of this process, or one behind a socket.
pub trait Mounts: Clone + Send + Sync + 'static {
    /// Mounts a volume, or a directory of one; what is being waited for goes to `progress`, for people.
    ///
    /// The same request again, for a target that is mounted so already, succeeds at once.
    fn mount(
        &self,
        request: generated::MountRequest,
        progress: UnboundedSender<String>,
    ) -> impl Future<Output = Result<generated::Mounted, Error>> + Send;

    /// Unmounts a target; `lazy`: also while files are open there.
    fn unmount(&self, target: &Path, lazy: bool) -> impl Future<Output = Result<(), Error>> + Send;

    /// What is mounted and how it is.
    fn list(&self) -> impl Future<Output = Result<generated::ListReply, Error>> + Send;

    /// How full it is at `target`, and how the process is that serves it. A volume that has not answered `within` this time
    /// is no error, but [`generated::Usage::trouble`].
    fn usage(
        &self,
        target: &Path,
        within: Duration,
    ) -> impl Future<Output = Result<generated::Usage, Error>> + Send;

    /// Moves the targets of the process that serves `target` to a fresh one, and says its process id.
    fn replace(&self, target: &Path) -> impl Future<Output = Result<i32, Error>> + Send;

    /// Goes over to the volume that has taken the place of `volume`, a name or a key, and says its id.
    fn accept_replaced(&self, volume: &str) -> impl Future<Output = Result<String, Error>> + Send;
}

impl Mounts for Host {
    async fn mount(
        &self,
        request: generated::MountRequest,
        progress: UnboundedSender<String>,
    ) -> Result<generated::Mounted, Error> {
        Self::mount(self, request, progress).await
    }

    async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), Error> {
        Self::unmount(self, target, lazy).await
    }

    async fn list(&self) -> Result<generated::ListReply, Error> {
        Ok(Self::list(self))
    }

    async fn usage(&self, target: &Path, within: Duration) -> Result<generated::Usage, Error> {
        Self::usage(self, target, within).await
    }

    async fn replace(&self, target: &Path) -> Result<i32, Error> {
        Self::replace(self, target).await
    }

    async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
        Self::accept_replaced(self, volume).await
    }
}
