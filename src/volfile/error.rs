//! Why bytes are not a volfile.

use std::fmt;

use bstr::{BStr, ByteSlice};
use thiserror::Error;

use super::lex::{self, Token};
use super::shown::Shown;

/// The largest volfile read: 16 MiB.
///
/// A brick takes about 400 bytes of volfile, so this is forty thousand bricks; the reply to a GETSPEC is
/// limited far below it, so only a file of somebody's own could be larger.
pub const MAX_SIZE: usize = 16 << 20;

/// Why bytes are not a volfile: the first thing that glusterfs' own parser (facts §10.3) would refuse too.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No volume at all: nothing, or only comments.
    #[error("the volfile is empty: it defines no volume")]
    Empty,
    /// More than [`MAX_SIZE`] bytes.
    #[error("the volfile has {size} bytes, more than the limit of {MAX_SIZE}")]
    TooLarge {
        /// Bytes given.
        size: usize,
    },
    /// Not the grammar.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Where the text leaves the grammar, and how.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What the grammar wants at this place.
    pub expected: &'static str,
    /// What stands there, shortened and without control characters.
    pub found: String,
    /// The volume being defined, if one is.
    pub volume: Option<String>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, expected, found, volume } = self;
        write!(f, "line {line}, column {column}: expected {expected}, found {found}")?;
        match volume {
            Some(name) => write!(f, " (in volume `{name}`)"),
            None => Ok(()),
        }
    }
}

impl SyntaxError {
    /// The error for `fail` in `text`; only now are lines counted.
    pub(super) fn new(text: &[u8], fail: &Fail<'_>, volume: Option<&BStr>) -> Self {
        let before = &text[..text.len() - fail.at.len()];
        Self {
            line: line_at(text, before.len()),
            column: (before.len() - before.rfind_byte(b'\n').map_or(0, |newline| newline + 1)) as u32 + 1,
            expected: fail.expected,
            found: found(fail.at, fail.expected),
            volume: volume.map(|name| Shown(name).to_string()),
        }
    }
}

/// The line, from 1, of the byte at `offset`.
pub(super) fn line_at(text: &[u8], offset: usize) -> u32 {
    text[..offset].iter().filter(|byte| **byte == b'\n').count() as u32 + 1
}

fn found(at: &[u8], expected: &str) -> String {
    /// Enough to recognise the place, short enough for one line of log.
    const SHOWN: usize = 40;
    match lex::token(at) {
        Ok((_, Token::End)) => "the end of the file".to_owned(),
        Ok((_, Token::Nothing)) => "the empty string `\"\"`".to_owned(),
        // Behind an option it may be a part of its value, which may be a secret.
        Ok((_, Token::Word(_))) if expected.starts_with("`option`") => "another word".to_owned(),
        Ok((rest, _)) => {
            let word = at[..at.len() - rest.len()].as_bstr();
            let cut = if word.len() > SHOWN { "…" } else { "" };
            format!("`{}{cut}`", Shown(word[..word.len().min(SHOWN)].as_bstr()))
        }
        Err(_) => "a string that never ends".to_owned(),
    }
}

/// A parser's failure: small, because every alternative that does not fit makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fail<'a> {
    /// What is left of the text where it failed.
    pub(super) at: &'a [u8],
    /// What was wanted there; empty until a context names it.
    pub(super) expected: &'static str,
}

impl<'a> nom::error::ParseError<&'a [u8]> for Fail<'a> {
    fn from_error_kind(at: &'a [u8], _: nom::error::ErrorKind) -> Self {
        Self { at, expected: "" }
    }

    fn append(_: &'a [u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two alternatives the one that got further is the one that was meant.
    fn or(self, other: Self) -> Self {
        if other.at.len() < self.at.len() { other } else { self }
    }
}

impl<'a> nom::error::ContextError<&'a [u8]> for Fail<'a> {
    /// The innermost name stays.
    fn add_context(_: &'a [u8], expected: &'static str, other: Self) -> Self {
        if other.expected.is_empty() { Self { expected, ..other } } else { other }
    }
}
