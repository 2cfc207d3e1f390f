//! What the volume is: exists, started, its id, its volfile, and what in it defeats PVs.

use std::collections::BTreeMap;

use bstr::BStr;

use super::{
    Wanted,
    features::{features, is_on},
    finding::{Finding, Outcome},
    heard::{Heard, Served, Server, Shape},
};
use crate::{
    client::{self, Error, NoVolfile},
    glusterd::cli::{VolumeInfo, VolumeStatus},
    mount::source::shortened,
    storage::parameters::PvKind,
    volfile::shown_value,
};

/// Items of a difference that are named, and servers that differ: to compare costs time.
const ITEMS: usize = 3;
const MAX_OTHERS: usize = 16;

/// What there is to say of the volume, and of the servers' words about it.
pub(super) fn judge(heard: &Heard, wanted: Wanted) -> Vec<Finding> {
    let mut findings = exists(heard);
    if heard.answers().all(|(_, answer)| answer.volfile.is_err()) {
        return findings;
    }
    findings.push(match id(heard) {
        Ok(id) => Finding::ok("volume-id", id),
        Err(finding) => finding,
    });
    findings.extend(same_volfile(heard));
    match &heard.shape {
        Some(shape) => findings.extend(suits(shape, heard.info(), wanted)),
        None => {
            findings.extend(heard.info().map(started));
            findings.push(unreadable(heard));
        }
    }
    findings
}

/// What a volfile and its volume's description say, whoever told them.
pub(super) fn suits(shape: &Shape, info: Option<&VolumeInfo>, wanted: Wanted) -> Vec<Finding> {
    let unknown = || Finding::unknown("started", "no server tells remote hosts of its volumes");
    let mut findings = vec![info.map_or_else(unknown, started)];
    if let [fault, ..] = &shape.faults[..] {
        let message = format!("glusterfs may not be given it: {fault}");
        let advice = "change the option of the volume that it comes from, and ask again";
        findings.push(Finding::wrong("volfile", Outcome::Failed, message, advice));
    } else {
        let bricks = shape.kind.bricks().count();
        findings.push(Finding::ok("volfile", format!("valid, with {bricks} bricks")));
    }
    findings.push(layout(shape, info, wanted));
    findings.push(sharding(shape, wanted));
    findings.extend(writable(shape, info));
    findings.extend(redundancy(shape));
    findings.extend(features(shape, info));
    findings
}

fn exists(heard: &Heard) -> Vec<Finding> {
    let name = shortened(&heard.volume);
    let mut missing = Vec::new();
    let mut failures = Vec::new();
    let mut found = 0;
    for (server, answer) in heard.answers() {
        match &answer.volfile {
            Ok(_) => found += 1,
            Err(error) => {
                if error.kind() == client::Kind::NoSuchVolume {
                    missing.push(&server.address);
                }
                failures.push(error.clone());
            }
        }
    }
    if found > 0 {
        let stranger = |server: &&crate::transport::ServerAddress| {
            let message = format!("it does not know the volume {name}, which others have");
            let advice = "run `gluster peer status` there: it may have been cut off from its cluster";
            Finding::wrong("volume", Outcome::Warning, message, advice).about(server)
        };
        let mut findings: Vec<_> = missing.iter().map(stranger).collect();
        if findings.is_empty() {
            findings.push(Finding::ok("volume", format!("{name} exists")));
        }
        return findings;
    }
    if failures.is_empty() {
        return vec![Finding::unknown("volume", "no server has answered")];
    }
    let all = NoVolfile { key: heard.volume.clone(), failures };
    let (message, advice) = match all.kind() {
        client::Kind::NoSuchVolume => (
            match missing.len() {
                1 => format!("there is no volume {name}, by the word of {}", missing[0]),
                count => format!("there is no volume {name}, by the word of {count} servers"),
            },
            "see `gluster volume list` on a server for its name",
        ),
        client::Kind::OpVersion => (
            format!("{name} is not given to clients of the op-version that was announced"),
            "use a glusterfs of a later release",
        ),
        _ => {
            let why = all.failures.first().map(Error::to_string).unwrap_or_default();
            return vec![Finding::unknown("volume", why)];
        }
    };
    vec![Finding::wrong("volume", Outcome::Failed, message, advice)]
}

