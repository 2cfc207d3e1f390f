//! Is the process alive, and does I/O work. A false alarm is worse than none: several signals before anything is done.

use std::{fs, io, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{Runner, follow};
use crate::{
    mount::{
        helper::{Failed, Probe},
        mountinfo::MountTable,
    },
    transport::PeerInfo,
};

/// Every so many looks the graph is looked at too.
const GRAPH: u32 = 2;

/// Looks in a row at which nothing at all answered, and that many of them after a notification that was not followed.
const SILENT: u32 = 3;
const DEAF: u32 = 2;

/// Nothing answers through FUSE, but volfiles are fetched: so many looks in a row, which together take longer than any brick
/// may be silent (ping-timeout, 42 s).
const MUTE: u32 = 20;

/// A look that hangs in a brick leaves a process that cannot be killed until the brick answers: the next ones come later, up
/// to so many times the interval.
const STUCK: u32 = 8;

/// In bytes, before a log is moved aside.
const MAX_LOG: u64 = 16 << 20;

/// What the last looks have shown.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) next: Instant,
    interval: Duration,
    looks: u32,
    /// Looks in a row at which nothing answered, the time of the first, and how often a notification was not followed.
    silent: u32,
    since: Instant,
    deaf: u32,
    /// Looks in a row at which bricks did not answer.
    stuck: u32,
    /// The GETSPECs of the process when it was last notified.
    fetches: Option<u64>,
}

impl Health {
    pub(super) fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            next: now + interval,
            interval,
            looks: 0,
            silent: 0,
            since: now,
            deaf: 0,
            stuck: 0,
            fetches: None,
        }
    }

    /// A new process: nothing is known against it.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.interval);
    }
}

impl Runner {
    /// One look.
    pub(super) async fn look(&mut self) {
        self.forget_unmounted();
        self.mend().await;
        self.rotate_log();
        let Some(live) = &self.live else { return };
        let gone = MountTable::read().is_ok_and(|table| table.top_at(&live.process.mount).is_none());
        if gone {
            // The targets go on; it is we who cannot look at it any more.
            self.health.next = Instant::now() + self.context.config.probe_interval;
            if let Err(error) = self.replace("its FUSE mount was unmounted by somebody else").await {
                self.error(&format!("its FUSE mount was unmounted by somebody else, and a new one could not take its place: {error}"));
            }
            return;
        }
        self.health.looks = self.health.looks.wrapping_add(1);
        let troubled = {
            let status = self.status();
            status.state != "healthy" || !status.drift.is_empty()
        };
        let graph = troubled || self.health.looks.is_multiple_of(GRAPH);
        let deadline = self.context.config.probe_deadline;
        let began = Instant::now();
        let probed = tokio::select! {
            probed = self.context.helper.probe(&live.process.mount, graph, deadline) => probed,
            // The loop sees to it.
            () = live.process.ended() => return,
        };
        self.health.next = Instant::now() + self.context.config.probe_interval;
        match probed {
            Ok(probe) => {
                (self.health.silent, self.health.deaf, self.health.fetches) = (0, 0, None);
                self.health.stuck =
                    if probe.lookup.is_none() { (self.health.stuck * 2).clamp(1, STUCK) } else { 0 };
                self.health.next += self.context.config.probe_interval * self.health.stuck;
                self.note(probe, deadline);
            }
            Err(Failed::TimedOut(_)) => {
                if self.health.silent == 0 {
                    self.health.since = began;
                }
                self.health.next =
                    Instant::now() + Duration::from_secs(1).min(self.context.config.probe_interval);
                self.suspect().await;
            }
            // The helper's own trouble says nothing of the mount.
            Err(failed) => self.error(&format!("cannot look at the mount: {failed}")),
        }
        self.save();
    }

    /// Keeps the log of glusterfs, and one before it, within bounds.
    fn rotate_log(&self) {
        let log = self.context.store.log(&self.id);
        if fs::metadata(&log).is_ok_and(|log| log.len() > MAX_LOG)
            && fs::rename(&log, log.with_extension("log.1")).is_ok()
        {
            for live in self.live.iter().chain(&self.draining) {
                // It opens a new one, and fetches its volfile again, which is equal.
                live.process.signal(Signal::HUP);
            }
        }
    }

    fn note(&mut self, probe: Probe, deadline: Duration) {
        let Some(live) = &self.live else { return };
        let lookup = probe.lookup.map(|answer| answer.result);
        match lookup {
            Some(Ok(())) => match &probe.graph {
                Some(Ok(graph)) => {
                    let drift = follow::drift(&live.given, graph).unwrap_or_default();
                    let bricks_down = follow::bricks_down(&live.given, &graph.bricks);
                    let mut status = self.status();
                    status.graphs = graph.held;
                    let drifted = self.following.is_none() && status.drift != drift;
                    if self.following.is_none() {
                        status.drift.clone_from(&drift);
                    }
                    drop(status);
                    if drifted {
                        self.drifted(&drift);
                    }
                    self.note_bricks(bricks_down);
                }
                // `degraded` is left by a look at the graph alone.
                _ if self.status().bricks_down.is_empty() => self.set_state("healthy"),
                _ => self.set_state("degraded"),
            },
            Some(Err(errno)) => {
                self.set_state("failing");
                self.error(&format!("I/O fails: {}", io::Error::from_raw_os_error(errno)));
            }
            None => {
                self.set_state("failing");
                self.error(&format!("no brick has answered within {deadline:?}; glusterfs itself does"));
            }
        }
    }

    /// Nothing answered: a hung process, or a very busy machine.
    async fn suspect(&mut self) {
        let Some(live) = &self.live else { return };
        let (pid, key) = (live.process.pid, self.key(live.process.number));
        let connections = self.context.server.connections();
        let fetches = connections.iter().find_map(|connection| match connection.peer {
            PeerInfo::Unix { pid: Some(peer), .. } if peer == pid => Some(connection.fetches),
            _ => None,
        });
        // Told to fetch its volfile, it did not: its event loop stands still too.
        let followed = fetches > self.health.fetches;
        self.health.deaf += u32::from(self.health.silent > 0 && !followed);
        self.health.silent += 1;
        self.health.fetches = fetches;
        self.context.server.notify(&key);
        let (silent, deaf) = (self.health.silent, self.health.deaf);
        warn!(target: "kadalu", pool = self.id, pid, silent, deaf, "nothing answers on the mount");
        if (silent >= SILENT && deaf >= DEAF) || silent >= MUTE {
            self.set_state("hung");
            self.error(&format!(
                "glusterfs (process {pid}) hangs: {silent} looks in a row found nothing alive on it"
            ));
            live.process.signal(Signal::KILL);
            if timeout(Duration::from_secs(5), live.process.ended()).await.is_err() {
                // Its targets are bound anew all the same: that asks nothing of it.
                self.error(&format!("glusterfs (process {pid}) hangs and cannot be killed"));
            }
            let since = self.health.since;
            self.lost("hung", since).await;
        }
    }
}
