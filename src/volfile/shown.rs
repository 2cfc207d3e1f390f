//! Names and values from a volfile, made fit for a terminal, a log line and JSON.

use std::fmt::{self, Write};

use bstr::BStr;

/// Bytes as text of one line: what is not UTF-8 becomes U+FFFD, and control characters are escaped, because a
/// volfile comes from the network and a terminal obeys them.
pub(super) struct Shown<'a>(pub(super) &'a BStr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (true, Ok(plain)) = (self.0.is_ascii(), std::str::from_utf8(self.0))
            && !plain.bytes().any(|byte| byte.is_ascii_control())
        {
            return f.write_str(plain);
        }
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                if char.is_control() { write!(f, "{}", char.escape_default())? } else { f.write_char(char)? }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// The same as an owned string.
pub(super) fn shown(bytes: &BStr) -> String {
    Shown(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown(b"a\x1b[31m\xff \xc3\xa9".as_bstr()), "a\\u{1b}[31m\u{fffd} é");
    }
}
