//! What is told of bricks and their PVs: what has changed between two looks, and what is wrong now.

use std::{cmp::Ordering, collections::HashSet};

use tracing::{info, warn};

use super::{BrickStatus, PvStatus};
use crate::storage::quota::{Code, Problem};

/// Of one kind, the most lines that one look adds to the log, or that one answer has: records are written by pods, too.
const MAX_LINES: usize = 100;

/// Something that is told of a brick once, when it happens.
#[derive(Debug, PartialEq, Eq)]
enum News<'a> {
    /// Of the brick as a whole.
    Ill(&'a Problem),
    /// The end of that.
    Well,
    /// A PV's limit is another one than it was, or it has a limit now.
    Limited(&'a PvStatus),
    /// A PV's limit is not in force, or not as was asked.
    PvIll(&'a PvStatus, &'a Problem),
    /// The end of that.
    PvWell(&'a PvStatus),
    /// A PV is there no more.
    Gone(&'a PvStatus),
    /// Something was skipped.
    Skipped(&'a str),
}

/// Whether what was asked for a PV is in force.
pub fn is_in_force(pv: &PvStatus) -> bool {
    pv.in_force.problem.is_none() && pv.in_force.asked.is_some() && pv.in_force.limits.is_some()
}

/// Why not each PV of a brick is limited as was asked, a line each; empty where all is well.
pub fn faults(status: &BrickStatus) -> Vec<String> {
    let brick = &status.brick;
    if let Some(problem) = &status.problem {
        return vec![format!("{brick}: {}: {problem}", problem.code)];
    }
    let ill = || status.pvs.iter().filter(|pv| !is_in_force(pv));
    let mut lines = ill()
        .take(MAX_LINES)
        .map(|pv| match &pv.in_force.problem {
            Some(problem) => format!("{brick}/{}: {}: {problem}", pv.path, problem.code),
            None => format!("{brick}/{}: it has no limit yet", pv.path),
        })
        .collect::<Vec<_>>();
    let more = ill().count() - lines.len();
    if more > 0 {
        lines.push(format!("{brick}: {more} more of its PVs"));
    }
    lines
}

/// Writes to the log what is new since an earlier look at a brick, or since quotad began.
pub(super) fn log(before: Option<&BrickStatus>, now: &BrickStatus) {
    let (brick, volume) = (now.brick.as_str(), now.volume.as_str());
    let news = news(before, now);
    for news in news.iter().take(MAX_LINES) {
        match news {
            News::Ill(problem) => {
                warn!(target: "kadalu", brick, volume, code = %problem.code, "{problem}");
            }
            News::Well => info!(target: "kadalu", brick, volume, "limits are set on the brick again"),
            News::Limited(pv) => log_limit(brick, pv, "the limit is in force"),
            // Each PV begins so: its record is made first.
            News::PvIll(pv, problem) if problem.code == Code::NoDirectory => {
                info!(target: "kadalu", brick, pv = pv.path, code = %problem.code, "{problem}");
            }
            News::PvIll(pv, problem) => {
                warn!(target: "kadalu", brick, pv = pv.path, code = %problem.code, "{problem}");
            }
            News::PvWell(pv) => log_limit(brick, pv, "the limit is in force as it was asked"),
            News::Gone(pv) => {
                info!(target: "kadalu", brick, pv = pv.path, "the PV is gone; its limit goes with its last file");
            }
            News::Skipped(sentence) => warn!(target: "kadalu", brick, "{sentence}"),
        }
    }
    let more = news.len().saturating_sub(MAX_LINES);
    if more > 0 {
        info!(target: "kadalu", brick, volume, more, "and as much more of its PVs has changed");
    }
}

fn log_limit(brick: &str, pv: &PvStatus, words: &str) {
    let limits = pv.in_force.limits;
    let (bytes, soft) = (limits.map(|limits| limits.bytes), limits.and_then(|limits| limits.soft));
    let inodes = limits.and_then(|limits| limits.inodes);
    info!(target: "kadalu", brick, pv = pv.path, bytes, soft, inodes, project = pv.in_force.project, "{words}");
}

/// What is new; troubles first, so that they are told whatever else there is.
fn news<'a>(before: Option<&'a BrickStatus>, now: &'a BrickStatus) -> Vec<News<'a>> {
    let mut news = Vec::new();
    match (before.and_then(|before| before.problem.as_ref()), &now.problem) {
        (None, None) => {}
        (Some(_), None) => news.push(News::Well),
        (before, Some(problem)) if is_new(before, problem) => news.push(News::Ill(problem)),
        (_, Some(_)) => {}
    }
    // Of PVs on a brick where nothing can be limited, that says all.
    if now.problem.is_none() {
        let before = before.filter(|before| before.problem.is_none());
        let skipped =
            before.iter().flat_map(|before| &before.skipped).map(String::as_str).collect::<HashSet<_>>();
        let new = now.skipped.iter().map(String::as_str).filter(|sentence| !skipped.contains(sentence));
        news.extend(new.map(News::Skipped));
        let mut pvs = of_pvs(before.map_or(&[], |before| &before.pvs), &now.pvs, before.is_none());
        pvs.sort_by_key(|news| !matches!(news, News::PvIll(..)));
        news.extend(pvs);
    }
    news
}

/// What is new of PVs, both by path; of `all` there was no look before, and what had been in force already is no news.
fn of_pvs<'a>(mut before: &'a [PvStatus], mut now: &'a [PvStatus], all: bool) -> Vec<News<'a>> {
    let mut news = Vec::new();
    loop {
        let order = match (before.first(), now.first()) {
            (None, None) => return news,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.path.cmp(&other.path),
        };
        let old = if order.is_le() { before.split_off_first() } else { None };
        match if order.is_ge() { now.split_off_first() } else { None } {
            Some(pv) => news.extend(of_pv(old, pv, all)),
            None => news.extend(old.map(News::Gone)),
        }
    }
}

fn of_pv<'a>(before: Option<&PvStatus>, now: &'a PvStatus, all: bool) -> Option<News<'a>> {
    let old = before.and_then(|before| before.in_force.problem.as_ref());
    let limited = (now.in_force.limits, now.in_force.project);
    match &now.in_force.problem {
        Some(problem) => is_new(old, problem).then_some(News::PvIll(now, problem)),
        None if old.is_some() => Some(News::PvWell(now)),
        None => {
            let changed = match before {
                Some(before) => (before.in_force.limits, before.in_force.project) != limited,
                None => !all || now.changed,
            };
            (changed && is_in_force(now)).then_some(News::Limited(now))
        }
    }
}

/// Whether it is to be told: a sentence may hold a number that changes at each look, where its code says what it is.
fn is_new(before: Option<&Problem>, now: &Problem) -> bool {
    let told = |before: &Problem| before.code == now.code && (now.code != Code::Failed || before == now);
    !before.is_some_and(told)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::storage::quota::{Asked, InForce, Limits};

    pub(in crate::quota) fn pv(path: &str, bytes: u64, problem: Option<Code>) -> PvStatus {
        let asked = Asked { size: bytes, soft_percent: None, inodes: None, generation: "0".repeat(16) };
        let limits = Limits { bytes, soft: None, inodes: None };
        PvStatus {
            path: path.to_owned(),
            in_force: InForce {
                brick: "g1:/b".to_owned(),
                asked: Some(asked),
                project: Some(7),
                limits: Some(limits),
                time: "2026-01-01T00:00:00Z".to_owned(),
                problem: problem.map(|code| Problem::new(code, format_args!("why of {path}"))),
            },
            used: Some(5),
            used_inodes: Some(1),
            changed: false,
        }
    }

    pub(in crate::quota) fn brick(pvs: Vec<PvStatus>) -> BrickStatus {
        let (brick, volume) = ("g1:/b".to_owned(), "vol".to_owned());
        BrickStatus { brick, volume, problem: None, pvs, skipped: Vec::new() }
    }

    /// The news as words.
    fn told(before: Option<&BrickStatus>, now: &BrickStatus) -> Vec<String> {
        let words = |news: &News<'_>| match news {
            News::Ill(problem) => format!("ill {}", problem.code),
            News::Well => "well".to_owned(),
            News::Limited(pv) => format!("limited {}", pv.path),
            News::PvIll(pv, problem) => format!("ill {} {}", pv.path, problem.code),
            News::PvWell(pv) => format!("well {}", pv.path),
            News::Gone(pv) => format!("gone {}", pv.path),
            News::Skipped(sentence) => format!("skipped {sentence}"),
        };
        news(before, now).iter().map(words).collect()
    }

    #[test]
    fn at_the_first_look_what_it_changed_and_what_is_wrong() {
        let changed = PvStatus { changed: true, ..pv("b", 10, None) };
        let status = BrickStatus {
            skipped: vec!["x".to_owned()],
            ..brick(vec![pv("a", 10, None), changed, pv("c", 10, Some(Code::InUse))])
        };
        assert_eq!(told(None, &status), ["skipped x", "ill c InUse", "limited b"]);
        assert_eq!(told(Some(&status), &status), [""; 0]);
    }

    #[test]
    fn then_each_change_once() {
        let before = brick(vec![pv("a", 10, None), pv("b", 10, Some(Code::InUse)), pv("c", 10, None)]);
        let now = brick(vec![
            pv("b", 20, None),
            pv("c", 20, None),
            pv("d", 20, None),
            pv("e", 1, Some(Code::NoProject)),
        ]);
        assert_eq!(
            told(Some(&before), &now),
            ["ill e NoProject", "gone a", "well b", "limited c", "limited d"]
        );
        let other = |code, sentence: &str| {
            let mut pv = pv("a", 10, None);
            pv.in_force.problem = Some(Problem::new(code, sentence));
            brick(vec![pv])
        };
        assert_eq!(told(Some(&other(Code::InUse, "1")), &other(Code::InUse, "2")), [""; 0]);
        assert_eq!(told(Some(&other(Code::Failed, "1")), &other(Code::Failed, "2")), ["ill a Failed"]);
        assert_eq!(told(Some(&other(Code::InUse, "1")), &other(Code::Unmarked, "1")), ["ill a Unmarked"]);
    }

    #[test]
    fn of_an_ill_brick_its_illness_alone() {
        let well = brick(vec![pv("a", 10, None)]);
        let ill = BrickStatus { problem: Some(Problem::new(Code::NoBrick, "not mounted")), ..brick(vec![]) };
        assert_eq!(told(Some(&well), &ill), ["ill NoBrick"]);
        assert_eq!(told(Some(&ill), &ill), [""; 0]);
        assert_eq!(told(Some(&ill), &well), ["well"]);
        assert_eq!(faults(&ill), ["g1:/b: NoBrick: not mounted"]);
    }

    #[test]
    fn lines_are_bounded() {
        let pvs = (0..MAX_LINES + 5).map(|n| pv(&format!("{n:04}"), 10, Some(Code::InUse))).collect();
        let status = brick(pvs);
        let faults = faults(&status);
        assert_eq!(faults[0], "g1:/b/0000: InUse: why of 0000");
        assert_eq!((faults.len(), faults[MAX_LINES].as_str()), (MAX_LINES + 1, "g1:/b: 5 more of its PVs"));
        let mut unlimited = pv("a", 10, None);
        unlimited.in_force.limits = None;
        assert_eq!(super::faults(&brick(vec![unlimited])), ["g1:/b/a: it has no limit yet"]);
    }
}
