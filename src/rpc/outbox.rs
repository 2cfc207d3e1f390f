use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

use super::{
    message::Header,
    record::{self, MAX_RECORD},
};
use crate::xdr::{self, Malformed, Pack, Why};

/// Bodies from this size on are queued as they are; copying a smaller one is cheaper than one more entry of a `writev`.
const SHARE_FROM: usize = 16 << 10;

/// An empty buffer that grew larger than this is given back: thousands of idle connections keep none.
const KEEP: usize = 4 << 10;

/// Records that wait to be written, in order. Large bodies are shared, not copied.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Bytes>,
    /// What follows the queue: small records, one behind the other.
    tail: Vec<u8>,
    /// How much of `tail` is written already.
    written: usize,
    queued: usize,
}

impl Outbox {
    /// Queues a record whose body is encoded here.
    pub(super) fn push<T: Pack<Vec<u8>>>(&mut self, header: &Header<'_>, body: &T) -> Result<(), Malformed> {
        let start = self.tail.len();
        let result = self.header(header).and_then(|()| xdr::encode_into(body, &mut self.tail));
        self.seal_record(start, 0, result)
    }

    /// Queues a record with a body that is encoded already.
    pub(super) fn push_shared(&mut self, header: &Header<'_>, body: &Bytes) -> Result<(), Malformed> {
        let start = self.tail.len();
        let result = self.header(header);
        self.seal_record(start, body.len(), result)?;
        if body.len() < SHARE_FROM {
            self.tail.extend_from_slice(body);
        } else {
            let mut head = Bytes::from(std::mem::take(&mut self.tail));
            head.advance(std::mem::take(&mut self.written));
            self.queued += head.len() + body.len();
            self.queue.extend([head, body.clone()]);
        }
        Ok(())
    }

    fn header(&mut self, header: &Header<'_>) -> Result<(), Malformed> {
        self.tail.extend_from_slice(&[0; 4]);
        xdr::encode_into(header, &mut self.tail)
    }

    /// Gives the record at `start` its header; takes it back where it could not be encoded or where a peer of this crate
    /// would refuse it. `more` bytes are still to come.
    fn seal_record(
        &mut self,
        start: usize,
        more: usize,
        encoded: Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let len = self.tail.len() - start - 4 + more;
        let result = encoded.and(match len {
            ..=MAX_RECORD => Ok(()),
            _ => Err(Malformed { field: "record", at: 0, why: Why::TooLong { len, max: MAX_RECORD } }),
        });
        match result {
            Ok(()) => self.tail[start..start + 4].copy_from_slice(&record::header(len)),
            Err(_) => self.tail.truncate(start),
        }
        result
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.queued + self.tail.len() - self.written
    }

    fn chunk(&self) -> &[u8] {
        self.queue.front().map_or(&self.tail[self.written..], |bytes| bytes)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.queue.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            self.queued -= step;
            count -= step;
            if !front.is_empty() {
                return;
            }
            self.queue.pop_front();
        }
        self.written += count;
        assert!(self.written <= self.tail.len(), "advanced past what waits");
        if self.written == self.tail.len() {
            self.written = 0;
            self.tail.clear();
            if self.tail.capacity() > KEEP {
                self.tail = Vec::new();
            }
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = &self.tail[self.written..];
        let chunks = self.queue.iter().map(|bytes| &bytes[..]).chain((!tail.is_empty()).then_some(tail));
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            used += 1;
        }
        used
    }
}
