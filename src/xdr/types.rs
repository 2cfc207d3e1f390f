use std::{fmt, io::Write};

use bstr::{BStr, ByteSlice};
use xdr_codec::{Pack, Result, Unpack};

use super::{Reader, Why};

/// `opaque<MAX>`: a length, bytes, and zero padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Opaque<'a, const MAX: usize>(pub &'a [u8]);

/// `string<MAX>`: on the wire as [`Opaque`]. Gluster puts any byte but NUL into one (brick paths), so this is bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Text<'a, const MAX: usize>(pub &'a [u8]);

/// `T<MAX>`: a count and that many elements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

/// `unsigned int [N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<const N: usize>(pub [u32; N]);

/// An XDR linked list (`*next`), read in a loop: a boolean before each node, false at the end. At most `MAX` nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain<T, const MAX: usize>(pub Vec<T>);

impl<'a, const MAX: usize> Text<'a, MAX> {
    /// The bytes as text, for comparing and for printing (lossily).
    pub fn as_bstr(&self) -> &'a BStr {
        self.0.as_bstr()
    }
}

impl<'a, const MAX: usize> From<&'a str> for Text<'a, MAX> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<const MAX: usize> fmt::Debug for Text<'_, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bstr().fmt(f)
    }
}

impl<const MAX: usize> fmt::Debug for Opaque<'_, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// Reads the length of a variable-length value; 0 after a failure.
fn length(input: &mut Reader<'_>, max: usize) -> Result<usize> {
    let at = input.position();
    let len = u32::unpack(input)?.0 as usize;
    if len > max {
        input.fail(at, Why::TooLong { len, max });
        return Ok(0);
    }
    Ok(len)
}

fn unpack_bytes<'a>(input: &mut Reader<'a>, max: usize) -> Result<(&'a [u8], usize)> {
    let len = length(input, max)?;
    Ok((input.padded(len), 4 + len.next_multiple_of(4)))
}

fn pack_bytes<Out: Write>(bytes: &[u8], max: usize, out: &mut Out) -> Result<usize> {
    let len = checked_length(bytes.len(), max)?;
    len.pack(out)?;
    let pad = bytes.len().wrapping_neg() & 3;
    out.write_all(bytes)?;
    out.write_all(&[0; 3][..pad])?;
    Ok(4 + bytes.len() + pad)
}

fn checked_length(len: usize, max: usize) -> Result<u32> {
    match u32::try_from(len) {
        Ok(wire) if len <= max => Ok(wire),
        _ => Err(xdr_codec::Error::invalidlen(len)),
    }
}

impl<'a, const MAX: usize> Unpack<Reader<'a>> for Opaque<'a, MAX> {
    fn unpack(input: &mut Reader<'a>) -> Result<(Self, usize)> {
        unpack_bytes(input, MAX).map(|(bytes, size)| (Self(bytes), size))
    }
}

impl<Out: Write, const MAX: usize> Pack<Out> for Opaque<'_, MAX> {
    fn pack(&self, out: &mut Out) -> Result<usize> {
        pack_bytes(self.0, MAX, out)
    }
}

impl<'a, const MAX: usize> Unpack<Reader<'a>> for Text<'a, MAX> {
    fn unpack(input: &mut Reader<'a>) -> Result<(Self, usize)> {
        unpack_bytes(input, MAX).map(|(bytes, size)| (Self(bytes), size))
    }
}

impl<Out: Write, const MAX: usize> Pack<Out> for Text<'_, MAX> {
    fn pack(&self, out: &mut Out) -> Result<usize> {
        pack_bytes(self.0, MAX, out)
    }
}

impl<'a, T: Unpack<Reader<'a>>, const MAX: usize> Unpack<Reader<'a>> for List<T, MAX> {
    fn unpack(input: &mut Reader<'a>) -> Result<(Self, usize)> {
        let len = length(input, MAX)?;
        // No XDR element is shorter than a word, so more elements than words left cannot be true.
        let words = input.rest().len() / 4;
        if len > words {
            let why = Why::Short { need: len.saturating_mul(4), have: input.rest().len() };
            input.fail(input.position(), why);
            return Ok((Self(Vec::new()), 4));
        }
        let mut items = Vec::with_capacity(len);
        let mut size = 4;
        for _ in 0..len {
            let (item, n) = T::unpack(input)?;
            items.push(item);
            size += n;
        }
        Ok((Self(items), size))
    }
}

impl<Out: Write, T: Pack<Out>, const MAX: usize> Pack<Out> for List<T, MAX> {
    fn pack(&self, out: &mut Out) -> Result<usize> {
        let mut size = checked_length(self.0.len(), MAX)?.pack(out)?;
        for item in &self.0 {
            size += item.pack(out)?;
        }
        Ok(size)
    }
}

impl<'a, const N: usize> Unpack<Reader<'a>> for Array<N> {
    fn unpack(input: &mut Reader<'a>) -> Result<(Self, usize)> {
        let mut words = [0; N];
        for word in &mut words {
            *word = u32::unpack(input)?.0;
        }
        Ok((Self(words), 4 * N))
    }
}

impl<Out: Write, const N: usize> Pack<Out> for Array<N> {
    fn pack(&self, out: &mut Out) -> Result<usize> {
        self.0.iter().try_fold(0, |size, word| Ok(size + word.pack(out)?))
    }
}

/// Reads an XDR boolean; other codecs take any non-zero word for true.
fn boolean(input: &mut Reader<'_>) -> Result<bool> {
    let at = input.position();
    match u32::unpack(input)?.0 {
        0 => Ok(false),
        1 => Ok(true),
        other => {
            input.fail(at, Why::Bool(other));
            Ok(false)
        }
    }
}

impl<'a, T: Unpack<Reader<'a>>, const MAX: usize> Unpack<Reader<'a>> for Chain<T, MAX> {
    fn unpack(input: &mut Reader<'a>) -> Result<(Self, usize)> {
        let mut nodes = Vec::new();
        let mut size = 4;
        while boolean(input)? {
            if nodes.len() == MAX {
                input.fail(input.position(), Why::TooLong { len: MAX + 1, max: MAX });
                break;
            }
            let (node, n) = T::unpack(input)?;
            nodes.push(node);
            size += 4 + n;
        }
        Ok((Self(nodes), size))
    }
}

impl<Out: Write, T: Pack<Out>, const MAX: usize> Pack<Out> for Chain<T, MAX> {
    fn pack(&self, out: &mut Out) -> Result<usize> {
        checked_length(self.0.len(), MAX)?;
        let mut size = 0;
        for node in &self.0 {
            size += true.pack(out)? + node.pack(out)?;
        }
        Ok(size + false.pack(out)?)
    }
}
