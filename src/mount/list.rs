//! Finding things in what a mount host tells.

use std::path::Path;

use super::generated::{ListReply, Pool, Target, Volume};

impl ListReply {
    /// The target that is mounted at a path, with the process and the volume that serve it.
    pub(crate) fn at(&self, path: &Path) -> Option<(&Volume, &Pool, &Target)> {
        let pools =
            self.volumes.iter().flat_map(|volume| volume.pools.iter().map(move |pool| (volume, pool)));
        let targets =
            pools.flat_map(|(volume, pool)| pool.targets.iter().map(move |target| (volume, pool, target)));
        targets.into_iter().find(|(.., target)| Path::new(&target.path) == path)
    }
}
