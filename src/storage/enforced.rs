//! Whether the limit of a PV is in force on the bricks of its volume. Nothing is believed but what was seen on each brick.
//!
//! In force means: the acknowledgement on the PV's directory names this brick, and the record as it is now, and the limits
//! that belong there, and no problem; and the directory has no larger size than that by its own word.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    pool::{Gib, Seen, SeenPv},
    quota::{Asked, Code, Daemon, InForce, Problem, Share},
};
use crate::{
    mount::source::shortened,
    volfile::{Address, Kind, Role, printable},
};

/// A quotad that has said nothing for longer does not run.
pub const SILENT: Duration = Duration::from_secs(180);

/// The most characters that are repeated of what a brick says.
const MAX_WORDS: usize = 400;

/// A brick that holds PVs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataBrick {
    /// Where it is.
    pub address: Address,
    /// What it has of their files.
    pub share: Share,
}

/// The bricks of a volume that are to enforce the sizes of PVs; thin arbiters hold no PVs.
pub fn bricks(kind: &Kind) -> Vec<DataBrick> {
    let of_set = |set: &crate::volfile::Set| {
        let share = Share::of(set.redundancy);
        let holding = set.bricks.iter().filter(|brick| brick.role != Role::ThinArbiter);
        holding.map(|brick| DataBrick { address: brick.address.clone(), share }).collect::<Vec<_>>()
    };
    kind.sets.iter().flat_map(of_set).collect()
}

/// Why no limit on the bricks of such a volume can be that of a PV; none where it can.
pub fn impossible(kind: &Kind) -> Option<Problem> {
    if kind.layout.width() > 1 {
        let sentence = "its files are distributed over several sets of bricks, each of which has the limit of a PV to \
                        itself: use a volume of one set";
        return Some(Problem::new(Code::Distributed, sentence));
    }
    let sentence = "pieces of its files lie in /.shard, where no directory's limit counts them: use a volume without \
                    features.shard";
    kind.shard.then(|| Problem::new(Code::Sharded, sentence))
}

/// Why a limit is not known to be in force on a brick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It could not be looked at.
    Unreachable(String),
    /// No quotad has ever looked after the brick.
    NoQuotad,
    /// The quotad of the brick has said nothing since then, in RFC 3339.
    Silent(String),
    /// What quotad says of the brick as a whole.
    Brick(Problem),
    /// What quotad says of the PV.
    Pv(Problem),
    /// The PV has no directory there.
    NoDirectory,
    /// quotad runs, and has said nothing of the PV.
    Unacknowledged,
    /// What stands there was copied from this other brick.
    Copied(String),
    /// quotad has followed an older record.
    Outdated,
    /// quotad has followed the record in its own way.
    Otherwise,
    /// quotad says that it is in force, and the directory shows this larger size.
    Unseen(u64),
}

impl Doubt {
    /// A word for programs.
    pub fn code(&self) -> String {
        let word = match self {
            Self::Brick(problem) | Self::Pv(problem) => return problem.code.to_string(),
            Self::Unreachable(_) => "Unreachable",
            Self::NoQuotad => "NoQuotad",
            Self::Silent(_) => "QuotadSilent",
            Self::NoDirectory => "NoDirectory",
            Self::Unacknowledged => "Unacknowledged",
            Self::Copied(_) => "Copied",
            Self::Outdated => "Outdated",
            Self::Otherwise => "OtherLimits",
            Self::Unseen(_) => "NotSeen",
        };
        word.to_owned()
    }

    /// Whether it stays until somebody has done something: to wait a little is of no use.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::NoQuotad | Self::Silent(_) | Self::Brick(_) => true,
            // What quotad is about to end by itself, or when the record is stated anew, is not.
            Self::Pv(problem) => {
                !matches!(problem.code, Code::NoDirectory | Code::Unmarked | Code::Pending)
                    && !is_of_record(problem.code)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "it cannot be looked at: {}", words(why)),
            Self::NoQuotad => f.write_str(
                "kadalu quotad has never looked after it: where it is on XFS, install it on its host and export the \
                 volume; elsewhere no limit can be set: see file-system in kadalu check",
            ),
            Self::Silent(since) => {
                write!(f, "its kadalu quotad has said nothing since {}: start it", words(since))
            }
            Self::Brick(problem) | Self::Pv(problem) => f.write_str(&words(&problem.sentence)),
            Self::NoDirectory => {
                f.write_str("the PV has no directory there yet: it comes with self-heal, which `gluster volume heal` starts")
            },
            Self::Unacknowledged => f.write_str("its kadalu quotad has not set the limit yet: see its log"),
            Self::Copied(brick) => write!(
                f,
                "what stands there was copied from {:?}: its kadalu quotad has not set the limit yet",
                shortened(brick)
            ),
            Self::Outdated => {
                f.write_str("its kadalu quotad has not followed the PV's record as it is now: see its log")
            }
            Self::Otherwise => f.write_str(
                "its kadalu quotad has set another limit than this version: have both at one version",
            ),
            Self::Unseen(total) => write!(
                f,
                "its kadalu quotad says that the limit is set, and the PV's directory there has a size of {}: see \
                 kadalu quotad --check on its host",
                Gib(*total)
            ),
        }
    }
}

