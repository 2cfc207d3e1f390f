//! A change of the volfile: pushed once, and then proven to be active.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Given, Live, Runner};
use crate::{
    mount::helper::{self, Brick},
    transport::PeerInfo,
    volfile::{Change, Class, Graph, Item, Volfile, diff},
};

/// For a graph with all its bricks to be active after a push; glusterfs fetches within milliseconds and connects to new
/// bricks in a second or two.
const PUSHED: Duration = Duration::from_secs(8);

/// The same after the second notification and after SIGHUP.
const NUDGED: Duration = Duration::from_secs(5);

/// Between replacements that nobody has asked for.
const REPLACEMENTS: Duration = Duration::from_secs(3600);

/// For one look through FUSE.
const PROBE: Duration = Duration::from_secs(5);

/// A push whose effect is being waited for.
pub(super) struct Following {
    rung: Rung,
    /// The end of this rung.
    until: Instant,
    pub(super) next: Instant,
    /// Between looks, growing.
    pause: Duration,
}

/// How far up the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Pushed,
    Nudged,
    Hup,
}

/// How an active graph stands to what its process was given.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// As given, but for these bricks.
    Active(Vec<String>),
    /// Another one, with the difference.
    Other(String),
}

impl Runner {
    /// Gives the process what is wanted now, unless it has that.
    pub(super) fn give(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let (Some(live), Some(accepted)) = (&self.live, &wanted.accepted) else { return };
        let had = &live.given;
        let online = wanted.connected.is_some() && wanted.confirmed;
        if accepted.id.is_some() && had.accepted.id.is_some() && accepted.id != had.accepted.id {
            // Another volume: nothing that is open can go on there.
            self.retry = Some((Instant::now(), 0));
            return;
        }
        let returns = had.offline && online;
        if accepted.meaning == had.accepted.meaning && !returns {
            return;
        }
        // A process that has bricks by address keeps them until a server is there.
        let offline = had.offline && !online;
        let new_graph = returns || needs_new_graph(&had.accepted.change_to(accepted));
        let Some(given) = self.given(&wanted, had.graph + u32::from(new_graph), offline) else { return };
        let number = live.process.number;
        if let Err(error) = self.publish(number, &given) {
            return self.error(&format!("the new volfile is not pushed: {error}"));
        }
        // Those that still serve open files go with it, but not to another volume.
        for draining in self.draining.iter().filter(|draining| draining.given.accepted.id == accepted.id) {
            // It was valid a line above.
            let _ = self.context.server.publish(&self.key(draining.process.number), &given.text);
        }
        info!(target: "kadalu", pool = self.id, digest = given.digest, graph = given.graph, "pushed a volfile");
        if let Some(live) = &mut self.live {
            live.given = given;
        }
        self.save();
        let now = Instant::now();
        let pause = Duration::from_millis(50);
        self.following =
            Some(Following { rung: Rung::Pushed, until: now + PUSHED, next: now + pause, pause });
    }

    /// Looks whether what was pushed is active, and goes on up the ladder when it is not in time.
    pub(super) async fn verify(&mut self) {
        let (Some(live), Some(following)) = (&self.live, &mut self.following) else {
            self.following = None;
            return;
        };
        following.pause = (following.pause * 2).min(Duration::from_millis(500));
        let in_time = Instant::now() < following.until;
        let standing = match self.fetched(live) {
            true => self.standing(live).await,
            false => Err("it has not fetched the volfile that it was told of".to_owned()),
        };
        match standing {
            Ok(Standing::Active(down)) if down.is_empty() || !in_time => self.active(down),
            _ if in_time => {
                if let Some(following) = &mut self.following {
                    following.next = Instant::now() + following.pause;
                }
            }
            Ok(Standing::Active(down)) => self.active(down),
            Ok(Standing::Other(reason)) | Err(reason) => self.climb(reason).await,
        }
    }

    /// Whether our server has given the process what it should have.
    fn fetched(&self, live: &Live) -> bool {
        let key = self.key(live.process.number);
        self.context.server.connections().iter().any(|connection| {
            matches!(connection.peer, PeerInfo::Unix { pid: Some(pid), .. } if pid == live.process.pid)
                && connection.key.as_deref() == Some(&key)
                && connection.digest.as_deref() == Some(&live.given.digest)
        })
    }

    /// Looks at the active graph. The look is a request that goes past every cache, upon which FUSE takes up a new graph
    /// (facts §11.3).
    async fn standing(&self, live: &Live) -> Result<Standing, String> {
        let probe = self.context.helper.probe(&live.process.mount, true, PROBE).await;
        let probe = probe.map_err(|failed| failed.to_string())?;
        if let Some(Err(errno)) = probe.lookup.map(|answer| answer.result) {
            return Err(format!("I/O fails: {}", std::io::Error::from_raw_os_error(errno)));
        }
        let graph = probe.graph.and_then(Result::ok).ok_or("its active graph cannot be read")?;
        self.status().graphs = graph.held;
        Ok(stands(&live.given, &graph))
    }

