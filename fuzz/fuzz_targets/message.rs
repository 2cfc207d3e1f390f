//! A whole connection: records, headers, replies and calls, into a peer with calls in flight.
#![no_main]

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use glusterd_client::{
    glusterd::{Procedure, handshake::Getspec},
    rpc::{Event, Limits, Peer, message::Accepted},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut peer = Peer::new(Limits::default());
    for tag in 0..3 {
        let call = (Getspec::PROGRAM, Getspec::NUMBER);
        peer.call(Instant::now(), Duration::from_secs(1), call, &(), tag).expect("room for three calls");
    }
    let waiting = peer.waiting();
    peer.transmit().advance(waiting);
    let mut arrived = BytesMut::from(input);
    loop {
        match peer.poll_event(&mut arrived) {
            Ok(Some(Event::Call(call))) => {
                peer.reply(&call, Accepted::Success, &Bytes::new()).expect("an answer to whatever was read")
            }
            Ok(Some(Event::Reply { tag, .. })) => assert!(tag < 3),
            Ok(None) => break,
            Err(violation) => {
                assert!(!violation.to_string().is_empty());
                break;
            }
        }
    }
});
