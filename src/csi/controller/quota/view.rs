//! Which PVs of a pool are not limited, by one look at each brick for all of them.

use std::{collections::HashMap, sync::Arc, time::Duration, time::SystemTime};

use tokio::time::Instant;
use tonic::Status;

use super::{KNOWN, Lack, enforced::bricks, enforced::impossible, judge_nth};
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

/// What was seen of the PVs of a pool.
#[derive(Debug)]
pub(super) struct View {
    at: Instant,
    /// By path: the record that was asked about, and what is wrong.
    pvs: HashMap<String, (String, Option<Arc<Lack>>)>,
}

impl View {
    fn is_of(&self, pv: &Pv) -> bool {
        self.pvs.get(&pv.path).is_some_and(|(generation, _)| {
            pv.asked.as_ref().is_none_or(|asked| asked.generation == *generation)
        })
    }
}

impl<M: Mounts> Controller<M> {
    /// Whether somebody wants to know how the limit of a PV is. A whole volume is as large as it is.
    fn is_limited(&self, pv: &Pv) -> bool {
        pv.asked.is_some() && pv.quota.unwrap_or(self.quota) != QuotaPolicy::Off
    }

    /// Why the limit of a PV is not known to be in force; none where it is, or is not wanted.
    pub(in crate::csi::controller) async fn lack(&self, pool: &PoolId, pv: &Pv) -> Option<Arc<Lack>> {
        let asked = pv.asked.as_ref().filter(|_| self.is_limited(pv))?;
        if let Some(view) = self.limits.of(pool).view.made().await
            && view.at.elapsed() < BELIEVED
            && view.is_of(pv)
        {
            return view.pvs.get(&pv.path)?.1.clone();
        }
        let kind = match self.before(pool).await {
            Ok(kind) => kind,
            Err(lack) => return Some(Arc::new(lack)),
        };
        let doubts = self.doubts(pool, &bricks(&kind), &pv.path, asked, ONE).await;
        (!doubts.is_empty()).then(|| Arc::new(Lack::Bricks(doubts)))
    }

    /// The same of all PVs of a list, by pool and path.
    pub(in crate::csi::controller) async fn lacks(
        &self,
        listed: &[Listed],
    ) -> HashMap<(PoolId, String), Arc<Lack>> {
        let mut pools = HashMap::<_, Vec<_>>::new();
        for listed in listed.iter().filter(|listed| self.is_limited(&listed.pv)) {
            pools.entry(&listed.pool).or_default().push(&listed.pv);
        }
        let mut lacks = HashMap::new();
        for (pool, pvs) in pools {
            let view = self.view(pool, &pvs).await;
            let lacking =
                pvs.iter().filter_map(|pv| Some((pv.path.clone(), view.pvs.get(&pv.path)?.1.clone()?)));
            lacks.extend(lacking.map(|(path, lack)| ((pool.clone(), path), lack)));
        }
        lacks
    }

    async fn view(&self, pool: &PoolId, pvs: &[&Pv]) -> Arc<View> {
        let of = self.limits.of(pool);
        let good = |view: &Arc<View>| view.at.elapsed() < BELIEVED && pvs.iter().all(|pv| view.is_of(pv));
        let made = of.view.get(good, |_| async { Ok(Arc::new(self.see(pool, pvs).await)) }).await;
        made.unwrap_or_else(|_: Status| Arc::new(View { at: Instant::now(), pvs: HashMap::new() }))
    }

    async fn see(&self, pool: &PoolId, pvs: &[&Pv]) -> View {
        let entry = |pv: &Pv, lack| {
            let generation = pv.asked.as_ref().map(|asked| asked.generation.clone()).unwrap_or_default();
            (pv.path.clone(), (generation, lack))
        };
        let kind = match self.before(pool).await {
            Ok(kind) => kind,
            Err(lack) => {
                self.limits.of(pool).tell(pool, pvs.len(), Some(&lack));
                let lack = Arc::new(lack);
                let pvs = pvs.iter().map(|pv| entry(pv, Some(lack.clone()))).collect();
                return View { at: Instant::now(), pvs };
            }
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
        let count = lacks.iter().flatten().count();
        self.limits.of(pool).tell(pool, count, lacks.iter().flatten().next().map(|lack| &**lack));
        let pvs = pvs.iter().zip(lacks).map(|(pv, lack)| entry(pv, lack)).collect();
        View { at: Instant::now(), pvs }
    }

    /// What kind of volume a pool is, if it is worth looking at its bricks.
    async fn before(&self, pool: &PoolId) -> Result<crate::volfile::Kind, Lack> {
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
