//! What is wrong with a configuration.

use std::fmt;

use serde::Serialize;

/// Bytes of a sentence.
const MAX_MESSAGE: usize = 450;

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From 1; none where it was no text (an object of the API).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Where in the object: `spec.details[0].gluster_node`; empty for the whole.
    pub path: String,
    /// A sentence that says what is wrong and what to do.
    pub message: String,
}

/// A line of a text and a column of it, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    line: u32,
    column: u32,
}

impl Place {
    /// `column`: from 0.
    pub(super) fn new(line: usize, column: usize) -> Self {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: number(line.max(1)), column: number(column.saturating_add(1)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Fault {
    /// No more are told: who wrote so many has not written a configuration.
    pub(super) const MAX: usize = 100;

    pub(super) fn new(at: Option<Place>, path: &str, message: impl fmt::Display) -> Self {
        let (line, column) = at.map(|Place { line, column }| (line, column)).unzip();
        Self { line, column, path: path.to_owned(), message: bounded(&message.to_string()) }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.line.zip(self.column).map(|(line, column)| Place { line, column })
    }
}

/// Where it is known as `LINE:COLUMN: PATH: sentence`, as compilers write it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// On one line, and not longer than a sentence: parts of it may be anybody's.
fn bounded(message: &str) -> String {
    let mut short = String::new();
    for letter in message.chars() {
        if short.len() > MAX_MESSAGE {
            short.push('…');
            break;
        }
        if letter.is_control() { short.extend(letter.escape_debug()) } else { short.push(letter) }
    }
    short
}
