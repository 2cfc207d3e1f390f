//! Bytes from peers that are broken or mean harm: what is said about them, and what they cost.
//!
//! `tests/corpus/DECODER/*` are small inputs with speaking names, `outcomes.tsv` beside them has what each comes to.
//! The same files seed the targets of `fuzz/`.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use glusterd_client::{
    glusterd::{
        Dict, MAX_DICT, MAX_SPEC, Procedure, dump,
        handshake::{self, Getspec, GetspecReply},
    },
    rpc::{
        Event, Limits, Peer, Violation,
        message::Accepted,
        record::{self, Assembler, MAX_RECORD, RecordError},
    },
    volfile,
    xdr::{self, Opaque, Text},
};
use proptest::{collection::vec, prelude::*};

/// All records in `input`, which comes in reads of the given sizes, around and around.
fn assemble(input: &[u8], reads: &[usize]) -> Result<(Vec<Bytes>, bool), RecordError> {
    let mut assembler = Assembler::new(MAX_RECORD);
    let (mut arrived, mut records) = (BytesMut::new(), Vec::new());
    let (mut rest, mut reads) = (input, reads.iter().copied().cycle());
    while !rest.is_empty() {
        let (read, later) = rest.split_at(reads.next().unwrap_or(rest.len()).min(rest.len()));
        arrived.extend_from_slice(read);
        rest = later;
        while let Some(record) = assembler.next(&mut arrived)? {
            records.push(record);
        }
    }
    Ok((records, assembler.in_record() || !arrived.is_empty()))
}

/// All events of a peer with one call (xid 1) in flight.
fn listen(input: &[u8], reads: &[usize]) -> Result<Vec<Event<u32>>, Violation> {
    let mut peer = Peer::new(Limits::default());
    let call = (Getspec::PROGRAM, Getspec::NUMBER);
    peer.call(Instant::now(), Duration::from_secs(1), call, &(), 1).expect("room for one call");
    let (mut arrived, mut events) = (BytesMut::new(), Vec::new());
    let (mut rest, mut reads) = (input, reads.iter().copied().cycle());
    while !rest.is_empty() {
        let (read, later) = rest.split_at(reads.next().unwrap_or(rest.len()).min(rest.len()));
        arrived.extend_from_slice(read);
        rest = later;
        while let Some(event) = peer.poll_event(&mut arrived)? {
            events.push(event);
        }
    }
    Ok(events)
}

/// What a decoder makes of an input, in words.
fn outcome(decoder: &str, input: &[u8]) -> String {
    match decoder {
        "record" => match assemble(input, &[]) {
            Ok((records, cut)) => {
                let lengths = records.iter().map(Bytes::len).collect::<Vec<_>>();
                format!("records of {lengths:?} bytes{}", if cut { ", then one that is cut" } else { "" })
            }
            Err(error) => error.to_string(),
        },
        "message" => match listen(input, &[]) {
            Ok(events) => events.iter().map(event).collect::<Vec<_>>().join(", "),
            Err(violation) => violation.to_string(),
        },
        "dict" => match Dict::decode(input) {
            Ok(dict) => format!("{:?}", dict.iter().collect::<Vec<_>>()),
            Err(error) => error.to_string(),
        },
        "getspec" => match handshake::spec(input) {
            Ok(Ok(spec)) => {
                format!("volfile of {} bytes, {} of servers", spec.text.len(), spec.servers.len())
            }
            Ok(Err(refusal)) => refusal.to_string(),
            Err(error) => error.to_string(),
        },
        "dump" => match dump::programs(input) {
            Ok(programs) => format!("{} programs", programs.len()),
            Err(error) => error.to_string(),
        },
        "volfile" => match &volfile::faults(input)[..] {
            [] => "a good volfile".to_owned(),
            faults => faults.join("; "),
        },
        other => panic!("no decoder for tests/corpus/{other}"),
    }
}

fn event(event: &Event<u32>) -> String {
    match event {
        Event::Call(call) => format!("call {} with {} bytes", call.xid, call.body.len()),
        Event::Reply { result: Ok(results), .. } => format!("reply with {} bytes", results.len()),
        Event::Reply { result: Err(error), .. } => format!("reply: {error}"),
    }
}

