//! Copies of targets in containers, which follow neither a healing nor a planned replacement by themselves.

use tracing::debug;

use super::Runner;
use crate::mount::{
    containers::{Outcome, Round},
    helper::{Earlier, Rebind},
    mountinfo::MountTable,
    store::StoredFileSystem,
};

impl Runner {
    /// Notes the file system of the process that there is: copies of its mounts are known by it when it has ended.
    pub(super) fn note_file_system(&mut self) {
        let Some(live) = self.live.as_ref().filter(|_| self.context.config.rebind_containers) else { return };
        let Ok(table) = MountTable::read() else { return };
        if let Some(entry) = table.top_at(&live.process.mount).filter(|entry| entry.device == live.device) {
            let (number, source) = (live.process.number, entry.source.clone());
            self.keep_file_system(StoredFileSystem { number, device: live.device, source });
        }
    }

    fn keep_file_system(&mut self, file_system: StoredFileSystem) {
        // A number that is used anew belongs to another one.
        self.file_systems
            .retain(|known| known.number != file_system.number && known.device != file_system.device);
        self.file_systems.push(file_system);
    }

    /// What an earlier run of ours has noted, and what it has left in our own namespace.
    pub(super) fn adopt_file_systems(&mut self, stored: &[StoredFileSystem], table: &MountTable) {
        if !self.context.config.rebind_containers {
            return;
        }
        stored.iter().cloned().for_each(|file_system| self.keep_file_system(file_system));
        for (number, device) in self.fuse_mounts(table) {
            let mount = self.context.store.mount(&self.id, number);
            if let Some(entry) = table.at(&mount).into_iter().find(|entry| entry.device == device) {
                self.keep_file_system(StoredFileSystem { number, device, source: entry.source.clone() });
            }
        }
    }

    /// Begins to bring the copies of earlier processes' mounts to the process that there is, where there may be any and
    /// nobody is at it.
    pub(super) fn rebind_containers(&mut self) {
        let Some(live) = self.live.as_ref().filter(|_| self.rebinding.is_empty()) else { return };
        if self.status().state == "failing" {
            // What it is asked for now would hang with the bricks.
            return;
        }
        let current = live.process.number;
        let runs = |number| self.draining.iter().any(|live| live.process.number == number);
        let earlier = self.file_systems.iter().filter(|file_system| file_system.number != current);
        let earlier = earlier.map(|StoredFileSystem { number, device, source }| Earlier {
            device: *device,
            source: source.clone(),
            place: [&self.id, &number.to_string()].iter().collect(),
            ended: !runs(*number),
        });
        let earlier = earlier.collect::<Vec<_>>();
        if earlier.is_empty() {
            return;
        }
        let rebind = Rebind {
            pid: 0,
            namespace: 0,
            mount: live.process.mount.clone(),
            earlier,
            except: self.targets.iter().map(|target| target.path.clone()).collect(),
            staging: self.context.store.stage(),
        };
        let (pool, helper, known) = (self.id.clone(), self.context.helper.clone(), self.left.clone());
        let round = Round { pool, helper, rebind, known };
        self.rebinding.spawn(async move { (current, round.run().await) });
    }

    /// A round has ended that was about the process of this number.
    pub(super) fn rebound(&mut self, number: u32, outcome: Outcome) {
        let current = self.live.as_ref().map(|live| live.process.number);
        if let Some(seen) = outcome.seen {
            let before = self.file_systems.len();
            // What is mounted nowhere any more is not looked for again: it cannot be copied either.
            self.file_systems.retain(|known| {
                Some(known.number) == current || known.number == number || seen.contains(&known.device)
            });
            let gone = before - self.file_systems.len();
            debug!(target: "kadalu", pool = self.id, rebound = outcome.rebound, left = outcome.left.len(), gone, "looked into containers");
        }
        self.left = outcome.left;
        let mut status = self.status();
        status.container_rebinds += outcome.rebound;
        status.container_mounts_left = self.left.len().try_into().unwrap_or(u32::MAX);
        drop(status);
        self.save();
        if current.is_some_and(|current| current != number) {
            // Another process has come meanwhile.
            self.rebind_containers();
        }
    }
}
