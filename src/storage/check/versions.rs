//! Which releases of Gluster: what the volume wants, what the servers are, what this machine has.
//!
//! No server tells remote hosts its version. What is said of it follows from the form of its answers (facts §12).

use std::{collections::BTreeSet, fmt};

use super::{
    finding::{Finding, Outcome},
    heard::{Answer, Heard, Window},
    volume::is_historic,
};
use crate::{
    glusterd::{OpVersion, cli::VolumeInfo},
    mount::installed::Version,
};

/// The releases that a server, or a cluster, may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Releases {
    /// None where nothing tells; then it may be older than 6.
    from: Option<u32>,
    /// None where it may be later than all that are known.
    to: Option<u32>,
}

impl fmt::Display for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "Gluster {from}"),
            (Some(from), Some(to)) => write!(f, "Gluster {from} to {to}"),
            (Some(from), None) => write!(f, "Gluster {from} or later"),
            (None, Some(to)) => write!(f, "Gluster {to} or earlier"),
            (None, None) => f.write_str("any Gluster"),
        }
    }
}

impl Releases {
    /// What one server's answers show; none where they show nothing.
    fn of(answer: &Answer, has_ids: bool) -> Option<Self> {
        let info = answer.info.as_ref().ok().and_then(Option::as_ref);
        let served = answer.volfile.as_ref().ok();
        let others =
            answer.friends.iter().flatten().any(|friend| friend.hostname != "localhost" && friend.connected);
        // Each is a release from which on the form is the new one, and whether it is.
        let signs = [
            info.map(|info| (7, info.thin_arbiter_count.is_some())),
            served.filter(|_| others).map(|served| (8, served.names_others)),
            has_ids.then_some((9, true)),
            info.and_then(counts_sets).map(|counts_sets| (11, counts_sets)),
        ];
        let signs: Vec<_> = signs.into_iter().flatten().collect();
        let from = signs.iter().filter(|(_, is_new)| *is_new).map(|(release, _)| *release).max();
        let to = signs.iter().filter(|(_, is_new)| !*is_new).map(|(release, _)| release - 1).min();
        (!signs.is_empty()).then_some(Self { from, to })
    }
}

/// Whether `dist_count` is the number of sets, where that is another than the number of bricks of one.
fn counts_sets(info: &VolumeInfo) -> Option<bool> {
    let of_set = info.replica_count.max(info.disperse_count).max(1);
    let sets = u32::try_from(info.bricks.len()).ok()? / of_set;
    (sets > 0 && sets != of_set && info.thin_arbiter.is_none()).then_some(())?;
    match info.dist_count {
        count if count == sets => Some(true),
        count if count == of_set => Some(false),
        _ => None,
    }
}

pub(super) fn judge(heard: &Heard, installed: Option<Version>) -> Vec<Finding> {
    if heard.shape.is_none() {
        return Vec::new();
    }
    let servers = servers(heard);
    vec![op_version(heard, installed), gluster(heard, &servers), client(heard, installed, &servers)]
}

/// What the servers are, each kind once.
fn servers(heard: &Heard) -> BTreeSet<Releases> {
    let has_ids = heard.shape.as_ref().is_some_and(|shape| shape.kind.volume_id.is_some());
    heard.answers().filter_map(|(_, answer)| Releases::of(answer, has_ids)).collect()
}

