use std::{fmt, sync::Arc, time::Duration};

use crate::{
    glusterd::{ReplyError, handshake::Refusal},
    rpc::{Busy, CallError, message::Denied},
    transport::{AttemptError, ConnectError, ServerAddress, TlsError},
    xdr::Malformed,
};

/// What went wrong with one server.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The connection ended before the reply.
    #[error("{server}: {reason}")]
    Closed {
        /// The server.
        server: ServerAddress,
        /// Why, in a sentence.
        reason: Arc<str>,
        /// Whether it was the server's first answer to anything, so that TLS or access may be what is wrong.
        early: bool,
    },
    /// No reply in time.
    #[error("{server}: no reply within {after:?}; it accepted the connection but stays silent")]
    TimedOut {
        /// The server.
        server: ServerAddress,
        /// The time that was given.
        after: Duration,
    },
    /// The time for the whole of a fetch was up.
    #[error("{server}: {reason} when the time was up, after {after:?}")]
    OutOfTime {
        /// The server.
        server: ServerAddress,
        /// How far it had come with this server.
        reason: &'static str,
        /// The time that was given.
        after: Duration,
    },
    /// The call was not carried out.
    #[error("{server}: {}", call_advice(error))]
    Call {
        /// The server.
        server: ServerAddress,
        /// How.
        error: CallError,
    },
    /// Too many calls wait for a reply already.
    #[error("{server}: {busy}")]
    Busy {
        /// The server.
        server: ServerAddress,
        /// How many.
        busy: Busy,
    },
    /// The reply cannot be read.
    #[error("{server}: {error}")]
    Reply {
        /// The server.
        server: ServerAddress,
        /// What is wrong with it.
        error: ReplyError,
    },
    /// The server answered GETSPEC without a volfile.
    #[error("{server}: {refusal}")]
    Refused {
        /// The server.
        server: ServerAddress,
        /// Its answer.
        refusal: Refusal,
    },
    /// The request cannot be encoded, such as a name that is too long.
    #[error("cannot encode the request: {0}")]
    Request(#[from] Malformed),
}

fn call_advice(error: &CallError) -> String {
    match error {
        // glusterd's answer to a source port of 1024 or more with `rpc-auth-allow-insecure off` (facts §2.4).
        CallError::Denied(Denied::Authentication(2)) => {
            "the server wants a source port below 1024 (rpc-auth-allow-insecure \
            is off there): run as root or with CAP_NET_BIND_SERVICE, or have it turned on"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// The kind of a failure: what a script decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No server could be reached, or none answered.
    Unreachable,
    /// TLS or access control is in the way.
    Access,
    /// There is no such volume.
    NoSuchVolume,
    /// The volume needs another op-version than was announced.
    OpVersion,
    /// Anything else.
    Other,
}

impl Error {
    /// The server it is about; `None` for a request that was never sent.
    pub fn server(&self) -> Option<&ServerAddress> {
        match self {
            Self::Connect(error) => Some(error.server()),
            Self::Closed { server, .. }
            | Self::TimedOut { server, .. }
            | Self::OutOfTime { server, .. }
            | Self::Busy { server, .. }
            | Self::Call { server, .. }
            | Self::Reply { server, .. }
            | Self::Refused { server, .. } => Some(server),
            Self::Request(_) => None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(error) if error.tls().is_some_and(|tls| !matches!(tls, TlsError::Io(_))) => {
                Kind::Access
            }
            Self::Closed { early: true, .. } | Self::Call { error: CallError::Denied(_), .. } => Kind::Access,
            Self::Connect(_) | Self::Closed { .. } | Self::TimedOut { .. } | Self::OutOfTime { .. } => {
                Kind::Unreachable
            }
            Self::Refused { refusal: Refusal::NotFound { .. }, .. } => Kind::NoSuchVolume,
            Self::Refused { refusal: Refusal::OpVersion, .. } => Kind::OpVersion,
            Self::Call { .. }
            | Self::Busy { .. }
            | Self::Reply { .. }
            | Self::Refused { .. }
            | Self::Request(_) => Kind::Other,
        }
    }

    /// Whether the server wants a source port below 1024.
    pub(crate) fn wants_privileged_port(&self) -> bool {
        matches!(self, Self::Call { error: CallError::Denied(Denied::Authentication(2)), .. })
    }

    /// Whether we may not have a source port below 1024.
    pub(super) fn lacks_privilege(&self) -> bool {
        matches!(self, Self::Connect(error) if matches!(&**error, ConnectError::Failed { attempts, .. }
            if attempts.iter().any(|attempt| matches!(attempt.reason, AttemptError::SourcePort))))
    }
}

/// Every server was asked and none gave a volfile: each one's own reason.
#[derive(Debug, Clone)]
pub struct NoVolfile {
    /// What was asked for.
    pub key: String,
    /// One for each server, in the order of their answers.
    pub failures: Vec<Error>,
}

impl NoVolfile {
    /// What they amount to. "No such volume" is believed from a majority of the servers that were reached; one that is
    /// cut off from its cluster may not know a volume that exists.
    pub fn kind(&self) -> Kind {
        let count = |kind| self.failures.iter().filter(|error| error.kind() == kind).count();
        let reached = self.failures.len() - count(Kind::Unreachable) - count(Kind::Access);
        if reached == 0 {
            return if count(Kind::Access) > 0 { Kind::Access } else { Kind::Unreachable };
        }
        [Kind::NoSuchVolume, Kind::OpVersion]
            .into_iter()
            .find(|&kind| count(kind) * 2 > reached)
            .unwrap_or(Kind::Other)
    }
}

impl fmt::Display for NoVolfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = match self.kind() {
            Kind::Unreachable => "no server reachable",
            Kind::Access => "no server let us in",
            Kind::NoSuchVolume => "no such volume, or it is not ready",
            Kind::OpVersion => "the volume needs a client of another op-version; see --op-version",
            Kind::Other => "no server gave a volfile",
        };
        write!(f, "volume {:?}: {summary}", self.key)?;
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoVolfile {}
