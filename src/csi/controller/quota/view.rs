//! Which PVs of a pool are not limited, by one look at each brick for all of them.

use std::{collections::HashMap, sync::Arc, time::Duration, time::SystemTime};

use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;

use super::{KNOWN, Lack, Topic, enforced::bricks, enforced::impossible, judge_nth};
use crate::{
    csi::controller::{Controller, list::Listed},
    mount::control::Mounts,
    storage::{handle::PoolId, pool::Pv, record::QuotaPolicy},
};

/// How long what was seen is told again.
const BELIEVED: Duration = Duration::from_secs(30);

/// For all bricks together, where many PVs are looked at, and where it is one.
const MANY: Duration = Duration::from_secs(10);
const ONE: Duration = Duration::from_secs(3);

/// For all of a view: a volume that hangs keeps nobody longer, nor makes more and more wait.
const VIEW: Duration = Duration::from_secs(30);

/// What was seen of the PVs of a pool.
#[derive(Debug)]
pub(super) struct View {
    at: Instant,
    /// By path: the record that was asked about, and what is wrong.
    pvs: HashMap<String, (String, Option<Arc<Lack>>)>,
}

impl View {
    fn new<'a>(pvs: impl Iterator<Item = (&'a Pv, Option<Arc<Lack>>)>) -> Self {
        let entry = |(pv, lack): (&Pv, _)| {
            let generation = pv.asked.as_ref().map(|asked| asked.generation.clone()).unwrap_or_default();
            (pv.path.clone(), (generation, lack))
        };
        Self { at: Instant::now(), pvs: pvs.map(entry).collect() }
    }

    /// Where the same is wrong with all.
    fn of_all(pvs: &[Pv], lack: Lack) -> Self {
        let lack = Arc::new(lack);
        Self::new(pvs.iter().map(|pv| (pv, Some(lack.clone()))))
    }

    fn is_of(&self, pv: &Pv) -> bool {
        self.pvs.get(&pv.path).is_some_and(|(generation, _)| {
            pv.asked.as_ref().is_none_or(|asked| asked.generation == *generation)
        })
    }
}

/// What is known of a volume that does not answer in time.
fn late(within: Duration) -> Lack {
    Lack::Unknown(format!("its volume, or a brick, has not answered within {within:.1?}"))
}

impl<M: Mounts> Controller<M> {
    /// Whether somebody wants to know how the limit of a PV is. A whole volume is as large as it is.
    fn is_limited(&self, pv: &Pv) -> bool {
        pv.asked.is_some() && pv.quota.unwrap_or(self.quota) != QuotaPolicy::Off
    }

    /// Whether nothing is to keep the pods of a PV to its size: no limit, and not the end of the volume.
    pub(in crate::csi::controller) fn is_off(&self, pv: &Pv) -> bool {
        !pv.component.is_empty() && !self.is_limited(pv)
    }

    /// Why the limit of a PV is not known to be in force; none where it is, or is not wanted.
    /// It is known within this time, or that it is not.
    pub(in crate::csi::controller) async fn lack(
        &self,
        pool: &PoolId,
        pv: &Pv,
        within: Duration,
    ) -> Option<Arc<Lack>> {
        let asked = pv.asked.as_ref().filter(|_| self.is_limited(pv))?;
        if let Some(view) = self.limits.of(pool).view.at_hand()
            && view.at.elapsed() < BELIEVED
            && view.is_of(pv)
        {
            return view.pvs.get(&pv.path)?.1.clone();
        }
        let look = async {
            let kind = match self.before(pool).await {
                Ok(kind) => kind,
                Err(lack) => return Some(lack),
            };
            let doubts = self.doubts(pool, &bricks(&kind), &pv.path, asked, ONE).await;
            (!doubts.is_empty()).then_some(Lack::Bricks(doubts))
        };
        timeout(within, look).await.unwrap_or_else(|_| Some(late(within))).map(Arc::new)
    }

