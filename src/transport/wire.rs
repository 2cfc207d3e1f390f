use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::rpc::{Event, Peer, Violation};

/// What a read makes room for at least. A buffer grows with what has arrived, never with what was announced.
const READ: usize = 4 << 10;

/// The most room that one read is given: large records arrive in few system calls.
const READ_AT_MOST: usize = 256 << 10;

/// A [`Peer`] on a stream: the whole of the I/O, for the side that connects and for the side that accepts.
#[derive(Debug)]
pub struct Wire<S, T> {
    stream: S,
    peer: Peer<T>,
    input: BytesMut,
    unflushed: bool,
    received: u64,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The other side closed it.
    #[error("closed by the other side{}", if *.in_record { " in the middle of a record" } else { "" })]
    Closed {
        /// Whether a record was cut.
        in_record: bool,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side sent what it must not.
    #[error(transparent)]
    Violation(#[from] Violation),
}

impl<S: AsyncRead + AsyncWrite + Unpin, T> Wire<S, T> {
    /// Puts a peer on a stream.
    pub fn new(stream: S, peer: Peer<T>) -> Self {
        Self { stream, peer, input: BytesMut::new(), unflushed: false, received: 0 }
    }

    /// The state machine, to call, reply and notify; what it queues is written by [`event`](Self::event).
    pub fn peer(&mut self) -> &mut Peer<T> {
        &mut self.peer
    }

    /// Bytes read up to now: a sign of life in the middle of a long record.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The next event. Everything that has been read is handed out before anything is written, so that the replies to
    /// a batch of calls leave in one write. Cancel safe.
    pub async fn event(&mut self) -> Result<Event<T>, End> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Writes what waits, and reads nothing meanwhile. Cancel safe.
    pub async fn flush(&mut self) -> Result<(), End> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what waits as far as that goes at once; [`event`](Self::event) writes the rest, and tells of failures.
    pub fn write_now(&mut self) {
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<T>, End>> {
        loop {
            if let Some(event) = self.peer.poll_event(&mut self.input)? {
                return Poll::Ready(Ok(event));
            }
            let flushed = self.poll_flush(cx);
            let room = self.input.len().clamp(READ, READ_AT_MOST);
            self.input.reserve(room);
            let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input);
            // Who has hung up may have said why before, such as a TLS alert.
            if let (Poll::Ready(Err(error)), Poll::Pending) = (flushed, &read) {
                return Poll::Ready(Err(error));
            }
            match ready!(read)? {
                0 => {
                    let in_record = !self.input.is_empty() || self.peer.in_record();
                    return Poll::Ready(Err(End::Closed { in_record }));
                }
                count => self.received += count as u64,
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.peer.waiting() > 0 {
            if ready!(poll_write_buf(Pin::new(&mut self.stream), cx, self.peer.transmit()))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
