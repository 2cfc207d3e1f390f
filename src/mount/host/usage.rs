//! How full it is, and how it is.

use std::{path::Path, time::Duration};

use super::{Host, not_mounted, target::resolved};
use crate::mount::{
    Error,
    generated::{self, Usage},
    helper,
};

impl Host {
    /// How full it is at a target, and how the process is that serves it. Of a volume that has not answered `within` this
    /// time, or refuses, it is told why; zero is the time of one look.
    pub async fn usage(&self, target: &Path, within: Duration) -> Result<Usage, Error> {
        // As it was given, first: to follow links is to ask the mount.
        let known = match self.pool_of(target) {
            Some(pool) => Some((pool, target.to_owned())),
            None => {
                let (path, _) = resolved(target).await?;
                self.pool_of(&path).map(|pool| (pool, path))
            }
        };
        let (pool, target) = known.ok_or_else(|| not_mounted(target))?;
        let deadline = self.0.context.config.probe_deadline;
        let within = if within.is_zero() { deadline } else { within.min(deadline) };
        let space = self.0.context.helper.space(&target, within).await;
        // After the look, which may have taken long.
        let mut serving = pool.status();
        serving.targets.retain(|known| Path::new(&known.path) == target);
        let volume = generated::Volume { pools: vec![serving], ..pool.volume.status() };
        let (space, trouble) = match space {
            Ok(space) => (Some(space), String::new()),
            Err(failed) => (None, failed.to_string()),
        };
        Ok(Usage {
            bytes: space.map(|space| space.bytes.into()),
            inodes: space.map(|space| space.inodes.into()),
            trouble,
            volume: Some(volume),
        })
    }
}

impl From<helper::Amount> for generated::Amount {
    fn from(helper::Amount { total, available, used }: helper::Amount) -> Self {
        Self { total, available, used }
    }
}
