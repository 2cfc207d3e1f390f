//! Who serves the volume: servers, TLS, cluster, peers, this host.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::{Finding, Outcome},
    heard::{Answer, Heard, Server},
};
use crate::{
    client::Error,
    transport::{AttemptError, ConnectError, TlsError},
};

/// What the servers think of each other where all is well.
const IN_CLUSTER: &str = "Peer in Cluster";

pub(super) fn judge(heard: &Heard) -> Vec<Finding> {
    let mut findings: Vec<_> = heard.servers.iter().map(|server| reached(server, heard)).collect();
    findings.extend(tls(heard));
    findings.extend(cluster(heard));
    findings.extend(peers(heard));
    findings.push(local_peer(heard));
    findings
}

fn reached(server: &Server, heard: &Heard) -> Finding {
    let named = if server.named { "" } else { " (learned from the others)" };
    if let Some(answer) = server.answer() {
        let at = answer.peer.map_or_else(String::new, |peer| format!(" at {peer}"));
        let message = format!("answers{at}{named}");
        return Finding::ok("server", message).about(&server.address).took(answer.took);
    }
    let why = server.failure().map(|error| said(error, server)).unwrap_or_default();
    let advice = match server.failure() {
        Some(Error::Connect(error)) if matches!(**error, ConnectError::Resolve { .. }) => {
            "give this host a name service that knows it, or the server's address".to_owned()
        }
        Some(error) if of_tls(error) => "see the finding tls".to_owned(),
        Some(error) if error.wants_privileged_port() || error.lacks_privilege() => {
            "set rpc-auth-allow-insecure on in glusterd.vol there, or run as root".to_owned()
        }
        _ => format!("see that glusterd runs there, and that nothing between blocks {}", server.address),
    };
    Finding::wrong("server", without_it(heard), format!("{why}{named}"), advice).about(&server.address)
}

/// How bad it is that a server says nothing: the others do, or nobody does.
fn without_it(heard: &Heard) -> Outcome {
    if heard.answers().next().is_some() { Outcome::Warning } else { Outcome::Failed }
}

/// An error without the server's name, which is told beside it.
fn said(error: &Error, server: &Server) -> String {
    let text = error.to_string();
    let name = format!("{}: ", server.address);
    text.strip_prefix(&name).map(str::to_owned).unwrap_or(text)
}

/// Whether TLS may be what is in the way.
fn of_tls(error: &Error) -> bool {
    match error {
        Error::Closed { early, .. } => *early,
        Error::Connect(error) => match &**error {
            ConnectError::Failed { attempts, .. } => attempts.iter().any(|attempt| match &attempt.reason {
                AttemptError::HandshakeTimedOut(_) => true,
                AttemptError::Tls(tls) => !matches!(tls, TlsError::Io(_)),
                _ => false,
            }),
            _ => false,
        },
        _ => false,
    }
}

fn tls(heard: &Heard) -> Vec<Finding> {
    let of_server = |server: &Server| {
        let error = server.failure().filter(|error| of_tls(error))?;
        let advice = "what --tls-ca, --tls-cert and --tls-key say must fit /var/lib/glusterd/secure-access there: \
                      glusterd speaks TLS to all or to none";
        Some(Finding::wrong("tls", without_it(heard), said(error, server), advice).about(&server.address))
    };
    let mut findings: Vec<_> = heard.servers.iter().filter_map(of_server).collect();
    if !findings.is_empty() {
        return findings;
    }
    let of_bricks = heard.shape.as_ref().map(|shape| shape.kind.tls);
    let io = match of_bricks {
        Some(true) => ", and with the bricks (client.ssl)",
        Some(false) => ", and not with the bricks",
        None => "",
    };
    findings.push(match heard.answers().next() {
        None => Finding::unknown("tls", "no server has answered"),
        Some((_, Answer { tls: true, .. })) => Finding::ok("tls", format!("with glusterd{io}")),
        Some(_) => Finding::ok(
            "tls",
            match of_bricks {
                Some(true) => "not with glusterd, but with the bricks (client.ssl)".to_owned(),
                _ => "none: volfiles and data cross the network as they are".to_owned(),
            },
        ),
    });
    findings
}