/// What a brick says, for people.
fn words(text: &str) -> String {
    printable(&text.replace('\n', " ")).take(MAX_WORDS).collect()
}

/// What is wrong on which bricks, in a sentence without an end; bricks of the same lack together.
pub fn summary(doubts: &[(Address, Doubt)]) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (brick, doubt) in doubts {
        let (brick, doubt) = (shortened(&brick.to_string()), doubt.to_string());
        match groups.iter_mut().find(|(known, _)| *known == doubt) {
            Some((_, bricks)) => bricks.push(brick),
            None => groups.push((doubt, vec![brick])),
        }
    }
    let group = |(doubt, bricks): &(String, Vec<String>)| {
        let noun = if bricks.len() == 1 { "brick" } else { "bricks" };
        format!("{noun} {}: {doubt}", bricks.join(", "))
    };
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

/// Whether the limit of the nth PV that was looked at is in force on a brick, by what was seen there at a time, or why it
/// could not be looked at.
///
/// # Errors
/// Why that is not known.
pub fn judge_nth(
    brick: &DataBrick,
    asked: &Asked,
    seen: Result<&Seen, &str>,
    n: usize,
    now: SystemTime,
) -> Result<(), Doubt> {
    let seen = seen.map_err(|why| Doubt::Unreachable(why.to_owned()))?;
    match seen.pvs.get(n) {
        Some(Ok(pv)) => judge(brick, asked, seen.daemon.as_ref(), pv.as_ref(), now),
        Some(Err(error)) => Err(Doubt::Unreachable(error.to_string())),
        None => judge(brick, asked, seen.daemon.as_ref(), None, now),
    }
}

/// Whether a limit is in force on a brick, by what was seen there at a time.
///
/// # Errors
/// Why that is not known.
pub fn judge(
    brick: &DataBrick,
    asked: &Asked,
    daemon: Option<&Daemon>,
    pv: Option<&SeenPv>,
    now: SystemTime,
) -> Result<(), Doubt> {
    let name = brick.address.to_string();
    let running = |doubt| of_daemon(&name, daemon, now).unwrap_or(doubt);
    let Some(pv) = pv else { return Err(running(Doubt::NoDirectory)) };
    let said = match &pv.in_force {
        None => return Err(running(Doubt::Unacknowledged)),
        Some(said) if said.brick != name => return Err(running(Doubt::Copied(said.brick.clone()))),
        Some(said) => said,
    };
    match follows(brick, asked, said) {
        Some(Doubt::Outdated) => return Err(running(Doubt::Outdated)),
        Some(doubt) => return Err(doubt),
        None => {}
    }
    // It stands there from before: a brick that is mounted without prjquota now keeps its attributes.
    if let Some(doubt @ Doubt::Brick(_)) = of_daemon(&name, daemon, now) {
        return Err(doubt);
    }
    let limits = brick.share.limits(asked);
    let shown = limits.soft.unwrap_or(limits.bytes);
    if pv.total <= shown.saturating_add(pv.block) { Ok(()) } else { Err(Doubt::Unseen(pv.total)) }
}

/// Whether it is about what the record says, or does not.
fn is_of_record(code: Code) -> bool {
    matches!(code, Code::RecordUnreadable | Code::RecordInvalid)
}

/// What is wrong with an acknowledgement of this brick; none for one that says that all is well.
fn follows(brick: &DataBrick, asked: &Asked, said: &InForce) -> Option<Doubt> {
    if said.asked.as_ref().is_none_or(|followed| followed.generation != asked.generation) {
        return Some(match &said.problem {
            // What keeps quotad from reading the record stands beside the one that it has followed before, or none.
            Some(problem) if said.asked.is_none() || is_of_record(problem.code) => Doubt::Pv(problem.clone()),
            _ => Doubt::Outdated,
        });
    }
    match &said.problem {
        Some(problem) => Some(Doubt::Pv(problem.clone())),
        None => {
            let wanted = brick.share.limits(asked);
            let met = said.limits.is_some_and(|limits| limits.meet(&wanted));
            (!met).then_some(Doubt::Otherwise)
        }
    }
}

