use std::io::{self, Read};

use super::{Malformed, Why};

/// A cursor over bytes that have arrived; hands out slices that live as long as the bytes.
///
/// A failure sticks: it is noted once, with its place, and everything after it reads as zero, so that decoding ends
/// at once. The error values of `xdr-codec` would capture a backtrace of megabytes for each hostile message wherever
/// `RUST_BACKTRACE=1` is set.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
    failure: Option<Malformed>,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len(), failure: None }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What went wrong first.
    pub fn failure(&self) -> Option<Malformed> {
        self.failure
    }

    /// The next `len` bytes, without their zero padding to a multiple of four; none after a failure.
    pub fn padded(&mut self, len: usize) -> &'a [u8] {
        let pad = len.wrapping_neg() & 3;
        let need = len.saturating_add(pad);
        let Some((taken, rest)) = self.rest.split_at_checked(need) else {
            self.fail(self.position(), Why::Short { need, have: self.rest.len() });
            return &[];
        };
        let (value, padding) = taken.split_at(len);
        if padding.iter().any(|&b| b != 0) {
            self.fail(self.position() + len, Why::Padding);
            return &[];
        }
        self.rest = rest;
        value
    }

    /// Notes a failure at offset `at`, unless there is one, and lets nothing more be read.
    pub(crate) fn fail(&mut self, at: usize, why: Why) {
        self.failure.get_or_insert(Malformed { field: "", at, why });
        self.rest = &[];
    }

    /// Gives a failure the name of the field in which it happened, the innermost one where structs nest.
    pub(super) fn name_failure(&mut self, field: &'static str) {
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.field.is_empty()) {
            failure.field = field;
        }
    }
}

/// The integer codecs of `xdr-codec` read through this.
impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.rest.read(buf)
    }

    #[inline]
    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        match self.rest.split_at_checked(buf.len()) {
            Some((taken, rest)) => {
                buf.copy_from_slice(taken);
                self.rest = rest;
            }
            None => {
                buf.fill(0);
                self.fail(self.position(), Why::Short { need: buf.len(), have: self.rest.len() });
            }
        }
        Ok(())
    }
}
