//! What is said of one thing that was looked at.

use std::{fmt::Display, time::Duration};

use serde::Serialize;

use crate::volfile::{Check, Severity, printable};

/// The most characters of a message, an advice or a subject: what a server says may be long.
const MAX_WORDS: usize = 600;

/// How something that was looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Was not looked at, or nobody could tell: the message says why.
    Unknown,
    /// PVs work; somebody should know.
    Warning,
    /// PVs of the wanted kind do not work, or not as promised.
    Failed,
}

/// One thing that was looked at. Its words are on one line each, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name for scripts, in kebab-case: see [`CODES`].
    pub code: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// The server, brick or translator that it is about; none for the volume or this machine as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was found, in a few words.
    pub message: String,
    /// One line: what to do; none where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// How long it took to answer, in microseconds, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

impl Finding {
    fn new(code: &'static str, outcome: Outcome, message: impl Display) -> Self {
        let message = words(message);
        Self { code, outcome, subject: None, message, advice: None, micros: None }
    }

    pub(super) fn ok(code: &'static str, message: impl Display) -> Self {
        Self::new(code, Outcome::Ok, message)
    }

    pub(super) fn unknown(code: &'static str, message: impl Display) -> Self {
        Self::new(code, Outcome::Unknown, message)
    }

    /// Something is wrong, and what to do about it.
    pub(super) fn wrong(
        code: &'static str,
        outcome: Outcome,
        message: impl Display,
        advice: impl Display,
    ) -> Self {
        Self::new(code, outcome, message).advise(advice)
    }

    /// A weakness that the volfile shows, under a code of ours.
    pub(super) fn of_volfile(code: &'static str, check: &Check) -> Self {
        let outcome = if check.severity == Severity::Error { Outcome::Failed } else { Outcome::Warning };
        let (message, advice) =
            check.advice.split_once(": ").unwrap_or((check.advice, "see its documentation"));
        let finding = Self::wrong(code, outcome, message, advice);
        match &check.volume {
            Some(volume) => finding.about(volume),
            None => finding,
        }
    }

    pub(super) fn advise(self, advice: impl Display) -> Self {
        Self { advice: Some(words(advice)), ..self }
    }

    pub(super) fn about(self, subject: impl Display) -> Self {
        Self { subject: Some(words(subject)), ..self }
    }

    pub(super) fn took(self, took: Duration) -> Self {
        Self { micros: u64::try_from(took.as_micros()).ok(), ..self }
    }

    /// Whether it says the same as another, however long either took.
    pub fn is_same(&self, other: &Self) -> bool {
        Self { micros: None, ..self.clone() } == Self { micros: None, ..other.clone() }
    }

    /// What was found and what to do, as one clause.
    pub fn sentence(&self) -> String {
        let subject = self.subject.iter().map(|subject| format!("{subject}: ")).collect::<String>();
        let advice = self.advice.iter().map(|advice| format!(": {advice}")).collect::<String>();
        format!("{subject}{}{advice}", self.message)
    }
}

/// On one line, bounded, as it can be shown.
fn words(text: impl Display) -> String {
    let text = text.to_string().replace('\n', " ");
    let mut shown = printable(&text);
    let mut short: String = shown.by_ref().take(MAX_WORDS).collect();
    if shown.next().is_some() {
        short.push('…');
    }
    short
}

/// A check by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As in [`Finding::code`].
    pub code: &'static str,
    /// What is looked at, in a few words.
    pub what: &'static str,
    /// Under which head it is shown.
    pub group: Group,
    /// When it is looked at.
    pub when: When,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Who serves the volume.
    Servers,
    /// What it is.
    Volume,
    /// Of Gluster, there and here.
    Versions,
    /// Where its files lie.
    Bricks,
}

impl Group {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Servers, Self::Volume, Self::Versions, Self::Bricks];

    /// Its head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Servers => "Servers",
            Self::Volume => "Volume",
            Self::Versions => "Versions",
            Self::Bricks => "Bricks",
        }
    }
}

/// What a check costs the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Next to nothing: looked at again by who watches.
    Always,
    /// It announces the versions of old clients, or takes a lock: looked at once.
    Once,
}

/// Whether what a code is about is looked at once.
pub fn is_once(code: &str) -> bool {
    CODES.iter().any(|known| known.code == code && known.when == Once)
}

const fn code(group: Group, when: When, code: &'static str, what: &'static str) -> Code {
    Code { code, what, group, when }
}

use Group::{Bricks, Servers, Versions, Volume};
use When::{Always, Once};

/// Every code, in the order in which they are shown.
pub const CODES: &[Code] = &[
    code(Servers, Always, "server", "each server answers on its port: how fast, at which address"),
    code(Servers, Always, "tls", "both sides agree whether TLS is spoken, and trust each other"),
    code(Servers, Always, "cluster", "all servers that are named are of one cluster"),
    code(Servers, Always, "peers", "who is in the pool, and connected"),
    code(Servers, Always, "local-peer", "this host is no server of the cluster"),
    code(Volume, Always, "volume", "the volume exists, and every server knows it"),
    code(Volume, Always, "started", "the volume is started"),
    code(Volume, Always, "volume-id", "the cluster tells the volume's id"),
    code(Volume, Always, "volfile", "glusterfs may be given its volfile"),
    code(Volume, Always, "same-volfile", "every server has the same volfile"),
    code(Volume, Always, "layout", "its kind: a single brick, replicate, arbiter or disperse"),
    code(Volume, Always, "sharding", "files are in one piece"),
    code(Volume, Always, "writable", "files can be written and changed"),
    code(Volume, Always, "redundancy", "the loss of a host loses no data"),
    code(Volume, Always, "features", "other translators and options that defeat PVs or their sizes"),
    code(Versions, Once, "op-version", "which releases of glusterfs may load the volume"),
    code(Versions, Always, "gluster-version", "the servers run Gluster 6 or later"),
    code(Versions, Once, "client-version", "the glusterfs of this machine against the cluster's"),
    code(
        Bricks,
        Always,
        "brick-port",
        "each brick's own glusterd knows its port, which is reachable from here",
    ),
    code(Bricks, Once, "brick-online", "each brick runs, by the word of its server"),
    code(Bricks, Once, "file-system", "each brick is on XFS"),
    code(Bricks, Once, "project-quota", "each brick is mounted with prjquota"),
    code(Bricks, Once, "inode-size", "each brick has inodes of 512 bytes or more"),
    code(Bricks, Once, "free-space", "bytes and inodes are free on each brick"),
    code(Bricks, Once, "quota-daemon", "kadalu quotad looks after each brick"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_of_one_form_and_each_stands_once() {
        let codes: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!((codes.len(), CODES.len()), (25, 25));
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(CODES.is_sorted_by_key(|code| Group::ALL.iter().position(|group| *group == code.group)));
    }

    #[test]
    fn what_a_server_says_stays_on_its_line() {
        let finding =
            Finding::wrong("peers", Outcome::Warning, "a\x1b[2J\nb\u{202e}", "x".repeat(5000)).about("g\0");
        assert_eq!(
            (finding.message.as_str(), finding.subject.as_deref()),
            ("a\\u{1b}[2J b\\u{202e}", Some("g\\u{0}"))
        );
        assert_eq!(finding.advice.as_ref().unwrap().chars().count(), MAX_WORDS + 1);
        assert!(finding.sentence().starts_with("g\\u{0}: a\\u{1b}[2J b\\u{202e}: xxx"));
        assert!(finding.is_same(&finding.clone().took(Duration::from_secs(1))));
    }
}
