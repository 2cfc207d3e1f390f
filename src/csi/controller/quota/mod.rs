//! The sizes of PVs are limits on the bricks: waited for, or looked at, by the policy of each PV.

mod view;

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};
use tracing::{info, warn};

use self::view::View;
use super::{Controller, bricks::Bricks, find::is_in_use, lock, pools::flight::Flight};
use crate::{
    csi::{
        health::{Trouble, quota_not_enforced, quota_unknown},
        status::failed,
    },
    mount::control::Mounts,
    storage::{
        enforced::{self, DataBrick, Doubt, bricks, impossible, judge_nth, of_daemon, summary},
        handle::PoolId,
        pool::{Pv, Seen},
        quota::{Asked, Problem, QUOTAD},
        record::QuotaPolicy,
    },
    volfile::{Address, Kind},
};

/// The longest that is waited for a limit that is not required.
const BEST_EFFORT: Duration = Duration::from_secs(2);

/// How long it is believed that quotad runs, or does not, before it is looked again behind everybody's back.
const ALIVE: Duration = Duration::from_secs(60);

/// What kind of volume a pool is may have been told so long ago where a limit is required, and where it is not.
pub(super) const FRESH: Duration = Duration::from_secs(2);
const KNOWN: Duration = Duration::from_secs(60);

/// When a limit that does not come is stated anew.
const ANEW: Duration = Duration::from_secs(1);

/// Between two looks at a limit that is to come: at first, and at most.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The least that a look at bricks may take: the last one, too, is to say what is wrong, and not that it was short.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of the limits of all pools.
#[derive(Debug)]
pub(super) struct Limits<M> {
    bricks: Bricks<M>,
    /// How long is waited for a limit that is required.
    wait: Duration,
    pools: Mutex<HashMap<PoolId, Arc<OfPool>>>,
}

/// What is known of a pool's.
#[derive(Debug, Default)]
struct OfPool {
    /// What kind of volume it was when that was told last.
    kind: Mutex<Option<Kind>>,
    /// Whether the quotads of all its bricks set limits, and when that was looked at.
    alive: Mutex<Option<(Instant, bool)>>,
    view: Flight<Arc<View>>,
    /// What was said of it in the log: the codes of what is wrong.
    told: Mutex<HashMap<Topic, String>>,
}

/// What a line in the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Topic {
    /// The quotads of all bricks.
    Quotads,
    /// The PV that was made, or has grown, last.
    Last,
    /// All PVs of the pool.
    All,
}

impl Topic {
    /// What is said where something is wrong, and where nothing is any more.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Quotads => {
                ["not every brick can enforce the sizes of PVs", "every brick can enforce the sizes of PVs"]
            }
            Self::Last => {
                ["the size of a new PV is not enforced yet", "the sizes of new PVs are enforced at once"]
            }
            Self::All => ["the sizes of PVs are not enforced", "the sizes of all PVs are enforced"],
        }
    }
}

/// Why a limit is not known to be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    /// On such a volume none can be.
    Volume(Problem),
    /// On these bricks it is not.
    Bricks(Vec<(Address, Doubt)>),
    /// The one of these that was asked has no quotad, so that the others need not be.
    NoQuotad(Vec<Address>),
    /// Nobody tells which bricks there are.
    Unknown(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(problem) => f.write_str(&problem.sentence),
            Self::Bricks(doubts) => f.write_str(&summary(doubts)),
            Self::NoQuotad(bricks) => {
                let bricks: Vec<_> = bricks.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "kadalu quotad does not look after every brick of the volume: install it on the hosts of {} and \
                     export the volume",
                    bricks.join(", ")
                )
            }
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

impl Lack {
    /// As it is told of a PV. A brick that could not be looked at may enforce its size, or not.
    pub(super) fn trouble(&self) -> Trouble {
        let is_silent = |doubt: &Doubt| matches!(doubt, Doubt::Unreachable(_));
        match self {
            Self::Unknown(_) => quota_unknown(self),
            Self::Bricks(doubts) if doubts.iter().all(|(_, doubt)| is_silent(doubt)) => quota_unknown(self),
            Self::Bricks(_) | Self::Volume(_) | Self::NoQuotad(_) => quota_not_enforced(self),
        }
    }

