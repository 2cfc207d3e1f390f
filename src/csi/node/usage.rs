//! How full volumes are.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tonic::{Code, Status};

use super::{Node, directory, health};
use crate::{
    csi::{
        generated::{NodeGetVolumeStatsResponse, VolumeUsage, volume_usage::Unit},
        health::condition,
        server::Deadline,
        status::failed,
    },
    mount::{
        control::Mounts,
        generated::{Amount, Usage},
    },
};

/// For the answer of a volume, however long the caller would wait: the kubelet asks for one volume after the other.
const LONGEST: Duration = Duration::from_secs(5);

impl<M: Mounts> Node<M> {
    /// How full a volume is, and what is wrong with it: also of one that does not answer.
    pub(super) async fn stats(
        &self,
        id: &str,
        path: &Path,
        deadline: Deadline,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        let path = directory::resolve(path, deadline).await?;
        self.check_is_at(id, &path).await?;
        let usage = self.usage(&path, deadline).await?;
        let wrong = health::of_usage(&usage);
        let amounts = [(usage.bytes, Unit::Bytes), (usage.inodes, Unit::Inodes)];
        Ok(NodeGetVolumeStatsResponse {
            usage: amounts.into_iter().filter_map(|(amount, unit)| Some(shown(&amount?, unit))).collect(),
            volume_condition: Some(condition(&wrong, false)),
        })
    }

    /// What the mount host says of a target, in time.
    pub(super) async fn usage(&self, path: &Path, deadline: Deadline) -> Result<Usage, Status> {
        // What is left is for the way there and back.
        let within = LONGEST.min(deadline.left().mul_f64(0.8));
        Ok(self.0.mounts.usage(path, within).await?)
    }

    /// Whether a volume is staged or published at a path.
    pub(super) async fn check_is_at(&self, id: &str, path: &Path) -> Result<(), Status> {
        if self.0.state.get(id).is_some_and(|volume| volume.is_at(path)) {
            return Ok(());
        }
        match self.recall(id, path, &BTreeMap::new()).await? {
            Some(_) => Ok(()),
            None => Err(failed(Code::NotFound, format_args!("it is not at {} on this node", path.display()))),
        }
    }
}

fn shown(amount: &Amount, unit: Unit) -> VolumeUsage {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    VolumeUsage {
        available: number(amount.available),
        total: number(amount.total),
        used: number(amount.used),
        unit: unit.into(),
    }
}
