//! What was heard of a volume, before anything is made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    client::{self, Error},
    glusterd::{
        cli::{Friend, VolumeInfo},
        status::BrickStatus,
    },
    transport::{AttemptError, ConnectError, FailedAttempt, ServerAddress},
    volfile::{Address, Check, Graph, Kind, Volfile, checks, faults},
};

/// All that was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What was asked for.
    pub(super) volume: String,
    /// In the order in which they were given, then those learned.
    pub(super) servers: Vec<Server>,
    /// What the volfile says that most servers have.
    pub(super) shape: Option<Shape>,
    /// In the order of the volfile; empty where it was not to be had.
    pub(super) bricks: Vec<Brick>,
    /// Which clients get the volfile.
    pub(super) window: Option<Window>,
    /// What the bricks say of themselves.
    pub(super) status: Status,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: ServerAddress,
    /// Whether it was given, and not learned from another.
    pub(super) named: bool,
    pub(super) answer: Result<Answer, Error>,
}

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// None for a unix socket.
    pub(super) peer: Option<SocketAddr>,
    pub(super) tls: bool,
    /// Whether it wanted a source port below 1024.
    pub(super) privileged: bool,
    /// Until all was answered.
    pub(super) took: Duration,
    /// Its id.
    pub(super) uuid: Option<String>,
    /// The pool as it sees it, itself as `localhost`.
    pub(super) friends: Result<Vec<Friend>, Error>,
    /// None where it has no such volume.
    pub(super) info: Result<Option<VolumeInfo>, Error>,
    pub(super) volfile: Result<Served, Error>,
}

/// A volfile as a server gave it.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) text: Bytes,
    /// The same for volfiles with which glusterfs does the same.
    pub(super) essence: String,
    /// It has the credentials that only servers of the cluster get (facts §5.2).
    pub(super) trusted: bool,
    /// Whether the other servers were named with it, which Gluster does since 8 where there are any (facts §4.4).
    pub(super) names_others: bool,
}

/// A brick, and how it was to be reached.
#[derive(Debug)]
pub(super) struct Brick {
    pub(super) address: Address,
    pub(super) port: Port,
}

/// What became of the way to a brick.
#[derive(Debug)]
pub(super) enum Port {
    /// It accepts connections.
    Open { took: Duration },
    /// The same; it speaks TLS and its glusterd does not, so that it was not tried.
    Untried { took: Duration },
    /// It does not.
    Closed { at: SocketAddr, why: Failure },
    /// Its own glusterd knows no port.
    None,
    /// Its own glusterd was not to be asked.
    Unasked(Failure),
    /// It was not its turn any more, and why.
    Skipped(String),
}

/// Why something was not reached.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// In words.
    pub(super) why: String,
}

/// What a failure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The name has no address.
    Name,
    /// TLS did not come about.
    Tls,
    /// Nothing came in time.
    Silence,
    /// Anything else, such as a refusal.
    Other,
}

impl From<&ConnectError> for Failure {
    fn from(error: &ConnectError) -> Self {
        // Without the address where there is one, which is told beside it.
        let why = match error {
            ConnectError::Failed { attempts, .. } if attempts.len() == 1 => attempts[0].reason.to_string(),
            other => other.to_string(),
        };
        let is_silent = |attempt: &FailedAttempt| {
            matches!(attempt.reason, AttemptError::TimedOut(_) | AttemptError::NotTried)
        };
        let cause = match error {
            ConnectError::Resolve { .. } | ConnectError::NoAddress { .. } => Cause::Name,
            _ if error.tls().is_some() => Cause::Tls,
            ConnectError::Failed { attempts, .. } if attempts.iter().all(is_silent) => Cause::Silence,
            ConnectError::Failed { .. } => Cause::Other,
        };
        Self { cause, why }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let cause = match error {
            Error::TimedOut { .. } | Error::OutOfTime { .. } => Cause::Silence,
            _ => Cause::Other,
        };
        Self { cause, why: error.to_string() }
    }
}

impl Port {
    /// Whether nothing at all came back.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Closed { why, .. } | Self::Unasked(why) if why.cause == Cause::Silence)
    }
}

/// Which clients get the volfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Window {
    /// That release, as its op-version is announced, and later ones.
    From(u32),
    /// None that is known.
    Above,
    /// It was not told, and why.
    Unknown(String),
}

