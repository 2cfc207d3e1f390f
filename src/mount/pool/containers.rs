//! Copies of targets in containers, which follow neither a healing nor a planned replacement by themselves.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use tracing::debug;

use super::Runner;
use crate::mount::{
    containers::{Outcome, Round},
    helper::{Earlier, Rebind, open_mount},
    mountinfo::MountTable,
    store::{StoredFileSystem, StoredPool, StoredTarget},
};

/// Directories of targets that are gone; of more the oldest are forgotten.
const MAX_FORMER: usize = 1024;

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
        self.held.retain(|number, _| self.file_systems.iter().any(|known| known.number == *number));
    }

    /// A process has ended: before its mount is taken away its file system is held. One that cannot be is forgotten, as
    /// another may get its number at any time.
    pub(super) fn hold_file_system(&mut self, number: u32) {
        let Some(known) = self.file_systems.iter().find(|known| known.number == number) else { return };
        let mount = self.context.store.mount(&self.id, number);
        match open_mount(&mount, known.device) {
            Ok(held) => drop(self.held.insert(number, held)),
            Err(error) => {
                debug!(target: "kadalu", pool = self.id, number, %error, "copies of its mounts cannot be told from others");
                self.file_systems.retain(|known| known.number != number);
            }
        }
    }

    /// Targets that are forgotten: containers may have them still.
    pub(super) fn note_former(&mut self, gone: &[StoredTarget]) {
        if !self.context.config.rebind_containers {
            return;
        }
        for target in gone {
            self.former.retain(|known| *known != target.subdirectory);
            self.former.push(target.subdirectory.clone());
        }
        self.former.drain(..self.former.len().saturating_sub(MAX_FORMER));
    }

    /// The directories of the volume that are or were targets.
    fn roots(&self) -> Vec<PathBuf> {
        let targets = self.targets.iter().map(|target| &target.subdirectory);
        let roots = targets.chain(&self.former).map(|directory| Path::new("/").join(directory));
        roots.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What an earlier run of ours has noted, and what it has left in our own namespace.
    pub(super) fn adopt_file_systems(&mut self, stored: &StoredPool, table: &MountTable) {
        if !self.context.config.rebind_containers {
            return;
        }
        self.former.clone_from(&stored.former);
        stored.file_systems.iter().cloned().for_each(|file_system| self.keep_file_system(file_system));
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
            roots: self.roots(),
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
            self.held.retain(|number, _| self.file_systems.iter().any(|known| known.number == *number));
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
