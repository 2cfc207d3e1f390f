//! `kadalu quotad`: the sizes of PVs as XFS project quota on the bricks of this host.
//!
//! On a brick it makes, renames and deletes nothing: it sets the project ids of what is there, limits of projects, and the
//! attributes of [`crate::storage::quota`] that say so.

mod brick;
pub mod crawl;
pub mod daemon;
pub mod exports;
#[cfg(test)]
pub(crate) mod fake;
mod mark;
pub mod metrics;
mod projects;
mod pv;
mod records;
pub mod report;
mod waiting;
mod watch;
pub mod worker;
pub mod xfs;

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::storage::quota::{InForce, Problem, Share};

pub use crawl::look;
pub use worker::Worker;
pub use xfs::{Kernel, Xfs};

/// A brick of this host whose PVs are to be limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalBrick {
    /// `HOST:PATH`, as glusterd names it.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// The name of its volume.
    pub volume: String,
    /// The volume's UUID, which the brick's root has as `trusted.glusterfs.volume-id`.
    pub volume_id: [u8; 16],
    /// What it has of each file.
    pub share: Share,
    /// Why limits on it are not those of PVs, though they are set: files are distributed, or sharded.
    pub problem: Option<Problem>,
}

/// How bricks are looked after.
#[derive(Debug, Clone)]
pub struct Options {
    /// For PVs that have no project yet.
    pub project_ids: RangeInclusive<u32>,
    /// Between looks at everything; longer, up to ten minutes, where a look takes more than a 2000th of it.
    pub crawl_interval: Duration,
}

/// A look at everything takes at most one part in so many of the time,
const SHARE: u32 = 2000;

/// but no more than this is between two of them for that: only they put right what nobody tells.
const MAX_INTERVAL: Duration = Duration::from_secs(600);

impl Options {
    /// How long after a look at everything that took so long the next one begins.
    fn interval(&self, took: Duration) -> Duration {
        self.crawl_interval.max(took.saturating_mul(SHARE).min(MAX_INTERVAL))
    }
}

/// What a look may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is not as it should be is mended.
    Apply,
    /// What would be done is said.
    DryRun,
    /// What is there is said.
    Check,
}

/// How a PV is on one brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PvStatus {
    /// The path of its directory from the volume's root, such as `subvol/d3/d3/pvc-1`.
    pub path: String,
    /// What is in force, or, of a dry run, would be.
    #[serde(flatten)]
    pub in_force: InForce,
    /// Bytes that its project uses; none where that is not counted.
    pub used: Option<u64>,
    /// Files, directories and links of its project.
    pub used_inodes: Option<u64>,
    /// Whether this look has changed something, or, of a dry run, would.
    pub changed: bool,
}

/// How a brick is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrickStatus {
    /// `HOST:PATH`, as glusterd names it.
    pub brick: String,
    /// The name of its volume.
    pub volume: String,
    /// Why none of its PVs is limited; none where all is well.
    pub problem: Option<Problem>,
    /// Its PVs, by path.
    pub pvs: Vec<PvStatus>,
    /// What was skipped, a sentence each: records that are none, names that nobody looks for.
    pub skipped: Vec<String>,
}
