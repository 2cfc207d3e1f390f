//! The old way: kadalu-quotad runs xfs_quota twice a PV, once for its project and once for its limit (facts §2).

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use glusterd_client::mount::mountinfo::MountTable;

use super::brick::{Brick, SIZE};
use crate::cli::{Failure, bench::child::run};

/// A range that nobody else has: below that of kadalu quotad.
const FIRST: usize = 1_000_000_000;

/// The times that it takes for so many new PVs.
pub(super) fn limit(brick: &mut Brick, count: usize) -> Result<Vec<Duration>, Failure> {
    let mount = mount_of(&brick.root())?;
    let mut times = Vec::new();
    for project in (FIRST..).take(count) {
        let (directory, ..) = brick.pv()?;
        let set = format!("project -s -p {} {project}", directory.display());
        let mut time = xfs_quota(&set, &mount)?;
        time += xfs_quota(&format!("limit -p bhard={SIZE} {project}"), &mount)?;
        times.push(time);
    }
    for project in (FIRST..).take(count) {
        xfs_quota(&format!("limit -p bhard=0 {project}"), &mount)?;
    }
    Ok(times)
}

fn xfs_quota(command: &str, mount: &Path) -> Result<Duration, Failure> {
    let arguments = [OsStr::new("-x"), OsStr::new("-c"), OsStr::new(command), mount.as_os_str()];
    Ok(run(OsStr::new("xfs_quota"), &arguments)?.time)
}

fn mount_of(path: &Path) -> Result<PathBuf, Failure> {
    let table = MountTable::read().map_err(|error| Failure::other("cannot read mountinfo", error))?;
    let above = table.entries().iter().filter(|entry| path.starts_with(&entry.mount_point));
    let nearest = above.max_by_key(|entry| entry.mount_point.as_os_str().len());
    let nearest = nearest.map(|entry| entry.mount_point.clone());
    nearest.ok_or_else(|| Failure::other(path.display(), "it is below no mount"))
}
