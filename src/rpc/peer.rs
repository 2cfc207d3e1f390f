use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Program,
    auth::Auth,
    message::{Accepted, Call, Denied, Header, Kind, Message, RPC_VERSION, Reply},
    outbox::Outbox,
    record::{Assembler, MAX_RECORD, RecordError},
};
use crate::xdr::{Malformed, Opaque, Pack};

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the largest record taken.
    pub record: usize,
    /// Calls of ours that may wait for their reply.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: MAX_RECORD, in_flight: 64 }
    }
}

/// For a timeout beyond what a clock can count.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// One SunRPC connection that both calls and is called: no socket, no clock, fully deterministic.
///
/// `T` is what the caller wants back with the reply to a call, a channel or a number.
///
/// * Calls: [`call`](Self::call) queues one; its reply comes out of [`poll_event`](Self::poll_event), or its tag out of
///   [`poll_timed_out`](Self::poll_timed_out).
/// * Being called: a call comes out of `poll_event`; answer with [`reply`](Self::reply), in any order, or never.
/// * Callbacks of glusterd are calls that must not be answered (facts §6.1); [`notify`](Self::notify) makes one.
/// * What is to be written waits in [`transmit`](Self::transmit).
#[derive(Debug)]
pub struct Peer<T> {
    limits: Limits,
    assembler: Assembler,
    outbox: Outbox,
    /// In the order of the calls, which is nearly always that of the replies.
    in_flight: VecDeque<Pending<T>>,
    last_xid: u32,
}

#[derive(Debug)]
struct Pending<T> {
    xid: u32,
    deadline: Instant,
    tag: T,
}

/// What a peer's bytes amount to.
#[derive(Debug)]
pub enum Event<T> {
    /// The reply to a call of ours.
    Reply {
        /// What came with the call.
        tag: T,
        /// The results, undecoded, or why there are none.
        result: Result<Bytes, CallError>,
    },
    /// The peer calls us.
    Call(Incoming),
}

/// A call made by the peer.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The peer's number for it.
    pub xid: u32,
    /// Program number.
    pub program: u32,
    /// Program version.
    pub version: u32,
    /// Procedure number.
    pub procedure: u32,
    /// Arguments, undecoded.
    pub body: Bytes,
    verifier: (u32, Bytes),
}

/// Why a call has no results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Accepted, but not carried out.
    #[error("the call was not carried out: {0}")]
    Refused(Accepted),
    /// Not accepted.
    #[error("the call was denied: {0}")]
    Denied(Denied),
}

/// The table of calls that wait for a reply is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// So many calls wait already.
    #[error("{0} calls wait for a reply already")]
    InFlight(usize),
    /// The arguments do not fit their own type.
    #[error("cannot encode the call: {0}")]
    Unencodable(#[from] Malformed),
}

/// What a peer must not send; the connection is of no use after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Record marking out of bounds.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message whose header cannot be decoded.
    #[error("malformed RPC message: {0}")]
    Malformed(#[from] Malformed),
    /// A call in another version of RPC.
    #[error("RPC version {0}, not {RPC_VERSION}")]
    RpcVersion(u32),
    /// glusterd's answer to a message whose header it could not decode (facts §1.3).
    #[error("the server could not decode a message and answered with xid 0")]
    Undecodable,
    /// A reply to a call that was never made.
    #[error("a reply to call {0}, which was never made")]
    UnknownXid(u32),
}

