use std::{io::ErrorKind, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, trace};

use super::Error;
use crate::{
    glusterd::{Procedure, describe, dump::Ping, programs},
    rpc::{Busy, CallError, Event, Incoming, Limits, Peer, Program},
    transport::{End, ServerAddress, TlsError, Wire, explain_early_close},
    xdr::{self, Pack},
};

/// After so long without a message from the server it is sent a PING.
const IDLE: Duration = Duration::from_secs(10);

/// How long a PING may take. glusterd answers it in its one event thread, which a volume operation can hold for seconds
/// (facts §7).
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Calls of one client that wait to be sent; more wait with their callers.
const QUEUE: usize = 32;

/// A handle to one connection to one glusterd: makes calls, hears FETCHSPEC. Cheap to clone; the connection ends when the
/// last one is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    server: ServerAddress,
    calls: mpsc::Sender<CallOut>,
    state: watch::Receiver<State>,
}

/// What a connection tells its handles.
#[derive(Debug, Clone, Default)]
struct State {
    /// FETCHSPEC callbacks up to now.
    notifications: u64,
    /// Set once: the connection is over.
    ended: Option<Ended>,
}

#[derive(Debug, Clone)]
struct Ended {
    reason: Arc<str>,
    early: bool,
}

/// A call on its way to the connection.
#[derive(Debug)]
struct CallOut {
    to: (Program, u32),
    body: Encoded,
    timeout: Duration,
    reply: oneshot::Sender<Result<Bytes, Failed>>,
}

/// Why a call failed, before the server's name is put to it.
#[derive(Debug)]
enum Failed {
    TimedOut(Duration),
    Call(CallError),
    Busy(Busy),
    Ended(Ended),
}

/// Arguments that are encoded already.
#[derive(Debug)]
struct Encoded(Vec<u8>);

impl Pack<Vec<u8>> for Encoded {
    fn pack(&self, out: &mut Vec<u8>) -> xdr_codec::Result<usize> {
        out.extend_from_slice(&self.0);
        Ok(self.0.len())
    }
}

impl Client {
    /// Speaks to `server` over `stream`, in a task of the current runtime.
    pub fn spawn<S>(server: ServerAddress, stream: S, tls: bool) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (calls, calls_in) = mpsc::channel(QUEUE);
        let (state_out, state) = watch::channel(State::default());
        let connection = Connection {
            wire: Wire::new(stream, Peer::new(Limits::default())),
            calls: calls_in,
            state: state_out,
            heard: Instant::now(),
            received: 0,
            answered: false,
            tls,
        };
        tokio::spawn(connection.run(server.clone()));
        Self { server, calls, state }
    }

    /// The server at the other end.
    pub fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Calls a procedure and returns its results, undecoded.
    pub async fn call<P: Procedure>(
        &self,
        request: &P::Request<'_>,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let body = Encoded(xdr::encode(request)?);
        let (reply, answer) = oneshot::channel();
        let call = CallOut { to: (P::PROGRAM, P::NUMBER), body, timeout, reply };
        if self.calls.send(call).await.is_err() {
            return Err(self.failed(Failed::Ended(self.ended())));
        }
        match answer.await {
            Ok(result) => result.map_err(|failed| self.failed(failed)),
            Err(_) => Err(self.failed(Failed::Ended(self.ended()))),
        }
    }

    /// How many FETCHSPEC callbacks have come.
    pub fn notifications(&self) -> u64 {
        self.state.borrow().notifications
    }

    /// Waits until more than `seen` FETCHSPEC callbacks have come; the error is the end of the connection. Cancel safe.
    pub async fn notified(&mut self, seen: u64) -> Result<u64, Error> {
        // An error is the end of the task, which the state tells as well.
        let _ = self.state.wait_for(|state| state.notifications > seen || state.ended.is_some()).await;
        let notifications = self.notifications();
        // A change that was announced just before the end is worth acting on first.
        if notifications > seen { Ok(notifications) } else { Err(self.failed(Failed::Ended(self.ended()))) }
    }

    fn ended(&self) -> Ended {
        let unknown = || Ended { reason: "the connection's task is gone".into(), early: false };
        self.state.borrow().ended.clone().unwrap_or_else(unknown)
    }

    fn failed(&self, failed: Failed) -> Error {
        let server = self.server.clone();
        match failed {
            Failed::TimedOut(after) => Error::TimedOut { server, after },
            Failed::Call(error) => Error::Call { server, error },
            Failed::Busy(busy) => Error::Busy { server, busy },
            Failed::Ended(Ended { reason, early }) => Error::Closed { server, reason, early },
        }
    }
}

/// What the peer keeps with a call.
#[derive(Debug)]
struct Tag {
    to: (Program, u32),
    timeout: Duration,
    /// `None` for a PING of our own.
    reply: Option<oneshot::Sender<Result<Bytes, Failed>>>,
}