    /// The same for all that is told as one.
    fn code(&self) -> String {
        match self {
            Self::Volume(problem) => problem.code.to_string(),
            Self::Bricks(doubts) => {
                let all: Vec<_> =
                    doubts.iter().map(|(brick, doubt)| format!("{brick} {}", doubt.code())).collect();
                all.join(", ")
            }
            Self::NoQuotad(_) => "NoQuotad".to_owned(),
            Self::Unknown(_) => "Unknown".to_owned(),
        }
    }
}

impl<M: Mounts> Limits<M> {
    pub(super) fn new(bricks: Bricks<M>, wait: Duration) -> Self {
        Self { bricks, wait, pools: Mutex::default() }
    }

    fn of(&self, pool: &PoolId) -> Arc<OfPool> {
        lock(&self.pools).entry(pool.clone()).or_default().clone()
    }
}

/// Refuses to promise limits that no brick of such a volume can keep.
pub(super) fn check_possible(kind: &Kind) -> Result<(), Status> {
    let Some(problem) = impossible(kind) else { return Ok(()) };
    let sentence = format!(
        "volume {}: quota=required cannot be kept: {problem}; quota=best-effort makes PVs whose size is a promise",
        kind.volume
    );
    Err(failed(Code::FailedPrecondition, sentence))
}

/// Of a PV that exists, nothing is final: who gave up would leave it behind.
fn still(pv: &str, status: &Status) -> Status {
    let sentence = format!("{pv} exists, and its limit is not known to be in force: {}", status.message());
    failed(Code::Unavailable, sentence)
}

impl<M: Mounts> Controller<M> {
    /// Refuses to promise limits that no brick can keep, by what a volume is now.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION`, or why it is not known what the volume is.
    pub(super) async fn check_possible_now(&self, pool: &PoolId) -> Result<(), Status> {
        check_possible(&self.kind(pool, FRESH).await?)
    }

    /// Why a PV is not made; `UNAVAILABLE` where an earlier try has made it, or may have.
    pub(super) async fn unless_made(&self, pool: &PoolId, component: &str, refused: Status) -> Status {
        if self.pools.known().get(pool).is_none() {
            return refused;
        }
        let name = component.to_owned();
        match self.pools.run(pool, move |pool| pool.get(&name)).await {
            Ok(pv) if pv.as_ref().is_some_and(is_in_use) => still(component, &refused),
            Ok(_) => refused,
            Err(unknown) => {
                let (refused, unknown) = (refused.message(), unknown.message());
                let sentence = format!("{refused}; it is not known whether {component} exists: {unknown}");
                failed(Code::Unavailable, sentence)
            }
        }
    }

    /// Waits until the limit of a PV is in force on each brick, as its policy has it; at most so long.
    ///
    /// # Errors
    /// Only by the policy `required`: `UNAVAILABLE` whatever keeps it from being known that every brick enforces it, which is no
    /// end: the PV exists, and the next call goes on waiting.
    pub(super) async fn enforce(
        &self,
        pool: &PoolId,
        pv: &Pv,
        policy: QuotaPolicy,
        within: Duration,
    ) -> Result<(), Status> {
        match (policy, &pv.asked) {
            (QuotaPolicy::Off, _) | (QuotaPolicy::BestEffort, None) => Ok(()),
            (QuotaPolicy::Required, None) => {
                let sentence = format!("the record of {} says that it has no limit (quota: off)", pv.path);
                Err(failed(Code::FailedPrecondition, sentence))
            }
            (QuotaPolicy::Required, Some(asked)) => {
                let begun = Instant::now();
                let within = self.limits.wait.min(within);
                let unknown = |status: Status| still(&pv.path, &status);
                let kind = self.kind(pool, FRESH).await.map_err(unknown)?;
                check_possible(&kind).map_err(unknown)?;
                let doubts = self.wait(pool, pv, asked, bricks(&kind), begun + within, true).await;
                if doubts.is_empty() {
                    return Ok(());
                }
                let bricks = bricks(&kind).len();
                let sentence = format!(
                    "{} exists, and its limit is in force on {} of {bricks} bricks: {}; the next try goes on waiting",
                    pv.path,
                    bricks - doubts.len(),
                    summary(&doubts)
                );
                Err(failed(Code::Unavailable, sentence))
            }
            (QuotaPolicy::BestEffort, Some(asked)) => {
                let span = BEST_EFFORT.min(self.limits.wait).min(within);
                let until = Instant::now() + span;
                // Where they do not run, that is said by who looks at them.
                if self.is_alive(pool)
                    && let Ok(Ok(kind)) = timeout(span, self.kind(pool, KNOWN)).await
                {
                    let doubts = self.wait(pool, pv, asked, bricks(&kind), until, false).await;
                    let lack = (!doubts.is_empty()).then_some(Lack::Bricks(doubts));
                    self.limits.of(pool).tell(pool, Topic::Last, lack.as_slice());
                }
                Ok(())
            }
        }
    }