impl<T> Peer<T> {
    /// A fresh connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            assembler: Assembler::new(limits.record),
            outbox: Outbox::default(),
            in_flight: VecDeque::new(),
            last_xid: 0,
        }
    }

    /// Queues a call; `timeout` from `now` on, [`poll_timed_out`](Self::poll_timed_out) gives its tag back.
    pub fn call<B: Pack<Vec<u8>>>(
        &mut self,
        now: Instant,
        timeout: Duration,
        (program, procedure): (Program, u32),
        body: &B,
        tag: T,
    ) -> Result<(), (Busy, T)> {
        if self.in_flight.len() >= self.limits.in_flight {
            return Err((Busy::InFlight(self.in_flight.len()), tag));
        }
        match self.notify((program, procedure), body) {
            Ok(xid) => self.in_flight.push_back(Pending {
                xid,
                deadline: now.checked_add(timeout).unwrap_or(now + NEVER),
                tag,
            }),
            Err(error) => return Err((error.into(), tag)),
        }
        Ok(())
    }

    /// Queues a call to which no reply is expected: a callback, as glusterd sends FETCHSPEC. Returns its xid.
    pub fn notify<B: Pack<Vec<u8>>>(
        &mut self,
        (program, procedure): (Program, u32),
        body: &B,
    ) -> Result<u32, Malformed> {
        // Never 0: that is what a server answers with that could not read the xid.
        let xid = self.last_xid.wrapping_add(1).max(1);
        let header = Header { xid, kind: Kind::Call(Call::new(program, procedure)) };
        self.outbox.push(&header, body)?;
        self.last_xid = xid;
        Ok(xid)
    }

    /// Queues the reply to `call`. A large `body` is shared, not copied.
    pub fn reply(&mut self, call: &Incoming, status: Accepted, body: &Bytes) -> Result<(), Malformed> {
        let verifier = Auth { flavor: call.verifier.0, body: Opaque(&call.verifier.1) };
        let header = Header { xid: call.xid, kind: Kind::Reply(Reply::Accepted { verifier, status }) };
        self.outbox.push_shared(&header, body)
    }

    /// What is to be written, in order; advance it by what was.
    pub fn transmit(&mut self) -> &mut (impl Buf + use<T>) {
        &mut self.outbox
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.outbox.remaining()
    }

    /// Takes the next record off the front of `input` and says what it is; `None` where more bytes are needed.
    pub fn poll_event(&mut self, input: &mut BytesMut) -> Result<Option<Event<T>>, Violation> {
        while let Some(record) = self.assembler.next(input)? {
            let message = Message::decode(&record)?;
            let body = record.slice_ref(message.body);
            match message.kind {
                Kind::Call(call) if call.rpc_version != RPC_VERSION => {
                    return Err(Violation::RpcVersion(call.rpc_version));
                }
                Kind::Call(call) => {
                    return Ok(Some(Event::Call(Incoming {
                        xid: message.xid,
                        program: call.program,
                        version: call.version,
                        procedure: call.procedure,
                        body,
                        verifier: (call.verifier.flavor, record.slice_ref(call.verifier.body.0)),
                    })));
                }
                Kind::Reply(reply) => {
                    let Some(tag) = self.take(message.xid)? else { continue };
                    let result = match reply {
                        Reply::Accepted { status: Accepted::Success, .. } => Ok(body),
                        Reply::Accepted { status, .. } => Err(CallError::Refused(status)),
                        Reply::Denied(denied) => Err(CallError::Denied(denied)),
                    };
                    return Ok(Some(Event::Reply { tag, result }));
                }
            }
        }
        Ok(None)
    }

    /// The earliest deadline of a call, for the caller's timer.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.iter().map(|pending| pending.deadline).min()
    }

    /// One call whose deadline has passed; its reply, should it still come, is dropped.
    pub fn poll_timed_out(&mut self, now: Instant) -> Option<T> {
        let late = self.in_flight.iter().position(|pending| pending.deadline <= now)?;
        self.in_flight.remove(late).map(|pending| pending.tag)
    }

    /// The calls that will have no reply because the connection has ended.
    pub fn close(&mut self) -> impl Iterator<Item = T> + '_ {
        self.in_flight.drain(..).map(|pending| pending.tag)
    }

    /// Whether the connection is in the middle of a record, so that its end here is a cut.
    pub fn in_record(&self) -> bool {
        self.assembler.in_record()
    }

    /// The tag of a call by its xid; `None` for a reply that comes after its deadline.
    fn take(&mut self, xid: u32) -> Result<Option<T>, Violation> {
        match self.in_flight.iter().position(|pending| pending.xid == xid) {
            Some(at) => Ok(self.in_flight.remove(at).map(|pending| pending.tag)),
            None if xid == 0 => Err(Violation::Undecodable),
            None if xid > self.last_xid => Err(Violation::UnknownXid(xid)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program { name: "test", number: 7, version: 1 };
    const SECOND: Duration = Duration::from_secs(1);

    /// Two state machines, a clock held by hand, and the bytes between them cut as the test likes.
    struct Pair {
        now: Instant,
        client: Peer<u32>,
        server: Peer<u32>,
    }

    impl Pair {
        fn new(in_flight: usize) -> Self {
            let limits = Limits { record: 1 << 20, in_flight };
            Self { now: Instant::now(), client: Peer::new(limits), server: Peer::new(limits) }
        }

        fn call(&mut self, tag: u32) {
            self.client.call(self.now, SECOND, (PROGRAM, 2), &tag, tag).expect("room for a call");
        }
    }

    fn carry(from: &mut Peer<u32>) -> BytesMut {
        let mut bytes = BytesMut::new();
        let out = from.transmit();
        while out.has_remaining() {
            let len = out.chunk().len();
            bytes.extend_from_slice(out.chunk());
            out.advance(len);
        }
        bytes
    }

    fn incoming(peer: &mut Peer<u32>, bytes: &mut BytesMut) -> Incoming {
        match peer.poll_event(bytes) {
            Ok(Some(Event::Call(call))) => call,
            other => panic!("expected a call, got {other:?}"),
        }
    }

    #[test]
    fn replies_out_of_order_find_their_calls_and_callbacks_between_them_do_not_confuse() {
        let mut pair = Pair::new(8);
        pair.call(10);
        pair.call(11);
        let mut bytes = carry(&mut pair.client);
        let first = incoming(&mut pair.server, &mut bytes);
        let second = incoming(&mut pair.server, &mut bytes);
        // The server's own call has the same xid as the client's first.
        assert_eq!(pair.server.notify((PROGRAM, 1), &()).unwrap(), first.xid);
        pair.server.reply(&second, Accepted::Success, &second.body.clone()).unwrap();
        pair.server.reply(&first, Accepted::ProcedureUnavailable, &Bytes::new()).unwrap();

        let all = carry(&mut pair.server);
        let mut input = BytesMut::new();
        let mut seen = Vec::new();
        for byte in all {
            input.extend_from_slice(&[byte]);
            while let Some(event) = pair.client.poll_event(&mut input).unwrap() {
                seen.push(match event {
                    Event::Call(call) => (0, call.procedure, true),
                    Event::Reply { tag, result } => (tag, 0, result.is_ok()),
                });
            }
        }
        assert_eq!(seen, [(0, 1, true), (11, 0, true), (10, 0, false)]);
    }

    #[test]
    fn a_call_times_out_once_and_its_late_reply_is_dropped() {
        let mut pair = Pair::new(8);
        pair.call(1);
        assert_eq!(pair.client.poll_timeout(), Some(pair.now + SECOND));
        assert_eq!(pair.client.poll_timed_out(pair.now), None);
        assert_eq!(pair.client.poll_timed_out(pair.now + SECOND), Some(1));
        assert_eq!(pair.client.poll_timed_out(pair.now + SECOND), None);

        let mut bytes = carry(&mut pair.client);
        let call = incoming(&mut pair.server, &mut bytes);
        pair.server.reply(&call, Accepted::Success, &Bytes::new()).unwrap();
        let mut late = carry(&mut pair.server);
        assert!(pair.client.poll_event(&mut late).unwrap().is_none());
    }

    #[test]
    fn the_table_of_calls_is_bounded() {
        let mut pair = Pair::new(1);
        pair.call(1);
        let refused = pair.client.call(pair.now, SECOND, (PROGRAM, 2), &0u32, 2);
        assert_eq!(refused, Err((Busy::InFlight(1), 2)));
        assert_eq!(pair.client.close().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn replies_nobody_asked_for_end_the_connection() {
        for (xid, violation) in [(0, Violation::Undecodable), (77, Violation::UnknownXid(77))] {
            let mut pair = Pair::new(1);
            let header = Header {
                xid,
                kind: Kind::Reply(Reply::Accepted {
                    verifier: Auth::NONE,
                    status: Accepted::GarbageArguments,
                }),
            };
            pair.server.outbox.push(&header, &()).unwrap();
            let mut bytes = carry(&mut pair.server);
            assert_eq!(pair.client.poll_event(&mut bytes).unwrap_err(), violation);
        }
    }

    #[test]
    fn a_large_body_is_shared_and_arrives_whole() {
        let mut pair = Pair::new(2);
        let body = Bytes::from(vec![7; 100_000]);
        pair.call(1);
        pair.call(2);
        let mut bytes = carry(&mut pair.client);
        for _ in 0..2 {
            let call = incoming(&mut pair.server, &mut bytes);
            pair.server.reply(&call, Accepted::Success, &body).unwrap();
        }
        assert_eq!(pair.server.waiting(), 2 * (100_000 + 28));
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        assert_eq!(pair.server.transmit().chunks_vectored(&mut slices), 4);
        let mut all = carry(&mut pair.server);
        for tag in [1, 2] {
            match pair.client.poll_event(&mut all).unwrap() {
                Some(Event::Reply { tag: got, result: Ok(bytes) }) => {
                    assert_eq!((got, bytes), (tag, body.clone()))
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pair.server.waiting(), 0);
    }
}
