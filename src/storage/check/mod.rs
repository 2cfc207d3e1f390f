//! Whether a volume of somebody else can be the home of PVs: every assumption as a fact that was looked at, from here,
//! without an account on the cluster.

use serde::Serialize;

use crate::{
    client,
    glusterd::cli::VolumeInfo,
    mount::installed::Version,
    storage::{
        parameters::{Allow, PvKind},
        record::QuotaPolicy,
    },
    transport::ServerAddress,
    volfile::Kind,
};

/// How something that was looked at is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

/// One thing that was looked at.
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
}

/// A check by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As in [`Finding::code`].
    pub code: &'static str,
    /// What is looked at, in a few words.
    pub what: &'static str,
}

/// Every code.
pub const CODES: &[Code] = &[];

/// What is wanted of the volume, and how it is looked at.
#[derive(Debug, Clone)]
pub struct Options {
    /// How its cluster is spoken to.
    pub client: client::Options,
    /// The glusterfs that will mount it; none where that is not known.
    pub installed: Option<Version>,
    /// What its PVs will be.
    pub kind: PvKind,
    /// Kinds of volumes that are permitted although sizes mean nothing there.
    pub allow: Allow,
    /// What sizes are to be worth.
    pub quota: QuotaPolicy,
    /// Ask for the state of the bricks too. It takes the cluster's lock for the volume: once, never polled (facts §3.3).
    pub status: bool,
}

/// What is known of a volume after it was looked at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// The volume's id.
    pub id: Option<String>,
    /// What kind of volume it is.
    pub kind: Option<Kind>,
    /// As its server describes it.
    pub info: Option<VolumeInfo>,
    /// Every server that is known now: those given, then those learned.
    pub servers: Vec<String>,
    /// Of its volfile, as `kadalu volfile-get --format digest` prints it.
    pub digest: Option<String>,
    /// Bytes that the volume can hold, and bytes free, where the state of its bricks was asked for.
    pub capacity: Option<(u64, u64)>,
}

/// A volume that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The volume's name.
    pub volume: String,
    /// In the order in which the checks depend on each other.
    pub findings: Vec<Finding>,
    /// What is known of it.
    pub facts: Facts,
}

impl Report {
    /// The worst of all findings.
    pub fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Unknown)
    }
}

/// Looks at a volume. What cannot be looked at because of something else is left out, or `Unknown`; it never fails.
pub async fn check(_servers: &[ServerAddress], _volume: &str, _options: &Options) -> Report {
    unimplemented!()
}
