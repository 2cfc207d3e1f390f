//! XDR and dicts: bytes per second and allocations, beside the codec that `xdrgen` makes of the same interface.
//!
//! `cargo bench --bench xdr`. The allocations of one operation go to stderr. They are counted by the global allocator, which
//! costs each allocation a few nanoseconds, ours and theirs.

#[path = "../tests/generated/mod.rs"]
mod generated;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use generated::{dump as their_dump, handshake as theirs};
use glusterd_client::{
    glusterd::{
        Dict, dict,
        dump::{DumpProgram, DumpReply},
        handshake::{self, DictReply, GetspecReply},
    },
    xdr::{self, Chain, Opaque, Pack, Text, Unpack},
};

const SIZE: usize = 64 << 10;

/// One line of the table of allocations.
fn count(what: &str, operation: impl FnOnce()) {
    let memory = allocation_counter::measure(operation);
    eprintln!("{what:<44}{:>6} allocations {:>9} bytes at most", memory.count_total, memory.bytes_max);
}

/// Text like that of a volfile.
fn volfile() -> String {
    let brick = "volume one-client-0\n    type protocol/client\n    option remote-host g1.example.com\n    option \
                 remote-subvolume /bricks/one/b1\n    option transport-type tcp\nend-volume\n\n";
    let mut text = brick.repeat(SIZE / brick.len() + 1);
    text.truncate(SIZE);
    text
}

/// The pairs by which GET_VOLUME describes a volume, up to 64 KiB of them.
fn pairs() -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut size = 4;
    for n in 1.. {
        let brick = (format!("volume0.brick{n}"), format!("g{}.example.com:/bricks/one/b{n}", n % 9));
        let uuid = (format!("volume0.brick{n}.uuid"), "3f2504e0-4f89-41d3-9a0c-0305e82c3301".to_owned());
        for (key, value) in [brick, uuid] {
            size += 10 + key.len() + value.len();
            if size > SIZE {
                return pairs;
            }
            pairs.push((key, value));
        }
    }
    pairs
}

fn stock<T: for<'w> Unpack<&'w [u8]>>(bytes: &[u8]) -> T {
    T::unpack(&mut &bytes[..]).expect("made by the codec itself").0
}

fn stock_encode(value: &impl Pack<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    value.pack(&mut out).expect("within its bounds");
    out
}

fn getspec_reply(c: &mut Criterion) {
    let text = volfile();
    let servers = dict::encode(&[("cluster.brick-vol-servers", "g2:24007 g3:24007 ")]);
    let ours = GetspecReply::success(text.as_bytes(), &servers).expect("within its bounds");
    let bytes = xdr::encode(&ours).expect("within its bounds");
    let theirs: theirs::GetspecReply = stock(&bytes);

    count("GETSPEC reply of 64 KiB, decode, ours", || {
        black_box(xdr::decode::<GetspecReply<'_>>(&bytes).expect("whole"));
    });
    count("GETSPEC reply of 64 KiB, with its dict, ours", || {
        black_box(handshake::spec(&bytes).expect("whole").expect("a volfile"));
    });
    count("GETSPEC reply of 64 KiB, decode, xdrgen", || {
        drop(black_box(stock::<theirs::GetspecReply>(&bytes)))
    });
    count("GETSPEC reply of 64 KiB, encode, ours", || drop(black_box(xdr::encode(&ours))));
    count("GETSPEC reply of 64 KiB, encode, xdrgen", || drop(black_box(stock_encode(&theirs))));

    let mut group = c.benchmark_group("getspec-reply-64k");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode/ours", |b| b.iter(|| xdr::decode::<GetspecReply<'_>>(black_box(&bytes))));
    group.bench_function("decode-with-dict/ours", |b| b.iter(|| handshake::spec(black_box(&bytes))));
    group.bench_function("decode/xdrgen", |b| b.iter(|| stock::<theirs::GetspecReply>(black_box(&bytes))));
    group.bench_function("encode/ours", |b| b.iter(|| xdr::encode(black_box(&ours))));
    group.bench_function("encode/xdrgen", |b| b.iter(|| stock_encode(black_box(&theirs))));
    group.finish();
}

fn dict_reply(c: &mut Criterion) {
    let pairs = pairs();
    let pairs = pairs.iter().map(|(key, value)| (&**key, &**value)).collect::<Vec<_>>();
    let dict = dict::encode(&pairs);
    let ours = DictReply { op_ret: 0, op_errno: 0, op_errstr: Text(b""), dict: Opaque(&dict) };
    let bytes = xdr::encode(&ours).expect("within its bounds");
    let theirs: theirs::DictReply = stock(&bytes);

    count("dict reply of 64 KiB, decode, ours", || {
        black_box(xdr::decode::<DictReply<'_>>(&bytes).expect("whole"));
    });
    count("dict reply of 64 KiB, decode, xdrgen", || drop(black_box(stock::<theirs::DictReply>(&bytes))));
    count("dict of 64 KiB, decode, ours", || drop(black_box(Dict::decode(&dict))));
    count("dict of 64 KiB, encode, ours", || drop(black_box(dict::encode(&pairs))));

    let mut group = c.benchmark_group(format!("dict-reply-64k-{}-pairs", pairs.len()));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode/ours", |b| b.iter(|| xdr::decode::<DictReply<'_>>(black_box(&bytes))));
    group.bench_function("decode/xdrgen", |b| b.iter(|| stock::<theirs::DictReply>(black_box(&bytes))));
    group.bench_function("encode/ours", |b| b.iter(|| xdr::encode(black_box(&ours))));
    group.bench_function("encode/xdrgen", |b| b.iter(|| stock_encode(black_box(&theirs))));
    group.bench_function("dict-decode/ours", |b| b.iter(|| Dict::decode(black_box(&dict))));
    group.bench_function("dict-encode/ours", |b| b.iter(|| dict::encode(black_box(&pairs))));
    group.finish();
}

/// Many small strings in one message, where a codec that copies pays most.
fn dump_reply(c: &mut Criterion) {
    let program = |number| DumpProgram { name: Text(b"GlusterD svc cli read-only"), number, version: 2 };
    let programs = Chain((0..256).map(program).collect());
    let ours = DumpReply { gfs_id: 0, op_ret: 0, op_errno: 0, programs };
    let bytes = xdr::encode(&ours).expect("within its bounds");
    let theirs: their_dump::DumpReply = stock(&bytes);

    count("DUMP reply of 256 programs, decode, ours", || {
        drop(black_box(xdr::decode::<DumpReply<'_>>(&bytes)))
    });
    count("DUMP reply of 256 programs, decode, xdrgen", || {
        drop(black_box(stock::<their_dump::DumpReply>(&bytes)));
    });

    let mut group = c.benchmark_group("dump-reply-256");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode/ours", |b| b.iter(|| xdr::decode::<DumpReply<'_>>(black_box(&bytes))));
    group.bench_function("decode/xdrgen", |b| b.iter(|| stock::<their_dump::DumpReply>(black_box(&bytes))));
    group.bench_function("encode/ours", |b| b.iter(|| xdr::encode(black_box(&ours))));
    group.bench_function("encode/xdrgen", |b| b.iter(|| stock_encode(black_box(&theirs))));
    group.finish();
}

criterion_group!(benches, getspec_reply, dict_reply, dump_reply);
criterion_main!(benches);