/// The corpus: path below `tests/corpus`, decoder, bytes.
fn corpus() -> Vec<(String, String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files = Vec::new();
    for directory in entries(&root).filter(|entry| entry.file_type().unwrap().is_dir()) {
        let decoder = directory.file_name().into_string().unwrap();
        for file in entries(&directory.path()) {
            let name = file.file_name().into_string().unwrap();
            files.push((format!("{decoder}/{name}"), decoder.clone(), fs::read(file.path()).unwrap()));
        }
    }
    files.sort();
    files
}

/// The most memory that decoding may hold at a time: a small multiple of what arrived (a pair of a dict takes nine bytes or
/// more on the wire and 32 in memory; a buffer that grows has its old half beside it), and a constant.
fn allowance(arrived: usize) -> u64 {
    4 * arrived as u64 + 4096
}

#[test]
fn the_corpus_comes_to_what_is_written_beside_it() {
    let written = include_str!("corpus/outcomes.tsv").lines().map(|line| line.split_once('\t').unwrap());
    let written = written.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let found = corpus().into_iter().map(|(path, decoder, input)| (path, outcome(&decoder, &input)));
    let (written, found) = (written.collect::<BTreeMap<_, _>>(), found.collect::<BTreeMap<_, _>>());
    let differ = found.iter().filter(|(path, text)| written.get(*path) != Some(*text));
    let differ = differ.map(|(path, text)| format!("{path}\t{text}\n")).collect::<String>();
    assert!(differ.is_empty(), "not as in tests/corpus/outcomes.tsv:\n{differ}");
    assert_eq!(found.len(), written.len(), "outcomes.tsv names a file that there is not");
}

#[test]
fn every_truncation_of_the_corpus_costs_no_more_than_what_arrived() {
    for (path, decoder, input) in corpus() {
        for cut in 0..=input.len() {
            let memory = allocation_counter::measure(|| drop(outcome(&decoder, &input[..cut])));
            assert!(memory.bytes_max <= allowance(cut), "{path} cut at {cut}: {memory:?}");
        }
    }
}

#[test]
fn every_truncation_of_a_good_input_is_an_error_with_a_place() {
    for (path, _, input) in corpus() {
        let error = |cut: usize| match path.as_str() {
            "getspec/volfile-and-servers.bin" => handshake::spec(&input[..cut]).unwrap_err().to_string(),
            "dump/two-programs.bin" => dump::programs(&input[..cut]).unwrap_err().to_string(),
            // Without a byte there is no dict, which is no error.
            "dict/one-pair.bin" => Dict::decode(&input[..cut.max(1)]).unwrap_err().to_string(),
            // The header of the record is told to be right, so that the message in it is cut and not the record.
            "message/reply-with-a-verifier.bin" | "message/reply-program-mismatch-0-to-0.bin" => {
                let cut = cut.max(4);
                let record = [&record::header(cut - 4)[..], &input[4..cut]].concat();
                listen(&record, &[]).unwrap_err().to_string()
            }
            _ => "byte".to_owned(),
        };
        for cut in 0..input.len() {
            let error = error(cut);
            assert!(error.contains("byte"), "{path} cut at {cut}: {error}");
        }
    }
}

#[test]
fn the_largest_reply_fits_into_a_record_and_a_larger_body_is_refused() {
    let (spec, xdata) = (vec![b'x'; MAX_SPEC], vec![0; MAX_DICT]);
    let reply = GetspecReply { op_ret: 0, op_errno: 0, spec: Text(&spec), xdata: Opaque(&xdata) };
    let body = Bytes::from(xdr::encode(&reply).unwrap());
    let call = [1, 0, 2, 7, 1, 1, 0, 0, 0, 0].map(u32::to_be_bytes).concat();
    let mut server = Peer::<()>::new(Limits::default());
    let mut input = BytesMut::from(&[&record::header(40)[..], &call].concat()[..]);
    let Ok(Some(Event::Call(call))) = server.poll_event(&mut input) else { panic!("a call") };

    server.reply(&call, Accepted::Success, &body).unwrap();
    let mut wire = Vec::new();
    while server.transmit().has_remaining() {
        let chunk = server.transmit().chunk().to_vec();
        wire.extend_from_slice(&chunk);
        server.transmit().advance(chunk.len());
    }
    let Ok(events) = listen(&wire, &[]) else { panic!("a reply") };
    assert!(matches!(&events[..], [Event::Reply { result: Ok(results), .. }] if *results == body));

    let over = Bytes::from(vec![0; MAX_RECORD]);
    let error = server.reply(&call, Accepted::Success, &over).unwrap_err();
    assert_eq!(error.to_string(), "record, byte 0: 22020120 announced, at most 22020096 allowed");
    assert_eq!(server.waiting(), 0, "nothing of it is left behind");
}

