//! What kind of volume a volfile is of (facts §10.8).

use std::collections::HashSet;
use std::fmt;

use bstr::{BStr, ByteSlice};
use serde::{Serialize, Serializer};

use super::brick::Address;
use super::graph::{Graph, Xlator};
use super::shown::shown;

/// The kind of volume, as far as its volfile tells.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Kind {
    /// The name of the top, which glusterd makes that of the volume.
    pub volume: String,
    /// In words, such as `distribute over 2 × replicate 3`: what [`Kind`] displays.
    pub layout: Layout,
    /// The sets of bricks between which files are distributed, in the order of their parent.
    pub sets: Vec<Set>,
    /// Files are cut into pieces that lie in `/.shard`.
    pub shard: bool,
    /// Nothing can be written: a snapshot's volume, or the option `features.read-only`.
    pub read_only: bool,
    /// The connections to the bricks are encrypted.
    pub tls: bool,
    /// Snapshots are shown in a directory (USS).
    pub snapshots: bool,
    /// The sets that are being emptied by remove-brick.
    pub decommissioned: Vec<String>,
    /// The volume's UUID; only cluster op-versions from 90000 put it into replicated volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_id: Option<String>,
}

/// The shape of a volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    distributed: bool,
    redundancies: Vec<Redundancy>,
}

/// One set of bricks, which holds whole files.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Set {
    /// The name of its translator, such as `vol-replicate-0`; for a single brick that of its client.
    pub name: String,
    /// How files are kept in it.
    #[serde(flatten)]
    pub redundancy: Redundancy,
    /// Its bricks, in the order of the volfile.
    pub bricks: Vec<Brick>,
}

/// How a set of bricks keeps a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Redundancy {
    /// On one brick.
    None,
    /// On each of `copies` bricks.
    Replicate {
        /// Bricks with data.
        copies: usize,
    },
    /// On each of `copies` bricks, with one more that has names and attributes only.
    Arbiter {
        /// Bricks with data.
        copies: usize,
    },
    /// On each of `copies` bricks, with a far one that knows which is good.
    ThinArbiter {
        /// Bricks with data.
        copies: usize,
    },
    /// Erasure coded over `data + redundancy` bricks, of which any `data` suffice.
    Disperse {
        /// Bricks' worth of data.
        data: usize,
        /// Bricks that may be lost.
        redundancy: usize,
    },
}

/// A brick and its task.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Brick {
    /// Where it is.
    #[serde(rename = "brick")]
    pub address: Address,
    /// The name of its `protocol/client`.
    pub client: String,
    /// What it is for.
    pub role: Role,
}

/// What a brick is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It holds data.
    Data,
    /// It holds names and attributes.
    Arbiter,
    /// It knows which copy is good.
    ThinArbiter,
}

impl Graph<'_> {
    /// What kind of volume this is the client's volfile of.
    pub fn kind(&self) -> Kind {
        let below = || self.xlators().filter(|xlator| xlator.is_reachable());
        let has = |xlator_type: &str| below().any(|xlator| xlator.xlator_type() == xlator_type);
        let (sets, distributed) = self.sets();
        let sets: Vec<_> = sets.into_iter().map(Set::of).collect();
        let decommissioned = below()
            .filter(|xlator| is_distribute(xlator.xlator_type()))
            .filter_map(|xlator| xlator.option("decommissioned-bricks"))
            .flat_map(|names| names.split_str(",").map(|name| shown(name.trim_ascii().as_bstr())))
            .collect();
        Kind {
            volume: shown(self.top().name()),
            layout: Layout { distributed, redundancies: sets.iter().map(|set| set.redundancy).collect() },
            sets,
            shard: has("features/shard"),
            read_only: below().any(|xlator| {
                xlator.xlator_type() == "features/read-only" && xlator.option("read-only").is_none_or(is_true)
            }),
            tls: below().any(|xlator| xlator.option("transport.socket.ssl-enabled").is_some_and(is_true)),
            snapshots: has("features/snapview-client"),
            decommissioned,
            volume_id: below().find_map(|xlator| match xlator.xlator_type() == "cluster/replicate" {
                true => xlator.option("volume-id").map(shown),
                false => None,
            }),
        }
    }

    /// The translators whose files are whole, and whether a `cluster/distribute` is above them.
    fn sets(&self) -> (Vec<Xlator<'_>>, bool) {
        let (mut sets, mut distributed) = (Vec::new(), false);
        let mut seen = HashSet::new();
        let mut open = vec![self.top()];
        while let Some(xlator) = open.pop() {
            if !seen.insert(xlator.index()) {
                continue;
            }
            let xlator_type = xlator.xlator_type();
            distributed |= is_distribute(xlator_type);
            if xlator_type == "cluster/replicate"
                || xlator_type == "cluster/disperse"
                || xlator.brick().is_some()
            {
                sets.push(xlator);
            } else if xlator_type == "features/snapview-client" {
                // The second child is the snapshot daemon.
                open.extend(xlator.children().next());
            } else {
                open.extend(xlator.children().rev());
            }
        }
        (sets, distributed)
    }
}