/// The task that owns the socket.
#[derive(Debug)]
struct Connection<S> {
    wire: Wire<S, Tag>,
    calls: mpsc::Receiver<CallOut>,
    state: watch::Sender<State>,
    /// When the server's last message came.
    heard: Instant,
    /// Bytes that had come when the timer last rang.
    received: u64,
    /// Whether the server has answered anything at all.
    answered: bool,
    tls: bool,
}

/// Why the task ends.
enum Stop {
    /// Nobody has a handle any more.
    Unused,
    /// A PING was not answered.
    Silent,
    End(End),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(mut self, server: ServerAddress) {
        // Set anew only when it must ring earlier or has rung: a call in the steady state costs no timer.
        let timer = sleep_until(self.wake_at());
        tokio::pin!(timer);
        let stop = loop {
            if self.wake_at() < timer.deadline() {
                timer.as_mut().reset(self.wake_at());
            }
            // In no fixed order: a server that never stops sending must not keep calls and timeouts waiting.
            tokio::select! {
                event = self.wire.event() => match event {
                    Ok(event) => self.handle(event),
                    Err(end) => break Stop::End(end),
                },
                call = self.calls.recv() => match call {
                    Some(call) => self.send(call),
                    None => break Stop::Unused,
                },
                () = &mut timer => {
                    if let Err(stop) = self.handle_timeout() {
                        break stop;
                    }
                    timer.as_mut().reset(self.wake_at());
                }
            }
            // Of several calls in one TLS record glusterd handles the first and forgets the others (10.3): OpenSSL has
            // read them, so that poll(2) does not tell of them. Each is to have a record of its own.
            if self.tls {
                self.wire.write_now();
            }
        };
        let ended = self.explain(stop);
        debug!(%server, reason = %ended.reason, "connection ended");
        for tag in self.wire.peer().close() {
            if let Some(reply) = tag.reply {
                // A caller that has gone does not need its answer.
                let _ = reply.send(Err(Failed::Ended(ended.clone())));
            }
        }
        self.state.send_modify(|state| state.ended = Some(ended));
        // Orderly: what a server still wants to read is written, within reason.
        let _ = timeout(Duration::from_millis(100), self.wire.flush()).await;
    }

    /// The next moment at which something is due: a PING, or the end of a call's time.
    fn wake_at(&mut self) -> Instant {
        let ping_at = self.heard + IDLE;
        self.wire.peer().poll_timeout().map_or(ping_at, |timeout| ping_at.min(timeout.into()))
    }

    fn send(&mut self, CallOut { to, body, timeout, reply }: CallOut) {
        trace!(target: "kadalu::frame", "→ call  {}", describe::call(to.0.number, to.1, &body.0));
        let tag = Tag { to, timeout, reply: Some(reply) };
        let called = self.wire.peer().call(Instant::now().into_std(), timeout, to, &body, tag);
        // A full table is the caller's: the queue of a handle is shorter than the table, so only clones can fill it.
        if let Err((busy, Tag { reply: Some(reply), .. })) = called {
            let _ = reply.send(Err(Failed::Busy(busy)));
        }
    }

    fn handle(&mut self, event: Event<Tag>) {
        self.heard = Instant::now();
        match event {
            Event::Reply { tag, result } => {
                self.answered = true;
                trace!(target: "kadalu::frame", "← reply {}", describe::reply(tag.to.0.number, tag.to.1, &result));
                if let Some(reply) = tag.reply {
                    let _ = reply.send(result.map_err(Failed::Call));
                }
            }
            Event::Call(Incoming { program, version, procedure, body, .. }) => {
                trace!(target: "kadalu::frame", "← call  {}", describe::call(program, procedure, &body));
                let fetchspec = (programs::CALLBACK.number, programs::CALLBACK.version, programs::FETCHSPEC);
                if (program, version, procedure) == fetchspec {
                    self.state.send_modify(|state| state.notifications += 1);
                }
            }
        }
    }

    fn handle_timeout(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        // A long reply on a slow line holds up the answer to a PING, and is as good a sign of life.
        let received = self.wire.received();
        let alive = std::mem::replace(&mut self.received, received) != received;
        while let Some(tag) = self.wire.peer().poll_timed_out(now.into_std()) {
            match tag.reply {
                Some(reply) => drop(reply.send(Err(Failed::TimedOut(tag.timeout)))),
                None if alive => {}
                None => return Err(Stop::Silent),
            }
        }
        if now >= self.heard + IDLE {
            // The next one is due after another idle time, or never if this one stays unanswered.
            self.heard = now;
            let to = (Ping::PROGRAM, Ping::NUMBER);
            trace!(target: "kadalu::frame", "→ call  {}", describe::call(to.0.number, to.1, &[]));
            let tag = Tag { to, timeout: PING_TIMEOUT, reply: None };
            // No room for a PING means that calls wait, whose own timeouts do its work.
            let _ = self.wire.peer().call(now.into_std(), PING_TIMEOUT, to, &(), tag);
        }
        Ok(())
    }

