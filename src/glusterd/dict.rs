//! Gluster's dict on the wire (facts §4.1): a count, then lengths, key, NUL and value of each pair, without padding.

use std::num::ParseIntError;

use bstr::{BStr, ByteSlice};

/// A dict that cannot be read; the whole of it is refused, as glusterfs does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DictError {
    /// A length beyond the bytes that are there.
    #[error("dict, byte {at}, pair {pair} of {count}: {need} bytes needed, {have} left")]
    Short {
        /// Offset of what was being read.
        at: usize,
        /// Which pair, from 1; 0 for the count itself.
        pair: u32,
        /// Pairs announced.
        count: u32,
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// No NUL after a key.
    #[error("dict, byte {at}: no NUL after the key")]
    Unterminated {
        /// Offset of the missing NUL.
        at: usize,
    },
    /// Bytes after the last pair.
    #[error("dict: {0} bytes after the last pair")]
    Trailing(usize),
}

/// A dict as it arrived: pairs that borrow from the message, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dict<'a> {
    /// Sorted by key; of equal keys the first to arrive stands first and is the one that is found.
    pairs: Vec<(&'a BStr, &'a BStr)>,
}

impl<'a> Dict<'a> {
    /// Reads a whole opaque; one without bytes is no dict, which reads as an empty one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DictError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut input = Input { rest: bytes, len: bytes.len(), pair: 0, count: 0 };
        input.count = input.number()?;
        // A bogus count fails where the data runs out; it reserves no more than the data can hold.
        let mut pairs = Vec::with_capacity((input.rest.len() / MIN_PAIR).min(input.count as usize));
        for pair in 1..=input.count {
            input.pair = pair;
            let (key_len, value_len) = (input.number()? as usize, input.number()? as usize);
            let key = input.take(key_len)?;
            let at = input.at();
            if input.take(1)? != b"\0" {
                return Err(DictError::Unterminated { at });
            }
            let value = input.take(value_len)?;
            pairs.push((key.as_bstr(), value.strip_suffix(b"\0").unwrap_or(value).as_bstr()));
        }
        if !input.rest.is_empty() {
            return Err(DictError::Trailing(input.rest.len()));
        }
        // In place; the address of a key stands for its turn in the message.
        pairs.sort_unstable_by_key(|&(key, _)| (key, key.as_ptr()));
        Ok(Self { pairs })
    }

    /// The value of a key, without its trailing NUL.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&'a BStr> {
        let key = key.as_ref().as_bstr();
        let at = self.pairs.partition_point(|&(k, _)| k < key);
        self.pairs.get(at).filter(|&&(k, _)| k == key).map(|&(_, value)| value)
    }

    /// The value of a key as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self, key: impl AsRef<[u8]>) -> Option<String> {
        self.get(key).map(|value| value.to_str_lossy().into_owned())
    }

    /// A number: decimal digits. `None` where there is no key or no number.
    pub fn number<N: std::str::FromStr<Err = ParseIntError>>(&self, key: impl AsRef<[u8]>) -> Option<N> {
        self.get(key)?.to_str().ok()?.trim().parse().ok()
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a BStr, &'a BStr)> + '_ {
        self.pairs.iter().copied()
    }
}

/// Writes a dict; every value gets its trailing NUL.
pub fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
    let size = pairs.iter().map(|(key, value)| 10 + key.len() + value.len()).sum::<usize>();
    let mut out = Vec::with_capacity(4 + size);
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&word(pairs.len()));
    for (key, value) in pairs {
        out.extend_from_slice(&word(key.len()));
        out.extend_from_slice(&word(value.len() + 1));
        for text in [key, value] {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
    }
    out
}

/// Two lengths, an empty key with its NUL, and no value.
const MIN_PAIR: usize = 9;

struct Input<'a> {
    rest: &'a [u8],
    len: usize,
    pair: u32,
    count: u32,
}

impl<'a> Input<'a> {
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    fn take(&mut self, need: usize) -> Result<&'a [u8], DictError> {
        let Some((taken, rest)) = self.rest.split_at_checked(need) else {
            let (at, have) = (self.at(), self.rest.len());
            return Err(DictError::Short { at, pair: self.pair, count: self.count, need, have });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, DictError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(word))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lying_count_or_length_is_named_with_its_place() {
        let mut bytes = encode(&[("count", "1")]);
        bytes[3] = 9;
        let error = Dict::decode(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "dict, byte 20, pair 2 of 9: 4 bytes needed, 0 left");

        let mut bytes = encode(&[("count", "1")]);
        bytes[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        let error = Dict::decode(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "dict, byte 18, pair 1 of 1: 4294967295 bytes needed, 2 left");
    }

    #[test]
    fn a_value_without_nul_and_a_key_that_comes_twice_are_read() {
        let mut bytes = encode(&[("a", "1"), ("a", "2")]);
        assert_eq!(Dict::decode(&bytes).unwrap().number::<u32>("a"), Some(1));
        let len = bytes.len();
        bytes[len - 1] = b'5';
        assert_eq!(Dict::decode(&bytes).unwrap().iter().last().unwrap().1, "25");
    }

    #[test]
    fn a_dict_costs_one_allocation_in_proportion_to_what_arrived() {
        let pairs = (0..1000).map(|n| (n.to_string(), "v".to_owned())).collect::<Vec<_>>();
        let pairs = pairs.iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>();
        let mut bytes = encode(&pairs);
        let whole = allocation_counter::measure(|| drop(Dict::decode(&bytes).unwrap()));
        assert_eq!(whole.count_total, 1);
        bytes[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        let lying = allocation_counter::measure(|| assert!(Dict::decode(&bytes).is_err()));
        assert!(lying.bytes_max <= 4 * bytes.len() as u64, "{lying:?} for {} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::btree_map("[a-z.0-9]{0,12}", "[ -~]{0,20}", 0..20)) {
            let list = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>();
            let bytes = encode(&list);
            let dict = Dict::decode(&bytes).unwrap();
            prop_assert_eq!(dict.iter().count(), pairs.len());
            for (key, value) in &pairs {
                prop_assert_eq!(dict.get(key).unwrap(), value.as_str());
            }
            for cut in 1..bytes.len() {
                prop_assert!(Dict::decode(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Dict::decode(&bytes);
        }
    }
}
