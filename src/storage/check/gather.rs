//! Asks a cluster, all of it at once: nobody waits for a server that is dead but the end of its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Depth, Options,
    heard::{Answer, Brick, Heard, Port, Served, Server, Shape, Status, Window},
};
use crate::{
    client::{Client, Error, change, digest},
    glusterd::{
        OpVersion, OpVersions,
        cli::{self, Friend, GetVolume, VolumeStatus},
        handshake::{DictRequest, Refusal},
        portmap::{self, PortByBrick, PortByBrickRequest},
        status::{self, StatusVolume},
    },
    transport::{
        ConnectError, ConnectOptions, Connected, DEFAULT_PORT, MAX_SERVERS, ServerAddress, SourcePort,
        connect,
    },
    volfile::Class,
    xdr::{Opaque, Text},
};

/// What is asked of one server or one brick takes no longer; a busy glusterd answers within seconds (facts §1.3).
const PATIENCE: Duration = Duration::from_secs(5);

/// For the bricks to be asked: every server of the cluster asks its own.
const STATUS: Duration = Duration::from_secs(45);

/// Bricks of one volume that are looked at; a hostile volfile has any number.
const MAX_BRICKS: usize = 4096;

/// Connections to bricks of one host at a time.
const AT_ONCE: usize = 32;

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
    fn hear(&mut self, server: Server) {
        if let Some(answer) = server.answer() {
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
                self.ask_once(&server.address, answer);
                self.heard.shape = Some(shape);
            }
        }
        self.heard.servers.push(server);
    }

    /// Where the bricks are, each by the glusterd of its own host.
    fn ask_bricks(&mut self, shape: &Shape) {
        let mut hosts = BTreeMap::<String, Vec<(usize, String)>>::new();
        for (n, brick) in shape.kind.bricks().take(MAX_BRICKS).enumerate() {
            let address = brick.address.clone();
            hosts.entry(address.host.clone()).or_default().push((n, address.path.clone()));
            self.heard.bricks.push(Brick { address, port: Port::Unasked("nobody has answered".to_owned()) });
        }
        for (host, paths) in hosts {
            let known = self.asked.keys().find_map(|server| match server {
                ServerAddress::Tcp { host: name, port } if *name == host => Some(*port),
                _ => None,
            });
            let (connect, port, tls) = (self.connect.clone(), known.unwrap_or(DEFAULT_PORT), shape.kind.tls);
            let within = self.within;
            self.running.spawn(async move {
                let places: Vec<_> = paths.iter().map(|(n, _)| *n).collect();
                let silent = |why: String| places.iter().map(|n| (*n, Port::Unasked(why.clone()))).collect();
                let asked = timeout(within * 2, on_host(&host, port, paths, &connect, tls)).await;
                News::Bricks(match asked {
                    Ok(Ok(ports)) => ports,
                    Ok(Err(why)) => silent(why),
                    Err(_) => silent(format!("no answer within {:?}", within * 2)),
                })
            });
        }
    }

    /// What is asked of one server, and never again.
    fn ask_once(&mut self, server: &ServerAddress, answer: &Answer) {
        if self.depth != Depth::Full {
            return;
        }
        let (server, volume, connect, within) =
            (server.clone(), self.volume.clone(), self.connect.clone(), self.within);
        let ask_window = {
            let (server, volume, connect) = (server.clone(), volume.clone(), connect.clone());
            async move { News::Window(window(&server, &volume, &connect, within).await) }
        };
        self.running.spawn(ask_window);
        let started = answer.info.as_ref().ok().and_then(Option::as_ref).map(|info| info.status);
        self.heard.status = match started {
            _ if !self.status => Status::Unasked("the bricks were not to be asked"),
            None => Status::Nobody,
            Some(VolumeStatus::Started) => {
                self.running.spawn(async move { News::Status(bricks(&server, &volume, &connect).await) });
                Status::Nobody
            }
            Some(_) => Status::Unasked("the volume is not started"),
        };
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
        let most = most(&self.heard).map(|served| served.text.clone());
        if let Some(text) = most {
            self.heard.digest = Some(digest(&text));
            // Its bricks are those of the first; where servers differ that is said.
            if let Ok(shape) = Shape::of_text(&text) {
                self.heard.shape = Some(shape);
            }
        }
        self.heard
    }
}

/// The volfile that most servers have, and of as many the first.
fn most(heard: &Heard) -> Option<&Served> {
    let all: Vec<_> = heard.answers().filter_map(|(_, answer)| answer.volfile.as_ref().ok()).collect();
    let votes = |served: &Served| all.iter().filter(|other| is_same(&other.text, &served.text)).count();
    all.iter().rev().max_by_key(|served| votes(served)).copied()
}

/// Whether glusterfs would do the same with both; credentials do not count.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one == other || change(one, other).class == Class::None
}

/// A server that another has named, and its id.
fn learned(friend: &Friend) -> Option<(ServerAddress, String)> {
    let port = if friend.port == 0 { DEFAULT_PORT } else { friend.port };
    Some((ServerAddress::tcp(&friend.hostname, port).ok()?, friend.uuid.clone()))
}