    fn explain(&self, stop: Stop) -> Ended {
        let early = |io: bool| io && !self.answered;
        let (reason, early) = match stop {
            Stop::Unused => ("no longer used".to_owned(), false),
            Stop::Silent => (format!("no answer to a PING within {PING_TIMEOUT:?}"), false),
            Stop::End(End::Violation(violation)) => (violation.to_string(), false),
            Stop::End(End::Closed { in_record: false }) if early(true) => {
                (explain_early_close(self.tls).to_owned(), true)
            }
            Stop::End(End::Io(error)) => match TlsError::of(&error) {
                Some(tls) => (tls.to_string(), true),
                None if early(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)) => {
                    (explain_early_close(self.tls).to_owned(), true)
                }
                None => (error.to_string(), false),
            },
            Stop::End(end @ End::Closed { .. }) => (end.to_string(), false),
        };
        Ended { reason: reason.into(), early }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        sync::{Arc, Mutex},
        task::{Context, Poll},
    };

    use bytes::{Buf, BytesMut};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};

    use super::*;
    use crate::rpc::message::Accepted;

    /// A client, and the server's end of its connection.
    fn pair() -> (Client, Wire<DuplexStream, ()>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let server = ServerAddress::tcp("server", 24007).unwrap();
        (Client::spawn(server, near, false), Wire::new(far, Peer::new(Limits::default())))
    }

    async fn called(server: &mut Wire<DuplexStream, ()>) -> Incoming {
        match server.event().await {
            Ok(Event::Call(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    /// A stream that nobody answers on, which notes what each write has.
    #[derive(Default)]
    struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncRead for Writes {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Writes {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn over_tls_each_call_is_written_by_itself() {
        for _ in 0..20 {
            let stream = Writes::default();
            let writes = Arc::clone(&stream.0);
            let client = Client::spawn(ServerAddress::tcp("server", 24007).unwrap(), stream, true);
            let ping = || client.call::<Ping>(&(), Duration::from_secs(1));
            let _ = tokio::join!(ping(), ping(), ping(), ping());
            for write in writes.lock().unwrap().iter() {
                let mut calls = Peer::<()>::new(Limits::default());
                let mut bytes = BytesMut::from(&write[..]);
                assert!(matches!(calls.poll_event(&mut bytes), Ok(Some(Event::Call(_)))));
                assert!(bytes.is_empty(), "another call in the same write");
            }
            assert_eq!(writes.lock().unwrap().len(), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_server_is_sent_a_ping_and_lives_by_its_answer() {
        let (mut client, mut server) = pair();
        let began = Instant::now();
        for times in 1..4 {
            let ping = called(&mut server).await;
            assert_eq!((ping.program, ping.procedure), (Ping::PROGRAM.number, Ping::NUMBER));
            assert_eq!(began.elapsed().as_secs(), times * IDLE.as_secs());
            // Any answer is one.
            server.peer().reply(&ping, Accepted::ProgramUnavailable, &Bytes::new()).unwrap();
            server.flush().await.unwrap();
        }
        called(&mut server).await;
        let error = client.notified(0).await.unwrap_err();
        assert_eq!(error.to_string(), "server:24007: no answer to a PING within 15s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_takes_a_minute_to_arrive_is_waited_for() {
        let (near, mut far) = tokio::io::duplex(4096);
        let client = Client::spawn(ServerAddress::tcp("server", 24007).unwrap(), near, false);
        tokio::spawn(async move {
            let mut server = Peer::<()>::new(Limits::default());
            let mut input = BytesMut::new();
            let call = loop {
                far.read_buf(&mut input).await.unwrap();
                if let Some(Event::Call(call)) = server.poll_event(&mut input).unwrap() {
                    break call;
                }
            };
            server.reply(&call, Accepted::Success, &Bytes::from(vec![0; 60])).unwrap();
            let len = server.waiting();
            for byte in server.transmit().copy_to_bytes(len) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                far.write_all(&[byte]).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let reply = client.call::<Ping>(&(), Duration::from_secs(120)).await;
        assert_eq!(reply.unwrap().len(), 60);
    }

    #[tokio::test]
    async fn a_server_that_does_not_stop_sending_keeps_no_call_from_its_timeout() {
        let (client, mut server) = pair();
        tokio::spawn(async move {
            // There is always more to read than a task may read before the next one's turn.
            for _ in 0..50 {
                while server.peer().waiting() < 1 << 20 {
                    server.peer().notify((programs::CALLBACK, programs::FETCHSPEC), &()).unwrap();
                }
                server.flush().await.unwrap();
            }
            // Its end fails the call in another way.
        });
        let call = client.call::<Ping>(&(), Duration::ZERO);
        let error = call.await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
}
