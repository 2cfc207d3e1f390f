//! The volfile that a process is given: the cluster's own, or one with what this mount needs besides.

use std::{borrow::Cow, net::IpAddr};

use bstr::{BString, ByteVec};
use serde::{Deserialize, Serialize};

use crate::volfile::{Address, Graph, Volfile};

/// Where a brick was when it was last asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenBrick {
    /// `remote-host` of the volfile.
    pub(super) host: String,
    /// `remote-subvolume` of the volfile.
    pub(super) path: String,
    /// What the host's name meant.
    pub(super) address: IpAddr,
    /// By PORTBYBRICK.
    pub(super) port: u16,
}

/// What a volfile is given besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dress<'d> {
    /// Bricks by address and port, for a mount while no glusterd can be asked for ports.
    ///
    /// A client without `remote-port` asks the glusterd of the brick's host, and one with it never asks again: it takes a new
    /// graph to be rid of it (facts/real-gluster-lab.md, "Mounting while every glusterd is down").
    pub(super) bricks: &'d [SeenBrick],
    /// Above 0 it is part of the name of the graph's top: with another one, whatever else is equal, glusterfs builds a new
    /// graph and switches to it (facts §11.2).
    pub(super) graph: u32,
    /// The host of a glusterd, for clients of services of the cluster, which have no `remote-host` and would take that of the
    /// volfile server (facts §10.7).
    pub(super) host: Option<&'d str>,
}

