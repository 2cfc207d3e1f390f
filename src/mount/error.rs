//! What a mount host fails with.

use std::fmt;

/// What a script decides by; the numbers and their meanings are those of `proto/mount.proto`.
pub use super::generated::failure::Reason;

/// What could not be done: a reason for scripts and a sentence for people that says what to do.
#[derive(Debug, Clone)]
pub struct Error {
    reason: Reason,
    message: String,
}

impl Error {
    /// An error with its sentence.
    pub fn new(reason: Reason, message: impl fmt::Display) -> Self {
        Self { reason, message: message.to_string() }
    }

    /// What could not be done, for a reason that no script tells from others.
    pub fn other(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::new(Reason::Other, format_args!("{doing}: {error}"))
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
