//! Asks a cluster, all of it at once: nobody waits for a server that is dead but the end of its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::{
    Depth, Options,
    ask::{ask, bricks, on_host, window},
    heard::{Answer, Brick, Heard, Port, Server, Shape, Status, Window},
};
use crate::{
    client::Error,
    glusterd::{
        OpVersions,
        cli::{Friend, VolumeStatus},
    },
    transport::{
        AttemptError, ConnectError, ConnectOptions, DEFAULT_PORT, MAX_SERVERS, ServerAddress, SourcePort,
    },
};

/// What is asked of one server takes no longer, nor does the way to one brick; a busy glusterd answers within seconds (facts §1.3).
const PATIENCE: Duration = Duration::from_secs(5);

/// Bricks of one volume that are looked at; a hostile volfile has any number.
const MAX_BRICKS: usize = 4096;

/// One thing that has come.
enum News {
    Server(Box<Server>),
    Bricks(Vec<(usize, Port)>),
    Window(Window),
    Status(Status),
}

/// Asks all there is to ask.
pub(super) async fn gather(
    servers: &[ServerAddress],
    volume: &str,
    options: &Options,
    depth: Depth,
) -> Heard {
    let within = PATIENCE.min(options.client.fetch);
    let connect = ConnectOptions {
        timeout: within.min(options.client.connect.timeout),
        ..options.client.connect.clone()
    };
    let asking = Asking {
        volume: volume.to_owned(),
        connect,
        op_versions: options.client.op_versions,
        within,
        depth,
        status: options.status,
        running: JoinSet::new(),
        pending: 0,
        asked: BTreeMap::new(),
        ids: BTreeMap::new(),
        drawn: false,
        heard: Heard { volume: volume.to_owned(), ..Heard::default() },
    };
    asking.run(servers).await
}

struct Asking {
    volume: String,
    connect: ConnectOptions,
    op_versions: OpVersions,
    within: Duration,
    depth: Depth,
    status: bool,
    running: JoinSet<News>,
    /// Servers that have not had their say.
    pending: usize,
    /// Servers, by their turn.
    asked: BTreeMap<ServerAddress, usize>,
    /// The ids that others give to those that were learned.
    ids: BTreeMap<ServerAddress, String>,
    /// Whether a volfile has come, and what follows from it is asked.
    drawn: bool,
    heard: Heard,
}

impl Asking {
    async fn run(mut self, servers: &[ServerAddress]) -> Heard {
        for server in servers {
            self.ask_server(server, true);
        }
        while let Some(news) = self.running.join_next().await {
            match news {
                Ok(News::Server(server)) => self.hear(*server),
                Ok(News::Bricks(ports)) => {
                    for (n, port) in ports {
                        if let Some(brick) = self.heard.bricks.get_mut(n) {
                            brick.port = port;
                        }
                    }
                }
                Ok(News::Window(window)) => self.heard.window = Some(window),
                Ok(News::Status(status)) => self.heard.status = status,
                // Only a panic of ours, which has said so.
                Err(_) => {}
            }
        }
        self.sorted()
    }

    fn ask_server(&mut self, server: &ServerAddress, named: bool) {
        let turn = self.asked.len();
        if turn >= MAX_SERVERS || self.asked.contains_key(server) {
            return;
        }
        self.asked.insert(server.clone(), turn);
        self.pending += 1;
        let (address, volume) = (server.clone(), self.volume.clone());
        let (connect, op_versions, within) = (self.connect.clone(), self.op_versions, self.within);
        self.running.spawn(async move {
            let answer = match timeout(within, ask(&address, &volume, &connect, op_versions, within)).await {
                Ok(answer) => answer,
                Err(_) => {
                    let (server, reason) = (address.clone(), "it has not answered everything");
                    Err(Error::OutOfTime { server, reason, after: within })
                }
            };
            News::Server(Box::new(Server { address, named, answer }))
        });
    }

    /// Goes on with what a server has told.
    fn hear(&mut self, mut server: Server) {
        self.share(&mut server);
        if let Some(answer) = server.answer() {
            if answer.privileged {
                self.connect.source_port = SourcePort::Privileged;
            }
            let friends = answer.friends.iter().flatten().filter(|friend| friend.hostname != "localhost");
            let friends: Vec<_> = friends.filter_map(learned).collect();
            if self.depth != Depth::Near {
                for (friend, id) in friends {
                    self.ids.entry(friend.clone()).or_insert(id);
                    self.ask_server(&friend, false);
                }
            }
            if let Ok(served) = &answer.volfile
                && !self.drawn
                && let Ok(shape) = Shape::of_text(&served.text)
            {
                self.drawn = true;
                self.ask_bricks(&shape);
                self.ask_window(&server.address);
                self.heard.shape = Some(shape);
            }
        }
        self.heard.servers.push(server);
        self.pending -= 1;
        if self.pending == 0 && self.depth == Depth::Full {
            self.ask_status();
        }
    }

    /// The same bytes are kept once.
    fn share(&self, server: &mut Server) {
        let Ok(Answer { volfile: Ok(served), .. }) = &mut server.answer else { return };
        if let Some((_, known)) = self.heard.served().find(|(_, known)| known.text == served.text) {
            served.text = known.text.clone();
        }
    }

