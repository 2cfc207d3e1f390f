//! Why something could not be done.

//! What a mount host fails with.

use std::fmt;

/// Why something could not be done: what a script decides by. The numbers are those of `Failure.Reason` in `proto/mount.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Anything else.
    Other = 0,
    /// The request makes no sense: an option, a path, a server's name.
    Invalid = 1,
    /// No server of the cluster could be reached, and there is no volfile on disk.
    Unreachable = 2,
    /// There is no such volume.
    NoSuchVolume = 3,
    /// The volume needs a newer glusterfs than the one installed, or an older.
    OpVersion = 4,
    /// TLS or access control is in the way, of a glusterd or of a brick.
    Access = 5,
    /// The volfile is not one that the installed glusterfs may load.
    InvalidVolfile = 6,
    /// The volume is not started.
    Stopped = 7,
    /// Bricks cannot be reached, or too few of them.
    Bricks = 8,
    /// The directory is not in the volume, or the target is not there.
    NoSuchDirectory = 9,
    /// Something else is mounted at the target.
    TargetInUse = 10,
    /// The target is not mounted by this host.
    NotMounted = 11,
    /// Files are open.
    Busy = 12,
    /// This machine lacks something: glusterfs, `/dev/fuse`, a privilege.
    Machine = 13,
    /// It was not ready in time.
    TimedOut = 14,
    /// No mount host answers at the socket: never said by one.
    NoHost = 15,
}

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
