//! What an earlier run of the mount host has left.

use std::{collections::HashMap, path::Path, sync::Arc};

use tracing::{info, warn};

use super::{Context, Host};
use crate::{
    mount::{
        Error,
        installed::Version,
        lock::lock,
        mountinfo::MountTable,
        pool::adopt,
        process,
        store::{StoredPool, StoredVolume},
        volume::{Accepted, Volume},
    },
    transport::parse_servers,
};

impl Host {
    /// Takes it over.
    pub(super) async fn adopt(&self) -> Result<(), Error> {
        let Context { store, .. } = &*self.0.context;
        let table = MountTable::read().map_err(|error| Error::other("cannot read mountinfo", error))?;
        let mut pools = store.pools();
        // What state has lost, the processes know.
        for entry in table.entries().iter().filter(|entry| entry.mount_point.starts_with(store.mounts())) {
            let id = entry.mount_point.parent().and_then(Path::file_name).and_then(|id| id.to_str());
            let Some(id) = id.filter(|id| pools.iter().all(|pool| pool.id != *id)) else { continue };
            let told = process::serving(&entry.mount_point).into_iter().find_map(process::told);
            match told.and_then(|told| serde_json::from_str::<StoredPool>(&told).ok()) {
                Some(pool) if pool.id == id && pool.is_sound() => {
                    info!(target: "kadalu", pool = id, "state is made anew from its process");
                    // Which of its processes is the current one is seen from the targets.
                    pools.push(StoredPool { process: None, ..pool });
                }
                _ => {
                    warn!(target: "kadalu", mount = %entry.mount_point.display(), "nobody knows what this mount is; it is left alone");
                }
            }
        }
        let volumes = store.volumes();
        // By volume, the versions of the processes that have it.
        let mut running = HashMap::<_, Vec<Version>>::new();
        for pool in &pools {
            let versions =
                pool.process.iter().chain(&pool.draining).filter_map(|p| p.version.parse::<Version>().ok());
            running.entry(pool.volume.key.clone()).or_default().extend(versions);
        }
        for stored in pools {
            let running = running.get(&stored.volume.key).cloned().unwrap_or_default();
            let id = stored.id.clone();
            let known = volumes.iter().find(|volume| volume.key == stored.volume.key);
            let pool = match self.adopt_volume(known.unwrap_or(&stored.volume), running.into_iter()) {
                Ok(volume) => {
                    let ended = self.forget(id.clone());
                    adopt(self.0.context.clone(), volume, stored.clone(), &table, ended).await
                }
                Err(error) => Err(error),
            };
            match pool {
                Ok(pool) => _ = lock(&self.0.pools).insert(id, pool),
                Err(error) => {
                    warn!(target: "kadalu", pool = id, %error, "cannot be taken over; its mounts are left alone");
                }
            }
        }
        Ok(())
    }

    /// `running`: the versions of the processes that have it.
    fn adopt_volume(
        &self,
        stored: &StoredVolume,
        running: impl Iterator<Item = Version>,
    ) -> Result<Arc<Volume>, Error> {
        if let Some(volume) = self.volume(|volume| volume.stored().key == stored.key) {
            return Ok(volume);
        }
        let servers = parse_servers(&stored.servers.join(","))
            .map_err(|error| Error::other(format_args!("servers of {}", stored.key), error))?;
        let text = self.0.context.store.volfile(&stored.key);
        let accepted = text.and_then(|text| Accepted::new(text.into(), stored.id.clone()));
        Ok(self.follow(self.cluster(servers, running), stored.clone(), accepted))
    }
}