    /// What was given is active.
    fn active(&mut self, bricks_down: Vec<String>) {
        self.following = None;
        let Some(live) = &self.live else { return };
        let given = &live.given;
        let seconds = given.accepted.at.elapsed().as_secs_f64();
        info!(target: "kadalu", pool = self.id, digest = given.digest, seconds, bricks_down = bricks_down.len(), "active");
        let mut status = self.status();
        status.digest_active.clone_from(&given.accepted.digest);
        status.last_switch_seconds = seconds;
        status.drift.clear();
        drop(status);
        self.note_bricks(bricks_down);
    }

    async fn climb(&mut self, reason: String) {
        let (Some(live), Some(following)) = (&self.live, &mut self.following) else { return };
        let rung = following.rung;
        warn!(target: "kadalu", pool = self.id, ?rung, reason, "a change is not active in time");
        let next = match rung {
            Rung::Pushed => {
                self.context.server.notify(&format!("{}.{}", self.id, live.process.number));
                Some(Rung::Nudged)
            }
            Rung::Nudged => {
                live.process.signal(Signal::HUP);
                Some(Rung::Hup)
            }
            Rung::Hup => None,
        };
        let now = Instant::now();
        if let Some(rung) = next {
            *following =
                Following { rung, until: now + NUDGED, next: now, pause: Duration::from_millis(100) };
            return;
        }
        self.following = None;
        self.status().drift.clone_from(&reason);
        if self.replaced_at.is_some_and(|at| at.elapsed() < REPLACEMENTS) {
            let sentence = format!("{reason}; it was replaced within the last hour and is left as it is");
            return self.error(&sentence);
        }
        self.replaced_at = Some(now);
        if let Err(error) = self.replace("a change that it does not take up").await {
            self.error(&format!("{reason}; a new process could not take its place: {error}"));
        }
    }

    pub(super) fn note_bricks(&self, down: Vec<String>) {
        self.set_state(if down.is_empty() { "healthy" } else { "degraded" });
        let mut status = self.status();
        if status.bricks_down != down {
            if !down.is_empty() {
                warn!(target: "kadalu", pool = self.id, bricks = down.join(" "), "not connected");
            }
            status.bricks_down = down;
        }
    }
}

/// Compares the graph that is active with the one that was given. Options do not count: `.meta` shows those that it was
/// loaded with (facts §11.4).
pub(super) fn drift(given: &Given, active: &helper::Graph) -> Option<String> {
    let Ok(loaded) = Volfile::parse(&active.volfile) else {
        return Some("the volfile of its active graph cannot be read".to_owned());
    };
    let loaded = loaded.without_run_time();
    let Ok(wanted) = Volfile::parse(&given.text) else { return None };
    let change = match (Graph::new(&loaded), Graph::new(&wanted)) {
        (Some(loaded), Some(wanted)) => diff(&loaded, &wanted),
        _ => return Some("its active graph is empty".to_owned()),
    };
    (change.class == Class::Topology).then(|| {
        let items: Vec<_> = change.items.iter().take(3).map(ToString::to_string).collect();
        format!("its active graph is another one: {}", items.join("; "))
    })
}

fn stands(given: &Given, active: &helper::Graph) -> Standing {
    match drift(given, active) {
        Some(reason) => Standing::Other(reason),
        None => Standing::Active(bricks_down(given, &active.bricks)),
    }
}

/// The bricks whose clients are not connected, as `host:/path`.
pub(super) fn bricks_down(given: &Given, bricks: &[Brick]) -> Vec<String> {
    let Ok(volfile) = Volfile::parse(&given.text) else { return Vec::new() };
    let Some(graph) = Graph::new(&volfile) else { return Vec::new() };
    let down = bricks.iter().filter(|brick| !brick.connected);
    down.filter_map(|brick| Some(graph.get(&brick.client)?.brick()?.to_string())).collect()
}

/// Whether options of connections change and nothing that makes glusterfs connect anew (facts §11.2).
fn needs_new_graph(change: &Change) -> bool {
    let connection = |item: &Item| {
        matches!(
            item,
            Item::OptionChanged { needs_new_graph: true, .. }
                | Item::OptionSet { needs_new_graph: true, .. }
                | Item::OptionRemoved { needs_new_graph: true, .. }
        )
    };
    change.class == Class::Options && change.items.iter().any(connection)
}
