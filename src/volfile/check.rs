//! What an admin should know before a volume holds PVs.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::graph::Graph;
use super::kind::{Kind, Redundancy};
use super::problem::Severity;
use super::shown::shown;

/// One thing that is wrong with a volume or noteworthy about it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Check {
    /// A stable name for scripts, such as `sharded`.
    pub code: &'static str,
    /// How bad it is: with an error the volume is not fit to hold PVs.
    pub severity: Severity,
    /// The translator it is about, if it is not the volume as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// What it means and what to do, in one sentence.
    pub advice: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity} [{}]", self.code)?;
        if let Some(volume) = &self.volume {
            write!(f, " {volume}")?;
        }
        write!(f, ": {}", self.advice)
    }
}

/// What is wrong with the volume, or noteworthy, for one who wants to keep PVs on it.
pub fn checks(graph: &Graph<'_>) -> Vec<Check> {
    let kind = graph.kind();
    let mut found = Vec::new();
    let mut add = |code, severity, volume: Option<&str>, advice: &str| {
        let volume = volume.map(str::to_owned);
        found.push(Check { code, severity, volume, advice: advice.to_owned() });
    };
    use Severity::{Error, Warning};

    if kind.bricks().next().is_none() {
        add("no-bricks", Error, None, "no brick is in this volfile: is it a client's volfile of a volume?");
    }
    if kind.read_only {
        add(
            "read-only",
            Error,
            None,
            "nothing can be written: turn features.read-only off, or use the volume and not its snapshot",
        );
    }
    if kind.shard {
        add(
            "sharded",
            Warning,
            None,
            "pieces of files lie in /.shard, where no directory quota counts them: sizes of PVs cannot be enforced",
        );
    }
    if kind.layout.width() > 1 {
        add(
            "distributed",
            Warning,
            None,
            "a file lies on one of several sets of bricks: a PV can use up its share of one set while the others are empty",
        );
    }
    for set in &kind.decommissioned {
        add(
            "decommissioned",
            Warning,
            Some(set),
            "remove-brick is moving its data away: commit it or stop it",
        );
    }
    for client in
        graph.xlators().filter(|xlator| xlator.is_reachable() && xlator.xlator_type() == "protocol/client")
    {
        let name = shown(client.name());
        if client.option("remote-host").is_none() {
            add(
                "no-remote-host",
                Error,
                Some(&name),
                "it has no remote-host, so glusterfs takes its volfile server: mount from glusterd itself, or turn features.uss off",
            );
        }
        if client.option("transport-type").is_some_and(|transport| transport == "rdma") {
            add(
                "rdma",
                Error,
                Some(&name),
                "glusterfs 8 and later have no rdma: change the volume's transport to tcp",
            );
        }
    }
    redundancy(graph, &kind, &mut add);
    found
}

fn redundancy(
    graph: &Graph<'_>,
    kind: &Kind,
    add: &mut impl FnMut(&'static str, Severity, Option<&str>, &str),
) {
    for set in &kind.sets {
        let hosts: HashSet<&str> = set.bricks.iter().map(|brick| brick.address.host.as_str()).collect();
        if hosts.len() < set.bricks.len() {
            add(
                "shared-host",
                Severity::Warning,
                Some(&set.name),
                "several of its bricks are on one host and fail together",
            );
        }
        let quorum = graph.get(&set.name).and_then(|xlator| xlator.option("quorum-type"));
        match set.redundancy {
            Redundancy::None => {
                add(
                    "single-copy",
                    Severity::Warning,
                    Some(&set.name),
                    "there is one copy of its files: they are away with the brick",
                );
            }
            // Without the option, replicate takes `auto` for three and more, and `none` for two.
            Redundancy::Replicate { copies: 2 } if quorum.is_none_or(|quorum| quorum == "none") => {
                add(
                    "no-quorum",
                    Severity::Warning,
                    Some(&set.name),
                    "two copies without quorum can be written apart (split brain): add an arbiter",
                );
            }
            Redundancy::Replicate { .. } | Redundancy::Arbiter { .. }
                if quorum.is_some_and(|quorum| quorum == "none") =>
            {
                add(
                    "no-quorum",
                    Severity::Warning,
                    Some(&set.name),
                    "its quorum is turned off, so copies can be written apart (split brain): reset cluster.quorum-type",
                );
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::Volfile;
    use crate::volfile::example::Example;

    fn codes(volfile: &Volfile<'_>) -> Vec<&'static str> {
        checks(&Graph::new(volfile).unwrap()).iter().map(|check| check.code).collect()
    }

    #[test]
    fn a_good_volume_has_nothing_to_say() {
        assert!(codes(&Example::with_bricks("vol", 3, 3).volfile()).is_empty());
    }

    #[test]
    fn each_weakness_has_its_code() {
        assert_eq!(codes(&Example::with_bricks("vol", 2, 2).volfile()), ["no-quorum"]);
        assert_eq!(
            codes(&Example::with_bricks("vol", 1, 2).volfile()),
            ["distributed", "single-copy", "single-copy"]
        );
        let twins = Example::new("vol", 3, [("g1", "/a"), ("g1", "/b"), ("g2", "/c")]);
        assert_eq!(codes(&twins.volfile()), ["shared-host"]);
        let off = Example::with_bricks("vol", 3, 3).option("cluster/replicate", "quorum-type", "none");
        assert_eq!(codes(&off.volfile()), ["no-quorum"]);
        let rdma = Example::with_bricks("vol", 3, 3).option("protocol/client", "transport-type", "rdma");
        assert_eq!(codes(&rdma.volfile()), ["rdma", "rdma", "rdma"]);
    }

    #[test]
    fn checks_stand_on_one_line() {
        let mut volfile = Volfile::new();
        volfile.volume("c", "protocol/client").option("remote-subvolume", "snapd-vol");
        let graph = Graph::new(&volfile).unwrap();
        let lines: Vec<_> = checks(&graph).iter().map(ToString::to_string).collect();
        assert!(lines[0].starts_with("error [no-bricks]: "), "{lines:?}");
        assert!(lines[1].starts_with("error [no-remote-host] c: "), "{lines:?}");
    }
}
