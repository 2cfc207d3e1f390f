//! A pool as an earlier run of the mount host left it, at whatever moment that was killed.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Context, Dead, Given, Live, Pool, Runner, follow::Following, start::HELPER};
use crate::{
    client::digest,
    mount::{
        Error, Reason,
        mountinfo::MountTable,
        options::MountOptions,
        process::{Process, serving},
        store::{StoredPool, StoredProcess, StoredTarget},
        volume::{Accepted, Volume},
    },
    volfile::Volfile,
};

/// Takes a pool over: what runs goes on, what has ended is healed.
pub(in crate::mount) async fn adopt(
    context: Arc<Context>,
    volume: Arc<Volume>,
    stored: StoredPool,
    table: &MountTable,
    ended: impl FnOnce() + Send + 'static,
) -> Result<Pool, Error> {
    let options = MountOptions::parse(&stored.options)?;
    let mut runner = Runner::new(context, volume, stored.id.clone(), options);
    runner.adopt(stored, table).await?;
    Ok(runner.spawn(ended))
}

impl Runner {
    async fn adopt(&mut self, stored: StoredPool, table: &MountTable) -> Result<(), Error> {
        self.targets.clone_from(&stored.targets);
        self.last_number = stored.process.as_ref().map_or(0, |process| process.number);
        self.adopt_file_systems(&stored, table);
        let mut running = Vec::new();
        for (number, device) in self.fuse_mounts(table) {
            let known = stored.process.iter().chain(&stored.draining).find(|known| known.number == number);
            match self.open(number, known) {
                Some(process) => running.push((process, device, known.cloned())),
                None => {
                    self.hold_file_system(number);
                    self.dead.push(Dead { number, device: Some(device) });
                }
            }
        }
        // Those whose FUSE mount is detached are known by their numbers alone, and by their binds where they have any.
        for known in stored.process.iter().chain(&stored.draining) {
            let mount = self.context.store.mount(&self.id, known.number);
            let found = running.iter().any(|(process, ..)| process.number == known.number);
            if let (false, Ok(process)) = (found, Process::open(known.clone(), mount)) {
                let current = stored.process.as_ref().is_some_and(|process| process.number == known.number);
                let device = if current { self.device_of_targets(table) } else { None };
                running.push((process, device.unwrap_or_default(), Some(known.clone())));
            }
        }
        // The one that was current, else the newest that serves a target.
        running.sort_by_key(|(process, ..)| std::cmp::Reverse(process.number));
        let current = stored.process.as_ref().map(|process| process.number);
        let current = current.filter(|number| running.iter().any(|(process, ..)| process.number == *number));
        let bound = || running.iter().find(|(_, device, _)| self.is_bound(table, *device));
        let current = current.or_else(|| bound().map(|(process, ..)| process.number));
        for (process, device, known) in running {
            let given = self.was_given(&stored, &process, known.as_ref()).await?;
            let live = Live { process, device, given };
            // What was served before is served again; it was valid then.
            if let Err(error) = self.context.server.publish(&self.key(live.process.number), &live.given.text)
            {
                self.error(&format!("what it was given last cannot be served: {error}"));
            }
            if Some(live.process.number) == current {
                self.live = Some(live);
            } else {
                self.draining.push(live);
            }
        }
        self.find_targets(table);
        self.forget_unmounted();
        match &self.live {
            Some(live) => {
                info!(target: "kadalu", pool = self.id, pid = live.process.pid, targets = self.targets.len(), "adopted");
                self.set_state("healthy");
                // Nothing is known of its graph but what it should be.
                self.following = Some(Following::adopted());
                // Half a replacement, or half a healing, goes on with the first look.
                self.health.next = Instant::now();
            }
            None => {
                self.set_state("dead");
                if !self.targets.is_empty() {
                    self.down = Some((Instant::now(), "died"));
                    self.retry = Some((Instant::now(), 0));
                }
            }
        }
        self.save();
        Ok(())
    }

    /// What a process was given last.
    async fn was_given(
        &self,
        stored: &StoredPool,
        process: &Process,
        known: Option<&StoredProcess>,
    ) -> Result<Given, Error> {
        let wanted = self.wanted.borrow().accepted.clone();
        let id = known.and_then(|known| known.volume.clone()).or_else(|| stored.volume.id.clone());
        let (graph, offline) = (stored.graph, stored.offline);
        let Some(text) = self.context.store.served(&self.id).map(Bytes::from) else {
            return self.loaded(process, id).await;
        };
        // Where it was dressed, it is what was accepted then only if that is what is accepted now.
        let accepted = match wanted.filter(|wanted| wanted.digest == stored.digest && wanted.id == id) {
            Some(wanted) => Some(wanted),
            None => Accepted::new(text.clone(), id).map(Arc::new),
        };
        // It was read as a volfile a moment ago.
        let accepted = accepted.ok_or_else(|| Error::new(Reason::Other, "its stored volfile is empty"))?;
        Ok(Given { digest: digest(&text), text, accepted, graph, offline })
    }

    /// What it has loaded, by its own word: nothing else is left that knows.
    async fn loaded(&self, process: &Process, id: Option<String>) -> Result<Given, Error> {
        let probe = self.context.helper.probe(&process.mount, true, HELPER).await;
        let graph = probe.ok().and_then(|probe| probe.graph?.ok());
        let text =
            graph.and_then(|graph| Volfile::parse(&graph.volfile).ok()?.without_run_time().render().ok());
        let text = text.map(Bytes::from);
        let accepted = text.clone().and_then(|text| Accepted::new(text, id));
        let (Some(text), Some(accepted)) = (text, accepted) else {
            let sentence = "its state is lost, and what its glusterfs has loaded cannot be read";
            return Err(Error::new(Reason::Other, sentence));
        };
        Ok(Given { digest: digest(&text), text, accepted: Arc::new(accepted), graph: 0, offline: false })
    }

    /// The FUSE mounts of this pool, by number.
    pub(super) fn fuse_mounts(&self, table: &MountTable) -> Vec<(u32, (u32, u32))> {
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

    fn device_of_targets(&self, table: &MountTable) -> Option<(u32, u32)> {
        let tops = self.targets.iter().filter_map(|target| table.top_at(&target.path));
        tops.filter(|top| top.fs_type == "fuse.glusterfs").map(|top| top.device).next()
    }

    /// Without a list, every bind of our file systems is a target.
    fn find_targets(&mut self, table: &MountTable) {
        if !self.targets.is_empty() {
            return;
        }
        let home = self.context.store.mounts();
        let ours = self.devices();
        let binds = table.entries().iter().filter(|entry| ours.contains(&entry.device));
        for entry in binds.filter(|entry| !entry.mount_point.starts_with(&home)) {
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
