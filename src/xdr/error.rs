use std::fmt;

/// Bytes that are not what their type says: where, in which field, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The field that was being decoded, as `struct.field`; empty outside a struct.
    pub field: &'static str,
    /// Offset in bytes from the start of what was decoded.
    pub at: usize,
    /// What is wrong there.
    pub why: Why,
}

/// The ways in which XDR can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A length that goes beyond the bytes that are there.
    Short {
        /// Bytes needed, padding included.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// A length or count above the bound of its type.
    TooLong {
        /// The length announced.
        len: usize,
        /// The bound; 0 where it is not known.
        max: usize,
    },
    /// Padding bytes that are not zero (RFC 4506 §3 wants zero).
    Padding,
    /// A boolean other than 0 and 1.
    Bool(u32),
    /// A discriminant that its enum does not have.
    Discriminant(u32),
    /// Bytes after the end of the value.
    Trailing(usize),
}

impl Malformed {
    /// An error of `xdr-codec` itself, which only encoding can meet: decoding notes its failures in the reader.
    pub(super) fn from_codec(error: &xdr_codec::Error, at: usize) -> Self {
        let why = match *error.kind() {
            xdr_codec::ErrorKind::InvalidLen(len) => Why::TooLong { len, max: 0 },
            _ => Why::Short { need: 0, have: 0 },
        };
        Self { field: "", at, why }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}, ", self.field)?;
        }
        write!(f, "byte {}: ", self.at)?;
        match self.why {
            Why::Short { need, have } => write!(f, "{need} bytes needed, {have} left"),
            Why::TooLong { len, max: 0 } => write!(f, "{len} is over the bound of its type"),
            Why::TooLong { len, max } => write!(f, "{len} announced, at most {max} allowed"),
            Why::Padding => f.write_str("padding is not zero"),
            Why::Bool(v) => write!(f, "{v} is not a boolean"),
            Why::Discriminant(v) => write!(f, "{v} is not a known discriminant"),
            Why::Trailing(n) => write!(f, "{n} bytes after the end of the message"),
        }
    }
}

impl std::error::Error for Malformed {}
