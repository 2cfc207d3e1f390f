//! Where the files lie: the way to the bricks, what the bricks say of themselves, and what quotad says on them.

use std::time::SystemTime;

use super::{
    Options, Wanted,
    finding::{Finding, Outcome},
    heard::{Brick, Cause, Failure, Heard, Port, Status},
};
use crate::{
    glusterd::{
        cli::VolumeStatus,
        status::{BrickStatus, FileSystem},
    },
    mount::source::shortened,
    storage::{
        enforced::{DataBrick, of_daemon},
        pool::{Gib, Seen},
    },
    volfile::{Kind, Redundancy, Role, Set},
};

/// Below so many percent of bytes or inodes somebody should know, and below so many nothing can be made.
const LOW: u64 = 10;
const NONE: u64 = 1;

/// Gluster keeps its attributes in the inode, which needs so many bytes for it.
const INODE: u64 = 512;

pub(super) fn judge(heard: &Heard, wanted: Wanted) -> Vec<Finding> {
    let Some(shape) = &heard.shape else { return Vec::new() };
    let mut findings = ports(heard, &shape.kind);
    findings.extend(of_status(heard, &shape.kind, wanted));
    findings.push(match wanted.without_limits() {
        Outcome::Ok => Finding::ok("quota-daemon", "not needed: no limit is asked for"),
        _ => Finding::unknown("quota-daemon", "its word stands on the bricks, which were not mounted")
            .advise("name the socket of a mount host (--socket), or run `kadalu quota`"),
    });
    findings
}

/// How many bricks of a set clients need.
fn needed(set: &Set) -> usize {
    match (set.redundancy, set.bricks.len()) {
        (Redundancy::Disperse { data, .. }, _) => data,
        // Two copies have no quorum unless one is asked for.
        (_, ..=2) => 1,
        (_, all) => all / 2 + 1,
    }
}

/// How bad it is that a brick is away, by what is left of its set.
fn without<'b>(
    kind: &'b Kind,
    brick: &str,
    is_there: impl Fn(&'b crate::volfile::Address) -> bool,
) -> Outcome {
    let holds = |set: &&Set| set.bricks.iter().any(|of| of.address.to_string() == brick);
    let enough = |set: &'b Set| set.bricks.iter().filter(|of| is_there(&of.address)).count() >= needed(set);
    if kind.sets.iter().find(holds).is_none_or(enough) { Outcome::Warning } else { Outcome::Failed }
}

fn ports(heard: &Heard, kind: &Kind) -> Vec<Finding> {
    const CODE: &str = "brick-port";
    if heard.info().is_some_and(|info| matches!(info.status, VolumeStatus::Created | VolumeStatus::Stopped)) {
        return vec![Finding::unknown(CODE, "the volume is not started")];
    }
    // What was not tried is nobody's fault.
    let is_shut = |brick: &Brick| matches!(brick.port, Port::Closed { .. } | Port::None | Port::Unasked(_));
    let is_there = |address: &crate::volfile::Address| {
        heard.bricks.iter().any(|brick| brick.address == *address && !is_shut(brick))
    };
    let wrong = |brick: &Brick| {
        let name = brick.address.to_string();
        let host = shortened(&brick.address.host);
        let open = || format!("let this host and every node reach {host} on its brick ports, 49152 to 60999");
        let (message, advice) = match &brick.port {
            Port::Open { .. } | Port::Untried { .. } => return None,
            Port::Skipped(why) => {
                let finding = Finding::unknown(CODE, format!("it was not tried: {why}")).advise(open());
                return Some(finding.about(name));
            }
            Port::Closed { at, why: Failure { cause: Cause::Tls, why } } => (
                format!("{at}: {why}"),
                "see that its certificates and ours trust each other (client.ssl, server.ssl)".to_owned(),
            ),
            Port::Closed { at, why } => (format!("{at}: {}", why.why), open()),
            Port::None => (
                "its glusterd knows no port: the brick does not run".to_owned(),
                format!(
                    "run `gluster volume start {} force`, and see the brick's log",
                    shortened(&heard.volume)
                ),
            ),
            Port::Unasked(Failure { cause, why }) => (
                format!("its glusterd cannot be asked for its port: {why}"),
                match cause {
                    Cause::Name => format!("give this host and every node a name service that knows {host}"),
                    Cause::Tls => "see the finding tls".to_owned(),
                    Cause::Silence => format!("let this host and every node reach glusterd on {host}"),
                    Cause::Other => format!("see that glusterd runs on {host}"),
                },
            ),
        };
        Some(Finding::wrong(CODE, without(kind, &name, is_there), message, advice).about(name))
    };
    let findings: Vec<_> = heard.bricks.iter().filter_map(wrong).collect();
    if !findings.is_empty() {
        return findings;
    }
    let count = heard.bricks.len();
    let slowest = heard.bricks.iter().filter_map(|brick| match brick.port {
        Port::Open { took, .. } | Port::Untried { took, .. } => Some(took),
        _ => None,
    });
    let Some(slowest) = slowest.max() else { return vec![Finding::unknown(CODE, "there is no brick")] };
    if heard.bricks.iter().any(|brick| matches!(brick.port, Port::Untried { .. })) {
        // Certificates of ours would turn TLS on for glusterd too.
        let message = format!(
            "all {count} can be reached; whether their TLS and ours agree was not tried: glusterd speaks none"
        );
        let advice = "see that each node has /etc/ssl/glusterfs.pem, .key and .ca that fit those of the bricks: its mounts tell";
        return vec![Finding::unknown(CODE, message).advise(advice).took(slowest)];
    }
    vec![Finding::ok(CODE, format!("all {count} can be reached from here")).took(slowest)]
}

