//! A host behind its control socket.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use rustix::process::geteuid;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, service::interceptor::InterceptedService, transport::Server};

use super::{Mounts, graceful::graceful, incoming::incoming, status};
use crate::{
    mount::{
        Error, Reason,
        generated::{
            AcceptReplacedReply, AcceptReplacedRequest, ListReply, ListRequest, MountEvent, MountRequest,
            ReplaceReply, ReplaceRequest, UnmountReply, UnmountRequest, Usage, UsageRequest,
            mount_event::Event,
            mount_host_server::{MountHost, MountHostServer},
        },
    },
    transport::{Listener, PeerInfo},
};

/// Connections at one time; more wait.
const CONNECTIONS: usize = 128;

/// Calls at one time on one connection.
const STREAMS: u32 = 64;

/// The most bytes of a request: 256 servers and some options.
const MAX_REQUEST: usize = 256 * 1024;

/// The most bytes of the headers of a request.
const MAX_HEADERS: u32 = 16 * 1024;

/// Events of a mount that wait for a slow reader; more progress than that is left out.
const EVENTS: usize = 16;

/// A client is asked for a sign of life so often, and has as long to give one.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The time that calls have to end after `shutdown`.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `mounts` until `shutdown`, and a moment longer for calls that are being answered.
///
/// Root and the user of this process may call, by what the kernel knows of the peer. What a client has begun goes on
/// when the client goes away: half a mount is worse than one that nobody waits for.
pub async fn serve(
    mounts: impl Mounts,
    listener: Listener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let service = MountHostServer::new(Service(mounts)).max_decoding_message_size(MAX_REQUEST);
    let service = InterceptedService::new(service, allowed);
    let served = graceful(shutdown, GRACE, |shutdown| {
        Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .serve_with_incoming_shutdown(service, incoming(listener, CONNECTIONS), shutdown)
    });
    served.await.map_err(|error| Error::other("cannot serve the control socket", error))
}

/// Lets a call pass that comes from root or from our own user.
fn allowed(request: Request<()>) -> Result<Request<()>, Status> {
    let peer = request.extensions().get::<PeerInfo>();
    match peer {
        Some(PeerInfo::Unix { uid, .. }) if [0, geteuid().as_raw()].contains(uid) => Ok(request),
        _ => {
            let who = peer.map_or_else(|| "an unknown peer".to_owned(), PeerInfo::to_string);
            let message = format!("{who} may not use this mount host: run the command as root");
            Err(status::failed(Code::PermissionDenied, Reason::Machine, &message))
        }
    }
}

struct Service<M>(M);

#[tonic::async_trait]
impl<M: Mounts> MountHost for Service<M> {
    type MountStream = ReceiverStream<Result<MountEvent, Status>>;

    async fn mount(&self, request: Request<MountRequest>) -> Result<Response<Self::MountStream>, Status> {
        let (events, stream) = mpsc::channel(EVENTS);
        tokio::spawn(mount(self.0.clone(), request.into_inner(), events));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn unmount(&self, request: Request<UnmountRequest>) -> Result<Response<UnmountReply>, Status> {
        let (mounts, UnmountRequest { target, lazy }) = (self.0.clone(), request.into_inner());
        whole(async move { mounts.unmount(Path::new(&target), lazy).await }).await?;
        Ok(Response::new(UnmountReply {}))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
        self.0.list().await.map(Response::new).map_err(|error| status::status(&error))
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<Usage>, Status> {
        let UsageRequest { target, timeout_milliseconds } = request.into_inner();
        let within = Duration::from_millis(timeout_milliseconds.into());
        let usage = self.0.usage(Path::new(&target), within).await;
        usage.map(Response::new).map_err(|error| status::status(&error))
    }

    async fn replace(&self, request: Request<ReplaceRequest>) -> Result<Response<ReplaceReply>, Status> {
        let (mounts, target) = (self.0.clone(), PathBuf::from(request.into_inner().target));
        let pid = whole(async move { mounts.replace(&target).await }).await?;
        Ok(Response::new(ReplaceReply { pid }))
    }

    async fn accept_replaced(
        &self,
        request: Request<AcceptReplacedRequest>,
    ) -> Result<Response<AcceptReplacedReply>, Status> {
        let (mounts, volume) = (self.0.clone(), request.into_inner().volume);
        let id = whole(async move { mounts.accept_replaced(&volume).await }).await?;
        Ok(Response::new(AcceptReplacedReply { id }))
    }
}

/// Mounts, and tells `events` of it as long as somebody listens.
async fn mount(mounts: impl Mounts, request: MountRequest, events: mpsc::Sender<Result<MountEvent, Status>>) {
    let (progress, mut lines) = mpsc::unbounded_channel();
    // It is for people, and one who does not read it does not miss it.
    let tell = |line| drop(events.try_send(Ok(MountEvent { event: Some(Event::Progress(line)) })));
    let mut mounting = pin!(mounts.mount(request, progress));
    let outcome = loop {
        tokio::select! {
            Some(line) = lines.recv() => tell(line),
            outcome = &mut mounting => break outcome,
        }
    };
    // What was said before the end comes before it.
    while let Ok(line) = lines.try_recv() {
        tell(line);
    }
    let event = outcome.map(|mounted| MountEvent { event: Some(Event::Mounted(mounted)) });
    // Nobody listening any more changes nothing.
    let _ = events.send(event.map_err(|error| status::status(&error))).await;
}

/// Runs to its end, also when the client goes away meanwhile.
async fn whole<T: Send + 'static>(
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Status> {
    match tokio::spawn(call).await {
        Ok(outcome) => outcome.map_err(|error| status::status(&error)),
        Err(error) => {
            Err(status::status(&Error::other("this is a defect of kadalu, please report it", error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_our_own_user_may_call() {
        let ours = geteuid().as_raw();
        let asked = |peer: Option<PeerInfo>| {
            let mut request = Request::new(());
            peer.map(|peer| request.extensions_mut().insert(peer));
            allowed(request).map(|_| ())
        };
        for uid in [0, ours] {
            assert!(asked(Some(PeerInfo::Unix { pid: None, uid })).is_ok(), "{uid}");
        }
        let other = PeerInfo::Unix { pid: Some(7), uid: ours + 1000 };
        let refused = asked(Some(other)).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(
            refused.message(),
            format!("process 7 of user {} may not use this mount host: run the command as root", ours + 1000)
        );
        assert_eq!(status::told(&refused).unwrap().reason(), Reason::Machine);
        let tcp = PeerInfo::Tcp(([127, 0, 0, 1], 1).into());
        for peer in [Some(tcp), None] {
            assert_eq!(asked(peer).unwrap_err().code(), Code::PermissionDenied);
        }
    }
}
