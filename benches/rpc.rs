//! Records and peers in memory: bytes and calls per second, and allocations.
//!
//! `cargo bench --bench rpc`. The allocations of one operation go to stderr.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glusterd_client::{
    glusterd::{
        OpVersions, Procedure,
        handshake::{self, Getspec, GetspecReply},
    },
    rpc::{
        Event, Limits, Peer,
        message::Accepted,
        record::{self, Assembler, MAX_RECORD},
    },
    xdr,
};

const SIZE: usize = 64 << 10;

/// What one TCP segment of an Ethernet carries.
const SEGMENT: usize = 1460;

/// One line of the table of allocations.
fn count(what: &str, operation: impl FnOnce()) {
    let memory = allocation_counter::measure(operation);
    eprintln!("{what:<44}{:>6} allocations {:>9} bytes at most", memory.count_total, memory.bytes_max);
}

/// A record of 64 KiB in `count` fragments.
fn in_fragments(count: usize) -> Vec<u8> {
    let payload = vec![7; SIZE];
    let size = SIZE.div_ceil(count);
    let last = SIZE.div_ceil(size) - 1;
    let fragments = payload.chunks(size).enumerate().flat_map(|(n, part)| {
        let whole = record::header(part.len());
        let header = if n == last { whole } else { (part.len() as u32).to_be_bytes() };
        header.into_iter().chain(part.iter().copied())
    });
    fragments.collect()
}

fn assemble(wire: &[u8], read: usize, arrived: &mut BytesMut) -> Bytes {
    let mut assembler = Assembler::new(MAX_RECORD);
    for read in wire.chunks(read) {
        arrived.extend_from_slice(read);
        if let Some(record) = assembler.next(arrived).expect("within bounds") {
            return record;
        }
    }
    unreachable!("the last fragment ends the record")
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record-64k");
    group.throughput(Throughput::Bytes(SIZE as u64));
    for (name, fragments, read) in [
        ("one-fragment/one-read", 1, usize::MAX),
        ("one-fragment/reads-of-1460", 1, SEGMENT),
        ("1000-fragments/one-read", 1000, usize::MAX),
        ("1000-fragments/reads-of-1460", 1000, SEGMENT),
    ] {
        let wire = in_fragments(fragments);
        // As a connection has it: one buffer, whose room is used again when its record is gone.
        let mut arrived = BytesMut::with_capacity(2 * SIZE);
        drop(assemble(&wire, read, &mut arrived));
        count(&format!("record of 64 KiB, {name}"), || drop(assemble(&wire, read, &mut arrived)));
        group.bench_function(name, |b| b.iter(|| assemble(black_box(&wire), read, &mut arrived).len()));
    }
    group.finish();
}

/// Two peers and the bytes between them.
struct Pair {
    client: Peer<u32>,
    server: Peer<u32>,
    up: BytesMut,
    down: BytesMut,
    now: Instant,
    xdata: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let peer = || Peer::new(Limits::default());
        let room = || BytesMut::with_capacity(2 * SIZE);
        let xdata = OpVersions::ANY.to_dict();
        Self { client: peer(), server: peer(), up: room(), down: room(), now: Instant::now(), xdata }
    }

    /// One GETSPEC there and back again.
    fn fetch(&mut self, reply: &Bytes) -> usize {
        let call = (Getspec::PROGRAM, Getspec::NUMBER);
        let request = handshake::getspec("one", &self.xdata);
        self.client.call(self.now, Duration::from_secs(30), call, &request, 7).expect("room for one call");
        carry(&mut self.client, &mut self.up);
        let Ok(Some(Event::Call(call))) = self.server.poll_event(&mut self.up) else {
            unreachable!("the call was carried whole")
        };
        self.server.reply(&call, Accepted::Success, reply).expect("a credential of no bytes");
        carry(&mut self.server, &mut self.down);
        let Ok(Some(Event::Reply { result: Ok(body), .. })) = self.client.poll_event(&mut self.down) else {
            unreachable!("the reply was carried whole")
        };
        handshake::spec(&body).expect("whole").expect("a volfile").text.len()
    }
}

fn carry(from: &mut Peer<u32>, to: &mut BytesMut) {
    let out = from.transmit();
    while out.has_remaining() {
        let len = out.chunk().len();
        to.extend_from_slice(out.chunk());
        out.advance(len);
    }
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("peer-call-to-reply");
    for (name, size) in [("volfile-1500", 1500), ("volfile-64k", SIZE)] {
        let text = vec![b'x'; size];
        let reply = GetspecReply::success(&text, &[]).expect("within its bounds");
        let reply = Bytes::from(xdr::encode(&reply).expect("within its bounds"));
        let mut pair = Pair::new();
        pair.fetch(&reply);
        count(&format!("GETSPEC there and back, {name}"), || {
            black_box(pair.fetch(&reply));
        });
        group.bench_function(name, |b| b.iter(|| pair.fetch(black_box(&reply))));
    }
    group.finish();
}

criterion_group!(benches, records, round_trip);
criterion_main!(benches);