fn started(info: &VolumeInfo) -> Finding {
    let advice = || format!("run `gluster volume start {}`", shortened(&info.name));
    let failed = |message| Finding::wrong("started", Outcome::Failed, message, advice());
    match info.status {
        VolumeStatus::Started => Finding::ok("started", "it is started"),
        VolumeStatus::Created => failed("it was never started"),
        VolumeStatus::Stopped => failed("it is stopped"),
        VolumeStatus::Other(number) => {
            Finding::unknown("started", format!("its status is {number}, which is none of Gluster 6 to 11"))
        }
    }
}

/// The volume's id, as the cluster tells it.
pub(super) fn id(heard: &Heard) -> Result<String, Finding> {
    let mut ids = BTreeMap::<String, Vec<String>>::new();
    for (server, answer) in heard.answers() {
        if let Ok(Some(VolumeInfo { id: Some(id), .. })) = &answer.info {
            ids.entry(id.to_ascii_lowercase()).or_default().push(server.address.to_string());
        }
    }
    if ids.len() > 1 {
        let all: Vec<_> = ids.iter().map(|(id, servers)| format!("{id} on {}", servers.join(", "))).collect();
        let message = format!("the servers do not have one volume of this name: {}", all.join("; "));
        let advice = "name servers of one cluster only";
        return Err(Finding::wrong("volume-id", Outcome::Failed, message, advice));
    }
    let drawn = || Some(heard.shape.as_ref()?.kind.volume_id.as_ref()?.to_ascii_lowercase());
    ids.into_keys().next().or_else(drawn).ok_or_else(|| {
        let message = "no server tells the volume's id, by which its PVs are known";
        let advice = "let this host ask glusterd (port 24007), or raise the cluster's op-version to 90000";
        Finding::wrong("volume-id", Outcome::Failed, message, advice)
    })
}

fn unreadable(heard: &Heard) -> Finding {
    match heard.most().and_then(|most| Shape::of_text(&most.text).err()) {
        Some(why) => {
            let advice =
                "ask for a volume's name; where it is one, see the option that made this of its volfile";
            Finding::wrong("volfile", Outcome::Failed, format!("it cannot be read: {why}"), advice)
        }
        None => Finding::unknown("volfile", "no server gave one"),
    }
}

fn same_volfile(heard: &Heard) -> Vec<Finding> {
    let Some(most) = heard.most() else {
        return vec![Finding::unknown("same-volfile", "no server gave one")];
    };
    let differs = |(server, served): (&Server, &Served)| {
        let items = client::change(&most.text, &served.text).items;
        let mut shown: Vec<_> = items.iter().take(ITEMS).map(ToString::to_string).collect();
        if items.len() > ITEMS {
            shown.push(format!("and {} more", items.len() - ITEMS));
        }
        let message = format!("it has another volfile than most: {}", shown.join("; "));
        let advice = "run `gluster peer status` there: what it has may be old";
        Finding::wrong("same-volfile", Outcome::Warning, message, advice).about(&server.address)
    };
    let others = heard.served().filter(|(_, served)| served.essence != most.essence);
    let others: Vec<_> = others.take(MAX_OTHERS).map(differs).collect();
    match (others.is_empty(), heard.served().count()) {
        (false, _) => others,
        (true, 1) => vec![Finding::ok("same-volfile", "one server has given it")],
        (true, count) => vec![Finding::ok("same-volfile", format!("all {count} servers have the same"))],
    }
}

