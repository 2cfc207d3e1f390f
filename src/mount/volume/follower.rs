//! Which of the cluster's volfiles mounts may be given, and when.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, interval_at, sleep_until},
};
use tracing::{info, warn};

use super::{Accepted, Connected, Shared, Wanted, ask_around};
use crate::{
    client::{Event, Generation, Watch},
    mount::{
        Error, Reason,
        generated::{self, Rejection},
        glusterfs::Glusterfs,
        ports::{self, Look},
        store::StoredVolume,
        time::now,
    },
    transport::ServerAddress,
    volfile::{Class, Graph, Volfile},
};

/// A change is passed on when no other has come for so long, and so long after the one before: each graph that a mount goes
/// through costs it memory for good.
const QUIET: Duration = Duration::from_millis(50);
const APART: Duration = Duration::from_secs(1);

/// In a storm of changes, one is passed on after so long.
const STORM: Duration = Duration::from_secs(2);

/// Between looks at the ports of the bricks, and after a glusterd has come back, which may start bricks anew on other ports.
const PORTS: Duration = Duration::from_secs(600);
const PORTS_SOON: Duration = Duration::from_secs(15);

/// The same while bricks serve of which no glusterd tells; doubling.
const UNLOCATED: Duration = Duration::from_secs(2);

/// For new bricks to start, and between two looks whether they have.
const STARTED: Duration = Duration::from_secs(10);
const STARTING: Duration = Duration::from_millis(200);

/// How often, and after which time, it is asked again which volume a volfile is of.
const QUESTIONS: u32 = 5;
const AGAIN: Duration = Duration::from_secs(2);

/// A volfile that waits for the end of a burst.
struct Pending {
    generation: Arc<Generation>,
    first: Instant,
    latest: Instant,
    /// It was looked at and has to wait.
    not_before: Instant,
    /// How often nobody has said which volume it is of.
    asked: u32,
}

impl Pending {
    /// When to pass it on, where the last change was passed on at `changed`.
    fn due(&self, changed: Option<Instant>) -> Instant {
        let quiet = (self.latest + QUIET).min(self.first + STORM).max(self.not_before);
        changed.map_or(quiet, |changed| quiet.max(changed + APART))
    }
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    glusterfs: Arc<Glusterfs>,
    wanted: watch::Sender<Wanted>,
    watch: Watch,
    pending: Option<Pending>,
    /// A volfile of another volume of this name, with that volume's id.
    replacement: Option<(String, Arc<Generation>)>,
    look_at_ports: bool,
    /// The name may have gone to another volume since the last volfile was accepted.
    unsure: bool,
    /// When the last change was passed on.
    changed: Option<Instant>,
    /// The server of the present connection has said what it has.
    heard: bool,
}

impl Follower {
    /// Nothing is known of the cluster yet.
    pub(super) fn new(
        shared: Arc<Shared>,
        glusterfs: Arc<Glusterfs>,
        wanted: watch::Sender<Wanted>,
        watch: Watch,
    ) -> Self {
        Self {
            shared,
            glusterfs,
            wanted,
            watch,
            pending: None,
            replacement: None,
            look_at_ports: true,
            unsure: true,
            changed: None,
            heard: false,
        }
    }

