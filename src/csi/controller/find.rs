//! Which PV a volume id means.

use std::time::Duration;

use tonic::{Code, Status};

use super::Controller;
use crate::{
    csi::{server::Deadline, status::failed},
    mount::{control::Mounts, source::Source},
    storage::{
        Error, Reason,
        handle::{Handle, PoolId},
        parameters::Parameters,
        pool::{Pool, Pv},
        record::State,
    },
};

/// For one pool, where all are asked: there must be time left to say what the others have answered.
pub(super) fn for_each(deadline: Deadline) -> Duration {
    EACH.min(deadline.left() * 3 / 4)
}

const EACH: Duration = Duration::from_secs(20);

/// What a volume id means.
#[derive(Debug)]
pub(super) enum Found {
    /// A PV of this driver, or of kadalu.
    Pv(PoolId, Pv),
    /// A directory, or a volume, of somebody who has written the PV by hand.
    Foreign(PoolId, Source),
}

/// What all pools know of a name.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) found: Vec<(PoolId, Pv)>,
    /// There is something of this name, and it cannot be used.
    pub(super) broken: Vec<(PoolId, Error)>,
    /// Pools that have not answered, and why.
    silent: Vec<(Option<PoolId>, String)>,
}

impl<M: Mounts> Controller<M> {
    /// Finds what a volume id means.
    ///
    /// # Errors
    /// `NOT_FOUND` where there is no such PV; what stands in the way of knowing it.
    pub(super) async fn find(&self, handle: &Handle, deadline: Deadline) -> Result<Found, Status> {
        match handle {
            Handle::Pv { pool, component } => {
                let of_thread = component.clone();
                let pv = self.pools.run(pool, move |pool| pool.get(&of_thread)).await?;
                pv.filter(is_in_use).map(|pv| Found::Pv(pool.clone(), pv)).ok_or_else(|| absent(handle))
            }
            Handle::Whole { pool, component } => {
                let of_thread = component.clone();
                let pv = self.pools.run(pool, move |pool| pool.claimed_as(&of_thread)).await?;
                pv.filter(is_in_use).map(|pv| Found::Pv(pool.clone(), pv)).ok_or_else(|| absent(handle))
            }
            Handle::Named(name) => {
                let search = self.search(name, deadline).await.in_use();
                let (pool, pv) = search.only(name)?.ok_or_else(|| absent(handle))?;
                Ok(Found::Pv(pool, pv))
            }
            Handle::Static(source) => self.find_foreign(source, handle).await,
            Handle::Opaque(_) => Err(absent(handle)),
        }
    }

    async fn find_foreign(&self, source: &Source, handle: &Handle) -> Result<Found, Status> {
        let parameters = Parameters {
            servers: source.servers.clone(),
            volume: Some(source.volume.clone()),
            ..Parameters::default()
        };
        let home = self.pools.home(parameters).await?;
        self.pools.remember(&home);
        let path = source.subdirectory.clone();
        let is_there = self.pools.run(&home.id, move |pool| pool.has_directory(&path)).await?;
        is_there.then(|| Found::Foreign(home.id, source.clone())).ok_or_else(|| absent(handle))
    }

    /// Asks all pools for a PV by its name, as kadalu's ids have it.
    pub(super) async fn search(&self, name: &str, deadline: Deadline) -> Search {
        let of_threads = name.to_owned();
        let get = move |pool: &Pool| match pool.get(&of_threads) {
            Err(error) if error.reason() == Reason::Precondition => Ok(Err(error)),
            other => other.map(Ok),
        };
        let mut search = Search::default();
        for answer in self.pools.each(for_each(deadline), get).await {
            match answer.outcome {
                Ok((pool, Ok(Some(pv)))) => search.found.push((pool, pv)),
                Ok((_, Ok(None))) => {}
                Ok((pool, Err(error))) => search.broken.push((pool, error)),
                Err(status) => {
                    search.silent.push((answer.id, format!("{}: {}", answer.name, status.message())));
                }
            }
        }
        // Pools that nobody knows of any more have not answered either.
        search.silent.extend(self.pools.known().incomplete().map(|trouble| (None, trouble)));
        search
    }
}

impl Search {
    /// Without those that were deleted and retained: to everybody but `DeleteVolume`, they are not there.
    pub(super) fn in_use(mut self) -> Self {
        self.found.retain(|(_, pv)| is_in_use(pv));
        self
    }

    /// Before the PV of this name in `pool` is changed: another pool that does not answer may have one too, which may be
    /// the one that is meant.
    ///
    /// # Errors
    /// `UNAVAILABLE` where there is such a pool.
    pub(super) fn check_no_other(&self, name: &str, pool: &PoolId) -> Result<(), Status> {
        let others = self.silent.iter().filter(|(id, _)| id.as_ref() != Some(pool));
        let others = others.map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
        if others.is_empty() {
            return Ok(());
        }
        let sentence = format!(
            "pool {pool} has a PV {name}, and others, which may have the one that is meant, do not answer: {others}; \
             use the id {pool}/{name} if it is that of {pool}"
        );
        Err(failed(Code::Unavailable, sentence))
    }

    /// The only PV of this name; none where all pools say so.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` where there are several, or it cannot be used; `UNAVAILABLE` where a pool does not answer that
    /// may have it.
    pub(super) fn only(mut self, name: &str) -> Result<Option<(PoolId, Pv)>, Status> {
        if self.found.len() + self.broken.len() > 1 {
            let sentence =
                format!("several pools have a PV {name}: use the id POOL/{name} of the one that is meant");
            return Err(failed(Code::FailedPrecondition, sentence));
        }
        match (self.found.pop(), self.broken.pop()) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some((_, error))) => Err(error.into()),
            (None, None) => self.check_all_answered(name).map(|()| None),
        }
    }

    /// # Errors
    /// `UNAVAILABLE` where a pool does not answer that may have it.
    pub(super) fn check_all_answered(&self, name: &str) -> Result<(), Status> {
        if self.silent.is_empty() {
            return Ok(());
        }
        let silent = self.silent.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
        let sentence = format!("the pools that answer have no PV {name}, and others do not answer: {silent}");
        Err(failed(Code::Unavailable, sentence))
    }
}

/// Whether a PV is there for others than `DeleteVolume`.
pub(super) fn is_in_use(pv: &Pv) -> bool {
    pv.state == State::InUse
}

/// There is no such PV.
pub(super) fn absent(handle: &Handle) -> Status {
    failed(Code::NotFound, format_args!("there is no volume {handle}"))
}
