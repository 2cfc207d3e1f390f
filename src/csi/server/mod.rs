//! The services behind their socket.

mod call;
mod dispatch;
mod endpoint;
#[cfg(test)]
mod tests;

use std::{future::Future, io, time::Duration};

use tonic::transport::Server;

pub(super) use self::call::{Deadline, about};
use self::dispatch::Dispatch;
pub use self::endpoint::Endpoint;
use super::generated::{
    controller_server::{Controller, ControllerServer},
    identity_server::{Identity, IdentityServer},
    node_server::{Node, NodeServer},
};
use crate::{
    mount::control::{graceful, incoming},
    transport::Listener,
};

/// Connections at one time; more wait. There is one from each sidecar and from the kubelet.
const CONNECTIONS: usize = 64;

/// Calls at one time on one connection.
const STREAMS: u32 = 256;

/// The most bytes of a request: maps of 4 KiB and secrets of 1 MiB by CSI's rule.
const MAX_REQUEST: usize = 2 * 1024 * 1024;

/// The most bytes of the headers of a request.
const MAX_HEADERS: u32 = 16 * 1024;

/// The time that calls have to end after `shutdown`.
const GRACE: Duration = Duration::from_secs(5);

/// What is served. A service that is absent is `UNIMPLEMENTED`.
#[derive(Debug)]
pub struct Services<I, C, N> {
    /// In every mode.
    pub identity: I,
    /// Where volumes are made.
    pub controller: Option<C>,
    /// Where volumes are used.
    pub node: Option<N>,
}

/// Serves until `shutdown`, and a moment longer for calls that are being answered.
///
/// Each call gets a line in the log: its method, its volume, its code and how long it took; never what it carried. A call
/// that has not ended by its `grpc-timeout` is answered with `DEADLINE_EXCEEDED`.
///
/// # Errors
/// The socket cannot be served.
pub async fn serve(
    services: Services<impl Identity, impl Controller, impl Node>,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Services { identity, controller, node } = services;
    let dispatch = Dispatch {
        identity: IdentityServer::new(identity).max_decoding_message_size(MAX_REQUEST),
        controller: controller.map(|it| ControllerServer::new(it).max_decoding_message_size(MAX_REQUEST)),
        node: node.map(|it| NodeServer::new(it).max_decoding_message_size(MAX_REQUEST)),
    };
    let served = graceful(shutdown, GRACE, |shutdown| {
        Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .serve_with_incoming_shutdown(dispatch, incoming(listener, CONNECTIONS), shutdown)
    });
    served.await.map_err(io::Error::other)
}
