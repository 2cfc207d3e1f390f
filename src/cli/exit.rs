use std::{fmt, process::ExitCode};

use glusterd_client::client::{Kind, NoVolfile};

/// How a command ends: a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no number of its own.
    Other = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No server could be reached.
    Unreachable = 3,
    /// There is no such volume.
    NoSuchVolume = 4,
    /// The volume needs another op-version.
    OpVersion = 5,
    /// TLS or access control is in the way.
    Access = 6,
    /// `--check` found a fault.
    CheckFailed = 7,
    /// The volfile is not one that glusterfs may load.
    InvalidVolfile = 8,
}

/// Why a command failed: a number for scripts and a sentence for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// What has no number of its own, with what was being done.
    pub(crate) fn other(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::new(Exit::Other, format_args!("{doing}: {error}"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Unreachable => Self::Unreachable,
            Kind::Access => Self::Access,
            Kind::NoSuchVolume => Self::NoSuchVolume,
            Kind::OpVersion => Self::OpVersion,
            Kind::Other => Self::Other,
        }
    }
}

impl From<NoVolfile> for Failure {
    fn from(error: NoVolfile) -> Self {
        Self::new(error.kind().into(), error)
    }
}