#[test]
fn a_value_over_its_bound_is_not_encoded_and_the_error_says_so() {
    let error = xdr::encode(&handshake::getspec(&"k".repeat(1025), &[])).unwrap_err();
    assert_eq!(error.to_string(), "byte 4: 1025 is over the bound of its type");
}

/// Words as they stand in messages: mostly small numbers, now and then a bound, a flavor, or anything.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0..8u32,
        1 => prop_oneof![Just(400u32), Just(401), Just(390_039), Just(u32::MAX), Just(1 << 31)],
        1 => any::<u32>(),
    ]
}

/// Records with true headers around words that make sense now and then, so that the decoders behind the header are reached.
fn plausible_stream() -> impl Strategy<Value = Vec<u8>> {
    let words = |n| vec(word(), n);
    let record = prop_oneof![
        words(0..16),
        words(0..12).prop_map(|tail| [vec![1, 0, 2, 14_398_633, 2, 2], tail].concat()),
        words(0..12).prop_map(|tail| [vec![1, 1], tail].concat()),
    ];
    vec(record, 0..12).prop_map(|records| {
        let bytes = records.iter().flat_map(|words| {
            let header = record::header(4 * words.len());
            header.into_iter().chain(words.iter().flat_map(|word| word.to_be_bytes())).collect::<Vec<_>>()
        });
        bytes.collect()
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(word(), 0..64).prop_map(|words| words.into_iter().flat_map(u32::to_be_bytes).collect());
    prop_oneof![2 => plausible_stream(), 1 => vec(any::<u8>(), 0..300), 1 => words]
}

/// Sizes of reads or of fragments.
fn sizes(least: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![least..8, least..1500], 1..20)
}

/// `payload` in fragments of the given sizes, the rest of it in the last one.
fn fragment(payload: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), payload);
    for &size in sizes {
        let (part, later) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(part);
        rest = later;
    }
    out.extend_from_slice(&record::header(rest.len()));
    out.extend_from_slice(rest);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn records_are_the_same_however_they_are_cut(
        records in vec((vec(any::<u8>(), 0..4000), sizes(0)), 1..5),
        reads in sizes(1),
    ) {
        let wire = records.iter().flat_map(|(payload, sizes)| fragment(payload, sizes)).collect::<Vec<_>>();
        let (assembled, cut) = assemble(&wire, &reads).unwrap();
        let payloads = records.into_iter().map(|(payload, _)| Bytes::from(payload));
        prop_assert_eq!((assembled, cut), (payloads.collect::<Vec<_>>(), false));
    }

    #[test]
    fn any_stream_is_read_or_refused_with_a_reason_at_the_cost_of_what_arrived(
        stream in stream(),
        reads in sizes(1),
    ) {
        let mut whole = String::new();
        let memory = allocation_counter::measure(|| {
            whole = match listen(&stream, &reads) {
                Ok(_) => "read".to_owned(),
                Err(violation) => violation.to_string(),
            };
        });
        // An event is larger than the smallest record that makes one, and all of them are kept here.
        let events = 4 * stream.len() as u64;
        prop_assert!(memory.bytes_max <= allowance(stream.len()) + events, "{memory:?}");
        prop_assert!(!whole.is_empty());
        let at_once = match listen(&stream, &[]) {
            Ok(_) => "read".to_owned(),
            Err(violation) => violation.to_string(),
        };
        prop_assert_eq!(whole, at_once, "the cutting changes what is said");
    }

    #[test]
    fn any_body_is_decoded_or_refused_at_the_cost_of_what_arrived(stream in stream()) {
        for decoder in ["dict", "getspec", "dump"] {
            let memory = allocation_counter::measure(|| drop(outcome(decoder, &stream)));
            prop_assert!(memory.bytes_max <= allowance(stream.len()), "{decoder}: {memory:?}");
        }
    }
}