    /// Looks at the bricks until all enforce a limit, and says of which that is not known in the end.
    async fn wait(
        &self,
        pool: &PoolId,
        pv: &Pv,
        asked: &Asked,
        mut bricks: Vec<DataBrick>,
        until: Instant,
        anew: bool,
    ) -> Vec<(Address, Doubt)> {
        let begun = Instant::now();
        let (mut pause, mut anew) = (PAUSE, anew);
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(LOOK);
            let doubts = self.doubts(pool, &bricks, &pv.path, asked, left).await;
            if doubts.is_empty() {
                return doubts;
            }
            let late = Instant::now() >= until;
            if late || (!anew && doubts.iter().all(|(_, doubt)| doubt.is_settled())) {
                return doubts;
            }
            if anew && begun.elapsed() >= ANEW {
                anew = false;
                let component = pv.component.clone();
                let state = self.pools.run(pool, move |pool| pool.state_quota(&component));
                // Where it fails, that is seen on the bricks.
                let _ = timeout(until.saturating_duration_since(Instant::now()), state).await;
            }
            bricks.retain(|brick| doubts.iter().any(|(doubted, _)| *doubted == brick.address));
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The bricks on which the limit of a PV is not known to be in force, and why.
    async fn doubts(
        &self,
        pool: &PoolId,
        bricks: &[DataBrick],
        path: &str,
        asked: &Asked,
        within: Duration,
    ) -> Vec<(Address, Doubt)> {
        let seen = self.look(pool, bricks, [path.to_owned()].into(), within).await;
        let doubt = |(brick, seen): (&DataBrick, Result<Seen, Status>)| {
            let seen = seen.as_ref().map_err(Status::message);
            let judged = judge_nth(brick, asked, seen, 0, SystemTime::now());
            judged.err().map(|doubt| (brick.address.clone(), doubt))
        };
        bricks.iter().zip(seen).filter_map(doubt).collect()
    }

    /// Looks at bricks side by side.
    async fn look(
        &self,
        pool: &PoolId,
        bricks: &[DataBrick],
        paths: Arc<[String]>,
        within: Duration,
    ) -> Vec<Result<Seen, Status>> {
        let parameters = match self.pools.parameters(pool).await {
            Ok(parameters) => Arc::new(parameters),
            Err(status) => return vec![Err(status); bricks.len()],
        };
        let mut looks = JoinSet::new();
        for (n, brick) in bricks.iter().enumerate() {
            let (mounted, pool, address) = (self.limits.bricks.clone(), pool.clone(), brick.address.clone());
            let (parameters, paths) = (parameters.clone(), paths.clone());
            looks.spawn(async move { (n, mounted.look(&pool, &parameters, &address, paths, within).await) });
        }
        let mut all = looks.join_all().await;
        all.sort_unstable_by_key(|(n, _)| *n);
        all.into_iter().map(|(_, seen)| seen).collect()
    }

    /// What kind of volume a pool is, as it was told no longer ago than that. Where none tells it and no limit is required,
    /// what was known has to do.
    async fn kind(&self, pool: &PoolId, ago: Duration) -> Result<Kind, Status> {
        let of = self.limits.of(pool);
        match self.pools.volume(pool, ago).await {
            // Of no bricks, all would enforce everything.
            Ok(kind) if bricks(&kind).is_empty() => {
                let sentence = format!("the volfile of {} names no bricks", kind.volume);
                Err(failed(Code::FailedPrecondition, sentence))
            }
            Ok(kind) => {
                let there: Vec<_> = kind.bricks().map(|brick| brick.address.clone()).collect();
                self.limits.bricks.keep(pool, &there);
                *lock(&of.kind) = Some(kind.clone());
                Ok(kind)
            }
            Err(status) if ago == FRESH => Err(status),
            Err(status) => lock(&of.kind).clone().ok_or(status),
        }
    }

    /// Whether it is worth mounting each brick: one of them, whichever answers, says that a quotad looks after it, or they are
    /// mounted already. So who has no quotad has no processes for it.
    async fn has_quotad(&self, pool: &PoolId) -> Result<bool, Status> {
        if self.limits.bricks.has(pool) {
            return Ok(true);
        }
        self.pools.run(pool, |pool| Ok(pool.root_attribute(QUOTAD)?.is_some())).await
    }

    /// Whether the quotads of all bricks set limits, as far as that is known: nobody waits for it.
    pub(super) fn is_alive(&self, pool: &PoolId) -> bool {
        let of = self.limits.of(pool);
        let mut alive = lock(&of.alive);
        let (at, was) = alive.map_or((None, false), |(at, was)| (Some(at), was));
        if at.is_none_or(|at| at.elapsed() > ALIVE) {
            *alive = Some((Instant::now(), was));
            let (this, pool, of) = (self.clone(), pool.clone(), of.clone());
            tokio::spawn(async move {
                let is = this.look_alive(&pool).await;
                *lock(&of.alive) = Some((Instant::now(), is));
            });
        }
        was
    }

    async fn look_alive(&self, pool: &PoolId) -> bool {
        let lack = match timeout(ALIVE, self.before(pool)).await {
            Ok(Ok(kind)) => self.lacking_quotads(pool, &bricks(&kind)).await,
            Ok(Err(lack)) => Some(lack),
            Err(_) => Some(Lack::Unknown(format!("the volume has not answered within {ALIVE:?}"))),
        };
        self.limits.of(pool).tell(pool, Topic::Quotads, lack.as_slice());
        lack.is_none()
    }

    /// The bricks of which the quotad sets no limits.
    async fn lacking_quotads(&self, pool: &PoolId, bricks: &[DataBrick]) -> Option<Lack> {
        let seen = self.look(pool, bricks, [].into(), ALIVE).await;
        let now = SystemTime::now();
        let doubt = |(brick, seen): (&DataBrick, Result<Seen, Status>)| {
            let doubt = match seen {
                Ok(seen) => of_daemon(&brick.address.to_string(), seen.daemon.as_ref(), now),
                Err(status) => Some(Doubt::Unreachable(status.message().to_owned())),
            };
            doubt.map(|doubt| (brick.address.clone(), doubt))
        };
        let doubts: Vec<_> = bricks.iter().zip(seen).filter_map(doubt).collect();
        (!doubts.is_empty()).then_some(Lack::Bricks(doubts))
    }
}

impl OfPool {
    /// One line in the log when what is wrong with a pool changes.
    fn tell<L: Borrow<Lack>>(&self, pool: &PoolId, topic: Topic, lacks: &[L]) {
        let codes: BTreeSet<_> = lacks.iter().map(|lack| lack.borrow().code()).collect();
        let codes = codes.into_iter().collect::<Vec<_>>().join("; ");
        let mut told = lock(&self.told);
        let told = told.entry(topic).or_default();
        if *told == codes {
            return;
        }
        let [ill, well] = topic.words();
        match lacks.first() {
            Some(lack) => {
                warn!(target: "kadalu", %pool, lacks = lacks.len(), why = %lack.borrow(), "{ill}");
            }
            None => info!(target: "kadalu", %pool, "{well}"),
        }
        *told = codes;
    }
}

#[cfg(test)]
impl<M: Mounts> Controller<M> {
    /// What was said last in the log of the quotads of a pool, and of all its PVs.
    pub(super) fn told(&self, pool: &PoolId) -> [Option<String>; 2] {
        let of = self.limits.of(pool);
        let told = lock(&of.told);
        [Topic::Quotads, Topic::All].map(|topic| told.get(&topic).cloned())
    }
}