/// Of releases before 6, by their numbers in the description of a volume (facts §3.3).
pub(super) fn is_historic(shape: &Shape, info: Option<&VolumeInfo>) -> bool {
    info.is_some_and(|info| [1, 3, 5].contains(&info.kind))
        || ["cluster/stripe", "cluster/tier"].iter().any(|old| shape.types.contains(*old))
}

fn layout(shape: &Shape, info: Option<&VolumeInfo>, wanted: Wanted) -> Finding {
    let kind = &shape.kind;
    let failed = |message: String, advice: &str| Finding::wrong("layout", Outcome::Failed, message, advice);
    if kind.bricks().next().is_none() {
        return failed("no brick is in this volfile".to_owned(), "ask for the client's volfile of a volume");
    }
    if is_historic(shape, info) {
        return failed(
            "it is striped or tiered".to_owned(),
            "Gluster 6 has dropped both: make another volume",
        );
    }
    if kind.layout.width() <= 1 || wanted.kind == PvKind::Whole {
        return Finding::ok("layout", kind);
    }
    let message = format!(
        "{kind}: its files are distributed over several sets of bricks, each of which has the limit of a directory to \
         itself: sizes of PVs cannot be enforced"
    );
    if wanted.allow.distribute {
        Finding::wrong("layout", Outcome::Warning, message, "it is permitted (allow=distribute)")
    } else {
        failed(message, "use a volume of one set; the parameter allow=distribute permits it")
    }
}

fn sharding(shape: &Shape, wanted: Wanted) -> Finding {
    if !shape.kind.shard {
        return Finding::ok("sharding", "files are in one piece");
    }
    if wanted.kind == PvKind::Whole {
        return Finding::ok("sharding", "files are cut into pieces, all of them in the one PV");
    }
    let message = "pieces of its files lie in /.shard, where no directory's limit counts them: sizes of PVs cannot be \
                   enforced";
    if wanted.allow.shard {
        Finding::wrong("sharding", Outcome::Warning, message, "it is permitted (allow=shard)")
    } else {
        let advice = "use a volume without features.shard; the parameter allow=shard permits it";
        Finding::wrong("sharding", Outcome::Failed, message, advice)
    }
}

fn writable(shape: &Shape, info: Option<&VolumeInfo>) -> Vec<Finding> {
    let name = info.map_or(&shape.kind.volume, |info| &info.name);
    let options = [
        ("features.read-only", "nothing can be written"),
        ("features.worm", "what is written cannot be changed"),
        ("features.worm-file-level", "what is written cannot be changed after a while"),
    ];
    let mut findings: Vec<_> = options
        .into_iter()
        .filter(|(option, _)| is_on(info, option))
        .map(|(option, why)| {
            let advice = format!("run `gluster volume reset {} {option}`", shortened(name));
            Finding::wrong("writable", Outcome::Failed, format!("{option} is on and {why}"), advice)
        })
        .collect();
    if findings.is_empty() && shape.kind.read_only {
        let advice = "turn features.read-only off, or use the volume and not its snapshot";
        findings.push(Finding::wrong("writable", Outcome::Failed, "nothing can be written", advice));
    }
    if findings.is_empty() {
        let known = if info.is_some() { "" } else { ", as far as its volfile tells" };
        findings.push(Finding::ok("writable", format!("it can be written{known}")));
    }
    findings
}

fn redundancy(shape: &Shape) -> Vec<Finding> {
    let weak = ["shared-host", "single-copy", "no-quorum"];
    let checks = shape.checks.iter().filter(|check| weak.contains(&check.code));
    let mut findings: Vec<_> = checks.map(|check| Finding::of_volfile("redundancy", check)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("redundancy", "its bricks are on hosts of their own, with quorum"));
    }
    findings
}

/// Without the values of options that let somebody in.
pub(super) fn without_secrets(info: &VolumeInfo) -> VolumeInfo {
    let mut info = info.clone();
    for (key, value) in &mut info.options {
        *value = shown_value(BStr::new(key), BStr::new(value));
    }
    info
}
