//! Record marking (RFC 5531 §11): fragments with a four-byte header, the top bit set on the last one.

use bytes::{Buf, Bytes, BytesMut};

/// The largest record that is accepted or sent: a volfile of 16 MiB (a thousand times a usual one), a dict of 4 MiB, and
/// the words around them. glusterd itself drops a connection at 1 GiB (facts §1.1).
pub const MAX_RECORD: usize = 21 << 20;

/// The most fragments of one record, empty ones included: glusterd sends one; without a bound an endless run of empty
/// fragments would be an endless record.
pub const MAX_FRAGMENTS: usize = 1024;

const LAST: u32 = 1 << 31;

/// A record that goes beyond its bounds; the connection cannot be used any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The announced length is over the bound; nothing of it was awaited.
    #[error("a record of {len} bytes or more announced, at most {max} allowed")]
    TooLong {
        /// Bytes announced up to now.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// More than [`MAX_FRAGMENTS`].
    #[error("a record in more than {MAX_FRAGMENTS} fragments")]
    TooManyFragments,
}

/// Puts records together from the bytes of a stream, however they were cut.
#[derive(Debug)]
pub struct Assembler {
    max: usize,
    /// Bytes of the current fragment that are still to come; `None` where a header comes next.
    fragment: Option<Fragment>,
    fragments: usize,
    /// Complete fragments of a record that has more than one.
    partial: BytesMut,
}

#[derive(Debug, Clone, Copy)]
struct Fragment {
    len: usize,
    last: bool,
}

impl Assembler {
    /// An assembler that refuses records over `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, fragment: None, fragments: 0, partial: BytesMut::new() }
    }

    /// The next record at the front of `input`, without its headers, or `None` where more bytes are needed.
    /// A record in one fragment is a slice of `input`, not a copy.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, RecordError> {
        loop {
            let fragment = match self.fragment {
                Some(fragment) => fragment,
                None if input.len() < 4 => return Ok(None),
                None => self.header(input.get_u32())?,
            };
            if input.len() < fragment.len {
                self.fragment = Some(fragment);
                return Ok(None);
            }
            self.fragment = None;
            let bytes = input.split_to(fragment.len);
            if fragment.last {
                self.fragments = 0;
                if self.partial.is_empty() {
                    return Ok(Some(bytes.freeze()));
                }
                self.partial.extend_from_slice(&bytes);
                return Ok(Some(std::mem::take(&mut self.partial).freeze()));
            }
            self.partial.extend_from_slice(&bytes);
        }
    }

    /// Whether a record has begun: the end of the stream here cuts it.
    pub fn in_record(&self) -> bool {
        self.fragment.is_some() || self.fragments > 0
    }

    fn header(&mut self, word: u32) -> Result<Fragment, RecordError> {
        let fragment = Fragment { len: (word & !LAST) as usize, last: word & LAST != 0 };
        let len = self.partial.len() + fragment.len;
        if len > self.max {
            return Err(RecordError::TooLong { len, max: self.max });
        }
        self.fragments += 1;
        if self.fragments > MAX_FRAGMENTS {
            return Err(RecordError::TooManyFragments);
        }
        Ok(fragment)
    }
}

/// The header of a record of `len` bytes in one fragment, as every Gluster peer sends it.
pub fn header(len: usize) -> [u8; 4] {
    debug_assert!(len <= MAX_RECORD, "the outbox refuses longer ones");
    (len as u32 | LAST).to_be_bytes()
}