    /// For ever.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<oneshot::Sender<Result<String, Error>>>) {
        let mut ports_due = interval_at(Instant::now() + PORTS, PORTS);
        let mut ports = None;
        let mut unlocated = Duration::ZERO;
        let shared = self.shared.clone();
        loop {
            if self.look_at_ports && self.wanted.borrow().connected.is_some() && ports.is_none() {
                self.look_at_ports = false;
                let accepted = self.wanted.borrow().accepted.clone();
                let bricks = accepted.map(|accepted| accepted.bricks()).unwrap_or_default();
                let known = self.shared.stored().bricks.clone();
                ports = Some(Box::pin(ports::look(self.shared.cluster.clone(), bricks, known)));
            }
            let due = self.pending.as_ref().map(|p| p.due(self.changed));
            tokio::select! {
                event = self.watch.next() => {
                    if matches!(event, Event::Connected(_)) {
                        // What was asked before may be old.
                        ports = None;
                        ports_due.reset_after(PORTS_SOON);
                    }
                    self.event(event);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(pending) = self.pending.take() {
                        self.judge(pending).await;
                    }
                }
                Some(answer) = commands.recv() => {
                    // Who asked may have gone; it is done all the same.
                    let _ = answer.send(self.accept_replacement());
                }
                _ = ports_due.tick() => self.look_at_ports = true,
                () = shared.bricks_changed.notified() => {
                    self.look_at_ports = true;
                    ports_due.reset_after(PORTS_SOON);
                }
                look = async { match &mut ports { Some(ports) => ports.await, None => std::future::pending().await } } => {
                    ports = None;
                    if !look.located {
                        unlocated = (unlocated * 2).clamp(UNLOCATED, PORTS_SOON);
                        ports_due.reset_after(unlocated);
                    } else if !unlocated.is_zero() {
                        unlocated = Duration::ZERO;
                        ports_due.reset_after(PORTS_SOON);
                    }
                    self.note_ports(look);
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        let name = self.shared.stored().name.clone();
        match event {
            Event::Initial(generation) | Event::Changed { generation, .. } | Event::Unchanged(generation) => {
                self.shared.status().trouble.clear();
                self.heard = true;
                self.offer(generation);
            }
            Event::Connected(server) => {
                info!(target: "kadalu", volume = name, %server, "connected");
                let mut status = self.shared.status();
                status.connected = server.to_string();
                status.connects += 1;
                status.trouble.clear();
                drop(status);
                self.look_at_ports = true;
                (self.unsure, self.heard) = (true, false);
                let connected = Connected { server, confirmed: false, located: false };
                self.wanted.send_modify(|wanted| wanted.connected = Some(connected));
            }
            Event::Disconnected { server, reason } => {
                warn!(target: "kadalu", volume = name, %server, %reason, "disconnected");
                self.shared.status().connected.clear();
                self.wanted.send_modify(|wanted| wanted.connected = None);
            }
            Event::Unavailable(reasons) => self.trouble(&name, reasons.to_string()),
            Event::Gone(server) => {
                self.unsure = true;
                let sentence =
                    format!("{server}: there is no volume {name} any more; its mounts are left as they are");
                self.trouble(&name, sentence);
            }
            Event::Rejected(rejection) => {
                self.reject(&rejection.server, rejection.digest.clone(), rejection.reasons.clone(), None);
            }
        }
    }

    fn trouble(&self, name: &str, reason: String) {
        let mut status = self.shared.status();
        if status.trouble != reason {
            warn!(target: "kadalu", volume = name, reason, "trouble with the cluster");
            status.trouble = reason;
        }
    }

    /// A volfile of the cluster: passed on when things are quiet, unless it is in force already.
    fn offer(&mut self, generation: Arc<Generation>) {
        let now = Instant::now();
        let first = self.pending.as_ref().map_or(now, |pending| pending.first);
        let known = self.wanted.borrow().accepted.as_ref().is_some_and(|a| a.digest == generation.digest);
        // Of the cluster's volfile before; what is wrong with this one is found below.
        self.clear_rejection(false);
        if known && !self.unsure {
            self.pending = None;
            self.clear_rejection(true);
        } else {
            self.pending = Some(Pending { generation, first, latest: now, not_before: now, asked: 0 });
        }
    }

    /// Whether mounts may be given a volfile: what the watch cannot know.
    async fn judge(&mut self, pending: Pending) {
        let generation = pending.generation.clone();
        let mut unknown = self.glusterfs.unknown(&generation.text);
        if !unknown.is_empty() && self.glusterfs.look().await.is_ok() {
            // It may have been upgraded since.
            unknown = self.glusterfs.unknown(&generation.text);
        }
        if !unknown.is_empty() {
            return self.reject(&generation.server, generation.digest.clone(), unknown, None);
        }
        let StoredVolume { name, id, .. } = self.shared.stored().clone();
        let now = self.ask_id(&generation, &name).await;
        match (&id, now) {
            (Some(id), Some(now)) if *id != now => {
                let reason = format!(
                    "another volume, {now}, has taken the name of {name}, {id}: its mounts stay on what they have; \
                     `kadalu mounts --accept-replaced {name}` goes over to it"
                );
                self.reject(&generation.server, generation.digest.clone(), vec![reason], Some(now.clone()));
                self.replacement = Some((now, generation));
            }
            // Nobody says which volume it is, and it has no brick of the one that is known.
            (Some(_), None) if !self.shares_bricks(&generation) && pending.asked < QUESTIONS => {
                let (not_before, asked) = (Instant::now() + AGAIN, pending.asked + 1);
                self.pending = Some(Pending { not_before, asked, ..pending });
            }
            (Some(id), None) if !self.shares_bricks(&generation) => {
                let reason = format!(
                    "it has no brick of the volume {name}, {id}, and no server says which volume it is"
                );
                self.reject(&generation.server, generation.digest.clone(), vec![reason], None);
            }
            _ if self.waits_for_bricks(&pending).await => {
                self.pending = Some(Pending { not_before: Instant::now() + STARTING, ..pending });
            }
            (_, now) => self.accept(&generation, now.or(id)),
        }
    }

    /// The id of the volume, from its volfile or from the first of a few servers that tells it.
    async fn ask_id(&self, generation: &Generation, name: &str) -> Option<String> {
        let told = Volfile::parse(&generation.text).ok();
        let told = told.as_ref().and_then(Graph::new).and_then(|graph| graph.kind().volume_id);
        if told.is_some() {
            return told;
        }
        ask_around(&self.shared.cluster, &generation.server, name, |info| info.id).await
    }

    /// Whether a new brick cannot be connected to yet: glusterd tells of bricks before it starts them, and a graph whose new
    /// bricks are not there fails creates (distribute) or waits for heals (replicate).
    async fn waits_for_bricks(&self, pending: &Pending) -> bool {
        let Some(accepted) = self.wanted.borrow().accepted.clone() else { return false };
        let new = Accepted::new(pending.generation.text.clone(), None).map(|new| new.clients());
        let known = accepted.bricks();
        let new: Vec<_> =
            new.unwrap_or_default().into_iter().filter(|(_, brick)| !known.contains(brick)).collect();
        if new.is_empty() || pending.first.elapsed() > STARTED {
            return false;
        }
        let reachable = ports::reachable(&self.shared.cluster, new).await;
        reachable.iter().any(|brick| !brick.connected)
    }

    fn shares_bricks(&self, generation: &Generation) -> bool {
        let Some(accepted) = self.wanted.borrow().accepted.clone() else { return true };
        let bricks = accepted.bricks();
        let new = Accepted::new(generation.text.clone(), None).map(|new| new.bricks()).unwrap_or_default();
        new.iter().any(|brick| bricks.contains(brick))
    }

    fn accept(&mut self, generation: &Generation, id: Option<String>) {
        // The watch has read it.
        let Some(accepted) = Accepted::new(generation.text.clone(), id.clone()) else { return };
        let accepted = Arc::new(accepted);
        let before = self.wanted.borrow().accepted.clone();
        let change = before.as_ref().map(|before| before.change_to(&accepted));
        let mut status = self.shared.status();
        status.generation += u64::from(before.is_none());
        status.digest.clone_from(&accepted.digest);
        status.kind.clone_from(&accepted.kind);
        let name = status.name.clone();
        if let Some(change) = change.filter(|change| change.class != Class::None) {
            info!(target: "kadalu", volume = name, digest = accepted.digest, class = %change.class, items = change.items.len(), "changed");
            status.generation += 1;
            match change.class {
                Class::Topology => status.changes_topology += 1,
                _ => status.changes_options += 1,
            }
            self.changed = Some(Instant::now());
            self.look_at_ports |= change.class == Class::Topology;
            status.last_change = Some(generated::Change {
                time: now(),
                class: if change.class == Class::Topology { "topology" } else { "options" }.to_owned(),
                items: change.items.iter().map(ToString::to_string).collect(),
            });
        }
        drop(status);
        self.shared.stored().id = id;
        self.shared.save();
        let key = self.shared.stored().key.clone();
        if let Err(error) = self.shared.store.save_volfile(&key, &accepted.text) {
            warn!(target: "kadalu", volume = name, %error, "cannot save the volfile");
        }
        self.clear_rejection(true);
        self.unsure = false;
        self.wanted.send_modify(|wanted| {
            wanted.accepted = Some(accepted);
            if let Some(connected) = &mut wanted.connected {
                connected.confirmed = self.heard;
            }
        });
    }

    fn reject(&mut self, server: &ServerAddress, digest: String, reasons: Vec<String>, by: Option<String>) {
        let mut status = self.shared.status();
        if status.rejected.as_ref().is_some_and(|known| known.digest == digest && known.reasons == reasons) {
            return;
        }
        warn!(target: "kadalu", volume = status.name, %server, digest, reasons = reasons.join("; "), "rejected; the mounts stay on the last good volfile");
        let (server, replaced_by) = (server.to_string(), by.unwrap_or_default());
        status.rejected = Some(Rejection { time: now(), server, digest, reasons, replaced_by });
    }

    /// `replaced`: also that another volume has the name.
    fn clear_rejection(&mut self, replaced: bool) {
        let mut status = self.shared.status();
        if replaced || status.rejected.as_ref().is_some_and(|rejected| rejected.replaced_by.is_empty()) {
            status.rejected = None;
        }
        if replaced {
            self.replacement = None;
        }
    }

    fn accept_replacement(&mut self) -> Result<String, Error> {
        let Some((id, generation)) = self.replacement.take() else {
            let name = &self.shared.stored().name;
            let sentence = format!("no other volume has taken the name {name}");
            return Err(Error::new(Reason::Invalid, sentence));
        };
        self.accept(&generation, Some(id.clone()));
        Ok(id)
    }

    fn note_ports(&self, Look { seen, located }: Look) {
        let mut stored = self.shared.stored();
        let before = stored.bricks.clone();
        ports::merge(&mut stored.bricks, seen, self.wanted.borrow().accepted.as_deref());
        let changed = stored.bricks != before;
        drop(stored);
        if changed {
            self.shared.save();
        }
        self.wanted.send_if_modified(|wanted| {
            // Of a connection that is gone, it says nothing of the next.
            let known = wanted.connected.as_mut().map(|connected| &mut connected.located);
            known.is_some_and(|known| std::mem::replace(known, located) != located)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_is_passed_on_at_once_and_a_burst_of_them_as_few() {
        let start = Instant::now();
        let server = ServerAddress::tcp("g1", 24007).unwrap();
        let generation = Arc::new(Generation::new(1, b"", server));
        let at = |millis| start + Duration::from_millis(millis);
        let pending = |first, latest| Pending {
            generation: generation.clone(),
            first: at(first),
            latest: at(latest),
            not_before: start,
            asked: 0,
        };
        assert_eq!(pending(0, 0).due(None), at(50));
        assert_eq!(pending(5000, 5000).due(Some(at(100))), at(5050));
        // Two in a row, and a storm without end.
        assert_eq!(pending(300, 300).due(Some(at(50))), at(1050));
        assert_eq!(pending(0, 9000).due(None), at(2000));
    }
}