/// What the bricks say of themselves.
#[derive(Debug, Default)]
pub(super) enum Status {
    /// They were not asked, and why not.
    Unasked(&'static str),
    /// No server was found that could ask them.
    #[default]
    Nobody,
    Told(Vec<BrickStatus>),
    /// They were asked, and why there is no answer.
    Silent(String),
}

/// What a volfile says of its volume, on its own.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) checks: Vec<Check>,
    /// Why glusterfs may not be given it.
    pub(super) faults: Vec<String>,
    /// The types of its translators.
    pub(super) types: BTreeSet<String>,
}

impl Shape {
    /// Of a volfile's text.
    ///
    /// # Errors
    /// Why it cannot be read at all.
    pub(super) fn of_text(text: &[u8]) -> Result<Self, String> {
        let volfile = Volfile::parse(text).map_err(|error| error.to_string())?;
        let graph = Graph::new(&volfile).ok_or_else(|| "it is empty".to_owned())?;
        Ok(Self { faults: faults(text), ..Self::new(&graph) })
    }

    /// Of a volfile that glusterfs may be given.
    pub(super) fn new(graph: &Graph<'_>) -> Self {
        let reachable = || graph.xlators().filter(|xlator| xlator.is_reachable());
        Self {
            kind: graph.kind(),
            checks: checks(graph),
            faults: Vec::new(),
            types: reachable().map(|xlator| xlator.xlator_type().to_str_lossy().into_owned()).collect(),
        }
    }
}

impl Served {
    pub(super) fn new(text: Bytes, names_others: bool) -> Self {
        let (mut essence, mut trusted) = (client::digest(&text), false);
        if let Ok(volfile) = Volfile::parse(&text) {
            let mut words = Vec::new();
            for section in volfile.sections() {
                let is_credential = |key: &BStr| key == "username" || key == "password";
                let options = section.options().iter().map(|option| (&*option.key, &*option.value));
                let (own, options): (Vec<_>, Vec<_>) = options.partition(|(key, _)| is_credential(key));
                trusted |= !own.is_empty() && section.xlator_type() == "protocol/client";
                // The last of a name counts, and their order does not.
                let options: BTreeMap<_, _> = options.into_iter().collect();
                let head = [section.name(), section.xlator_type()];
                let pairs = options.into_iter().flat_map(|(key, value)| [key, value]);
                for word in
                    head.into_iter().chain(pairs).chain(["subvolumes".into()]).chain(section.subvolumes())
                {
                    words.extend_from_slice(word);
                    words.push(b'\n');
                }
            }
            essence = client::digest(&words);
        }
        Self { text, essence, trusted, names_others }
    }
}

impl Server {
    /// What it has answered, where it was reached and answered anything.
    pub(super) fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref().ok().filter(|answer| answer.has_answered())
    }

    /// Why nothing was heard from it.
    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.answer {
            Ok(answer) if answer.has_answered() => None,
            Ok(answer) => answer.volfile.as_ref().err(),
            Err(error) => Some(error),
        }
    }
}

impl Answer {
    /// Whether anything came back: a refusal is an answer too.
    fn has_answered(&self) -> bool {
        let answered = |error: &Error| matches!(error, Error::Refused { .. } | Error::Reply { .. });
        self.uuid.is_some()
            || self.friends.is_ok()
            || self.info.is_ok()
            || self.volfile.as_ref().map_or_else(answered, |_| true)
    }
}

impl Heard {
    /// The servers that have answered.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&Server, &Answer)> {
        self.servers.iter().filter_map(|server| Some((server, server.answer()?)))
    }

    /// The volfiles that were given, each with its server.
    pub(super) fn served(&self) -> impl Iterator<Item = (&Server, &Served)> {
        self.answers().filter_map(|(server, answer)| Some((server, answer.volfile.as_ref().ok()?)))
    }

    /// The volfile that most servers have, and of as many the first.
    pub(super) fn most(&self) -> Option<&Served> {
        let mut votes = BTreeMap::<&str, usize>::new();
        for (_, served) in self.served() {
            *votes.entry(&served.essence).or_default() += 1;
        }
        let highest = votes.values().max()?;
        let is_most = |served: &&Served| votes.get(&*served.essence) == Some(highest);
        self.served().map(|(_, served)| served).find(is_most)
    }

    /// The volume as the first server that tells describes it.
    pub(super) fn info(&self) -> Option<&VolumeInfo> {
        self.answers().find_map(|(_, answer)| answer.info.as_ref().ok()?.as_ref())
    }
}
