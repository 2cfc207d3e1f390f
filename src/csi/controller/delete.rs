//! `DeleteVolume`.

use tonic::{Code, Status};

use super::{
    Controller,
    find::{for_each, is_in_use},
};
use crate::{
    csi::{operations::Guard, server::Deadline, status::failed},
    mount::control::Mounts,
    storage::{
        Error, Reason,
        handle::{Handle, PoolId},
        pool::Pool,
        record::Reclaim,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn delete(&self, volume_id: &str, deadline: Deadline) -> Result<(), Status> {
        let handle = Handle::parse(volume_id)?;
        let guard = self.operations.begin(&handle.to_string())?;
        let (this, held) = (self.clone(), guard.clone());
        guard.whole(async move { this.remove(handle, deadline, held).await }).await
    }

    async fn remove(&self, handle: Handle, deadline: Deadline, guard: Guard) -> Result<(), Status> {
        match handle {
            Handle::Pv { pool, component } => self.remove_directory(&pool, component).await,
            Handle::Whole { pool, component } => {
                self.pools.run(&pool, move |pool| pool.release(&component)).await?;
                self.pools.empty_trash(&pool).await;
                Ok(())
            }
            Handle::Named(name) => self.remove_named(name, deadline, guard).await,
            Handle::Static(source) => {
                let sentence = format!(
                    "{source} was not made by this driver, which deletes only what it has made: \
                     set persistentVolumeReclaimPolicy to Retain, and delete the directory by hand"
                );
                Err(failed(Code::FailedPrecondition, sentence))
            }
            // Of nobody's that is known here.
            Handle::Opaque(_) => Ok(()),
        }
    }

    async fn remove_directory(&self, pool: &PoolId, component: String) -> Result<(), Status> {
        let name = component.clone();
        let outcome = self.pools.run(pool, move |pool| delete_by_record(pool, &name)).await?;
        let policy = match outcome {
            Outcome::Done => None,
            Outcome::OfKadalu => Some(self.pools.reclaim(pool).await?),
            // What can be lost is lost.
            Outcome::Broken => Some(self.pools.reclaim(pool).await.unwrap_or(Reclaim::Retain)),
        };
        if let Some(policy) = policy {
            self.pools.run(pool, move |pool| pool.delete(&component, policy)).await?;
        }
        self.pools.empty_trash(pool).await;
        Ok(())
    }

    /// Deletes a PV of kadalu, wherever it is.
    async fn remove_named(&self, name: String, deadline: Deadline, guard: Guard) -> Result<(), Status> {
        let search = self.search(&name, deadline).await;
        let pool = match (&search.found[..], &search.broken[..]) {
            ([(pool, _)], []) | ([], [(pool, _)]) => Some(pool.clone()),
            ([], []) => None,
            _ => return search.only(&name).map(drop),
        };
        if let Some(pool) = pool {
            search.check_no_other(&name, &pool)?;
            let handle = Handle::Pv { pool: pool.clone(), component: name.clone() };
            let _own = self.operations.begin_also(&handle.to_string())?;
            return self.remove_directory(&pool, name).await;
        }
        search.check_all_answered(&name)?;
        // A deletion that was cut short is not found any more, and has to be completed all the same. Whoever is late holds
        // the PV until it has ended.
        let delete = move |pool: &Pool| {
            let _ = &guard;
            pool.delete(&name, Reclaim::Retain)
        };
        for answer in self.pools.each(for_each(deadline), delete).await {
            let (pool, ()) = answer.outcome?;
            self.pools.empty_trash(&pool).await;
        }
        Ok(())
    }
}

/// What came of a deletion by what the record says alone.
enum Outcome {
    Done,
    /// The record is kadalu's, and does not say whether to keep the data.
    OfKadalu,
    /// Its directory is gone, or its record cannot be read.
    Broken,
}

fn delete_by_record(pool: &Pool, component: &str) -> Result<Outcome, Error> {
    match pool.get(component) {
        Ok(Some(pv)) if pv.reclaim.is_none() && is_in_use(&pv) => Ok(Outcome::OfKadalu),
        // One that is on its way goes on by its record.
        Ok(_) => pool.delete(component, Reclaim::Retain).map(|()| Outcome::Done),
        Err(error) if error.reason() == Reason::Precondition => Ok(Outcome::Broken),
        Err(error) => Err(error),
    }
}
