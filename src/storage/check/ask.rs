//! The questions: to a server, to the glusterd of a brick's host, and those that are asked once.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::heard::{Answer, Cause, Failure, Port, Served, Status, Window};
use crate::{
    client::{Client, Error, Fetched},
    glusterd::{
        OpVersion, OpVersions,
        cli::{self, GetVolume},
        handshake::{DictRequest, Refusal},
        portmap::{self, PortByBrick, PortByBrickRequest},
        status::{self, StatusVolume},
    },
    transport::{ConnectOptions, Connected, ServerAddress, SourcePort, connect},
    xdr::{Opaque, Text},
};

/// For the bricks to be asked: every server of the cluster asks its own.
const STATUS: Duration = Duration::from_secs(20);

/// Connections to bricks of one host at a time.
const AT_ONCE: usize = 32;

/// All questions to one server, on one connection.
pub(super) async fn ask(
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
        let served = |fetched: Fetched| Served::new(fetched.text, !fetched.others.is_empty());
        let privileged = options.source_port == SourcePort::Privileged;
        let (uuid, volfile, took) = (uuid.ok().flatten(), fetched.map(served), begun.elapsed());
        return Ok(Answer { peer, tls, privileged, took, uuid, friends, info, volfile });
    }
}

/// The ports of bricks of one host, and whether they can be reached. Those that follow when none of so many has answered
/// within the time of a connection, or when twice that time is over, are not tried.
pub(super) async fn on_host(
    host: &str,
    port: u16,
    paths: Vec<(usize, String)>,
    options: &ConnectOptions,
    tls: bool,
) -> Result<Vec<(usize, Port)>, Failure> {
    let other = |why: &dyn Display| Failure { cause: Cause::Other, why: why.to_string() };
    let server = ServerAddress::tcp(host, port).map_err(|error| other(&error))?;
    let connected = connect(&server, options).await.map_err(|error| Failure::from(&error))?;
    let Some(peer) = connected.peer else { return Err(other(&"it has no address")) };
    let is_tls = connected.stream.is_tls();
    let client = Client::spawn(server, connected.stream, is_tls);
    let mut tried = Vec::with_capacity(paths.len());
    let end = Instant::now() + options.timeout * 2;
    let mut over = None;
    for paths in paths.chunks(AT_ONCE) {
        if over.is_none() && Instant::now() >= end {
            over = Some("the time for the bricks of its host was over".to_owned());
        }
        if let Some(why) = &over {
            tried.extend(paths.iter().map(|(n, _)| (*n, Port::Skipped(why.clone()))));
            continue;
        }
        let tries = paths.iter().map(|(n, path)| {
            let (n, path, client, options) = (*n, path.clone(), client.clone(), options.clone());
            async move { (n, find(&path, &client, peer, &options, tls).await) }
        });
        let found = tries.collect::<JoinSet<_>>().join_all().await;
        if found.iter().all(|(_, port)| port.is_silent()) {
            over = Some(format!("none of {} other bricks of its host has answered", found.len()));
        }
        tried.extend(found);
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
    let other = |why: String| Port::Unasked(Failure { cause: Cause::Other, why });
    let port = match client.call::<PortByBrick>(&request, options.timeout).await {
        Err(error) => return Port::Unasked(Failure::from(&error)),
        Ok(body) => match portmap::port(&body) {
            Ok(Some(port)) => port,
            Ok(None) => return Port::None,
            Err(error) => return other(error.to_string()),
        },
    };
    let mut at = glusterd;
    at.set_port(port.get());
    let Ok(server) = at.to_string().parse() else {
        return other(format!("{at} is no address that can be connected"));
    };
    // As clients of the volume do it; without a certificate of ours, plain TCP shows that the way is open.
    let options = ConnectOptions { tls: options.tls.clone().filter(|_| tls), ..options.clone() };
    let begun = Instant::now();
    match connect(&server, &options).await {
        Ok(_) if tls && options.tls.is_none() => Port::Untried { took: begun.elapsed() },
        Ok(_) => Port::Open { took: begun.elapsed() },
        Err(error) => Port::Closed { at, why: Failure::from(&error) },
    }
}

/// The first release whose glusterfs gets the volfile. Each version is announced for as long as one answer takes: while
/// it is, glusterd refuses what such a client could not load (facts §6.6).
pub(super) async fn window(
    server: &ServerAddress,
    volume: &str,
    options: &ConnectOptions,
    within: Duration,
) -> Window {
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
pub(super) async fn bricks(server: &ServerAddress, volume: &str, options: &ConnectOptions) -> Status {
    let request = status::detail_request(volume);
    let ask = async {
        let client = Client::connect(server, options).await.map_err(|error| error.to_string())?;
        let body = client.call::<StatusVolume>(&DictRequest { dict: Opaque(&request) }, STATUS).await;
        let told = body.map_err(|error| error.to_string())?;
        status::bricks(&told).map_err(|error| format!("{server}: {error}"))
    };
    ask.await.map_or_else(Status::Silent, Status::Told)
}