/// What is wrong with the quotad of a brick; none where it runs and can set limits.
pub fn of_daemon(name: &str, daemon: Option<&Daemon>, now: SystemTime) -> Option<Doubt> {
    let Some(daemon) = daemon.filter(|daemon| daemon.brick == name) else { return Some(Doubt::NoQuotad) };
    let seen = humantime::parse_rfc3339_weak(&daemon.time).ok();
    // One whose clock is ahead is not silent.
    let silent = seen.is_none_or(|seen| now.duration_since(seen).is_ok_and(|ago| ago > SILENT));
    match &daemon.problem {
        _ if silent => Some(Doubt::Silent(daemon.time.clone())),
        Some(problem) => Some(Doubt::Brick(problem.clone())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        storage::quota::generation,
        volfile::{Graph, example::Example},
    };

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn now() -> SystemTime {
        humantime::parse_rfc3339_weak(NOW).unwrap()
    }

    fn brick() -> DataBrick {
        let address = Address { host: "g1".into(), path: "/b".into() };
        DataBrick { address, share: Share { data: 1, arbiter: false } }
    }

    fn asked() -> Asked {
        Asked { size: 1 << 30, soft_percent: None, inodes: None, generation: generation(b"{}") }
    }

    fn daemon(time: &str) -> Daemon {
        Daemon { brick: "g1:/b".into(), version: "1".into(), time: time.into(), problem: None }
    }

    fn in_force() -> InForce {
        InForce {
            brick: "g1:/b".into(),
            limits: Some(brick().share.limits(&asked())),
            asked: Some(asked()),
            project: Some(7),
            time: NOW.into(),
            problem: None,
        }
    }

    fn seen(in_force: impl Into<Option<InForce>>) -> SeenPv {
        SeenPv { in_force: in_force.into(), total: 1 << 30, used: 0, block: 4096 }
    }

    fn doubt(daemon: Option<&Daemon>, pv: Option<&SeenPv>) -> String {
        let doubt = judge(&brick(), &asked(), daemon, pv, now()).unwrap_err();
        assert!((20..600).contains(&doubt.to_string().len()), "{doubt}");
        doubt.code()
    }

    #[test]
    fn what_is_in_force_needs_no_quotad_any_more() {
        for daemon in [None, Some(daemon(NOW)), Some(daemon("2020-01-01T00:00:00Z"))] {
            assert_eq!(judge(&brick(), &asked(), daemon.as_ref(), Some(&seen(in_force())), now()), Ok(()));
        }
        // A block more: XFS rounds up.
        let rounded = SeenPv { total: (1 << 30) + 4096, ..seen(in_force()) };
        assert_eq!(judge(&brick(), &asked(), None, Some(&rounded), now()), Ok(()));
        // XFS shows a soft limit.
        let soft = Asked { soft_percent: Some(50), ..asked() };
        let limits = Some(brick().share.limits(&soft));
        let said = InForce { asked: Some(soft.clone()), limits, ..in_force() };
        let half = SeenPv { total: 1 << 29, ..seen(said.clone()) };
        assert_eq!(judge(&brick(), &soft, None, Some(&half), now()), Ok(()));
        assert_eq!(judge(&brick(), &soft, None, Some(&seen(said)), now()), Err(Doubt::Unseen(1 << 30)));
    }

    #[test]
    fn each_lack_is_named() {
        let runs = daemon(NOW);
        let with = |change: fn(&mut InForce)| {
            let mut said = in_force();
            change(&mut said);
            doubt(Some(&runs), Some(&seen(said)))
        };
        assert_eq!(with(|said| said.brick = "g2:/b".into()), "Copied");
        assert_eq!(with(|said| said.asked = Some(Asked { generation: "0".into(), ..asked() })), "Outdated");
        assert_eq!(with(|said| said.asked = None), "Outdated");
        assert_eq!(with(|said| said.limits = None), "OtherLimits");
        assert_eq!(
            with(|said| said.problem = Some(Problem::new(Code::InUse, "it has more data than that"))),
            "InUse"
        );
        let unreadable = |said: &mut InForce| {
            said.asked = Some(Asked { generation: "0".into(), ..asked() });
            said.problem = Some(Problem::new(Code::RecordUnreadable, "nothing says what size it has"));
        };
        assert_eq!(with(unreadable), "RecordUnreadable");
        let failed = |said: &mut InForce| {
            said.asked = None;
            said.problem = Some(Problem::new(Code::Failed, "the brick's disk fails"));
        };
        assert_eq!(with(failed), "Failed");
        let unlimited = SeenPv { total: 1 << 40, ..seen(in_force()) };
        assert_eq!(doubt(Some(&runs), Some(&unlimited)), "NotSeen");
        assert_eq!(doubt(Some(&runs), Some(&seen(None))), "Unacknowledged");
        assert_eq!(doubt(Some(&runs), None), "NoDirectory");
    }

    #[test]
    fn what_was_in_force_is_not_where_no_limit_of_the_brick_is_now() {
        let problem = Some(Problem::new(Code::NoProjectQuota, "mounted without prjquota"));
        let now_without = Daemon { problem, ..daemon(NOW) };
        assert_eq!(doubt(Some(&now_without), Some(&seen(in_force()))), "NoProjectQuota");
        // What one said long ago, or of another brick, is not known of now.
        let old = Daemon { time: "2020-01-01T00:00:00Z".into(), ..now_without.clone() };
        let of_other = Daemon { brick: "g2:/b".into(), ..now_without };
        for daemon in [old, of_other] {
            assert_eq!(judge(&brick(), &asked(), Some(&daemon), Some(&seen(in_force())), now()), Ok(()));
        }
    }

    #[test]
    fn a_pv_that_cannot_be_looked_at_is_no_word_of_the_others() {
        let broken = crate::storage::Error::errno("cannot look at a", rustix::io::Errno::IO);
        let pvs = vec![Err(broken), Ok(Some(seen(in_force()))), Ok(None)];
        let seen = Seen { daemon: Some(daemon(NOW)), pvs };
        let code = |seen, n| judge_nth(&brick(), &asked(), seen, n, now()).err().map(|doubt| doubt.code());
        let codes = [0, 1, 2].map(|n| code(Ok(&seen), n));
        assert_eq!(codes, [Some("Unreachable".into()), None, Some("NoDirectory".into())]);
        assert_eq!(code(Err("it is down"), 1), Some("Unreachable".into()));
    }

    #[test]
    fn a_quotad_that_does_not_run_is_named_first() {
        let old = InForce { asked: None, ..in_force() };
        for pv in [None, Some(seen(None)), Some(seen(old))] {
            assert_eq!(doubt(None, pv.as_ref()), "NoQuotad");
            let of_other = Daemon { brick: "g2:/b".into(), ..daemon(NOW) };
            assert_eq!(doubt(Some(&of_other), pv.as_ref()), "NoQuotad");
            assert_eq!(doubt(Some(&daemon("2026-11-23T11:56:00Z")), pv.as_ref()), "QuotadSilent");
            assert_eq!(doubt(Some(&daemon("soon")), pv.as_ref()), "QuotadSilent");
            let problem = Some(Problem::new(Code::NoProjectQuota, "\u{1b}[2J mounted without prjquota"));
            assert_eq!(doubt(Some(&Daemon { problem, ..daemon(NOW) }), pv.as_ref()), "NoProjectQuota");
        }
        let ahead = daemon("2026-11-23T12:30:00Z");
        assert_eq!(doubt(Some(&ahead), Some(&seen(None))), "Unacknowledged");
        let loud = Doubt::Brick(Problem::new(Code::Failed, "\u{1b}[2J\n".repeat(500)));
        assert!(!loud.to_string().contains(char::is_control));
    }

    #[test]
    fn bricks_of_the_same_lack_are_told_together() {
        let of = |host: &str, doubt| (Address { host: host.into(), path: "/b".into() }, doubt);
        let all = [of("g1", Doubt::Outdated), of("g2", Doubt::NoQuotad), of("g3", Doubt::Outdated)];
        let told = summary(&all);
        assert!(told.starts_with("bricks g1:/b, g3:/b: its kadalu quotad has not followed"), "{told}");
        assert!(told.contains("; brick g2:/b: kadalu quotad has never"), "{told}");
    }

    #[test]
    fn the_bricks_of_a_volume_are_those_that_hold_pvs() {
        let kind = |example: Example| {
            let text = example.volfile().render().unwrap();
            let volfile = crate::volfile::Volfile::parse(&text).unwrap();
            Graph::new(&volfile).unwrap().kind()
        };
        let replica = kind(Example::with_bricks("v", 3, 3));
        assert_eq!((bricks(&replica).len(), impossible(&replica)), (3, None));
        let distributed = kind(Example::with_bricks("v", 3, 6));
        assert_eq!(bricks(&distributed).len(), 6);
        assert_eq!(impossible(&distributed).unwrap().code, Code::Distributed);
        let sharded = Kind { shard: true, ..replica };
        assert_eq!(impossible(&sharded).unwrap().code, Code::Sharded);
    }
}