impl Set {
    fn of(xlator: Xlator<'_>) -> Self {
        let clients: Vec<_> =
            if xlator.children().len() == 0 { vec![xlator] } else { xlator.children().map(client).collect() };
        let count = clients.len();
        let number = |key| {
            xlator.option(key).and_then(|value| value.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0)
        };
        let redundancy = if xlator.xlator_type() == "cluster/disperse" {
            let redundancy = number("redundancy").min(count);
            Redundancy::Disperse { data: count - redundancy, redundancy }
        } else if xlator.xlator_type() != "cluster/replicate" {
            Redundancy::None
        } else if number("arbiter-count") > 0 {
            Redundancy::Arbiter { copies: count.saturating_sub(1) }
        } else if xlator.option("thin-arbiter").is_some() {
            Redundancy::ThinArbiter { copies: count.saturating_sub(1) }
        } else {
            Redundancy::Replicate { copies: count }
        };
        let bricks = clients.iter().enumerate().filter_map(|(n, client)| {
            let role = match redundancy {
                Redundancy::Arbiter { copies } if n == copies => Role::Arbiter,
                Redundancy::ThinArbiter { copies } if n == copies => Role::ThinArbiter,
                _ => Role::Data,
            };
            Some(Brick { address: client.brick()?, client: shown(client.name()), role })
        });
        Self { name: shown(xlator.name()), redundancy, bricks: bricks.collect() }
    }
}

impl Kind {
    /// All bricks, in the order of the volfile.
    pub fn bricks(&self) -> impl Iterator<Item = &Brick> {
        self.sets.iter().flat_map(|set| &set.bricks)
    }
}

impl Layout {
    /// Between how many sets files are distributed; 1 if they are not.
    pub fn width(&self) -> usize {
        if self.distributed { self.redundancies.len() } else { 1 }
    }
}

/// Through translators with one child, such as readdir-ahead, to the client. The index falls at each step, so
/// it ends.
fn client(mut xlator: Xlator<'_>) -> Xlator<'_> {
    while xlator.children().len() == 1
        && let Some(child) = xlator.children().next()
    {
        xlator = child;
    }
    xlator
}

fn is_distribute(xlator_type: &BStr) -> bool {
    xlator_type == "cluster/distribute" || xlator_type == "cluster/nufa" || xlator_type == "cluster/switch"
}

/// As glusterfs reads a boolean.
pub(crate) fn is_true(value: &BStr) -> bool {
    ["1", "on", "yes", "true", "enable"].iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

impl fmt::Display for Brick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Data => "",
            Role::Arbiter => ", arbiter",
            Role::ThinArbiter => ", thin arbiter",
        };
        write!(f, "{} ({}{role})", self.address, self.client)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layout.fmt(f)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.redundancies.chunk_by(|one, other| one == other).collect();
        match (&groups[..], self.redundancies.len()) {
            ([], _) => return f.write_str("no bricks"),
            ([group], 1) => return group[0].fmt(f),
            _ => f.write_str(if self.distributed { "distribute over " } else { "side by side " })?,
        }
        for (n, group) in groups.iter().enumerate() {
            write!(f, "{}{} × {}", if n > 0 { " + " } else { "" }, group.len(), group[0])?;
        }
        Ok(())
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("single brick"),
            Self::Replicate { copies } => write!(f, "replicate {copies}"),
            Self::Arbiter { copies } => write!(f, "replicate {copies}+1 arbiter"),
            Self::ThinArbiter { copies } => write!(f, "replicate {copies}+1 thin-arbiter"),
            Self::Disperse { data, redundancy } => write!(f, "disperse {data}+{redundancy}"),
        }
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
