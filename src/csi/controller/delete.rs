//! `DeleteVolume`.

use tonic::{Code, Status};

use super::{Controller, find::for_each};
use crate::{
    csi::{server::Deadline, status::failed},
    mount::control::Mounts,
    storage::{
        handle::{Handle, PoolId},
        pool::Pool,
        record::Reclaim,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn delete(&self, volume_id: &str, deadline: Deadline) -> Result<(), Status> {
        let handle = Handle::parse(volume_id)?;
        let guard = self.operations.begin(&handle.to_string())?;
        let this = self.clone();
        guard.whole(async move { this.remove(handle, deadline).await }).await
    }

    async fn remove(&self, handle: Handle, deadline: Deadline) -> Result<(), Status> {
        match handle {
            Handle::Pv { pool, component } => self.remove_directory(&pool, component).await,
            Handle::Whole { pool, component } => {
                self.pools.run(&pool, move |pool| pool.release(&component)).await?;
                self.pools.empty_trash(&pool).await;
                Ok(())
            }
            Handle::Named(name) => self.remove_named(name, deadline).await,
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
        let reclaim = self.pools.parameters(pool).await?.reclaim.unwrap_or_default();
        self.pools.run(pool, move |pool| pool.delete(&component, reclaim)).await?;
        self.pools.empty_trash(pool).await;
        Ok(())
    }

    /// Deletes a PV of kadalu, wherever it is.
    async fn remove_named(&self, name: String, deadline: Deadline) -> Result<(), Status> {
        let search = self.search(&name, deadline).await;
        let pool = match (&search.found[..], &search.broken[..]) {
            ([(pool, _)], []) | ([], [(pool, _)]) => Some(pool.clone()),
            ([], []) => None,
            _ => return search.only(&name).map(drop),
        };
        if let Some(pool) = pool {
            let handle = Handle::Pv { pool: pool.clone(), component: name.clone() };
            let _own = self.operations.begin_also(&handle.to_string())?;
            return self.remove_directory(&pool, name).await;
        }
        search.check_all_answered(&name)?;
        // A deletion that was cut short is not found any more, and has to be completed all the same.
        let delete = move |pool: &Pool| pool.delete(&name, Reclaim::Retain);
        for answer in self.pools.each(for_each(deadline), delete).await {
            let (pool, ()) = answer.outcome?;
            self.pools.empty_trash(&pool).await;
        }
        Ok(())
    }
}
