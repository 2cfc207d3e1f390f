//! What storage fails with.

use std::fmt;

use rustix::io::Errno;

/// What a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// What was asked for makes no sense, whatever the state of the pool.
    Invalid,
    /// There is no such PV.
    NotFound,
    /// Something of this name is there already, and is not what was asked for.
    Exists,
    /// The size is not one that can be given.
    OutOfRange,
    /// The pool has no room for it.
    Exhausted,
    /// The state of the pool forbids it until somebody changes that.
    Precondition,
    /// Something has to end first, or the bricks do not answer: the same again may succeed.
    Unavailable,
    /// The volume is not mounted there any more, or nothing serves its mount: it has to be mounted anew.
    Gone,
    /// It took too long.
    Timeout,
    /// Anything that has no reason of its own.
    Other,
}

/// What could not be done: a reason for programs and a sentence for people that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    message: String,
    /// What was worked on is there no more.
    vanished: bool,
}

impl Error {
    /// An error with its sentence.
    pub fn new(reason: Reason, message: impl fmt::Display) -> Self {
        Self { reason, message: message.to_string(), vanished: false }
    }

    /// What could not be done, for a reason that no program tells from others.
    pub fn other(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::new(Reason::Other, format_args!("{doing}: {error}"))
    }

    /// What a system call on a volume said, with what was being done.
    pub fn errno(doing: impl fmt::Display, errno: Errno) -> Self {
        let (reason, advice) = match errno {
            Errno::NOTCONN | Errno::CONNABORTED => {
                (Reason::Gone, "; the volume's mount is not connected, see kadalu mounts")
            }
            Errno::STALE | Errno::CONNRESET | Errno::HOSTUNREACH => {
                (Reason::Unavailable, "; the volume does not answer as it should, see kadalu mounts")
            }
            Errno::TIMEDOUT => (Reason::Timeout, "; the volume does not answer, see kadalu mounts"),
            Errno::NOSPC | Errno::DQUOT => (Reason::Exhausted, "; make room on the volume"),
            Errno::ROFS => (Reason::Precondition, "; the volume, or its mount, is read-only"),
            Errno::PERM | Errno::ACCESS => {
                (Reason::Precondition, "; it takes root, and a volume that does not squash root")
            }
            Errno::LOOP => {
                (Reason::Precondition, "; a symbolic link stands there, and links are not followed")
            }
            Errno::XDEV => {
                (Reason::Precondition, "; another file system is mounted there, or a quota project keeps it")
            }
            Errno::NOTDIR => (Reason::Precondition, "; something else stands where a directory should"),
            Errno::NOTSUP | Errno::NOSYS => {
                (Reason::Precondition, "; the volume, or this kernel, cannot do it")
            }
            _ => (Reason::Other, ""),
        };
        let vanished = matches!(errno, Errno::NOENT | Errno::STALE);
        Self { vanished, ..Self::new(reason, format_args!("{doing}: {errno}{advice}")) }
    }

    /// Whether what was worked on has been taken away meanwhile.
    pub(super) fn has_vanished(&self) -> bool {
        self.vanished
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

/// Says what was being done when an error came.
pub(super) trait Doing<T> {
    fn doing<D: fmt::Display>(self, words: impl FnOnce() -> D) -> Result<T, Error>;
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing<D: fmt::Display>(self, words: impl FnOnce() -> D) -> Result<T, Error> {
        self.map_err(|errno| Error::errno(words(), errno))
    }
}
