//! What an admin should know before a volume holds PVs.

use std::collections::HashSet;
use std::fmt;

use bstr::BStr;
use serde::Serialize;

use super::graph::Graph;
use super::kind::{Redundancy, Set};
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
    pub advice: &'static str,
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
    let about_volume = [
        (kind.bricks().next().is_none(), NO_BRICKS),
        (kind.read_only, READ_ONLY),
        (kind.shard, SHARDED),
        (kind.layout.width() > 1, DISTRIBUTED),
    ];
    let mut found: Vec<_> =
        about_volume.into_iter().filter(|(holds, _)| *holds).map(|(_, rule)| rule.check(None)).collect();
    found.extend(kind.decommissioned.iter().map(|set| DECOMMISSIONED.check(Some(set))));
    for xlator in graph.xlators().filter(|xlator| xlator.is_reachable()) {
        if xlator.xlator_type() == "protocol/client" {
            let rdma = xlator.option("transport-type").is_some_and(|transport| transport == "rdma");
            let rules = [(xlator.option("remote-host").is_none(), NO_REMOTE_HOST), (rdma, RDMA)];
            let name = shown(xlator.name());
            found.extend(
                rules.into_iter().filter(|(holds, _)| *holds).map(|(_, rule)| rule.check(Some(&name))),
            );
        }
    }
    for set in &kind.sets {
        let quorum = graph.get(&set.name).and_then(|xlator| xlator.option("quorum-type"));
        found.extend(set_rules(set, quorum).into_iter().map(|rule| rule.check(Some(&set.name))));
    }
    found
}

fn set_rules(set: &Set, quorum: Option<&BStr>) -> Vec<Rule> {
    let hosts: HashSet<&str> = set.bricks.iter().map(|brick| brick.address.host.as_str()).collect();
    let shared = (hosts.len() < set.bricks.len()).then_some(SHARED_HOST);
    let off = quorum.is_some_and(|quorum| quorum == "none");
    let copies = match set.redundancy {
        Redundancy::None => Some(SINGLE_COPY),
        // Without the option replicate takes `auto` for three copies and more, and `none` for two.
        Redundancy::Replicate { copies: 2 } if off || quorum.is_none() => Some(NO_QUORUM_OF_TWO),
        Redundancy::Replicate { .. } | Redundancy::Arbiter { .. } if off => Some(NO_QUORUM),
        _ => None,
    };
    shared.into_iter().chain(copies).collect()
}

/// A code, how bad it is, and the advice.
struct Rule(&'static str, Severity, &'static str);

impl Rule {
    fn check(self, volume: Option<&str>) -> Check {
        let Self(code, severity, advice) = self;
        Check { code, severity, volume: volume.map(str::to_owned), advice }
    }
}

const NO_BRICKS: Rule = Rule(
    "no-bricks",
    Severity::Error,
    "no brick is in this volfile: ask for the client's volfile of a volume",
);
const READ_ONLY: Rule = Rule(
    "read-only",
    Severity::Error,
    "nothing can be written: turn features.read-only off, or use the volume and not its snapshot",
);
const SHARDED: Rule = Rule(
    "sharded",
    Severity::Warning,
    "pieces of files lie in /.shard, where no directory's quota counts them: sizes of PVs cannot be enforced",
);
const DISTRIBUTED: Rule = Rule(
    "distributed",
    Severity::Warning,
    "each file lies on one of several sets of bricks: one set can be full for a PV while the others are empty",
);
const DECOMMISSIONED: Rule =
    Rule("decommissioned", Severity::Warning, "remove-brick is moving its data away: commit it or stop it");
const NO_REMOTE_HOST: Rule = Rule(
    "no-remote-host",
    Severity::Error,
    "it has no remote-host and takes its volfile server for one: mount from glusterd itself, or turn features.uss off",
);
const RDMA: Rule =
    Rule("rdma", Severity::Error, "glusterfs 8 and later have no rdma: change the volume's transport to tcp");
const SHARED_HOST: Rule = Rule(
    "shared-host",
    Severity::Warning,
    "several of its bricks are on one host and fail together: move all but one of them",
);
const SINGLE_COPY: Rule = Rule(
    "single-copy",
    Severity::Warning,
    "there is one copy of its files, away when the brick is: add copies with add-brick replica 3",
);
const NO_QUORUM_OF_TWO: Rule = Rule(
    "no-quorum",
    Severity::Warning,
    "two copies without quorum can be written apart (split brain): add an arbiter",
);
const NO_QUORUM: Rule = Rule(
    "no-quorum",
    Severity::Warning,
    "its quorum is turned off, so copies can be written apart (split brain): reset cluster.quorum-type",
);

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
