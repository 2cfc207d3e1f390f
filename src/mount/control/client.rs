//! The other end of the control socket.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, sync::mpsc::UnboundedSender};
use tonic::{
    Status,
    codegen::Service,
    transport::{Channel, Endpoint, Uri},
};

use super::{Mounts, status};
use crate::mount::{
    Error, Reason,
    generated::{
        AcceptReplacedRequest, ListReply, ListRequest, MountRequest, Mounted, ReplaceRequest, UnmountRequest,
        Usage, UsageRequest, mount_event::Event, mount_host_client::MountHostClient,
    },
};

/// The most bytes of a reply: a list of thousands of mounts with their changes.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// A host that gives no sign of life for so long, twice, is given up; one that works on a call gives them.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A mount host behind its socket. Connects again by itself where the host was restarted; clones share a connection.
#[derive(Debug, Clone)]
pub struct Client {
    grpc: MountHostClient<Channel>,
    socket: Arc<Path>,
}

impl Client {
    /// Connects to the mount host that listens at `socket`; [`Reason::NoHost`] where none does.
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        let socket = Arc::<Path>::from(socket);
        let channel = endpoint()
            .connect_with_connector(Connector(socket.clone()))
            .await
            .map_err(|error| unreachable(&socket, &error))?;
        Ok(Self::over(channel, socket))
    }

    /// The same, but connects when it is first used: until a mount host listens there, each call is
    /// [`Reason::NoHost`].
    pub fn lazy(socket: &Path) -> Self {
        let socket = Arc::<Path>::from(socket);
        let channel = endpoint().connect_with_connector_lazy(Connector(socket.clone()));
        Self::over(channel, socket)
    }

    fn over(channel: Channel, socket: Arc<Path>) -> Self {
        Self { grpc: MountHostClient::new(channel).max_decoding_message_size(MAX_REPLY), socket }
    }

    fn error(&self, status: Status) -> Error {
        status::told(&status).unwrap_or_else(|| unreachable(&self.socket, &status))
    }
}

impl Mounts for Client {
    async fn mount(
        &self,
        request: MountRequest,
        progress: UnboundedSender<String>,
    ) -> Result<Mounted, Error> {
        let reply = self.grpc.clone().mount(request).await.map_err(|status| self.error(status))?;
        let mut events = reply.into_inner();
        while let Some(event) = events.message().await.map_err(|status| self.error(status))? {
            match event.event {
                Some(Event::Mounted(mounted)) => return Ok(mounted),
                // Whoever does not listen does not miss it.
                Some(Event::Progress(line)) => drop(progress.send(line)),
                // Of a later version.
                None => {}
            }
        }
        Err(Error::other(socket(&self.socket), "it ended the call without an answer, see its log"))
    }

    async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), Error> {
        let request = UnmountRequest { target: text(target)?, lazy };
        self.grpc.clone().unmount(request).await.map(drop).map_err(|status| self.error(status))
    }

    async fn list(&self) -> Result<ListReply, Error> {
        let reply = self.grpc.clone().list(ListRequest {}).await;
        reply.map(|reply| reply.into_inner()).map_err(|status| self.error(status))
    }

    async fn usage(&self, target: &Path, within: Duration) -> Result<Usage, Error> {
        let timeout_milliseconds = within.as_millis().try_into().unwrap_or(u32::MAX);
        let request = UsageRequest { target: text(target)?, timeout_milliseconds };
        let reply = self.grpc.clone().usage(request).await;
        reply.map(|reply| reply.into_inner()).map_err(|status| self.error(status))
    }

    async fn replace(&self, target: &Path) -> Result<i32, Error> {
        let reply = self.grpc.clone().replace(ReplaceRequest { target: text(target)? }).await;
        reply.map(|reply| reply.into_inner().pid).map_err(|status| self.error(status))
    }

    async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
        let reply =
            self.grpc.clone().accept_replaced(AcceptReplacedRequest { volume: volume.to_owned() }).await;
        reply.map(|reply| reply.into_inner().id).map_err(|status| self.error(status))
    }
}

/// The name is of no use on a unix socket, but HTTP wants one.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://mountd").http2_keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE)
}

fn text(path: &Path) -> Result<String, Error> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::new(Reason::Invalid, format_args!("{path:?}: a path must be UTF-8")))
}

fn socket(path: &Path) -> String {
    format!("the mount host at {}", path.display())
}

/// Why there is no talking with the host: the first cause says it.
fn unreachable(path: &Path, error: &(dyn StdError + 'static)) -> Error {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Error::new(
            Reason::NoHost,
            format_args!("no mount host at {}: start `kadalu mountd`, or give --socket", path.display()),
        ),
        Some(io::ErrorKind::PermissionDenied) => {
            Error::new(Reason::Machine, format_args!("no access to {}: run this as root", socket(path)))
        }
        _ => Error::new(
            Reason::NoHost,
            format_args!("{} is gone, hangs or is no mount host ({cause}): see its log", socket(path)),
        ),
    }
}

/// Connects to a unix socket, again and again.
struct Connector(Arc<Path>);

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { UnixStream::connect(&path).await.map(TokioIo::new) })
    }
}