/// The ids of a server's pool, its own with them; none where it does not tell.
fn pool(answer: &Answer) -> Option<BTreeSet<&str>> {
    let friends = answer.friends.as_ref().ok()?;
    let ids = friends.iter().map(|friend| friend.uuid.as_str()).chain(answer.uuid.as_deref());
    Some(ids.filter(|id| !id.is_empty()).collect()).filter(|ids: &BTreeSet<_>| !ids.is_empty())
}

fn cluster(heard: &Heard) -> Vec<Finding> {
    let told: Vec<_> = heard
        .answers()
        .filter(|(server, _)| server.named)
        .filter_map(|(server, answer)| Some((server, pool(answer)?)))
        .collect();
    let Some((first, of_first)) = told.first() else {
        return vec![Finding::unknown("cluster", "no server tells who its peers are")];
    };
    let strangers: Vec<_> = told
        .iter()
        .filter(|(_, pool)| pool.is_disjoint(of_first))
        .map(|(server, _)| {
            let message = format!("it is of another cluster than {}", first.address);
            let advice = "name servers of one cluster only: volumes of one name are no copies of each other";
            Finding::wrong("cluster", Outcome::Failed, message, advice).about(&server.address)
        })
        .collect();
    if !strangers.is_empty() {
        return strangers;
    }
    let named = heard.servers.iter().filter(|server| server.named).count();
    let message = match told.len() {
        1 if named == 1 => "one server is named: the others are learned from it".to_owned(),
        count if count < named => {
            format!("the {count} that tell of {named} that are named are of one cluster")
        }
        count => format!("all {count} that are named are of one cluster"),
    };
    vec![Finding::ok("cluster", message)]
}

fn peers(heard: &Heard) -> Vec<Finding> {
    let mut names = BTreeMap::<&str, &str>::new();
    let mut wrong = BTreeMap::<&str, (String, Vec<String>)>::new();
    let mut told = false;
    for (server, answer) in heard.answers() {
        let Ok(friends) = &answer.friends else { continue };
        told = true;
        for friend in friends {
            // It calls itself so; the others have its name.
            if friend.hostname != "localhost" {
                names.insert(&friend.uuid, &friend.hostname);
            } else {
                names.entry(&friend.uuid).or_insert("localhost");
                continue;
            }
            let state = friend.state.as_deref().filter(|state| *state != IN_CLUSTER);
            let how = match (friend.connected, state) {
                (true, None) => continue,
                (true, Some(state)) => format!("its state is {state:?}"),
                (false, _) => "it is not connected".to_owned(),
            };
            let (_, by) = wrong.entry(&friend.uuid).or_insert_with(|| (how, Vec::new()));
            by.push(server.address.to_string());
        }
    }
    if !told {
        return vec![Finding::unknown("peers", "no server tells who its peers are")];
    }
    if wrong.is_empty() {
        let message = match names.len() {
            0 | 1 => "one server, without peers".to_owned(),
            count => format!("{count} servers, all connected"),
        };
        return vec![Finding::ok("peers", message)];
    }
    let finding = |(id, (how, by)): (&&str, &(String, Vec<String>))| {
        let message = format!("{how}, by the word of {}", by.join(", "));
        let advice = "run `gluster peer status` there: what it serves may be old, and changes wait for it";
        Finding::wrong("peers", Outcome::Warning, message, advice).about(names.get(id).copied().unwrap_or(id))
    };
    wrong.iter().map(finding).collect()
}

fn local_peer(heard: &Heard) -> Finding {
    if let Some((server, _)) = heard.served().find(|(_, served)| served.trusted) {
        let message = "this host is a server of the cluster: it gets the trusted volfile, with credentials that no \
                       auth.allow stops";
        let advice = "mount PVs on other hosts, or know that their pods share it with bricks";
        return Finding::wrong("local-peer", Outcome::Warning, message, advice).about(&server.address);
    }
    if heard.served().next().is_some() {
        Finding::ok("local-peer", "this host is none of the servers")
    } else {
        Finding::unknown("local-peer", "no server gave a volfile")
    }
}