fn op_version(heard: &Heard, installed: Option<Version>) -> Finding {
    const CODE: &str = "op-version";
    let from = match heard.window.as_ref() {
        Some(Window::From(release)) => *release,
        Some(Window::Above) => {
            let message = "no glusterfs up to 11 may load the volume";
            return Finding::wrong(CODE, Outcome::Failed, message, "use a glusterfs of a later release");
        }
        Some(Window::Unknown(why)) => return Finding::unknown(CODE, why),
        None => return Finding::unknown(CODE, "was not asked"),
    };
    let number = OpVersion::RELEASES.iter().find(|(release, _)| *release == from).map(|(_, number)| number.0);
    let number = number.unwrap_or_default();
    let message = format!("glusterfs {from} and later may load the volume (op-version {number} or above)");
    let known = installed.and_then(|installed| Some((installed, installed.op_versions()?.max.0)));
    match known {
        Some((installed, max)) if max < number => {
            let message = format!("{message}; here it is {installed}, of op-version {max}");
            let advice = format!("install glusterfs {from} or later, or the image of that release");
            Finding::wrong(CODE, Outcome::Failed, message, advice)
        }
        _ => Finding::ok(CODE, message),
    }
}

fn gluster(heard: &Heard, servers: &BTreeSet<Releases>) -> Finding {
    const CODE: &str = "gluster-version";
    let said: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let said = said.join("; ");
    let advice = "run `gluster --version` on a server: 6 or later is needed";
    if heard.shape.as_ref().is_some_and(|shape| is_historic(shape, heard.info())) {
        let message = "before 6: the volume is striped or tiered, which later ones do not have";
        return Finding::wrong(
            CODE,
            Outcome::Failed,
            message,
            "upgrade the servers, and make another volume",
        );
    }
    let how = "no server tells its version: this follows from its answers";
    if servers.is_empty() {
        return Finding::unknown(CODE, "no server tells its version, and nothing in its answers does")
            .advise(advice);
    }
    if servers.iter().any(|releases| releases.from.is_none()) {
        // Whether it is 6 cannot be seen: its answers have the same form before.
        let message = format!("{said}: from here, 6 looks like those before it");
        return Finding::wrong(CODE, Outcome::Warning, message, advice);
    }
    let apart = servers.iter().any(|one| servers.iter().any(|other| one.to < other.from && one.to.is_some()));
    if apart {
        let message = format!("the servers are of several releases: {said}");
        let advice = "end the upgrade that was begun, and raise cluster.op-version then";
        return Finding::wrong(CODE, Outcome::Warning, message, advice);
    }
    Finding::ok(CODE, format!("{said} ({how})"))
}

fn client(heard: &Heard, installed: Option<Version>, servers: &BTreeSet<Releases>) -> Finding {
    const CODE: &str = "client-version";
    let Some(installed) = installed else {
        return Finding::unknown(CODE, "no glusterfs is known that will mount the volume")
            .advise("where PVs are mounted, see that its release is that of the servers");
    };
    let major = installed.major;
    if let Some(Window::From(release)) = heard.window
        && installed.op_versions().is_none_or(|own| {
            OpVersion::RELEASES.iter().any(|(known, number)| *known == release && own.max < *number)
        })
    {
        let message = format!("glusterfs {installed} may not load the volume: {release} or later is needed");
        let advice = format!("install glusterfs {release} or later, or the image of that release");
        return Finding::wrong(CODE, Outcome::Failed, message, advice);
    }
    let older = servers.iter().find(|releases| releases.from.is_some_and(|from| major < from));
    let newer = servers.iter().find(|releases| releases.to.is_some_and(|to| to < major));
    let skew = match (older, newer) {
        (Some(servers), _) => {
            Some((servers, "older", "an option that an admin sets may be refused or unknown to it"))
        }
        (_, Some(servers)) => {
            Some((servers, "later", "it works as long as it knows the volume's translators"))
        }
        _ => None,
    };
    match skew {
        Some((servers, how, what)) => {
            let message = format!("glusterfs {installed} is {how} than the servers, {servers}: {what}");
            Finding::wrong(
                CODE,
                Outcome::Warning,
                message,
                "use the glusterfs, or the image, of the servers' release",
            )
        }
        None if servers.is_empty() => {
            let message = format!("glusterfs {installed}; what the servers are cannot be told");
            Finding::unknown(CODE, message)
        }
        None => Finding::ok(CODE, format!("glusterfs {installed}, in step with the servers")),
    }
}
