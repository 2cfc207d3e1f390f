//! Where the bricks of a volume are, asked of the glusterds while they answer.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;

use super::{dress::SeenBrick, helper::Brick, volume::Accepted};
use crate::{
    client::{Client, Cluster},
    glusterd::portmap::{self, PortByBrick, PortByBrickRequest},
    transport::{ConnectOptions, DEFAULT_PORT, ServerAddress},
    volfile::Address,
    xdr::Text,
};

/// For one host and all its bricks.
const HOST: Duration = Duration::from_secs(20);

/// For a brick to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// For one question.
const QUESTION: Duration = Duration::from_secs(5);

/// Where the bricks are, and whether glusterfs would find them there.
pub(super) struct Look {
    pub(super) seen: Vec<SeenBrick>,
    /// No brick serves that its own glusterd does not tell of.
    pub(super) located: bool,
}

/// Looks for bricks that were last seen at `known`.
pub(super) async fn look(cluster: Cluster, bricks: Vec<Address>, known: Vec<SeenBrick>) -> Look {
    let seen = of(cluster, bricks.clone()).await;
    let is_brick = |seen: &SeenBrick| bricks.iter().any(|b| b.host == seen.host && b.path == seen.path);
    let told = |known: &SeenBrick| seen.iter().any(|seen| seen.host == known.host && seen.path == known.path);
    let mut tried = JoinSet::new();
    for known in known.iter().filter(|known| is_brick(known) && !told(known)) {
        tried.spawn(accepts(SocketAddr::new(known.address, known.port)));
    }
    let located = tried.join_all().await.into_iter().all(|accepts| !accepts);
    Look { seen, located }
}

async fn accepts(address: SocketAddr) -> bool {
    matches!(timeout(CONNECT, TcpStream::connect(address)).await, Ok(Ok(_)))
}

/// Asks the glusterd of each brick's host, which alone knows the ports of its bricks (facts §3.2), over a short connection.
async fn of(cluster: Cluster, bricks: Vec<Address>) -> Vec<SeenBrick> {
    let mut hosts = BTreeMap::<_, Vec<_>>::new();
    for Address { host, path } in bricks {
        hosts.entry(host).or_default().push(path);
    }
    let mut asked = JoinSet::new();
    for (host, paths) in hosts {
        let known = cluster.servers().into_iter().find_map(|server| match server {
            ServerAddress::Tcp { host: name, port } if name == host => Some(port),
            _ => None,
        });
        let (connect, port) = (cluster.options().connect.clone(), known.unwrap_or(DEFAULT_PORT));
        asked.spawn(timeout(HOST, async move { on_host(&host, port, paths, &connect).await }));
    }
    let mut seen = Vec::new();
    while let Some(answer) = asked.join_next().await {
        // What is not answered stays as it was known.
        if let Ok(Ok(answer)) = answer {
            seen.extend(answer);
        }
    }
    seen
}

async fn on_host(host: &str, port: u16, paths: Vec<String>, options: &ConnectOptions) -> Vec<SeenBrick> {
    let mut seen = Vec::new();
    let Some((address, client)) = reach(host, port, options).await else { return seen };
    for path in paths {
        let request = PortByBrickRequest { brick: Text::from(path.as_str()) };
        let Ok(body) = client.call::<PortByBrick>(&request, QUESTION).await else { break };
        if let Ok(Some(port)) = portmap::port(&body) {
            seen.push(SeenBrick { host: host.to_owned(), path, address, port: port.get() });
        }
    }
    debug!(host, %address, bricks = seen.len(), "asked for the ports of bricks");
    seen
}

/// The first of the host's addresses that answers.
async fn reach(host: &str, port: u16, options: &ConnectOptions) -> Option<(IpAddr, Client)> {
    for address in lookup_host((host, port)).await.ok()? {
        let server = ServerAddress::tcp(&address.ip().to_string(), port).ok()?;
        if let Ok(client) = Client::connect(&server, options).await {
            return Some((address.ip(), client));
        }
    }
    None
}

/// Which bricks a client could connect to now: those with a port that accepts connections. Each comes with its client's name.
pub(super) async fn reachable(cluster: &Cluster, clients: Vec<(String, Address)>) -> Vec<Brick> {
    let bricks = clients.iter().map(|(_, brick)| brick.clone()).collect();
    let seen = of(cluster.clone(), bricks).await;
    let mut tried = JoinSet::new();
    for (client, brick) in clients {
        let port = seen.iter().find(|seen| seen.host == brick.host && seen.path == brick.path);
        let address = port.map(|seen| SocketAddr::new(seen.address, seen.port));
        tried.spawn(async move {
            let connected = match address {
                Some(address) => accepts(address).await,
                None => false,
            };
            Brick { client, connected }
        });
    }
    tried.join_all().await
}

/// Brings what is known up to date: new sightings replace old ones, and bricks that the volume has no more are forgotten.
pub(super) fn merge(known: &mut Vec<SeenBrick>, seen: Vec<SeenBrick>, accepted: Option<&Accepted>) {
    for seen in seen {
        match known.iter_mut().find(|known| known.host == seen.host && known.path == seen.path) {
            Some(known) => *known = seen,
            None => known.push(seen),
        }
    }
    if let Some(accepted) = accepted {
        let bricks = accepted.bricks();
        known.retain(|known| bricks.iter().any(|brick| brick.host == known.host && brick.path == known.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::example::Example;

    fn seen(host: &str, port: u16) -> SeenBrick {
        SeenBrick { host: host.to_owned(), path: "/b".to_owned(), address: "10.0.0.1".parse().unwrap(), port }
    }

    #[test]
    fn sightings_replace_each_other_and_end_with_their_brick() {
        let text = Example::new("v", 1, [("g1", "/b"), ("g2", "/b")]).volfile().render().unwrap();
        let accepted = Accepted::new(text.into(), None).unwrap();
        let mut known = vec![seen("g1", 1), seen("g9", 9)];
        merge(&mut known, vec![seen("g1", 2), seen("g2", 3)], Some(&accepted));
        assert_eq!(known, [seen("g1", 2), seen("g2", 3)]);
        // A host that did not answer.
        merge(&mut known, vec![], Some(&accepted));
        assert_eq!(known.len(), 2);
    }
}
