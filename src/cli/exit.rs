use std::{fmt, path::Path, process::ExitCode};

use glusterd_client::{
    client::{Kind, NoVolfile},
    mount::{self, Reason},
    storage::{self, config::Fault},
};

use super::output::shown;

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
    /// `--check` found a fault, or a limit is not in force.
    CheckFailed = 7,
    /// The volfile is not one that glusterfs may load.
    InvalidVolfile = 8,
    /// The volume cannot serve I/O: it is stopped, or bricks are missing.
    NotServing = 9,
    /// The target is in use, is not mounted, or is a directory that the volume does not have.
    Target = 10,
    /// This machine lacks something: glusterfs, `/dev/fuse`, a privilege.
    Machine = 11,
    /// No mount host answers.
    NoHost = 12,
}

/// Why a command failed: a number for scripts and a sentence for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// Where a file is at fault: each fault as compilers write it, in place of the message where people read.
    pub(crate) faults: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), faults: Vec::new() }
    }

    /// A file that makes no sense.
    pub(crate) fn of_file(path: &Path, faults: &[Fault]) -> Self {
        let path = shown(&path.display().to_string());
        let faults: Vec<_> = faults.iter().map(|fault| format!("{path}:{fault}")).collect();
        let message = format!("{path} makes no sense: {} faults", faults.len());
        Self { faults, ..Self::new(Exit::Usage, message) }
    }

    /// What only a panic of ours can bring.
    pub(crate) fn defect(error: impl fmt::Display) -> Self {
        Self::other("this is a defect of kadalu, please report it", error)
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

impl From<Reason> for Exit {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Other => Self::Other,
            Reason::Invalid => Self::Usage,
            Reason::Unreachable => Self::Unreachable,
            Reason::NoSuchVolume => Self::NoSuchVolume,
            Reason::OpVersion => Self::OpVersion,
            Reason::Access => Self::Access,
            Reason::InvalidVolfile => Self::InvalidVolfile,
            Reason::Stopped | Reason::Bricks | Reason::TimedOut => Self::NotServing,
            Reason::NoSuchDirectory | Reason::TargetInUse | Reason::NotMounted | Reason::Busy => Self::Target,
            Reason::Machine => Self::Machine,
            Reason::NoHost => Self::NoHost,
        }
    }
}

impl From<mount::Error> for Failure {
    fn from(error: mount::Error) -> Self {
        Self::new(error.reason().into(), error)
    }
}

impl From<storage::Reason> for Exit {
    fn from(reason: storage::Reason) -> Self {
        match reason {
            storage::Reason::Invalid | storage::Reason::OutOfRange => Self::Usage,
            storage::Reason::NotFound => Self::Target,
            storage::Reason::Unavailable | storage::Reason::Gone | storage::Reason::Timeout => {
                Self::NotServing
            }
            storage::Reason::Exists
            | storage::Reason::Exhausted
            | storage::Reason::Precondition
            | storage::Reason::Other => Self::Other,
        }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::new(error.reason().into(), error)
    }
}