/// Dresses a volfile; one that needs nothing stays as it is, byte for byte.
pub(super) fn dress<'t>(text: &'t [u8], with: Dress<'_>) -> Cow<'t, [u8]> {
    // What was accepted can be read and written.
    try_dress(text, with).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The volfile of one brick alone: its `protocol/client`, as the top.
///
/// # Errors
/// The bricks that there are, where it is none of them.
pub(super) fn narrow(text: &[u8], wanted: &Address) -> Result<Vec<u8>, Vec<Address>> {
    let volfile = Volfile::parse(text).unwrap_or_default();
    let graph = Graph::new(&volfile).ok_or_else(Vec::new)?;
    let bricks = || graph.xlators().filter_map(|xlator| xlator.brick()).collect::<Vec<_>>();
    let mut clients = graph.xlators();
    let client = clients.find(|xlator| xlator.brick().as_ref() == Some(wanted)).ok_or_else(bricks)?;
    let section = client.section();
    let mut narrowed = Volfile::new();
    let mut volume = narrowed.volume(section.name(), section.xlator_type());
    for option in section.options() {
        volume = volume.option(&*option.key, &*option.value);
    }
    // What was accepted can be written.
    narrowed.render().map_err(|_| bricks())
}

fn try_dress(text: &[u8], with: Dress<'_>) -> Option<Vec<u8>> {
    let volfile = Volfile::parse(text).ok()?;
    let graph = Graph::new(&volfile)?;
    let mut changed = false;
    let mut dressed = Volfile::new();
    for xlator in graph.xlators() {
        let section = xlator.section();
        let brick = xlator.brick();
        let seen = brick.as_ref().and_then(|brick| {
            with.bricks.iter().find(|seen| seen.host == brick.host && seen.path == brick.path)
        });
        let mut name = BString::from(section.name());
        if xlator.index() == graph.top().index() && with.graph > 0 {
            name.push_str(format!("-graph-{}", with.graph));
            changed = true;
        }
        let homeless = section.xlator_type() == "protocol/client" && section.option("remote-host").is_none();
        let mut volume = dressed.volume(name, section.xlator_type());
        for option in section.options() {
            let (key, value) = (&*option.key, &*option.value);
            volume = match seen {
                Some(_) if key == "remote-port" => volume,
                Some(seen) if key == "remote-host" => volume.option(key, seen.address.to_string()),
                _ => volume.option(key, value),
            };
        }
        if let Some(seen) = seen {
            volume = volume.option("remote-port", seen.port.to_string());
            changed = true;
        }
        if let (true, Some(host)) = (homeless, with.host) {
            volume = volume.option("remote-host", host);
            changed = true;
        }
        volume.subvolumes(section.subvolumes());
    }
    if changed { dressed.render().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::{Class, diff, example::Example};

    fn seen(host: &str, address: &str) -> SeenBrick {
        SeenBrick {
            host: host.to_owned(),
            path: "/a".to_owned(),
            address: address.parse().unwrap(),
            port: 49152,
        }
    }

    fn class(old: &[u8], new: &[u8]) -> Class {
        let (old, new) = (Volfile::parse(old).unwrap(), Volfile::parse(new).unwrap());
        let (old, new) = (Graph::new(&old).unwrap(), Graph::new(&new).unwrap());
        assert!(old.problems().is_empty() && new.problems().is_empty());
        diff(&old, &new).class
    }

    #[test]
    fn bricks_are_pinned_where_they_were_seen() {
        let example = Example::new("v", 3, [("g1", "/a"), ("10.0.0.2", "/a"), ("g3", "/a")]);
        let text = example.volfile().render().unwrap();
        let bricks = [seen("g1", "10.0.0.1"), seen("10.0.0.2", "10.0.0.2")];
        let pinned = dress(&text, Dress { bricks: &bricks, graph: 1, host: None });
        let volfile = Volfile::parse(&pinned).unwrap();
        let graph = Graph::new(&volfile).unwrap();
        let option = |client: &str, key: &str| Some(graph.get(client)?.option(key)?.to_string());
        assert_eq!(option("v-client-0", "remote-host").as_deref(), Some("10.0.0.1"));
        assert_eq!(option("v-client-0", "remote-port").as_deref(), Some("49152"));
        assert_eq!(option("v-client-1", "remote-port").as_deref(), Some("49152"));
        // Nothing is known of the third.
        assert_eq!(option("v-client-2", "remote-host").as_deref(), Some("g3"));
        assert_eq!(option("v-client-2", "remote-port"), None);
        assert_eq!(class(&pinned, &text), Class::Topology);
    }

    #[test]
    fn another_top_is_another_graph_and_nothing_else_changes() {
        let text = Example::new("v", 1, [("10.0.0.2", "/a")]).volfile().render().unwrap();
        assert!(matches!(dress(&text, Dress::default()), Cow::Borrowed(_)));
        let one = dress(&text, Dress { graph: 1, ..Dress::default() });
        let two = dress(&text, Dress { graph: 2, ..Dress::default() });
        assert_eq!((class(&text, &one), class(&one, &two)), (Class::Topology, Class::Topology));
        assert_eq!(one.len(), text.len() + "-graph-1".len());
    }

    #[test]
    fn one_brick_alone_has_its_options_and_is_the_top() {
        let text =
            Example::new("v", 3, [("g1", "/a"), ("g2", "/a"), ("g3", "/a")]).volfile().render().unwrap();
        let brick = |host: &str| Address { host: host.to_owned(), path: "/a".to_owned() };
        let narrowed = narrow(&text, &brick("g2")).unwrap();
        let volfile = Volfile::parse(&narrowed).unwrap();
        let graph = Graph::new(&volfile).unwrap();
        assert!(graph.problems().is_empty() && graph.xlators().len() == 1);
        assert_eq!(graph.top().brick(), Some(brick("g2")));
        let whole = Volfile::parse(&text).unwrap();
        let of_whole = Graph::new(&whole).unwrap();
        let options = of_whole.get("v-client-1").unwrap().section().options().len();
        assert_eq!(graph.top().section().options().len(), options);
        // It can be dressed as others are.
        let offline = dress(&narrowed, Dress { bricks: &[seen("g2", "10.0.0.2")], graph: 1, host: None });
        let offline = String::from_utf8_lossy(&offline);
        assert!(
            offline.contains("volume v-client-1-graph-1") && offline.contains("remote-port 49152"),
            "{offline}"
        );
        assert_eq!(narrow(&text, &brick("g4")), Err(["g1", "g2", "g3"].map(brick).to_vec()));
        assert_eq!(narrow(b"", &brick("g1")), Err(Vec::new()));
    }

    #[test]
    fn the_snapshot_daemon_is_sought_at_a_glusterd() {
        let text = b"volume v-snapd-client\n    type protocol/client\n    option remote-subvolume snapd-v\nend-volume\n";
        let dressed = dress(text, Dress { host: Some("g2"), ..Dress::default() });
        assert!(String::from_utf8_lossy(&dressed).contains("option remote-host g2\n"));
    }
}
