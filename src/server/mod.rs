//! The volfile server: speaks glusterd's protocol to `glusterfs` processes and to our own client.
//!
//! It serves the volfiles that the embedding program gives it ([`Server::publish`]), or those of a directory
//! ([`Directory`]), and pushes FETCHSPEC to the connections that are concerned when one changes. A stock `glusterfs` mounts
//! from it over TCP and over a unix socket.
//!
//! ```
//! use glusterd_client::{client::{Cluster, Options}, server::{Limits, Server}, transport::{Listener, ServerAddress}};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(Limits::default());
//! server.publish("vol", "volume vol\n type debug/io-stats\n option log-level INFO\nend-volume\n")?;
//! let listener = Listener::tcp("127.0.0.1:0".parse()?)?;
//! let address = listener.local_addr().expect("a TCP listener has an address");
//! tokio::spawn({ let server = server.clone(); async move { server.serve(listener).await } });
//!
//! let cluster = Cluster::new([ServerAddress::tcp("127.0.0.1", address.port())?], Options::default());
//! assert!(cluster.fetch("vol").await?.text.starts_with(b"volume vol"));
//! # Ok(()) }
//! ```

mod answer;
mod connection;
mod directory;
mod volumes;

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};
use tracing::warn;

pub use connection::ConnectionInfo;
pub use directory::Directory;
pub use volumes::Refused;

use self::volumes::Volumes;
use crate::transport::{Listener, Stream};

/// Bounds of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time; one more is closed at once.
    pub connections: usize,
    /// Bytes that may wait for one connection before its calls are no longer read. A large volfile counts, though all
    /// connections share its bytes.
    pub waiting: usize,
    /// How long a connection may leave waiting bytes unread before it is closed.
    pub stalled: Duration,
    /// Bytes of the largest call taken; the longest GETSPEC of a stock client is below 1 KiB.
    pub call: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 10_000, waiting: 256 << 10, stalled: Duration::from_secs(60), call: 64 << 10 }
    }
}

/// A volfile server. Cheap to clone; all clones serve the same volumes.
#[derive(Debug, Clone)]
pub struct Server {
    volumes: Arc<Volumes>,
    limits: Limits,
    free: Arc<Semaphore>,
}

impl Server {
    /// A server without volumes.
    pub fn new(limits: Limits) -> Self {
        Self {
            volumes: Arc::default(),
            limits,
            free: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Serves `volfile` under the name `volume` from now on, and tells the connections that have fetched it, or nothing yet.
    /// Returns whether it differs from what was served; the same bytes again are not pushed.
    ///
    /// A volfile that glusterfs would refuse, half-load or execute is refused, and what was served before stays.
    pub fn publish(&self, volume: &str, volfile: impl AsRef<[u8]>) -> Result<bool, Refused> {
        self.volumes.publish(volume, volfile.as_ref())
    }

    /// Tells the connections that have fetched `volume` once more to fetch it again.
    pub fn notify(&self, volume: &str) {
        self.volumes.notify(volume);
    }

    /// Serves a volume no longer. As with glusterd, nobody is told; returns whether there was one.
    pub fn withdraw(&self, volume: &str) -> bool {
        self.volumes.withdraw(volume)
    }

    /// The names of the volumes served.
    pub fn volumes(&self) -> Vec<String> {
        self.volumes.names()
    }

    /// Who is connected, what they fetched last and with which op-versions.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.volumes.connections()
    }

    /// Accepts connections for ever; drop the future to stop listening. Connections go on until the runtime ends.
    pub async fn serve(&self, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.free.clone().try_acquire_owned() {
                    Ok(place) => {
                        let connection = connection::serve(stream, peer, self.volumes.clone(), self.limits);
                        tokio::spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                    Err(_) => {
                        warn!(?peer, limit = self.limits.connections, "too many connections: closed one more")
                    }
                },
                Err(error) => wait_after(&error).await,
            }
        }
    }

    /// Serves one connection that was made elsewhere, until it ends.
    pub async fn serve_stream(&self, stream: Stream, peer: crate::transport::PeerInfo) {
        connection::serve(stream, peer, self.volumes.clone(), self.limits).await;
    }
}

/// Too many open files and its like come again at once: wait until something may have been closed.
async fn wait_after(error: &io::Error) {
    warn!(%error, "cannot accept connections");
    sleep(Duration::from_millis(100)).await;
}
