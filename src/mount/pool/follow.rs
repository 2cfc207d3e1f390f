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

/// The same after a restart of ours: glusterfs tries every three seconds to connect.
const ADOPTED: Duration = Duration::from_secs(20);

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

/// How things stand with what a process was given.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It is active, with these bricks not connected.
    Active(Vec<String>),
    /// It was not fetched, or another graph is active: how they differ.
    Other(String),
    /// Nobody can say: I/O does not work, for reasons that no other graph would mend.
    Unknown(String),
}

impl Following {
    fn new(rung: Rung, within: Duration) -> Self {
        let (now, pause) = (Instant::now(), Duration::from_millis(50));
        Self { rung, until: now + within, next: now + pause, pause }
    }

    /// A process of an earlier run of ours, which has to find us again first.
    pub(super) fn adopted() -> Self {
        Self::new(Rung::Pushed, ADOPTED)
    }
}

impl Runner {
    /// Gives the process what is wanted now, unless it has that.
    pub(super) fn give(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let (Some(live), Some(accepted)) = (&mut self.live, &wanted.accepted) else { return };
        let had = live.given.accepted.clone();
        if accepted.id.is_some() && had.id.is_some() && accepted.id != had.id {
            // Another volume: nothing that is open can go on there.
            self.retry = Some((Instant::now(), 0));
            return;
        }
        let online = wanted.is_online();
        let returns = live.given.offline && online;
        if accepted.meaning == had.meaning && !returns {
            // Other bytes it may be, or an id that was not known.
            live.given.accepted = accepted.clone();
            if self.following.is_none() {
                self.status().digest_active.clone_from(&accepted.digest);
            }
            return self.save();
        }
        // A process that has bricks by address keeps them until the servers of all of them are there.
        let offline = live.given.offline && !online;
        let new_graph = returns || needs_new_graph(&had.change_to(accepted));
        let (number, graph) = (live.process.number, live.given.graph + u32::from(new_graph));
        // A brick that the volume has no more is shown as long as it is there.
        let given = match self.given(&wanted, graph, offline) {
            Ok(given) => given,
            Err(error) => return self.error(&format!("{error}: unmount it, it is not followed any more")),
        };
        if let Err(error) = self.publish(number, &given) {
            return self.error(&format!("the new volfile is not pushed: {error}"));
        }
        // Those that still serve open files go with it, but not to another volume.
        for draining in self.draining.iter().filter(|draining| draining.given.accepted.id == accepted.id) {
            // It was valid a line above.
            let _ = self.context.server.publish(&self.key(draining.process.number), &given.text);
        }
        info!(target: "kadalu", pool = self.id, digest = given.digest, graph, "pushed a volfile");
        if let Some(live) = &mut self.live {
            live.given = given;
        }
        self.save();
        self.following = Some(Following::new(Rung::Pushed, PUSHED));
    }

    /// What a look has found of the active graph is news.
    pub(super) fn drifted(&mut self, drift: &str) {
        if drift.is_empty() {
            let digest =
                self.live.as_ref().map(|live| live.given.accepted.digest.clone()).unwrap_or_default();
            self.status().digest_active = digest;
        } else {
            warn!(target: "kadalu", pool = self.id, drift, "drift");
            self.following = Some(Following::new(Rung::Pushed, Duration::ZERO));
        }
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
            false => Standing::Other("it has not fetched the volfile that it was told of".to_owned()),
        };
        match standing {
            Standing::Active(down) if down.is_empty() || !in_time => self.active(down),
            Standing::Other(reason) if !in_time => self.climb(reason).await,
            Standing::Active(_) | Standing::Other(_) => self.look_again(Duration::ZERO),
            Standing::Unknown(reason) => {
                self.status().drift = reason;
                self.look_again(NUDGED);
            }
        }
    }

    /// Goes on waiting, for so much longer.
    fn look_again(&mut self, longer: Duration) {
        if let Some(following) = &mut self.following {
            following.next = Instant::now() + following.pause;
            if !longer.is_zero() {
                following.until = Instant::now() + longer;
            }
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
    async fn standing(&self, live: &Live) -> Standing {
        let probe = match self.context.helper.probe(&live.process.mount, true, PROBE).await {
            Ok(probe) => probe,
            Err(failed) => return Standing::Unknown(failed.to_string()),
        };
        if let Some(Err(errno)) = probe.lookup.map(|answer| answer.result) {
            return Standing::Unknown(format!("I/O fails: {}", std::io::Error::from_raw_os_error(errno)));
        }
        let Some(Ok(graph)) = probe.graph else {
            return Standing::Unknown("its active graph cannot be read: bricks do not answer".to_owned());
        };
        self.status().graphs = graph.held;
        stands(&live.given, &graph)
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
            self.volume.bricks_changed();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{client::digest, mount::volume::Accepted, volfile::example::Example};

    fn given(example: &Example) -> Given {
        let text = bytes::Bytes::from(example.volfile().render().unwrap());
        let accepted = Arc::new(Accepted::new(text.clone(), None).unwrap());
        Given { digest: digest(&text), text, accepted, graph: 0, offline: false }
    }

    /// As `.meta` shows it: with `meta` on top and what is known at run time.
    fn active(example: &Example, connected: &[bool]) -> helper::Graph {
        let text = String::from_utf8(example.volfile().render().unwrap()).unwrap();
        let text =
            text.replace("    option remote-host", "    option process-uuid x\n    option remote-host");
        let text = text + "\nvolume meta-autoload\n    type meta\n    subvolumes v\nend-volume\n";
        let bricks = connected.iter().enumerate();
        let bricks = bricks.map(|(n, &connected)| Brick { client: format!("v-client-{n}"), connected });
        let (version, name) = ("10.3".to_owned(), "g".to_owned());
        helper::Graph { version, name, held: 1, volfile: text.into_bytes(), bricks: bricks.collect() }
    }

    fn example() -> Example {
        Example::new("v", 3, [("g1", "/b"), ("g2", "/b"), ("g3", "/b")])
    }

    #[test]
    fn a_graph_is_known_by_its_translators_and_not_by_their_options() {
        let given = given(&example());
        assert_eq!(stands(&given, &active(&example(), &[true; 3])), Standing::Active(Vec::new()));
        let down = vec!["g2:/b".to_owned()];
        assert_eq!(stands(&given, &active(&example(), &[true, false, true])), Standing::Active(down));
        let options = example().option("protocol/client", "ping-timeout", "7");
        assert_eq!(stands(&given, &active(&options, &[true; 3])), Standing::Active(Vec::new()));
        let mut moved = example();
        moved.bricks[2].0 = "g9".to_owned();
        let Standing::Other(reason) = stands(&given, &active(&moved, &[true; 3])) else { panic!() };
        assert_eq!(reason, "its active graph is another one: ~ brick g9:/b → g3:/b (v-client-2)");
    }

    #[test]
    fn a_changed_connection_needs_a_new_graph_unless_there_is_one_anyway() {
        let change = |from: &Example, to: &Example| given(from).accepted.change_to(&given(to).accepted);
        let tls = example().option("protocol/client", "transport.socket.ssl-enabled", "on");
        assert!(needs_new_graph(&change(&example(), &tls)));
        assert!(!needs_new_graph(&change(
            &example(),
            &example().option("debug/io-stats", "log-level", "DEBUG")
        )));
        let mut moved = tls;
        moved.bricks[0].1 = "/other".to_owned();
        assert!(!needs_new_graph(&change(&example(), &moved)));
    }
}
