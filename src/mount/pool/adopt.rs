//! A pool as an earlier run of the mount host left it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Context, Dead, Given, Live, Pool, Runner};
use crate::{
    client::digest,
    mount::{
        Error,
        mountinfo::MountTable,
        options::MountOptions,
        process::{Process, serving},
        store::{StoredPool, StoredProcess, StoredTarget},
        volume::{Accepted, Volume},
    },
};

/// Takes a pool over: what runs goes on, what has ended is healed.
pub(in crate::mount) fn adopt(
    context: Arc<Context>,
    volume: Arc<Volume>,
    stored: StoredPool,
    table: &MountTable,
    ended: impl FnOnce() + Send + 'static,
) -> Result<Pool, Error> {
    let options = MountOptions::parse(&stored.options)?;
    let mut runner = Runner::new(context, volume, stored.id.clone(), options);
    runner.adopt(stored, table);
    runner.save();
    Ok(runner.spawn(ended))
}

impl Runner {
    fn adopt(&mut self, stored: StoredPool, table: &MountTable) {
        let given = self.was_given(&stored);
        self.targets.clone_from(&stored.targets);
        self.last_number = stored.process.as_ref().map_or(0, |process| process.number);
        for (number, device) in self.fuse_mounts(table) {
            self.last_number = self.last_number.max(number);
            let known = stored.process.iter().chain(&stored.draining).find(|known| known.number == number);
            let process = self.open(number, known);
            let current =
                stored.process.as_ref().map_or(self.is_bound(table, device), |p| p.number == number);
            match (process, given.clone()) {
                (Some(process), Some(given)) => {
                    let live = Live { process, device, given };
                    if current && self.live.is_none() {
                        self.live = Some(live)
                    } else {
                        self.draining.push(live)
                    }
                }
                // Dead, or nothing is known that it could be given.
                _ => self.dead.push(Dead { number, device: Some(device) }),
            }
        }
        // Those whose mount is detached are known by their numbers alone.
        for known in &stored.draining {
            let mount = self.context.store.mount(&self.id, known.number);
            let found =
                self.draining.iter().chain(&self.live).any(|live| live.process.number == known.number);
            if let (false, Ok(process), Some(given)) =
                (found, Process::open(known.clone(), mount), given.clone())
            {
                self.draining.push(Live { process, device: (0, 0), given });
            }
        }
        match &self.live {
            Some(live) => {
                let (pid, device) = (live.process.pid, live.device);
                self.find_targets(table, device);
                self.forget_unmounted();
                info!(target: "kadalu", pool = self.id, pid, targets = self.targets.len(), "adopted");
                self.set_state("healthy");
                let digest = live_digest(&self.live);
                self.status().digest_active = digest;
            }
            None => {
                if let Some(device) = self.dead.iter().filter_map(|dead| dead.device).next_back() {
                    self.find_targets(table, device);
                }
                self.set_state("dead");
                self.down = Some((Instant::now(), "died"));
                self.retry = Some((Instant::now(), 0));
            }
        }
        for live in self.live.iter().chain(&self.draining) {
            // What was served before is served again; it was valid then.
            if let Err(error) = self.context.server.publish(&self.key(live.process.number), &live.given.text)
            {
                self.error(&format!("what it was given last cannot be served: {error}"));
            }
        }
    }

    /// What its processes were given last.
    fn was_given(&self, stored: &StoredPool) -> Option<Given> {
        let text = Bytes::from(self.context.store.served(&self.id).unwrap_or_default());
        let wanted = self.wanted.borrow().accepted.clone();
        let (graph, offline) = (stored.graph, stored.offline);
        // Undressed it was the accepted one of its day.
        let exact =
            if graph == 0 && !offline { Accepted::new(text.clone(), stored.volume.id.clone()) } else { None };
        let accepted = exact.map(Arc::new).or(wanted)?;
        let text = if text.is_empty() { accepted.text.clone() } else { text };
        Some(Given { digest: digest(&text), text, accepted, graph, offline })
    }

    /// The FUSE mounts of this pool, by number.
    fn fuse_mounts(&self, table: &MountTable) -> Vec<(u32, (u32, u32))> {
        let home = self.context.store.mounts().join(&self.id);
        let below = table.entries().iter().filter(|entry| entry.mount_point.parent() == Some(&home));
        let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
        let mut mounted: Vec<_> =
            below.filter_map(|entry| Some((number(entry.mount_point.file_name()?)?, entry.device))).collect();
        mounted.sort_unstable();
        mounted.dedup();
        mounted
    }

    /// The process of a mount: as it is known, else as it is found by its command line.
    fn open(&self, number: u32, known: Option<&StoredProcess>) -> Option<Process> {
        let mount = self.context.store.mount(&self.id, number);
        if let Some(process) = known.and_then(|known| Process::open(known.clone(), mount.clone()).ok()) {
            return Some(process);
        }
        serving(&mount).into_iter().find_map(|pid| Process::find(pid, number, mount.clone()).ok())
    }

    fn is_bound(&self, table: &MountTable, device: (u32, u32)) -> bool {
        let home = self.context.store.mounts();
        table.of_device(device).any(|entry| !entry.mount_point.starts_with(&home))
    }

    /// Without a list, every bind of the file system is a target.
    fn find_targets(&mut self, table: &MountTable, device: (u32, u32)) {
        if !self.targets.is_empty() {
            return;
        }
        let home = self.context.store.mounts();
        for entry in table.of_device(device).filter(|entry| !entry.mount_point.starts_with(&home)) {
            let Some(subdirectory) = entry.root.strip_prefix("/").ok().and_then(|root| root.to_str()) else {
                warn!(target: "kadalu", path = %entry.mount_point.display(), "a bind of a directory whose name is not UTF-8 is not taken over");
                continue;
            };
            let target = StoredTarget {
                path: entry.mount_point.clone(),
                subdirectory: subdirectory.to_owned(),
                read_only: entry.read_only,
            };
            if !self.targets.iter().any(|known| known.path == target.path) {
                self.targets.push(target);
            }
        }
    }
}

fn live_digest(live: &Option<Live>) -> String {
    live.as_ref().map(|live| live.given.accepted.digest.clone()).unwrap_or_default()
}