    /// The same of all PVs of a list, by pool and path. `is_whole`: no PV of a pool is missing from it.
    pub(in crate::csi::controller) async fn lacks(
        &self,
        listed: &[Listed],
        is_whole: bool,
        within: Duration,
    ) -> HashMap<(PoolId, String), Arc<Lack>> {
        let mut pools = HashMap::<_, Vec<_>>::new();
        for listed in listed.iter().filter(|listed| self.is_limited(&listed.pv)) {
            pools.entry(listed.pool.clone()).or_default().push(listed.pv.clone());
        }
        let until = Instant::now() + within;
        let view = |(pool, pvs): (PoolId, Vec<Pv>)| {
            let (this, of, pvs) = (self.clone(), pool.clone(), Arc::<[Pv]>::from(pvs));
            let to_see = pvs.clone();
            // What comes too late for this call, the next one has.
            (pool, pvs, tokio::spawn(async move { this.view(&of, &to_see, is_whole).await }))
        };
        let views: Vec<_> = pools.into_iter().map(view).collect();
        let (mut lacks, late) = (HashMap::new(), Arc::new(late(within)));
        for (pool, pvs, view) in views {
            let view = timeout_at(until, view).await.ok().and_then(Result::ok);
            let lack = |pv: &Pv| match &view {
                Some(view) => view.pvs.get(&pv.path)?.1.clone(),
                None => Some(late.clone()),
            };
            lacks.extend(pvs.iter().filter_map(|pv| Some(((pool.clone(), pv.path.clone()), lack(pv)?))));
        }
        lacks
    }

    async fn view(&self, pool: &PoolId, pvs: &[Pv], is_whole: bool) -> Arc<View> {
        let of = self.limits.of(pool);
        let good = |view: &Arc<View>| view.at.elapsed() < BELIEVED && pvs.iter().all(|pv| view.is_of(pv));
        let see = async {
            let seen = timeout(VIEW, self.see(pool, pvs, is_whole)).await;
            Ok(Arc::new(seen.unwrap_or_else(|_| View::of_all(pvs, late(VIEW)))))
        };
        let made = of.view.get(good, |_| see).await;
        made.unwrap_or_else(|_: Status| Arc::new(View { at: Instant::now(), pvs: HashMap::new() }))
    }

    async fn see(&self, pool: &PoolId, pvs: &[Pv], is_whole: bool) -> View {
        // Who looks at the quotads says what is wrong with all of them.
        self.is_alive(pool);
        let kind = match self.before(pool).await {
            Ok(kind) => kind,
            Err(lack) => return View::of_all(pvs, lack),
        };
        let bricks = bricks(&kind);
        let paths: Arc<[String]> = pvs.iter().map(|pv| pv.path.clone()).collect();
        let seen = self.look(pool, &bricks, paths, MANY).await;
        let now = SystemTime::now();
        let lack = |n: usize, pv: &Pv| {
            let asked = pv.asked.as_ref()?;
            let doubts = bricks.iter().zip(&seen).filter_map(|(brick, seen)| {
                let judged = judge_nth(brick, asked, seen.as_ref().map_err(Status::message), n, now);
                judged.err().map(|doubt| (brick.address.clone(), doubt))
            });
            let doubts: Vec<_> = doubts.collect();
            (!doubts.is_empty()).then(|| Arc::new(Lack::Bricks(doubts)))
        };
        let lacks: Vec<_> = pvs.iter().enumerate().map(|(n, pv)| lack(n, pv)).collect();
        if is_whole {
            let lacking: Vec<_> = lacks.iter().flatten().cloned().collect();
            self.limits.of(pool).tell(pool, Topic::All, &lacking);
        }
        View::new(pvs.iter().zip(lacks))
    }

    /// What kind of volume a pool is, if it is worth looking at its bricks.
    pub(super) async fn before(&self, pool: &PoolId) -> Result<crate::volfile::Kind, Lack> {
        let unknown = |status: Status| Lack::Unknown(status.message().to_owned());
        let kind = self.kind(pool, KNOWN).await.map_err(unknown)?;
        if let Some(problem) = impossible(&kind) {
            return Err(Lack::Volume(problem));
        }
        if self.has_quotad(pool).await.map_err(unknown)? {
            return Ok(kind);
        }
        Err(Lack::NoQuotad(bricks(&kind).into_iter().map(|brick| brick.address).collect()))
    }
}