/// The codes that the bricks' own words are judged under.
const OF_STATUS: [&str; 5] = ["brick-online", "file-system", "project-quota", "inode-size", "free-space"];

fn of_status(heard: &Heard, kind: &Kind, wanted: Wanted) -> Vec<Finding> {
    let (why, advice) = match &heard.status {
        Status::Told(told) => {
            let bricks: Vec<_> = told.iter().filter(|brick| brick.path.starts_with('/')).collect();
            return told_of(&bricks, kind, wanted);
        }
        Status::Unasked(why) => ((*why).to_owned(), None),
        Status::Nobody => ("no server tells remote hosts of its volumes".to_owned(), None),
        Status::Silent(why) => (why.clone(), Some("another operation may hold the volume: ask again")),
    };
    let unknown = |code| {
        let finding = Finding::unknown(code, &why);
        advice.map_or_else(|| finding.clone(), |advice| finding.clone().advise(advice))
    };
    OF_STATUS.map(unknown).into()
}

fn told_of(bricks: &[&BrickStatus], kind: &Kind, wanted: Wanted) -> Vec<Finding> {
    let name = |brick: &BrickStatus| format!("{}:{}", brick.host, brick.path);
    let online: Vec<_> = bricks.iter().copied().filter(|brick| brick.online).collect();
    let is_online = |address: &crate::volfile::Address| {
        online.iter().any(|brick| brick.path == address.path && brick.host == address.host)
    };
    let offline = bricks.iter().filter(|brick| !brick.online).map(|brick| {
        let advice = format!("run `gluster volume start {} force`, and see the brick's log", kind.volume);
        let outcome = without(kind, &name(brick), is_online);
        Finding::wrong("brick-online", outcome, "it does not run", advice).about(name(brick))
    });
    let mut findings = or_ok(offline.collect(), "brick-online", || format!("all {} run", bricks.len()));
    type Look = fn(&FileSystem, Wanted) -> Option<Finding>;
    let looks: [(&'static str, Look, &str); 4] = [
        ("file-system", file_system, "XFS"),
        ("project-quota", project_quota, "mounted with prjquota"),
        ("inode-size", inode_size, "inodes of 512 bytes or more"),
        ("free-space", free_space, "enough is free"),
    ];
    for (code, look, fine) in looks {
        let on = |brick: &&BrickStatus| match &brick.file_system {
            Some(file_system) => look(file_system, wanted).map(|finding| finding.about(name(brick))),
            None => Some(Finding::unknown(code, "its server does not tell").about(name(brick))),
        };
        if online.is_empty() {
            findings.push(Finding::unknown(code, "no brick runs"));
            continue;
        }
        let wrong = online.iter().filter_map(on).collect();
        let fine = || match code {
            "free-space" => free(&online),
            "file-system" | "project-quota" if wanted.without_limits() == Outcome::Ok => {
                "does not matter: no limit is asked for".to_owned()
            }
            _ => format!("all {}: {fine}", online.len()),
        };
        findings.extend(or_ok(wrong, code, fine));
    }
    findings
}

/// What is wrong, or that nothing is.
fn or_ok(wrong: Vec<Finding>, code: &'static str, message: impl Fn() -> String) -> Vec<Finding> {
    if wrong.is_empty() { vec![Finding::ok(code, message())] } else { wrong }
}

fn file_system(on: &FileSystem, wanted: Wanted) -> Option<Finding> {
    let outcome = wanted.without_limits();
    if on.kind == "xfs" || outcome == Outcome::Ok {
        return None;
    }
    let message = format!("it is on {}: limits of PVs are set on XFS only", shortened(&on.kind));
    let advice = "move the brick to XFS (replace-brick), or ask for no limits (quota=off)";
    Some(Finding::wrong("file-system", outcome, message, advice))
}

fn project_quota(on: &FileSystem, wanted: Wanted) -> Option<Finding> {
    const CODE: &str = "project-quota";
    let outcome = wanted.without_limits();
    if outcome == Outcome::Ok {
        return None;
    }
    if on.kind != "xfs" {
        return Some(Finding::unknown(CODE, "it is not on XFS"));
    }
    let Some(options) = &on.mount_options else {
        return Some(Finding::unknown(CODE, "its server does not tell the mount options"));
    };
    let has = |names: &[&str]| options.split(',').any(|option| names.contains(&option.trim()));
    if has(&["prjquota", "pquota"]) {
        return None;
    }
    let message = if has(&["pqnoenforce"]) {
        "it is mounted with pqnoenforce: sizes are counted and not enforced"
    } else {
        "it is mounted without prjquota: no size can be enforced"
    };
    let advice = "add prjquota to its line in /etc/fstab, and mount it anew (a remount does not turn it on)";
    Some(Finding::wrong(CODE, outcome, message, advice))
}

fn inode_size(on: &FileSystem, _: Wanted) -> Option<Finding> {
    let size = on.inode_size.filter(|size| *size < INODE)?;
    let message = format!(
        "its inodes have {size} bytes: Gluster's attributes do not fit in, and each look costs another read"
    );
    let advice = "make its file system with `mkfs.xfs -i size=512`";
    Some(Finding::wrong("inode-size", Outcome::Warning, message, advice))
}

fn free_space(on: &FileSystem, _: Wanted) -> Option<Finding> {
    let share = |free: Option<u64>, total: Option<u64>| {
        let (free, total) = (free?, total.filter(|total| *total > 0)?);
        u64::try_from(u128::from(free) * 100 / u128::from(total)).ok()
    };
    let shares = [("bytes", share(on.free, on.total)), ("inodes", share(on.inodes_free, on.inodes))];
    let (what, share) = shares
        .into_iter()
        .filter_map(|(what, share)| Some((what, share?)))
        .min_by_key(|(_, share)| *share)?;
    if share >= LOW {
        return None;
    }
    let outcome = if share < NONE { Outcome::Failed } else { Outcome::Warning };
    let message = format!("{share} % of its {what} are free");
    Some(Finding::wrong("free-space", outcome, message, "make room, or add bricks of a larger size"))
}

/// The least that is free on one of them.
fn free(bricks: &[&BrickStatus]) -> String {
    let least = bricks.iter().filter_map(|brick| brick.file_system.as_ref()?.free).min();
    least.map_or_else(|| "none is short".to_owned(), |least| format!("{} or more on each brick", Gib(least)))
}

/// Bytes that a volume of such bricks holds, and bytes free: of each set, what its smallest brick gives.
pub(super) fn capacity(told: &[BrickStatus], kind: &Kind) -> Option<(u64, u64)> {
    let mut sum = (0_u64, 0_u64);
    for set in &kind.sets {
        let data = match set.redundancy {
            Redundancy::Disperse { data, .. } => data as u64,
            _ => 1,
        };
        let holding = set.bricks.iter().filter(|brick| brick.role == Role::Data);
        let of = holding.filter_map(|brick| {
            let is = |told: &&BrickStatus| told.path == brick.address.path && told.host == brick.address.host;
            let on = told.iter().find(is)?.file_system.as_ref()?;
            Some((on.total?, on.free?))
        });
        let (total, free) = of.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)))?;
        sum = (
            sum.0.saturating_add(total.saturating_mul(data)),
            sum.1.saturating_add(free.saturating_mul(data)),
        );
    }
    (!kind.sets.is_empty()).then_some(sum)
}