    /// Where the bricks are, each by the glusterd of its own host.
    fn ask_bricks(&mut self, shape: &Shape) {
        let mut hosts = BTreeMap::<String, Vec<(usize, String)>>::new();
        for (n, brick) in shape.kind.bricks().take(MAX_BRICKS).enumerate() {
            let address = brick.address.clone();
            hosts.entry(address.host.clone()).or_default().push((n, address.path.clone()));
            self.heard.bricks.push(Brick { address, port: Port::Skipped("nobody has looked".to_owned()) });
        }
        for (host, paths) in hosts {
            let known = self.asked.keys().find_map(|server| match server {
                ServerAddress::Tcp { host: name, port } if *name == host => Some(*port),
                _ => None,
            });
            let (connect, port, tls) = (self.connect.clone(), known.unwrap_or(DEFAULT_PORT), shape.kind.tls);
            self.running.spawn(async move {
                let places: Vec<_> = paths.iter().map(|(n, _)| *n).collect();
                let asked = on_host(&host, port, paths, &connect, tls).await;
                News::Bricks(
                    asked.unwrap_or_else(|why| {
                        places.iter().map(|n| (*n, Port::Unasked(why.clone()))).collect()
                    }),
                )
            });
        }
    }

    /// Asks one server which clients get the volfile.
    fn ask_window(&mut self, server: &ServerAddress) {
        if self.depth != Depth::Full {
            return;
        }
        let (server, volume, connect, within) =
            (server.clone(), self.volume.clone(), self.connect.clone(), self.within);
        let window = async move { News::Window(window(&server, &volume, &connect, within).await) };
        self.running.spawn(window);
    }

    /// Has the bricks asked, when every server had its say. One that is connected to its peers and silent would keep all of
    /// them waiting, with the cluster's lock held.
    fn ask_status(&mut self) {
        self.heard.status = match self.heard.info().map(|info| info.status) {
            _ if !self.status => Status::Unasked("the bricks were not to be asked"),
            None => Status::Nobody,
            Some(VolumeStatus::Started) if self.heard.servers.iter().any(|server| self.hangs(server)) => {
                Status::Unasked("a server is silent: to ask would hold the cluster's lock until it answers")
            }
            Some(VolumeStatus::Started) => {
                let tells = |(_, answer): &(&Server, &Answer)| matches!(answer.info, Ok(Some(_)));
                if let Some((server, _)) = self.heard.answers().find(tells) {
                    let (server, volume, connect) =
                        (server.address.clone(), self.volume.clone(), self.connect.clone());
                    self.running.spawn(async move { News::Status(bricks(&server, &volume, &connect).await) });
                }
                Status::Nobody
            }
            Some(_) => Status::Unasked("the volume is not started"),
        };
    }

    /// Whether a server was reached, or may be by its peers, and says nothing.
    fn hangs(&self, server: &Server) -> bool {
        let is_silent = match server.failure() {
            Some(Error::OutOfTime { .. } | Error::TimedOut { .. }) => true,
            Some(Error::Connect(error)) => match &**error {
                ConnectError::Failed { attempts, .. } => {
                    attempts.iter().any(|attempt| matches!(attempt.reason, AttemptError::TimedOut(_)))
                }
                _ => false,
            },
            _ => false,
        };
        let (id, host) = (
            self.ids.get(&server.address),
            match &server.address {
                ServerAddress::Tcp { host, .. } => host.as_str(),
                ServerAddress::Unix(_) => "",
            },
        );
        let is_it = |friend: &&Friend| id == Some(&friend.uuid) || friend.hostname == host;
        let mut friends = self.heard.answers().flat_map(|(_, answer)| answer.friends.iter().flatten());
        is_silent && !friends.any(|friend| is_it(&friend) && !friend.connected)
    }

    /// In an order that does not depend on who was faster, and each server once.
    fn sorted(mut self) -> Heard {
        self.heard.servers.sort_by_key(|server| self.asked.get(&server.address));
        let named = self.heard.answers().filter(|(server, _)| server.named);
        let mut seen: BTreeSet<_> = named.filter_map(|(_, answer)| answer.uuid.clone()).collect();
        let ids = self.ids;
        // One that was given by another name is not asked for twice.
        self.heard.servers.retain(|server| {
            let told = server.answer().and_then(|answer| answer.uuid.as_ref());
            server.named || told.or(ids.get(&server.address)).is_none_or(|id| seen.insert(id.clone()))
        });
        // Its bricks are those of the first; where servers differ that is said.
        if let Some(shape) = self.heard.most().and_then(|most| Shape::of_text(&most.text).ok()) {
            self.heard.shape = Some(shape);
        }
        self.heard
    }
}

/// A server that another has named, and its id.
fn learned(friend: &Friend) -> Option<(ServerAddress, String)> {
    let port = if friend.port == 0 { DEFAULT_PORT } else { friend.port };
    Some((ServerAddress::tcp(&friend.hostname, port).ok()?, friend.uuid.clone()))
}
