//! Another process in the place of one that is dead, hung, or to be replaced.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{Dead, Live, Runner, start::HELPER};
use crate::mount::{Error, Reason, mountinfo::MountTable};

/// Between attempts to start a process, doubling.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

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
        let live = self.start(self.context.config.mount_timeout, None).await?;
        self.take_over(live).await;
        let (since, reason) = self.down.take().unwrap_or((Instant::now(), "died"));
        let seconds = since.elapsed().as_secs_f64();
        info!(target: "kadalu", pool = self.id, reason, seconds, "healed");
        self.status().last_heal_seconds = seconds;
        self.count_restart(reason);
        Ok(())
    }

    /// Puts a new process beside the old one, checks it, and moves the targets over. The old one serves what is open in it.
    pub(super) async fn replace(&mut self, why: &str) -> Result<i32, Error> {
        if self.live.is_none() {
            return Err(Error::new(Reason::Other, "there is no glusterfs to replace: one is being started"));
        }
        info!(target: "kadalu", pool = self.id, why, "planned replacement");
        let live = self.start(self.context.config.mount_timeout, None).await?;
        let pid = live.process.pid;
        self.following = None;
        self.draining.extend(self.live.take());
        self.take_over(live).await;
        self.count_restart("planned");
        Ok(pid)
    }

    fn count_restart(&self, reason: &str) {
        *self.status().restarts.entry(reason.to_owned()).or_default() += 1;
    }

    /// Makes `live` the process of all targets.
    async fn take_over(&mut self, live: Live) {
        let old: Vec<_> = self.draining.iter().map(|live| live.device).collect();
        let old: Vec<_> = old.into_iter().chain(self.dead.iter().filter_map(|dead| dead.device)).collect();
        self.health.reset();
        let down = self.status().bricks_down.clone();
        self.live = Some(live);
        // Before the targets move: a restart of ours in the middle finds both.
        self.save();
        let mut failed = false;
        for target in self.targets.clone() {
            match self.bind(&target, old.clone()).await {
                Ok(()) => self.status().rebinds += 1,
                Err(error) => {
                    failed = true;
                    self.error(&format!("target {}: {error}", target.path.display()));
                }
            }
        }
        self.note_bricks(down);
        if failed {
            // Looked at again, and mended, with the next look.
            self.health.next = Instant::now() + Duration::from_secs(1);
        }
        for dead in std::mem::take(&mut self.dead) {
            self.discard(dead.number).await;
        }
        for live in &self.draining {
            self.detach(&live.process.mount).await;
        }
        self.save();
        // What was accepted meanwhile.
        self.give();
    }

    /// A process that was replaced has ended: nobody has a file open there.
    pub(super) fn drained(&mut self, at: usize) {
        let Live { process, .. } = self.draining.swap_remove(at);
        info!(target: "kadalu", pool = self.id, pid = process.pid, "a replaced glusterfs has ended");
        self.context.server.withdraw(&self.key(process.number));
        self.context.store.remove_pid_file(&self.id, process.number);
        self.save();
    }

    /// Detaches a process that has no targets any more and waits for its end, within reason: open files keep it.
    pub(super) async fn retire(&mut self) {
        (self.following, self.retry, self.down) = (None, None, None);
        let Some(live) = self.live.take() else { return };
        self.detach(&live.process.mount).await;
        let ended = timeout(END, live.process.ended()).await.is_ok();
        self.draining.push(live);
        if ended {
            self.drained(self.draining.len() - 1);
        } else {
            warn!(target: "kadalu", pool = self.id, "the last target is gone, but files are open: glusterfs ends with them");
            self.save();
        }
    }

    /// Without targets: whether nothing is left of the pool.
    pub(super) async fn end(&mut self) -> bool {
        self.retire().await;
        for dead in std::mem::take(&mut self.dead) {
            self.discard(dead.number).await;
        }
        if !self.draining.is_empty() {
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

    /// Drops targets that somebody else has unmounted.
    pub(super) fn forget_unmounted(&mut self) {
        // Unreadable: nothing is known against them.
        let Ok(table) = MountTable::read() else { return };
        let live = self.live.iter().chain(&self.draining).map(|live| live.device);
        let ours: Vec<_> = live.chain(self.dead.iter().filter_map(|dead| dead.device)).collect();
        let before = self.targets.len();
        self.targets.retain(|target| {
            let mounted = table.at(&target.path).iter().any(|entry| ours.contains(&entry.device));
            if !mounted {
                info!(target: "kadalu", path = %target.path.display(), "unmounted by somebody else");
            }
            mounted
        });
        if self.targets.len() != before {
            self.save();
        }
    }
}