/// What quotad says on each brick that was mounted and looked at, or why it could not be. It takes the place of the
/// finding `quota-daemon` of a report: [`super::Report::replace`].
pub fn quota_daemon(
    seen: &[(DataBrick, Result<Seen, String>)],
    options: &Options,
    now: SystemTime,
) -> Vec<Finding> {
    const CODE: &str = "quota-daemon";
    let wanted = Wanted { kind: options.kind, allow: options.allow, quota: options.quota };
    let outcome = wanted.without_limits();
    if outcome == Outcome::Ok {
        return vec![Finding::ok(CODE, "not needed: no limit is asked for")];
    }
    let doubt = |(brick, seen): &(DataBrick, Result<Seen, String>)| {
        let name = brick.address.to_string();
        let seen = match seen {
            Ok(seen) => seen,
            Err(why) => {
                return Some(Finding::unknown(CODE, format!("it cannot be looked at: {why}")).about(name));
            }
        };
        let doubt = of_daemon(&name, seen.daemon.as_ref(), now)?.to_string();
        let (message, advice) =
            doubt.split_once(": ").unwrap_or((&doubt, "see kadalu quotad --check on its host"));
        Some(Finding::wrong(CODE, outcome, message, advice).about(name))
    };
    or_ok(seen.iter().filter_map(doubt).collect(), CODE, || {
        format!("it looks after all {} bricks", seen.len())
    })
}
