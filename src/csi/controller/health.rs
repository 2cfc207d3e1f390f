//! `ControllerGetVolume` and the health of volumes.

use std::path::Path;

use tonic::{Code, Status};

use super::{
    Controller,
    find::Found,
    list::{Listed, volume},
    quota::Lack,
};
use crate::{
    csi::{
        generated::{
            ControllerGetVolumeHealthResponse, ControllerGetVolumeResponse,
            ControllerListVolumeHealthResponse, Volume, VolumeHealth,
            controller_get_volume_response::VolumeStatus,
        },
        health::{Trouble, condition, entries, of_process},
        server::Deadline,
    },
    mount::{self, control::Mounts, generated::ListReply, options::MountOptions, source::Source},
    storage::{
        context::Context,
        handle::{Handle, PoolId},
        pool::Pv,
    },
};

impl<M: Mounts> Controller<M> {
    pub(super) async fn get_volume(
        &self,
        volume_id: &str,
        deadline: Deadline,
    ) -> Result<ControllerGetVolumeResponse, Status> {
        let handle = Handle::parse(volume_id)?;
        let found = self.find(&handle, deadline).await?;
        let mounted = self.pools.mounts().list().await;
        let (volume, troubles, off) = match found {
            Found::Pv(pool, pv) => {
                let parameters = self.pools.parameters(&pool).await?;
                let troubles = self.all_troubles(&mounted, &pool, &pv, deadline).await;
                (volume(handle.to_string(), &pool, &parameters, &pv), troubles, self.is_off(&pv))
            }
            Found::Foreign(pool, source) => {
                let Source { servers, volume, subdirectory } = source;
                let options = MountOptions::default();
                let context =
                    Context { pool: Some(pool.clone()), servers, volume, path: subdirectory, options };
                let (volume_id, volume_context) = (handle.to_string(), context.write());
                let volume = Volume { volume_id, volume_context, ..Default::default() };
                (volume, self.troubles(&mounted, &pool), false)
            }
        };
        let volume_condition = Some(condition(&troubles, off));
        let status = VolumeStatus { volume_condition, ..Default::default() };
        Ok(ControllerGetVolumeResponse { volume: Some(volume), status: Some(status) })
    }

    pub(super) async fn get_health(
        &self,
        volume_id: &str,
        deadline: Deadline,
    ) -> Result<ControllerGetVolumeHealthResponse, Status> {
        let handle = Handle::parse(volume_id)?;
        let found = self.find(&handle, deadline).await;
        let mounted = self.pools.mounts().list().await;
        let troubles = match found {
            Ok(Found::Pv(pool, pv)) => self.all_troubles(&mounted, &pool, &pv, deadline).await,
            Ok(Found::Foreign(pool, _)) => self.troubles(&mounted, &pool),
            Err(status) => match status.code() {
                Code::Unavailable | Code::DeadlineExceeded => {
                    vec![Trouble::inaccessible("Disconnected", status.message())]
                }
                // Its record, or its directory.
                Code::FailedPrecondition => vec![Trouble::inaccessible("Unusable", status.message())],
                _ => return Err(status),
            },
        };
        let health = VolumeHealth { volume_id: handle.to_string(), health_statuses: entries(&troubles) };
        Ok(ControllerGetVolumeHealthResponse { volume_health: Some(health) })
    }

    pub(super) async fn list_health(
        &self,
        max_entries: i32,
        starting_token: &str,
        deadline: Deadline,
    ) -> Result<ControllerListVolumeHealthResponse, Status> {
        let mounted = self.pools.mounts().list().await;
        let ill = |listed: Listed, lack: Option<&Lack>| {
            let mut troubles = self.troubles(&mounted, &listed.pool);
            troubles.extend(lack.map(Lack::trouble));
            let entry = VolumeHealth { volume_id: listed.volume_id(), health_statuses: entries(&troubles) };
            (!troubles.is_empty()).then_some(entry)
        };
        let (entries, next_token) = self.page(max_entries, starting_token, deadline, ill).await?;
        Ok(ControllerListVolumeHealthResponse { entries, next_token })
    }

    /// What is wrong with a PV; `mounted` is what the mount host has said.
    async fn all_troubles(
        &self,
        mounted: &Result<ListReply, mount::Error>,
        pool: &PoolId,
        pv: &Pv,
        deadline: Deadline,
    ) -> Vec<Trouble> {
        let mut troubles = self.troubles(mounted, pool);
        troubles.extend(self.lack(pool, pv, deadline.left() * 3 / 4).await.as_deref().map(Lack::trouble));
        troubles
    }

    /// What is wrong with the PVs of a pool, by the word of the mount host.
    pub(super) fn troubles(&self, mounted: &Result<ListReply, mount::Error>, pool: &PoolId) -> Vec<Trouble> {
        match mounted {
            Ok(list) => of_root(list, &self.pools.root(pool)),
            Err(error) => vec![Trouble::degraded("MountHostUnreachable", error.to_string())],
        }
    }
}

fn of_root(list: &ListReply, root: &Path) -> Vec<Trouble> {
    list.at(root).map(|(volume, pool, _)| of_process(volume, pool)).unwrap_or_default()
}
