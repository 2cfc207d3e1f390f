//! XDR (RFC 4506) as this crate reads it from hostile peers: borrowing, bounded, and exact about where it failed.
//!
//! The `Pack` and `Unpack` traits and the integer codecs are those of `xdr-codec`; its variable-length
//! helpers trust the lengths a peer claims, so those types are our own ([`Opaque`], [`Text`], [`List`], [`Chain`]).
//! Every claimed length is compared with the bytes that have arrived before anything is taken or allocated.
//!
//! ```
//! use glusterd_client::xdr::{self, Text};
//!
//! let bytes = xdr::encode(&(Text::<255>::from("one")))?;
//! assert_eq!(bytes, b"\0\0\0\x03one\0");
//! assert_eq!(xdr::decode::<Text<'_, 255>>(&bytes)?, Text::from("one"));
//!
//! let error = xdr::decode::<Text<'_, 255>>(b"\xff\xff\xff\xffone\0").unwrap_err();
//! assert_eq!(error.to_string(), "byte 0: 4294967295 announced, at most 255 allowed");
//! # Ok::<(), xdr::Malformed>(())
//! ```

mod error;
mod reader;
mod structs;
mod types;

pub use error::{Malformed, Why};
pub use reader::Reader;
pub(crate) use structs::{in_field, xdr};
pub use types::{Array, Chain, List, Opaque, Text};
pub use xdr_codec::{Pack, Unpack};

/// Decodes a `T` that must fill `bytes` exactly.
pub fn decode<'a, T: Unpack<Reader<'a>>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    let (value, rest) = decode_prefix(bytes)?;
    match rest.len() {
        0 => Ok(value),
        left => Err(Malformed { field: "", at: bytes.len() - left, why: Why::Trailing(left) }),
    }
}

/// Decodes a `T` from the front of `bytes` and returns what follows it: an RPC header and its body.
pub fn decode_prefix<'a, T: Unpack<Reader<'a>>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    let mut reader = Reader::new(bytes);
    let unpacked = T::unpack(&mut reader);
    match (reader.failure(), unpacked) {
        (None, Ok((value, _))) => Ok((value, reader.rest())),
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Malformed::from_codec(&error, reader.position())),
    }
}

/// Encodes `value`; fails only where a length exceeds the bound of its type.
pub fn encode<T: Pack<Vec<u8>> + ?Sized>(value: &T) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(128);
    encode_into(value, &mut out)?;
    Ok(out)
}

/// [`encode`] to the end of an existing buffer; what was written before a failure stays in it.
pub fn encode_into<T: Pack<Vec<u8>> + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match value.pack(out) {
        Ok(_) => Ok(()),
        Err(error) => Err(Malformed::from_codec(&error, out.len())),
    }
}
