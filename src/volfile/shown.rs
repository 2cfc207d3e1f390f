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
            printable(chunk.valid()).try_for_each(|char| f.write_char(char))?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// A text of somebody else on one line, with escapes in the place of what a terminal would obey and of what shows another
/// text than there is: control characters, those that turn the direction of writing, and those that nobody sees.
pub fn printable(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars().flat_map(|char| {
        let escaped = misleads(char).then(|| char.escape_default());
        let plain = escaped.is_none().then_some(char);
        escaped.into_iter().flatten().chain(plain)
    })
}

/// Joiners (U+200C, U+200D) do not: there are words that are not written without.
fn misleads(char: char) -> bool {
    let unseen = ['\u{ad}', '\u{61c}', '\u{180e}', '\u{200b}', '\u{feff}'];
    char.is_control()
        || unseen.contains(&char)
        || matches!(char, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(char, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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

    #[test]
    fn what_shows_another_text_than_there_is_is_escaped() {
        let printed = |text| printable(text).collect::<String>();
        assert_eq!(printed("Replica3\u{202e}lanretxE"), "Replica3\\u{202e}lanretxE");
        assert_eq!(printed("g\u{200b}1\u{feff}\u{2066}\u{e0041}"), "g\\u{200b}1\\u{feff}\\u{2066}\\u{e0041}");
        for plain in ["/bricks/e\u{301}", "می\u{200c}خواهم", "क्\u{200d}ष", "it's \"a\" \\b"] {
            assert_eq!(printed(plain), plain);
        }
    }
}
