//! Record assembly: the last byte says into which reads the whole is cut, which must not matter.
#![no_main]

use bytes::{Bytes, BytesMut};
use glusterd_client::rpc::record::{Assembler, MAX_RECORD, RecordError};
use libfuzzer_sys::fuzz_target;

fn assemble(input: &[u8], read: usize) -> (Vec<Bytes>, Option<RecordError>) {
    let (mut assembler, mut arrived, mut records) = (Assembler::new(MAX_RECORD), BytesMut::new(), Vec::new());
    for read in input.chunks(read) {
        arrived.extend_from_slice(read);
        loop {
            match assembler.next(&mut arrived) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => return (records, Some(error)),
            }
        }
    }
    (records, None)
}

fuzz_target!(|input: &[u8]| {
    let Some(&read) = input.last() else { return };
    let whole = assemble(input, usize::MAX);
    assert!(whole.0.iter().map(Bytes::len).sum::<usize>() <= input.len());
    assert_eq!(assemble(input, usize::from(read).max(1)), whole);
});
