use std::{fmt, io, time::Duration};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why the helper has not done what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The mount did not answer in this time. The child was killed, and may still be on its way.
    TimedOut(Duration),
    /// The kernel, or the mount, refused.
    Errno {
        /// Of errno(3), such as 16 for `EBUSY`.
        errno: i32,
        /// What was tried and where.
        doing: String,
    },
    /// The child could not be started or has not answered as it should.
    Broken(String),
}

impl Failed {
    /// The errno, where the kernel or the mount refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Errno { errno, .. } => Some(*errno),
            Self::TimedOut(_) | Self::Broken(_) => None,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "no answer within {}", humantime::format_duration(*limit)),
            Self::Errno { errno, doing } => {
                write!(f, "cannot {doing}: {}", io::Error::from_raw_os_error(*errno))
            }
            Self::Broken(why) => write!(f, "the mount helper failed: {why}"),
        }
    }
}

impl std::error::Error for Failed {}

/// What the child says of its failure.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    errno: i32,
    doing: String,
}

impl Failure {
    pub(super) fn new(errno: Errno, doing: impl fmt::Display) -> Self {
        Self { errno: errno.raw_os_error(), doing: doing.to_string() }
    }
}

impl From<Failure> for Failed {
    fn from(Failure { errno, doing }: Failure) -> Self {
        Self::Errno { errno, doing }
    }
}

/// Says what was being done when an error came.
pub(super) trait Doing<T> {
    fn doing<D: fmt::Display>(self, words: impl FnOnce() -> D) -> Result<T, Failure>;
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing<D: fmt::Display>(self, words: impl FnOnce() -> D) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(errno, words()))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<D: fmt::Display>(self, words: impl FnOnce() -> D) -> Result<T, Failure> {
        self.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)).doing(words)
    }
}
