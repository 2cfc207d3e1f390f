//! Whether a volume of somebody else can be the home of PVs: every assumption as a fact that was looked at, from here,
//! without an account on the cluster.
//!
//! What is asked over the network becomes one value, which is judged without a network: [`check`] is both. Nothing on the
//! cluster is changed by it.

mod ask;
mod bricks;
mod features;
mod finding;
mod gather;
mod heard;
mod servers;
mod suits;
#[cfg(test)]
mod tests;
mod versions;
mod volume;

use serde::Serialize;

pub use self::{
    bricks::quota_daemon,
    finding::{CODES, Code, Finding, Group, Outcome, When, is_once},
    suits::Examined,
};
use self::{
    gather::gather,
    heard::{Heard, Status},
};
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

/// What is wanted of the volume, and how it is looked at.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How its cluster is spoken to. One server or brick has the time of one connection, and at most 5 s; of the bricks of
    /// one host, 32 at a time, those are not tried whose turn has not come after twice that.
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

/// What is wanted of the volume alone.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    kind: PvKind,
    allow: Allow,
    quota: QuotaPolicy,
}

impl Wanted {
    /// How bad it is that a limit cannot be set.
    fn without_limits(self) -> Outcome {
        match (self.kind, self.quota) {
            (PvKind::Whole, _) | (_, QuotaPolicy::Off) => Outcome::Ok,
            (_, QuotaPolicy::BestEffort) => Outcome::Warning,
            (_, QuotaPolicy::Required) => Outcome::Failed,
        }
    }
}

/// What is known of a volume after it was looked at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Facts {
    /// The volume's id, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind of volume it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// As its server describes it; values of options that let somebody in are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<VolumeInfo>,
    /// Every server that is known now: those given, then those learned.
    pub servers: Vec<String>,
    /// Of its volfile, as `kadalu volfile-get --format digest` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes that the volume can hold, and bytes free, where the state of its bricks was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<(u64, u64)>,
}

/// A volume that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The volume's name.
    pub volume: String,
    /// In the order of [`CODES`].
    pub findings: Vec<Finding>,
    /// What is known of it.
    pub facts: Facts,
}

impl Report {
    /// The worst of all findings.
    pub fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Unknown)
    }

    /// The findings of a code.
    pub fn of(&self, code: &str) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.code == code)
    }

    /// Puts others in the place of the findings of their codes.
    pub fn replace(&mut self, findings: Vec<Finding>) {
        self.findings.retain(|old| findings.iter().all(|new| new.code != old.code));
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| place(finding.code));
    }
}

fn place(code: &str) -> Option<usize> {
    CODES.iter().position(|known| known.code == code)
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Full,
    /// What costs next to nothing.
    Again,
    /// Whether this host reaches servers and bricks.
    Near,
}

impl Depth {
    fn has(self, code: &str) -> bool {
        let code = place(code).map(|place| &CODES[place]);
        match self {
            Self::Full => true,
            Self::Again => code.is_some_and(|code| code.when == When::Always),
            Self::Near => code.is_some_and(|code| ["server", "tls", "brick-port"].contains(&code.code)),
        }
    }
}

/// Looks at a volume. What cannot be looked at because of something else is left out, or `Unknown`; it never fails.
pub async fn check(servers: &[ServerAddress], volume: &str, options: &Options) -> Report {
    look(servers, volume, options, Depth::Full).await
}

/// Looks again at what costs next to nothing, and leaves out what is to be asked once: [`When::Once`].
pub async fn check_again(servers: &[ServerAddress], volume: &str, options: &Options) -> Report {
    look(servers, volume, options, Depth::Again).await
}

/// Looks from here at the way to these servers and to the bricks of the volume, and at nothing else.
pub async fn check_near(servers: &[ServerAddress], volume: &str, options: &Options) -> Report {
    look(servers, volume, options, Depth::Near).await
}

async fn look(servers: &[ServerAddress], volume: &str, options: &Options, depth: Depth) -> Report {
    let heard = gather(servers, volume, options, depth).await;
    let mut report = judge(&heard, options);
    report.findings.retain(|finding| depth.has(finding.code));
    report
}

/// What all that was heard amounts to.
fn judge(heard: &Heard, options: &Options) -> Report {
    let wanted = Wanted { kind: options.kind, allow: options.allow, quota: options.quota };
    let mut findings = servers::judge(heard);
    findings.extend(volume::judge(heard, wanted));
    findings.extend(versions::judge(heard, options.installed));
    findings.extend(bricks::judge(heard, wanted));
    findings.sort_by_key(|finding| place(finding.code));
    let facts = Facts {
        id: volume::id(heard).ok(),
        kind: heard.shape.as_ref().map(|shape| shape.kind.clone()),
        info: heard.info().map(volume::without_secrets),
        servers: heard.servers.iter().map(|server| server.address.to_string()).collect(),
        digest: heard.most().map(|most| client::digest(&most.text)),
        capacity: match (&heard.status, &heard.shape) {
            (Status::Told(bricks), Some(shape)) => bricks::capacity(bricks, &shape.kind),
            _ => None,
        },
    };
    Report { volume: heard.volume.clone(), findings, facts }
}
