//! `ListVolumes`, and the pages of every list.

use std::{fmt, str::FromStr, sync::Arc};

use tokio::time::timeout;
use tonic::{Code, Status};
use tracing::warn;

use super::{
    Controller, bytes,
    find::{for_each, is_in_use},
    pools::Answer,
    quota::Lack,
};
use crate::{
    csi::{
        generated::{
            ListVolumesRequest, ListVolumesResponse, Volume,
            list_volumes_response::{Entry, VolumeStatus},
        },
        health::condition,
        server::Deadline,
        status::{failed, invalid},
    },
    mount::control::Mounts,
    storage::{
        context::Context,
        handle::{Handle, PoolId},
        layout,
        layout::Place,
        parameters::Parameters,
        pool::{Pool, Pv},
    },
};

/// Where a page ends: the last volume on it. It means the same to every instance, and after every restart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Token {
    pool: PoolId,
    /// Empty for a whole volume.
    component: String,
}

/// A PV of the list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) pool: PoolId,
    parameters: Arc<Parameters>,
    pub(super) pv: Pv,
}

impl<M: Mounts> Controller<M> {
    pub(super) async fn list(
        &self,
        request: &ListVolumesRequest,
        deadline: Deadline,
    ) -> Result<ListVolumesResponse, Status> {
        let mounted = self.pools.mounts().list().await;
        let entry = |listed: Listed, lack: Option<&Lack>| {
            let mut troubles = self.troubles(&mounted, &listed.pool);
            troubles.extend(lack.map(Lack::trouble));
            let volume_condition = Some(condition(&troubles, self.is_off(&listed.pv)));
            let status = VolumeStatus { volume_condition, ..Default::default() };
            let volume = volume(listed.volume_id(), &listed.pool, &listed.parameters, &listed.pv);
            Some(Entry { volume: Some(volume), status: Some(status) })
        };
        let ListVolumesRequest { max_entries, starting_token } = request;
        let (entries, next_token) = self.page(*max_entries, starting_token, deadline, entry).await?;
        Ok(ListVolumesResponse { entries, next_token })
    }

    /// A page of what `entry` makes of the PVs in use and of what is wrong with their limits, those that it passes over left
    /// out, and the token of the next one.
    ///
    /// A storage that nobody has used and that does not answer is left out, with a line in the log.
    ///
    /// # Errors
    /// `UNAVAILABLE` where a pool that was used does not answer: a list without its PVs would say that they are gone. They
    /// are where its cluster says that there is no such volume any more.
    pub(super) async fn page<E>(
        &self,
        max_entries: i32,
        starting_token: &str,
        deadline: Deadline,
        entry: impl Fn(Listed, Option<&Lack>) -> Option<E>,
    ) -> Result<(Vec<E>, String), Status> {
        let most = usize::try_from(max_entries).map_err(|_| invalid("max_entries is negative"))?;
        let after = match starting_token {
            "" => None,
            token => Some(token.parse::<Token>().map_err(|()| {
                failed(Code::Aborted, "starting_token is none of this driver's: begin again without one")
            })?),
        };
        let mut all = self.all(deadline).await?;
        all.retain(|listed| after.as_ref().is_none_or(|after| listed.token() > *after));
        all.sort_unstable_by_key(Listed::token);
        let lacks = self.lacks(&all, after.is_none(), deadline.left() * 3 / 4).await;
        let (mut entries, mut last) = (Vec::new(), None);
        for listed in all {
            let token = listed.token();
            let lack = lacks.get(&(listed.pool.clone(), listed.pv.path.clone()));
            let Some(made) = entry(listed, lack.map(|lack| &**lack)) else { continue };
            if most > 0 && entries.len() == most {
                return Ok((entries, last.map_or_else(String::new, |last: Token| last.to_string())));
            }
            entries.push(made);
            last = Some(token);
        }
        Ok((entries, String::new()))
    }

    async fn all(&self, deadline: Deadline) -> Result<Vec<Listed>, Status> {
        let mut all = Vec::new();
        for answer in self.pools.each(for_each(deadline), Pool::list).await {
            match answer.outcome {
                Ok((pool, pvs)) => {
                    let in_use = pvs.into_iter().filter(is_in_use);
                    let listed =
                        |pv| Listed { pool: pool.clone(), parameters: answer.parameters.clone(), pv };
                    all.extend(in_use.map(listed));
                }
                Err(status) if self.has_pvs(&answer, deadline).await => {
                    let sentence = format!("{} does not answer: {}", answer.name, status.message());
                    return Err(failed(Code::Unavailable, sentence));
                }
                Err(status) => {
                    warn!(target: "kadalu", pool = answer.name, error = status.message(), "a pool is left out of the list");
                }
            }
        }
        Ok(all)
    }

    /// Whether there may be PVs of a pool that has not answered: it was used, and nobody says that its volume is no more.
    async fn has_pvs<T>(&self, Answer { id, parameters, .. }: &Answer<T>, deadline: Deadline) -> bool {
        let Some(id) = id.as_ref().filter(|id| self.pools.known().get(id).is_some()) else { return false };
        let is_no_more = timeout(deadline.left() / 2, self.pools.is_no_more(id, parameters)).await;
        !is_no_more.unwrap_or_default()
    }
}

impl Listed {
    fn token(&self) -> Token {
        Token { pool: self.pool.clone(), component: self.pv.component.clone() }
    }

    /// As it was given out: by kadalu, if the record is kadalu's.
    pub(super) fn volume_id(&self) -> String {
        let Self { pool, pv, .. } = self;
        let of_kadalu = pv.created.is_none() && pv.reclaim.is_none();
        if pv.component.is_empty() {
            // It was made of this name.
            let component = layout::component(&pv.name).unwrap_or_default();
            return Handle::Whole { pool: pool.clone(), component }.to_string();
        }
        match Handle::parse(&pv.component) {
            Ok(handle @ Handle::Named(_)) if of_kadalu => handle.to_string(),
            _ => Handle::Pv { pool: pool.clone(), component: pv.component.clone() }.to_string(),
        }
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pool, component) = text.split_once('/').unwrap_or((text, ""));
        if !component.is_empty() && Place::of(component).is_err() {
            return Err(());
        }
        Ok(Self { pool: pool.parse().map_err(drop)?, component: component.to_owned() })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, component } = self;
        let slash = if component.is_empty() { "" } else { "/" };
        write!(f, "{pool}{slash}{component}")
    }
}

/// A PV as CSI describes it.
pub(super) fn volume(volume_id: String, pool: &PoolId, parameters: &Parameters, pv: &Pv) -> Volume {
    let context = Context {
        pool: Some(pool.clone()),
        servers: parameters.servers.clone(),
        volume: parameters.volume.clone().unwrap_or_default(),
        path: pv.path.clone(),
        options: parameters.options.clone(),
    };
    let volume_context = context.write();
    Volume { volume_id, capacity_bytes: bytes(pv.size), volume_context, ..Default::default() }
}
