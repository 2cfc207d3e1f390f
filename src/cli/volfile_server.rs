//! `kadalu volfile-server`.

use std::path::PathBuf;

use clap::Args;
use glusterd_client::{
    server::{Directory, Limits, Server},
    transport::{AddressError, Listener, ServerAddress},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::Failure;

/// Serve the volfiles of a directory as a glusterd does
///
/// DIR/VOLUME.vol is served as VOLUME. When a file changes, the clients that fetched it are told (FETCHSPEC) and fetch it
/// again; a file that glusterfs would refuse is not served, and the last good one stays. Replace files by rename.
///
/// Example: kadalu volfile-server --listen unix:/run/volfiles.sock --dir /etc/volfiles
///
/// Then: glusterfs --volfile-server=/run/volfiles.sock --volfile-server-transport=unix --volfile-id=VOLUME /mnt
#[derive(Debug, Args)]
pub(crate) struct VolfileServer {
    #[arg(long, env = "KADALU_LISTEN", value_name = "ADDR", value_parser = listen_address, help = LISTEN)]
    listen: ServerAddress,
    /// The directory
    #[arg(long, env = "KADALU_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Connections at one time
    #[arg(long, env = "KADALU_MAX_CONNECTIONS", value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
}

impl VolfileServer {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        raise_open_files();
        let server = Server::new(Limits { connections: self.max_connections, ..Limits::default() });
        let directory = Directory::open(&self.dir, server.clone())
            .map_err(|error| Failure::other(format_args!("cannot serve {}", self.dir.display()), error))?;
        let listener = Listener::bind(&self.listen)
            .await
            .map_err(|error| Failure::other(format_args!("cannot listen on {}", self.listen), error))?;
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| Failure::other("cannot wait for SIGTERM", error))?;
        let address =
            listener.local_addr().map_or_else(|| self.listen.to_string(), |address| address.to_string());
        info!(target: "kadalu", %address, volumes = server.volumes().join(" "), "listening");
        tokio::select! {
            () = server.serve(listener) => {}
            () = directory.follow() => {}
            _ = terminate.recv() => info!(target: "kadalu", "SIGTERM"),
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    }
}

/// No doc comment: its brackets would be links.
const LISTEN: &str =
    "host:port, [IPv6]:port (which takes IPv4 too, for [::]), or unix:/path; port 0 is any free one";

/// A server's address, or one with port 0, which no server can be reached at.
pub(crate) fn listen_address(text: &str) -> Result<ServerAddress, AddressError> {
    match text.strip_suffix(":0").map(str::parse) {
        Some(Ok(ServerAddress::Tcp { host, .. })) => Ok(ServerAddress::Tcp { host, port: 0 }),
        _ => text.parse(),
    }
}

/// Listens there, where that is asked for.
pub(crate) async fn listen_at(address: Option<&ServerAddress>) -> Result<Option<Listener>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let bound = Listener::bind(address).await;
    bound.map(Some).map_err(|error| Failure::other(format_args!("cannot listen on {address}"), error))
}

/// Lets the process have as many open files as it is allowed at the most: each connection is one.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it the server holds fewer connections, and says so when it meets the limit.
    let _ = setrlimit(Resource::Nofile, limit);
}