/// All questions to one server, on one connection.
async fn ask(
    server: &ServerAddress,
    volume: &str,
    options: &ConnectOptions,
    op_versions: OpVersions,
    within: Duration,
) -> Result<Answer, Error> {
    let begun = Instant::now();
    let mut options = options.clone();
    loop {
        let Connected { stream, peer, .. } =
            connect(server, &options).await.map_err(|error| Error::Connect(error.into()))?;
        let tls = stream.is_tls();
        let client = Client::spawn(server.clone(), stream, tls);
        let request = cli::volume_request(volume);
        let describe = async {
            let body = client.call::<GetVolume>(&DictRequest { dict: Opaque(&request) }, within).await?;
            cli::volume(&body).map_err(|error| Error::Reply { server: server.clone(), error })
        };
        let (uuid, friends, info, fetched) = tokio::join!(
            client.uuid(within),
            client.friends(within),
            describe,
            client.getspec(volume, op_versions, within)
        );
        if fetched.as_ref().is_err_and(Error::wants_privileged_port) && options.source_port == SourcePort::Any
        {
            options.source_port = SourcePort::Privileged;
            continue;
        }
        let served = |fetched: crate::client::Fetched| Served {
            text: fetched.text,
            names_others: !fetched.others.is_empty(),
        };
        let (uuid, volfile, took) = (uuid.ok().flatten(), fetched.map(served), begun.elapsed());
        return Ok(Answer { peer, tls, took, uuid, friends, info, volfile });
    }
}

/// The ports of bricks of one host, and whether they can be reached.
async fn on_host(
    host: &str,
    port: u16,
    paths: Vec<(usize, String)>,
    options: &ConnectOptions,
    tls: bool,
) -> Result<Vec<(usize, Port)>, String> {
    let server = ServerAddress::tcp(host, port).map_err(|error| error.to_string())?;
    let connected = connect(&server, options).await.map_err(|error| error.to_string())?;
    let Some(peer) = connected.peer else { return Err("it has no address".to_owned()) };
    let is_tls = connected.stream.is_tls();
    let client = Client::spawn(server, connected.stream, is_tls);
    let mut tried = Vec::with_capacity(paths.len());
    for paths in paths.chunks(AT_ONCE) {
        let tries = paths.iter().map(|(n, path)| {
            let (n, path, client, options) = (*n, path.clone(), client.clone(), options.clone());
            async move { (n, find(&path, &client, peer, &options, tls).await) }
        });
        tried.extend(tries.collect::<JoinSet<_>>().join_all().await);
    }
    Ok(tried)
}

/// The port of a brick, and whether it can be reached.
async fn find(
    path: &str,
    client: &Client,
    glusterd: SocketAddr,
    options: &ConnectOptions,
    tls: bool,
) -> Port {
    let request = PortByBrickRequest { brick: Text::from(path) };
    let told = client.call::<PortByBrick>(&request, options.timeout).await.map_err(|error| error.to_string());
    let port = match told.and_then(|body| portmap::port(&body).map_err(|error| error.to_string())) {
        Ok(Some(port)) => port,
        Ok(None) => return Port::None,
        Err(why) => return Port::Unasked(why),
    };
    let mut at = glusterd;
    at.set_port(port.get());
    let Ok(server) = at.to_string().parse() else {
        return Port::Unasked(format!("{at} is no address that can be connected"));
    };
    // As clients of the volume do it; without a certificate of ours, plain TCP shows that the way is open.
    let options = ConnectOptions { tls: options.tls.clone().filter(|_| tls), ..options.clone() };
    let begun = Instant::now();
    match connect(&server, &options).await {
        Ok(_) if tls && options.tls.is_none() => Port::Untried { took: begun.elapsed() },
        Ok(_) => Port::Open { took: begun.elapsed() },
        Err(error) => Port::Closed { at, tls: error.tls().is_some(), why: reason(&error) },
    }
}

/// Why a connection failed, without the address, which is told beside it.
fn reason(error: &ConnectError) -> String {
    match error {
        ConnectError::Failed { attempts, .. } if attempts.len() == 1 => attempts[0].reason.to_string(),
        other => other.to_string(),
    }
}

/// The first release whose glusterfs gets the volfile. Each version is announced for as long as one answer takes: while
/// it is, glusterd refuses what such a client could not load (facts §6.6).
async fn window(server: &ServerAddress, volume: &str, options: &ConnectOptions, within: Duration) -> Window {
    let ask = async {
        let client = Client::connect(server, options).await?;
        for (release, max) in OpVersion::RELEASES {
            match client.getspec(volume, OpVersions { min: OpVersion(1), max }, within).await {
                Ok(_) => return Ok(Window::From(release)),
                Err(Error::Refused { refusal: Refusal::OpVersion, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Window::Above)
    };
    match timeout(within, ask).await {
        Ok(told) => told.unwrap_or_else(|error| Window::Unknown(error.to_string())),
        Err(_) => Window::Unknown(format!("{server}: no answer within {within:?}")),
    }
}

/// What the bricks say of themselves, asked once: it takes the cluster's lock for the volume (facts §3.3).
async fn bricks(server: &ServerAddress, volume: &str, options: &ConnectOptions) -> Status {
    let request = status::detail_request(volume);
    let ask = async {
        let client = Client::connect(server, options).await.map_err(|error| error.to_string())?;
        let body = client.call::<StatusVolume>(&DictRequest { dict: Opaque(&request) }, STATUS).await;
        let told = body.map_err(|error| error.to_string())?;
        status::bricks(&told).map_err(|error| format!("{server}: {error}"))
    };
    ask.await.map_or_else(Status::Silent, Status::Told)
}
