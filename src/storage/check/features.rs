//! Options and translators of a volume that defeat PVs.

use bstr::BStr;

use super::{
    finding::{Finding, Outcome},
    heard::Shape,
};
use crate::{glusterd::cli::VolumeInfo, mount::source::shortened, volfile::is_true};

/// Types of translators that get in the way: all of them warn.
const TYPES: [(&str, &str, &str); 3] = [
    ("features/cdc", "what clients write is compressed on its way", "reset network.compression"),
    ("features/cloudsync", "files may lie in a cloud, and count there", "reset features.cloudsync"),
    ("features/quiesce", "its clients go through a proxy", "reset config.gfproxyd"),
];

/// What an option of the volume gets in the way of.
struct Obstacle {
    option: &'static str,
    /// It is one with anything but this; without, when it is on.
    harmless: Option<&'static str>,
    outcome: Outcome,
    why: &'static str,
    advice: &'static str,
}

const OPTIONS: [Obstacle; 8] = [
    Obstacle {
        option: "server.root-squash",
        harmless: None,
        outcome: Outcome::Failed,
        why: "bricks make a nobody of root: the driver, which is root, can make and delete no PV",
        advice: "run `gluster volume reset VOLUME server.root-squash`",
    },
    Obstacle {
        option: "server.all-squash",
        harmless: None,
        outcome: Outcome::Failed,
        why: "bricks make a nobody of everybody: the driver can make and delete no PV",
        advice: "run `gluster volume reset VOLUME server.all-squash`",
    },
    Obstacle {
        option: "features.quota",
        harmless: None,
        outcome: Outcome::Warning,
        why: "Gluster's own quota counts every write beside ours, and limits of its own may be on PVs",
        advice: "run `gluster volume quota VOLUME disable` where nobody needs it",
    },
    Obstacle {
        option: "features.trash",
        harmless: None,
        outcome: Outcome::Warning,
        why: "what is deleted stays in /.trashcan, where no PV's limit counts it",
        advice: "run `gluster volume reset VOLUME features.trash`",
    },
    Obstacle {
        option: "features.uss",
        harmless: None,
        outcome: Outcome::Warning,
        why: "every directory shows .snaps: backups that follow it see all snapshots",
        advice: "run `gluster volume reset VOLUME features.uss` where nobody needs it",
    },
    Obstacle {
        option: "auth.allow",
        harmless: Some("*"),
        outcome: Outcome::Warning,
        why: "bricks let only these clients in",
        advice: "see that every node is among them, or reset auth.allow",
    },
    Obstacle {
        option: "auth.reject",
        harmless: Some(""),
        outcome: Outcome::Warning,
        why: "bricks keep these clients out",
        advice: "see that no node is among them, or reset auth.reject",
    },
    Obstacle {
        option: "auth.ssl-allow",
        harmless: Some("*"),
        outcome: Outcome::Warning,
        why: "bricks let only clients in whose certificates have these names",
        advice: "see that the common name of every node's certificate is among them, or reset auth.ssl-allow",
    },
];

/// Whether an option was set, and is on.
pub(super) fn is_on(info: Option<&VolumeInfo>, option: &str) -> bool {
    let value = info.and_then(|info| info.options.get(option));
    value.is_some_and(|value| is_true(BStr::new(value)))
}

/// What the volume has that gets in the way of PVs, or of whoever looks after them.
pub(super) fn features(shape: &Shape, info: Option<&VolumeInfo>) -> Vec<Finding> {
    let warning =
        |message: String, advice: &str| Finding::wrong("features", Outcome::Warning, message, advice);
    let checks = shape.checks.iter().filter(|check| ["rdma", "decommissioned"].contains(&check.code));
    let mut findings: Vec<_> = checks.map(|check| Finding::of_volfile("features", check)).collect();
    let types = TYPES.iter().filter(|(kind, ..)| shape.types.contains(*kind));
    findings.extend(types.map(|(kind, why, advice)| warning((*why).to_owned(), advice).about(kind)));
    for Obstacle { option, harmless, outcome, why, advice } in OPTIONS {
        let value = info.and_then(|info| info.options.get(option));
        let holds = match harmless {
            None => is_on(info, option),
            Some(harmless) => value.is_some_and(|value| value != harmless),
        };
        if holds {
            let value = value.map(|value| shortened(value)).unwrap_or_default();
            let message = format!("{option} is {value}: {why}");
            let name = shortened(info.map_or(&shape.kind.volume, |info| &info.name));
            let advice = advice.replace("VOLUME", &name);
            findings.push(Finding::wrong("features", outcome, message, advice).about(option));
        }
    }
    if shape.kind.snapshots && !is_on(info, "features.uss") {
        let why = "every directory shows .snaps: backups that follow it see all snapshots";
        findings
            .push(warning(why.to_owned(), "reset features.uss where nobody needs it").about("features.uss"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("features", "nothing that defeats PVs"));
    }
    findings
}
