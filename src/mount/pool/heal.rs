//! Another process in the place of one that is dead, hung, or to be replaced; and targets in the place where they belong.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{Dead, Live, Runner, start::HELPER};
use crate::mount::{Error, Reason, mountinfo::MountTable, store::StoredTarget};

/// Between attempts to start a process, doubling.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// For I/O to work on a process that nobody waits for; meanwhile nothing else is done for its targets.
const RESTART: Duration = Duration::from_secs(20);

/// For a process without mounts to end; one that does not still has files open.
const END: Duration = Duration::from_secs(5);

impl Runner {
    /// The process has ended by itself.
    pub(super) async fn died(&mut self) {
        let Some(live) = &self.live else { return };
        let pid = live.process.pid;
        self.error(&format!("glusterfs (process {pid}) has ended; open files are lost"));
        self.lost("died", Instant::now()).await;
    }

    /// What the process served is to be served by another one.
    pub(super) async fn lost(&mut self, reason: &'static str, since: Instant) {
        let Some(live) = self.live.take() else { return };
        self.set_state("dead");
        self.hold_file_system(live.process.number);
        self.context.server.withdraw(&self.key(live.process.number));
        self.dead.push(Dead { number: live.process.number, device: Some(live.device) });
        self.following = None;
        self.down = Some((since, reason));
        self.forget_unmounted();
        if !self.targets.is_empty() {
            self.heal().await;
        }
    }

    /// Starts a process for targets that have none, or one of another volume.
    pub(super) async fn heal(&mut self) {
        let failures = self.retry.take().map_or(0, |(_, failures)| failures);
        let outcome = match &self.live {
            Some(_) => self.replace("another volume has its name").await.map(drop),
            None => self.restart().await,
        };
        if let Err(error) = outcome {
            self.error(&format!("cannot start it anew: {error}"));
            let pause = RETRY_AT_MOST.min(RETRY * 2_u32.saturating_pow(failures.min(10)));
            self.retry = Some((Instant::now() + pause, failures + 1));
        }
    }

    async fn restart(&mut self) -> Result<(), Error> {
        let live = self.start(RESTART.min(self.context.config.mount_timeout), None).await?;
        self.install(live).await;
        Ok(())
    }

    /// Puts a new process beside the old one, checks it, and moves the targets over. The old one serves what is open in it.
    pub(super) async fn replace(&mut self, why: &str) -> Result<i32, Error> {
        if self.live.is_none() {
            return Err(Error::new(Reason::Other, "there is no glusterfs to replace: one is being started"));
        }
        if let Some(path) = self.covered() {
            let sentence = format!("{path} is mounted below a target and would go with it: unmount it first");
            return Err(Error::new(Reason::Busy, sentence));
        }
        info!(target: "kadalu", pool = self.id, why, "planned replacement");
        let live = self.start(self.context.config.mount_timeout, None).await?;
        let pid = live.process.pid;
        self.draining.extend(self.live.take());
        self.install(live).await;
        self.count_restart("planned");
        match self.unbound.first() {
            None => Ok(pid),
            Some(path) => {
                let sentence = format!(
                    "{} is still on the old process, and is moved as soon as it can be",
                    path.display()
                );
                Err(Error::new(Reason::Other, sentence))
            }
        }
    }

    /// A mount of somebody else below one of our targets: to detach the target would detach it too.
    fn covered(&self) -> Option<String> {
        let table = MountTable::read().ok()?;
        let ours: Vec<_> =
            self.targets.iter().filter_map(|target| table.top_at(&target.path)).map(|top| top.id).collect();
        let below = table.entries().iter().find(|entry| ours.contains(&entry.parent))?;
        Some(below.mount_point.display().to_string())
    }

    fn count_restart(&self, reason: &str) {
        *self.status().restarts.entry(reason.to_owned()).or_default() += 1;
    }

    /// Makes a process on which I/O works the one of this pool, and moves all targets to it.
    pub(super) async fn install(&mut self, live: Live) {
        self.live = Some(live);
        self.note_file_system();
        self.retry = None;
        self.following = None;
        self.health.reset();
        // Before the targets move: a restart of ours in the middle finds both.
        self.save();
        self.mend().await;
        let down = self.status().bricks_down.clone();
        self.note_bricks(down);
        if let Some((since, reason)) = self.down.take() {
            let seconds = since.elapsed().as_secs_f64();
            info!(target: "kadalu", pool = self.id, reason, seconds, "healed");
            self.status().last_heal_seconds = seconds;
            self.count_restart(reason);
        }
        // What was accepted meanwhile.
        self.give();
    }

