//! Words, strings and keywords, as glusterfs' flex rules cut them (facts §10.1; each row is compared with
//! the real lexer in `tests/volfile_glusterfs.rs`).

use std::borrow::Cow;

use bstr::{BStr, BString, ByteSlice};
use nom::IResult;
use nom::bytes::complete::take_while1;

use super::error::Fail;

pub(super) type Result<'a, T> = IResult<&'a [u8], T, Fail<'a>>;

/// One token of a volfile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// A bare word that is a keyword; in quotes it would be an ordinary word.
    Keyword(Keyword),
    /// A bare word, or a string without its quotes and backslashes.
    Word(Cow<'a, BStr>),
    /// `""`, which stands for no word at all.
    Nothing,
    /// The end of the text.
    End,
}

/// The five words of the grammar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keyword {
    Volume,
    Type,
    Option,
    Subvolumes,
    EndVolume,
}

impl Keyword {
    /// Longest match: a keyword is a whole word, `types` is not one.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        match word {
            b"option" => Some(Self::Option),
            b"volume" => Some(Self::Volume),
            b"type" => Some(Self::Type),
            b"subvolumes" | b"subvolumeS" => Some(Self::Subvolumes),
            b"end-volume" => Some(Self::EndVolume),
            _ => None,
        }
    }

    /// What is behind the keyword, if `text` begins with it: [`Keyword::of`] without a look for the word's end.
    pub(super) fn strip_from(self, text: &[u8]) -> Option<&[u8]> {
        let rest = match self {
            Self::Option => text.strip_prefix(b"option"),
            Self::Volume => text.strip_prefix(b"volume"),
            Self::Type => text.strip_prefix(b"type"),
            Self::Subvolumes => text.strip_prefix(b"subvolumes").or_else(|| text.strip_prefix(b"subvolumeS")),
            Self::EndVolume => text.strip_prefix(b"end-volume"),
        }?;
        rest.first().is_none_or(|byte| !is_word(*byte)).then_some(rest)
    }
}

/// What begins at the first byte that is no separator.
pub(super) fn token(text: &[u8]) -> Result<'_, Token<'_>> {
    let text = gap(text);
    match text.first() {
        None => Ok((text, Token::End)),
        Some(b'"') => quoted(text),
        Some(_) => {
            let (rest, word) = take_while1(is_word)(text)?;
            Ok((rest, Keyword::of(word).map_or(Token::Word(Cow::Borrowed(word.as_bstr())), Token::Keyword)))
        }
    }
}

/// The text behind separators, comments and backslashes: outside of a string glusterfs prints a backslash to
/// its stdout and goes on, so it only ends a word.
pub(super) fn gap(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b' ' | b'\t' | b'\r' | b'\n' | b'\\', rest @ ..] => rest,
            [b'#', ..] => &text[text.find_byte(b'\n').unwrap_or(text.len())..],
            _ => return text,
        }
    }
}

/// Whether `byte` may stand in a bare word; a `#` or a keyword's place is another matter.
pub(super) fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

/// A table, because every byte of a volfile is asked for.
const WORD: [bool; 256] = {
    let mut table = [true; 256];
    let mut ends: &[u8] = b" \t\r\n\"\\";
    while let [byte, rest @ ..] = ends {
        table[*byte as usize] = false;
        ends = rest;
    }
    table
};

/// A string. `\x` is `x` whatever x is; a raw newline is dropped, also behind a backslash, which goes with it.
///
/// A string without its end is an error here, although glusterfs takes one at the very end of a file: its
/// lexer is then still inside the string when the next volfile comes.
fn quoted(text: &[u8]) -> Result<'_, Token<'_>> {
    let unterminated = nom::Err::Failure(Fail { at: text, expected: "a string with its closing quote" });
    let body = &text[1..];
    let Some(plain) = body.find_byteset(b"\"\\\n") else { return Err(unterminated) };
    if body[plain] == b'"' {
        let word = body[..plain].as_bstr();
        let token = if word.is_empty() { Token::Nothing } else { Token::Word(Cow::Borrowed(word)) };
        return Ok((&body[plain + 1..], token));
    }
    let mut word = BString::new(body[..plain].to_vec());
    let mut bytes = body[plain..].iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                let token = if word.is_empty() { Token::Nothing } else { Token::Word(Cow::Owned(word)) };
                return Ok((bytes.as_slice(), token));
            }
            b'\\' => word.extend(bytes.next().filter(|byte| **byte != b'\n')),
            b'\n' => {}
            _ => word.push(*byte),
        }
    }
    Err(unterminated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mut text: &[u8]) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        loop {
            match token(text).unwrap() {
                (_, Token::End) => return tokens,
                (rest, token) => {
                    tokens.push(token);
                    text = rest;
                }
            }
        }
    }

    fn word(text: &str) -> Token<'static> {
        Token::Word(Cow::Owned(text.into()))
    }

    #[test]
    fn words_end_at_space_quote_and_backslash_only() {
        assert_eq!(
            words(b"ab#cd 'x' a\\b a\x0bb"),
            [word("ab#cd"), word("'x'"), word("a"), word("b"), word("a\x0bb")]
        );
        assert_eq!(words(b"ab\"cd\"e"), [word("ab"), word("cd"), word("e")]);
        assert_eq!(words(b"a#b\r#c\nd"), [word("a#b"), word("d")]);
    }

    #[test]
    fn keywords_are_whole_bare_words() {
        assert_eq!(words(b"type types Type"), [Token::Keyword(Keyword::Type), word("types"), word("Type")]);
        assert_eq!(words(b"\"type\" type\"x\""), [word("type"), Token::Keyword(Keyword::Type), word("x")]);
        let subvolumes = Token::Keyword(Keyword::Subvolumes);
        assert_eq!(
            words(b"subvolumes subvolumeS subvolume"),
            [subvolumes.clone(), subvolumes, word("subvolume")]
        );
    }

    #[test]
    fn strings_lose_backslashes_and_newlines() {
        assert_eq!(words(br#""a\"b\\c\nd" "#), [word("a\"b\\cnd")]);
        assert_eq!(words(b"\"a\nb\\\nc\""), [word("abc")]);
        assert_eq!(words(b"\"\" \"\n\""), [Token::Nothing, Token::Nothing]);
        assert_eq!(words(b"\"#a\"#b"), [word("#a")]);
    }

    #[test]
    fn a_string_without_its_end_is_refused() {
        for text in [&b"\""[..], b"\"ab", b"\"ab\\", b"\"ab\\\""] {
            assert!(token(text).is_err(), "{}", text.as_bstr());
        }
    }
}
