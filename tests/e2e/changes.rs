//! Changes that admins make, in a random order that makes sense.

use std::{
    fmt,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::lab::Host;
use crate::mounted::wait_healed;

/// For data to move from bricks that go, on a busy machine and under names that come and go.
const MOVED: Duration = Duration::from_secs(240);

/// A change of a replicated volume.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// An option's value, which glusterfs takes over in place.
    Set(&'static str, &'static str),
    /// A translator in or out: the other way than it is.
    Toggle(&'static str),
    /// A second set of bricks beside the first.
    AddBricks,
    /// Away with the second set.
    RemoveBricks,
    /// An empty brick in the place of a full one.
    ReplaceBrick,
    /// From three copies, or two and an arbiter, to two.
    ToTwo,
    /// From two copies to three.
    ToThree,
    /// From two copies to two and an arbiter.
    ToArbiter,
}

use Change::{AddBricks, RemoveBricks, ReplaceBrick, Set, ToArbiter, ToThree, ToTwo, Toggle};

const OPTIONS: [(&str, [&str; 2]); 6] = [
    ("network.ping-timeout", ["30", "35"]),
    ("performance.cache-size", ["64MB", "48MB"]),
    ("performance.write-behind-window-size", ["2MB", "512KB"]),
    ("client.event-threads", ["3", "2"]),
    ("diagnostics.client-log-level", ["WARNING", "INFO"]),
    ("cluster.read-hash-mode", ["2", "1"]),
];

/// Each with its default.
const TRANSLATORS: [(&str, bool); 8] = [
    ("performance.read-ahead", false),
    ("performance.io-cache", false),
    ("performance.readdir-ahead", false),
    ("performance.client-io-threads", false),
    ("performance.quick-read", true),
    ("performance.open-behind", true),
    ("performance.write-behind", true),
    ("performance.stat-prefetch", true),
];

/// What belongs together, in this order.
const CHAINS: [&[Change]; 5] = [
    &[AddBricks, RemoveBricks],
    &[ReplaceBrick],
    &[ToTwo, ToThree],
    &[ToTwo, ToArbiter, ToTwo, ToThree],
    &[ReplaceBrick],
];

/// `count` changes: those of the bricks, all of them, among options and translators.
pub(crate) fn random(random: &mut fastrand::Rng, count: usize) -> Vec<Change> {
    let mut chains = CHAINS;
    random.shuffle(&mut chains);
    let bricks: Vec<Change> = chains.concat();
    let mut changes: Vec<Change> = (bricks.len()..count)
        .map(|n| {
            let (option, values) = OPTIONS[random.usize(..OPTIONS.len())];
            match random.u8(..3) {
                0 => Set(option, values[n % 2]),
                _ => Toggle(TRANSLATORS[random.usize(..TRANSLATORS.len())].0),
            }
        })
        .collect();
    let mut places: Vec<usize> = (0..count).collect();
    random.shuffle(&mut places);
    places.truncate(bricks.len());
    places.sort_unstable();
    for (place, change) in places.into_iter().zip(bricks) {
        changes.insert(place.min(changes.len()), change);
    }
    changes
}

/// A replicated volume and what is known of it.
pub(crate) struct Volume<'lab> {
    admin: &'lab Host,
    name: String,
    /// The servers of the copies.
    servers: Vec<&'lab Host>,
    /// Those of the first set, and of the second where there is one.
    bricks: [Vec<String>; 2],
    arbiter: bool,
    /// Translators that are not as they are by default.
    toggled: Vec<&'static str>,
    /// Bricks so far: no path is used twice.
    count: usize,
}

impl<'lab> Volume<'lab> {
    /// Creates a volume of three copies and starts it.
    pub(crate) fn start(admin: &'lab Host, servers: Vec<&'lab Host>, name: &str) -> Self {
        let mut this = Self {
            admin,
            name: name.to_owned(),
            servers,
            bricks: [Vec::new(), Vec::new()],
            arbiter: false,
            toggled: Vec::new(),
            count: 0,
        };
        let bricks = this.new_bricks(3);
        this.gluster(&["create", name, "replica", "3"], &bricks, &["force"]);
        this.bricks[0] = bricks;
        this.gluster(&["start", name], &[], &[]);
        this
    }

    fn new_bricks(&mut self, count: usize) -> Vec<String> {
        let bricks = (0..count).map(|n| {
            self.count += 1;
            format!(
                "{}:/mnt/bricks/{}-{}",
                self.servers[n % self.servers.len()].name(),
                self.name,
                self.count
            )
        });
        bricks.collect()
    }