    /// Brings every target to the process that there is, and what is left of others out of the way. What cannot be done now
    /// is done at a later look.
    pub(super) async fn mend(&mut self) {
        let (Some(live), Ok(table)) = (&self.live, MountTable::read()) else { return };
        let device = live.device;
        let ours = self.devices();
        let in_place = |path: &std::path::Path| {
            let stack = table.at(path);
            let top = stack.last().is_some_and(|top| top.device == device);
            top && stack.iter().filter(|entry| ours.contains(&entry.device)).count() == 1
        };
        let moving: Vec<_> = self.targets.iter().filter(|target| !in_place(&target.path)).cloned().collect();
        self.unbound.clear();
        for target in moving {
            match self.bind(&target).await {
                Ok(()) => self.status().rebinds += 1,
                Err(error) => {
                    self.error(&format!("target {}: {error}", target.path.display()));
                    self.unbound.push(target.path);
                }
            }
        }
        for dead in self.dead.clone() {
            if self.discard(dead.number).await && self.unbound.is_empty() {
                self.dead.retain(|known| known.number != dead.number);
            }
        }
        let mounted = |live: &&Live| table.top_at(&live.process.mount).is_some();
        let left: Vec<_> =
            self.draining.iter().filter(mounted).map(|live| live.process.mount.clone()).collect();
        for mount in left {
            // Those who have files open keep its file system.
            self.detach(&mount).await;
        }
        self.rebind_containers();
        self.save();
    }

    /// A process that was replaced, or has no targets any more, has ended.
    pub(super) fn drained(&mut self, at: usize) {
        let Live { process, device, .. } = self.draining.swap_remove(at);
        info!(target: "kadalu", pool = self.id, pid = process.pid, "a glusterfs without targets has ended");
        self.context.server.withdraw(&self.key(process.number));
        self.hold_file_system(process.number);
        // A target that could not be moved may be left on it.
        self.dead.push(Dead { number: process.number, device: Some(device) });
        self.health.next = Instant::now();
        self.save();
    }

    /// Detaches a process that has no targets any more and waits for its end, within reason: open files keep it.
    pub(super) async fn retire(&mut self) {
        (self.following, self.retry, self.down) = (None, None, None);
        let Some(live) = self.live.take() else { return };
        let mount = live.process.mount.clone();
        self.draining.push(live);
        // First: a restart of ours finds it as what it is.
        self.save();
        self.detach(&mount).await;
        let at = self.draining.len() - 1;
        if timeout(END, self.draining[at].process.ended()).await.is_ok() {
            self.drained(at);
        } else {
            warn!(target: "kadalu", pool = self.id, "the last target is gone, but files are open: glusterfs ends with them");
        }
    }

    /// Without targets: whether nothing is left of the pool.
    pub(super) async fn end(&mut self) -> bool {
        self.retire().await;
        for mount in self.draining.iter().map(|live| live.process.mount.clone()).collect::<Vec<_>>() {
            self.detach(&mount).await;
        }
        for dead in std::mem::take(&mut self.dead) {
            if !self.discard(dead.number).await {
                self.dead.push(dead);
            }
        }
        if !self.draining.is_empty() || !self.dead.is_empty() {
            return false;
        }
        self.context.store.remove_pool(&self.id);
        true
    }

    /// The end of the mount host.
    pub(super) async fn stop(&mut self, unmount: bool) {
        if !unmount {
            return self.save();
        }
        for target in std::mem::take(&mut self.targets) {
            if let Err(failed) = self.context.helper.unmount(&target.path, true, HELPER).await {
                self.error(&format!("cannot unmount {}: {failed}", target.path.display()));
            }
        }
        self.end().await;
    }

    /// Our file systems, of processes dead and alive.
    pub(super) fn devices(&self) -> Vec<(u32, u32)> {
        let live = self.live.iter().chain(&self.draining).map(|live| live.device);
        live.chain(self.dead.iter().filter_map(|dead| dead.device)).collect()
    }

    /// Drops targets that somebody else has unmounted.
    pub(super) fn forget_unmounted(&mut self) {
        // Unreadable: nothing is known against them.
        let Ok(table) = MountTable::read() else { return };
        let ours = self.devices();
        let is_kept = |target: &StoredTarget| {
            self.unbound.contains(&target.path)
                || table.at(&target.path).iter().any(|entry| ours.contains(&entry.device))
        };
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.targets).into_iter().partition(is_kept);
        self.targets = kept;
        if gone.is_empty() {
            return;
        }
        for target in &gone {
            info!(target: "kadalu", path = %target.path.display(), "unmounted by somebody else");
        }
        self.note_former(&gone);
        self.save();
    }
}