    fn gluster(&self, before: &[&str], bricks: &[String], after: &[&str]) -> String {
        let args: Vec<&str> =
            ["volume"].iter().chain(before).copied().chain(bricks.iter().map(String::as_str)).collect();
        self.admin.gluster(&[args.as_slice(), after].concat())
    }

    /// A server of the copies that has no brick of the first set, and else the one that the `n`th has.
    fn free_server(&self, n: usize) -> &'lab Host {
        let has =
            |server: &Host| self.bricks[0].iter().any(|b| b.starts_with(&format!("{}:", server.name())));
        self.servers.iter().find(|server| !has(server)).unwrap_or(&self.servers[n % self.servers.len()])
    }

    /// Makes a change, when no data would be lost by it. Heals are over when it returns.
    #[track_caller]
    pub(crate) fn apply(&mut self, change: Change, random: &mut fastrand::Rng) {
        let name = self.name.clone();
        match change {
            Set(option, value) => drop(self.gluster(&["set", &name, option, value], &[], &[])),
            Toggle(translator) => {
                let default = TRANSLATORS.iter().any(|(name, on)| *name == translator && *on);
                let toggled = self.toggled.iter().position(|other| *other == translator);
                let on = default == toggled.is_some();
                match toggled {
                    Some(at) => drop(self.toggled.remove(at)),
                    None => self.toggled.push(translator),
                }
                self.gluster(&["set", &name, translator, if on { "on" } else { "off" }], &[], &[]);
            }
            AddBricks => {
                let bricks = self.new_bricks(self.bricks[0].len());
                self.gluster(&["add-brick", &name], &bricks, &["force"]);
                self.bricks[1] = bricks;
            }
            RemoveBricks => self.remove_bricks(),
            ReplaceBrick => {
                self.wait_healed();
                // Of an arbiter volume, one that holds data.
                let at = random.usize(..if self.arbiter { 2 } else { self.bricks[0].len() });
                let old = self.bricks[0][at].clone();
                let server = old.split(':').next().expect("it was made of a server and a path").to_owned();
                self.count += 1;
                let new = format!("{server}:/mnt/bricks/{name}-{}", self.count);
                self.gluster(&["replace-brick", &name, &old, &new, "commit", "force"], &[], &[]);
                self.bricks[0][at] = new;
                self.wait_healed();
            }
            ToTwo => {
                self.wait_healed();
                let at = if self.arbiter { 2 } else { random.usize(..3) };
                let gone = self.bricks[0].remove(at);
                self.gluster(&["remove-brick", &name, "replica", "2"], &[gone], &["force"]);
                self.arbiter = false;
            }
            ToThree | ToArbiter => {
                self.wait_healed();
                self.count += 1;
                let brick =
                    format!("{}:/mnt/bricks/{name}-{}", self.free_server(self.count).name(), self.count);
                let mut args = vec!["add-brick", &name, "replica", "3"];
                self.arbiter = matches!(change, ToArbiter);
                if self.arbiter {
                    args.extend(["arbiter", "1"]);
                }
                self.gluster(&args, std::slice::from_ref(&brick), &["force"]);
                self.bricks[0].push(brick);
                self.wait_healed();
            }
        }
    }

    /// Moves the data of the second set and removes it. What came and went meanwhile counts as a failed move: then it is
    /// done again, as an admin would.
    #[track_caller]
    fn remove_bricks(&mut self) {
        let (name, bricks) = (self.name.clone(), std::mem::take(&mut self.bricks[1]));
        let act = |what| {
            let bricks = bricks.iter().map(String::as_str);
            let args: Vec<_> =
                ["volume", "remove-brick", &name].into_iter().chain(bricks).chain([what]).collect();
            self.admin.try_gluster(&args)
        };
        let end = Instant::now() + MOVED;
        loop {
            act("start").expect("the move begins");
            let status = loop {
                // It may have no answer for a moment.
                let status = act("status").unwrap_or_else(|said| said);
                if !status.contains("in progress") && !status.contains("not started") {
                    break status;
                }
                assert!(Instant::now() < end, "the second set has not moved within {MOVED:?}:\n{status}");
                sleep(Duration::from_millis(200));
            };
            let Err(said) = act("commit") else { return };
            assert!(Instant::now() < end, "the second set has not moved within {MOVED:?}: {said}\n{status}");
            // Without it no other move begins; there may be nothing to stop.
            let _ = act("stop");
        }
    }

    /// Waits until every brick has everything.
    #[track_caller]
    pub(crate) fn wait_healed(&self) {
        wait_healed(self.admin, &self.name);
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Set(option, value) => write!(f, "{option} {value}"),
            Toggle(translator) => write!(f, "{translator} the other way"),
            other => write!(f, "{other:?}"),
        }
    }
}
