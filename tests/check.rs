//! A volume is looked at over the network: clusters that are scripted to the last answer, and what was asked of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod fakes;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use glusterd_client::{
    client,
    glusterd::{
        OpVersions, Procedure,
        cli::{GetVolume, ListFriends, ListFriendsReply, UuidGet},
        dict,
        handshake::{DictReply, Getspec, GetspecReply, GetspecRequest, announced},
        portmap::{PortByBrick, PortByBrickReply, PortByBrickRequest},
        status::StatusVolume,
    },
    rpc::{self, Incoming, Limits, Peer, message::Accepted},
    storage::check::{Options, Outcome, Report, check, check_again, check_near},
    transport::{ConnectOptions, ServerAddress, Wire},
    volfile::example::Example,
    xdr::{self, Opaque, Text},
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use fakes::within;

const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

/// What the servers of a cluster answer.
#[derive(Debug, Clone)]
struct Script {
    /// A server's addresses, by its number; its id is `uuid-NUMBER`.
    servers: Vec<SocketAddr>,
    volfile: Bytes,
    /// Clients below get no volfile.
    op_version: u32,
    /// Of bricks, by their paths.
    ports: BTreeMap<String, u16>,
    /// Of the volume, beside what every volume has.
    more: Vec<(String, String)>,
    /// Instead of an answer: op_ret, op_errno and glusterd's words.
    status: Option<(i32, i32, &'static str)>,
    /// Which server has gone silent.
    silent: Option<usize>,
    /// Replaces the body of every answer.
    garbage: Option<Bytes>,
}

/// Three servers of 127.0.0.1 to 127.0.0.3 with a brick each, and what they were asked.
struct Cluster {
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<String>>>,
    _bricks: Vec<TcpListener>,
}

impl Cluster {
    async fn start() -> Self {
        let (mut bricks, mut ports) = (Vec::new(), BTreeMap::new());
        let (mut listeners, mut servers) = (Vec::new(), Vec::new());
        for n in 0..3_u8 {
            let host = Ipv4Addr::new(127, 0, 0, n + 1);
            let listener = TcpListener::bind((host, 0)).await.unwrap();
            servers.push(listener.local_addr().unwrap());
            listeners.push(listener);
            let brick = TcpListener::bind((host, 0)).await.unwrap();
            ports.insert(format!("/bricks/{n}"), brick.local_addr().unwrap().port());
            bricks.push(brick);
        }
        let hosts: Vec<_> = servers.iter().map(|server| server.ip().to_string()).collect();
        let paths: Vec<_> = ports.keys().cloned().collect();
        let pairs = hosts.iter().zip(&paths).map(|(host, path)| (host.as_str(), path.as_str()));
        let volfile = Example::new("vol", 3, pairs).volfile().render().unwrap().into();
        let (more, status, silent, garbage) = (Vec::new(), None, None, None);
        let script = Script { servers, volfile, op_version: 1, ports, more, status, silent, garbage };
        let (script, asked) = (Arc::new(Mutex::new(script)), Arc::new(Mutex::new(Vec::new())));
        for (n, listener) in listeners.into_iter().enumerate() {
            let (script, asked) = (script.clone(), asked.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, n, script.clone(), asked.clone()));
                }
            });
        }
        Self { script, asked, _bricks: bricks }
    }

    fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    fn server(&self, n: usize) -> ServerAddress {
        let address = self.script.lock().unwrap().servers[n];
        ServerAddress::tcp(&address.ip().to_string(), address.port()).unwrap()
    }

    fn servers(&self) -> [ServerAddress; 3] {
        [0, 1, 2].map(|n| self.server(n))
    }

    /// What was asked since the last time, each kind once.
    fn asked(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().collect()
    }

    async fn check(&self) -> Report {
        within("a report", check(&self.servers(), "vol", &options())).await
    }
}

fn options() -> Options {
    let connect = ConnectOptions { timeout: Duration::from_secs(5), ..ConnectOptions::default() };
    Options {
        client: client::Options { connect, ..client::Options::default() },
        status: true,
        ..Options::default()
    }
}

/// So that what never answers is not waited for.
fn impatient() -> Options {
    let mut options = options();
    options.client.fetch = Duration::from_millis(300);
    options
}

async fn serve(stream: TcpStream, n: usize, script: Arc<Mutex<Script>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut wire = Wire::<_, ()>::new(stream, Peer::new(Limits::default()));
    while let Ok(rpc::Event::Call(call)) = wire.event().await {
        let script = script.lock().unwrap();
        if script.silent == Some(n) {
            continue;
        }
        let (name, body) = answer(&call, &script, n);
        asked.lock().unwrap().push(name);
        let body = script.garbage.clone().unwrap_or(body);
        wire.peer().reply(&call, Accepted::Success, &body).unwrap();
    }
}

fn is<P: Procedure>(call: &Incoming) -> bool {
    (call.program, call.procedure) == (P::PROGRAM.number, P::NUMBER)
}

fn answer(call: &Incoming, script: &Script, n: usize) -> (String, Bytes) {
    if is::<Getspec>(call) {
        let request = xdr::decode::<GetspecRequest<'_>>(&call.body).unwrap();
        let versions = announced(&request).unwrap().unwrap();
        let known = request.key.0 == b"vol";
        let servers = dict::encode(&[("cluster.brick-vol-servers", "127.0.0.9:24007 ")]);
        let reply = match (known, versions.max.0 >= script.op_version) {
            (true, true) => GetspecReply::success(&script.volfile, &servers).unwrap(),
            (true, false) => GetspecReply::OP_VERSION,
            (false, _) => GetspecReply::NOT_FOUND,
        };
        let name = if versions == OpVersions::ANY { "getspec" } else { "getspec of a release" };
        return (name.to_owned(), xdr::encode(&reply).unwrap().into());
    }
    if is::<PortByBrick>(call) {
        let request = xdr::decode::<PortByBrickRequest<'_>>(&call.body).unwrap();
        let port = script.ports.get(std::str::from_utf8(request.brick.0).unwrap());
        let reply = match port {
            Some(port) => PortByBrickReply { op_ret: 0, op_errno: 0, status: 1, port: i32::from(*port) },
            None => PortByBrickReply::NOT_FOUND,
        };
        return ("port".to_owned(), xdr::encode(&reply).unwrap().into());
    }
    if is::<ListFriends>(call) {
        let friends = pool(script, n);
        let reply = ListFriendsReply { op_ret: 0, op_errno: 0, friends: Opaque(&friends) };
        return ("friends".to_owned(), xdr::encode(&reply).unwrap().into());
    }
    let (name, pairs, failure) = if is::<UuidGet>(call) {
        ("uuid", vec![("uuid".to_owned(), format!("uuid-{n}"))], None)
    } else if is::<GetVolume>(call) {
        ("volume", volume(script), None)
    } else if is::<StatusVolume>(call) {
        ("status", status(script), script.status)
    } else {
        panic!("{} {} is not to be asked", call.program, call.procedure)
    };
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let (op_ret, op_errno, words) = failure.unwrap_or_default();
    let dict = dict::encode(&pairs);
    let reply = DictReply { op_ret, op_errno, op_errstr: Text::from(words), dict: Opaque(&dict) };
    (name.to_owned(), xdr::encode(&reply).unwrap().into())
}

fn pool(script: &Script, own: usize) -> Vec<u8> {
    let mut pairs = vec![("count".to_owned(), script.servers.len().to_string())];
    for (n, server) in script.servers.iter().enumerate() {
        let own = n == own;
        let (name, state) = (server.ip().to_string(), "Peer in Cluster");
        let of = |key: &str| format!("friend{}.{key}", n + 1);
        pairs.push((of("uuid"), format!("uuid-{n}")));
        pairs.push((of("hostname"), if own { "localhost".to_owned() } else { name }));
        pairs.push((of("port"), server.port().to_string()));
        pairs.push((of("connected"), "1".to_owned()));
        if !own {
            pairs.push((of("state"), state.to_owned()));
        }
    }
    dict::encode(&pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>())
}

fn volume(script: &Script) -> Vec<(String, String)> {
    let fixed = [
        ("name", "vol"),
        ("status", "1"),
        ("type", "2"),
        ("replica_count", "3"),
        ("dist_count", "1"),
        ("thin_arbiter_count", "0"),
        ("volume_id", ID),
    ];
    let fixed = fixed.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bricks = script.servers.iter().zip(script.ports.keys()).zip(1..);
    let bricks = bricks.map(|((server, path), n)| (format!("brick{n}"), format!("{}:{path}", server.ip())));
    // The first of a name counts.
    let all = script.more.iter().cloned().chain(fixed).chain(bricks);
    all.map(|(key, value)| (format!("volume0.{key}"), value)).collect()
}

fn status(script: &Script) -> Vec<(String, String)> {
    let mut pairs = vec![("brick-index-max".to_owned(), "2".to_owned())];
    for (n, (server, (path, port))) in script.servers.iter().zip(&script.ports).enumerate() {
        let host = server.ip().to_string();
        let port = port.to_string();
        for (key, value) in [
            ("hostname", host.as_str()),
            ("path", path),
            ("status", "1"),
            ("port", &port),
            ("fs_name", "xfs"),
            ("mnt_options", "rw,prjquota"),
            ("inode_size", "512"),
            ("total", "1000"),
            ("free", "500"),
        ] {
            pairs.push((format!("brick{n}.{key}"), value.to_owned()));
        }
    }
    pairs
}

#[track_caller]
fn expect(report: &Report, code: &str, outcome: Outcome, words: &str) {
    let found: Vec<_> = report.of(code).collect();
    let is = |finding: &&&glusterd_client::storage::check::Finding| {
        finding.outcome == outcome && finding.sentence().contains(words)
    };
    assert!(found.iter().any(|finding| is(&finding)), "{code} is not {outcome:?} {words:?}: {found:#?}");
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_healthy_cluster_is_well_and_is_asked_no_more_than_it_must_be() {
    let cluster = Cluster::start().await;
    let report = cluster.check().await;
    let unwell: Vec<_> = report.findings.iter().filter(|finding| finding.outcome != Outcome::Ok).collect();
    let unknown = ["client-version", "quota-daemon"];
    assert!(unwell.iter().all(|finding| unknown.contains(&finding.code)), "{unwell:#?}");
    expect(&report, "gluster-version", Outcome::Ok, "Gluster 11 or later");
    expect(&report, "cluster", Outcome::Ok, "all 3");
    assert_eq!((report.facts.id.as_deref(), report.facts.capacity), (Some(ID), Some((1000, 500))));
    let cheap = names(&["friends", "getspec", "port", "uuid", "volume"]);
    let all = names(&["friends", "getspec", "getspec of a release", "port", "status", "uuid", "volume"]);
    assert_eq!(cluster.asked(), all);
    check(&cluster.servers(), "vol", &Options { status: false, ..options() }).await;
    assert!(!cluster.asked().contains("status"));
    let again = check_again(&cluster.servers(), "vol", &options()).await;
    assert_eq!((cluster.asked(), again.outcome()), (cheap.clone(), Outcome::Ok));
    let near = check_near(&cluster.servers(), "vol", &options()).await;
    assert_eq!((cluster.asked(), near.outcome()), (cheap, Outcome::Ok));
    let near: BTreeSet<_> = near.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(near, ["brick-port", "server", "tls"].into());
}

#[tokio::test]
async fn the_others_are_learned_from_one_and_asked_once_whatever_they_are_called() {
    let cluster = Cluster::start().await;
    let mut named = vec![cluster.server(0)];
    let report = within("a report", check(&named, "vol", &options())).await;
    let servers: Vec<_> = cluster.servers().iter().map(ToString::to_string).collect();
    assert_eq!(report.facts.servers, servers);
    expect(&report, "peers", Outcome::Ok, "3 servers, all connected");
    let ServerAddress::Tcp { port, .. } = cluster.server(0) else { panic!("TCP") };
    named[0] = ServerAddress::tcp("localhost", port).unwrap();
    let mut options = options();
    options.client.connect.family = glusterd_client::transport::Family::V4;
    let report = within("a report", check(&named, "vol", &options)).await;
    assert_eq!(report.of("server").count(), 3, "{report:#?}");
}

#[tokio::test]
async fn a_server_that_is_silent_keeps_nobody_from_the_others() {
    let cluster = Cluster::start().await;
    cluster.set(|script| script.silent = Some(1));
    let report = within("a report", check(&cluster.servers(), "vol", &impatient())).await;
    expect(&report, "server", Outcome::Warning, "127.0.0.2");
    expect(&report, "server", Outcome::Ok, "127.0.0.3");
    expect(&report, "brick-port", Outcome::Warning, "its glusterd cannot be asked");
    expect(&report, "volume", Outcome::Ok, "");
    // To ask would take the cluster's lock, and keep it.
    expect(&report, "brick-online", Outcome::Unknown, "a server is silent");
    assert!(!cluster.asked().contains("status"));
}

#[tokio::test]
async fn bricks_without_a_port_and_behind_a_closed_one_are_told_apart() {
    let cluster = Cluster::start().await;
    cluster.set(|script| {
        script.ports.insert("/bricks/0".into(), 1);
        script.ports.remove("/bricks/1");
    });
    let report = cluster.check().await;
    expect(&report, "brick-port", Outcome::Failed, "127.0.0.1:/bricks/0: 127.0.0.1:1: Connection refused");
    expect(&report, "brick-port", Outcome::Failed, "127.0.0.2:/bricks/1: its glusterd knows no port");
    assert_eq!(report.of("brick-port").count(), 2);
}

/// A port behind which nobody answers: who wants to connect is told nothing. It lasts as long as what comes with it.
async fn dropping() -> (u16, Vec<tokio::task::JoinHandle<()>>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let at = listener.local_addr().unwrap();
    // Nobody accepts them, and there is no room for others.
    let fill = |_| {
        tokio::spawn(async move {
            let _first = TcpStream::connect(at).await;
            std::future::pending::<()>().await;
        })
    };
    let mut filling: Vec<_> = (0..8).map(fill).collect();
    filling.push(tokio::spawn(async move {
        let _listener = listener;
        std::future::pending::<()>().await;
    }));
    let refused = async {
        let wait = Duration::from_millis(100);
        while tokio::time::timeout(wait, TcpStream::connect(at)).await.is_ok() {}
    };
    within("no room", refused).await;
    (at.port(), filling)
}

/// So many bricks of one host that they are not all tried at once; those behind `open` can be reached.
async fn many(count: usize, open: impl Fn(usize) -> bool) -> Report {
    let cluster = Cluster::start().await;
    let (closed, _filling) = dropping().await;
    let paths: Vec<_> = (0..count).map(|n| format!("/many/{n}")).collect();
    cluster.set(|script| {
        let reachable = script.ports["/bricks/0"];
        let port = |n| if open(n) { reachable } else { closed };
        script.ports = paths.iter().enumerate().map(|(n, path)| (path.clone(), port(n))).collect();
        let bricks = paths.iter().map(|path| ("127.0.0.1", path.as_str()));
        script.volfile = Example::new("vol", 1, bricks).volfile().render().unwrap().into();
    });
    let mut options = options();
    options.client.fetch = Duration::from_secs(1);
    within("a report", check_near(&[cluster.server(0)], "vol", &options)).await
}

#[tokio::test]
async fn a_host_that_drops_what_comes_to_its_bricks_is_not_tried_to_the_end() {
    let report = many(70, |_| false).await;
    let ports: Vec<_> = report.of("brick-port").collect();
    let of = |outcome| ports.iter().filter(|finding| finding.outcome == outcome).count();
    assert_eq!((ports.len(), of(Outcome::Failed), of(Outcome::Unknown)), (70, 32, 38));
    expect(&report, "brick-port", Outcome::Failed, "127.0.0.1:/many/31: 127.0.0.1:");
    expect(
        &report,
        "brick-port",
        Outcome::Unknown,
        "127.0.0.1:/many/32: it was not tried: none of 32 other bricks",
    );
}

#[tokio::test]
async fn what_was_found_of_a_host_with_many_bricks_is_kept() {
    let report = many(200, |n| n % 32 == 5).await;
    let ports: Vec<_> = report.of("brick-port").collect();
    // Each turn takes the time of a connection, and there are two before the time of the host is over.
    let of = |outcome| ports.iter().filter(|finding| finding.outcome == outcome).count();
    assert!(of(Outcome::Failed) >= 31 && of(Outcome::Unknown) > 0, "{ports:#?}");
    assert!(ports.iter().all(|finding| !finding.message.contains("cannot be asked")), "{ports:#?}");
    assert!(
        ports.iter().all(|finding| finding.subject.as_deref() != Some("127.0.0.1:/many/5")),
        "{ports:#?}"
    );
    expect(
        &report,
        "brick-port",
        Outcome::Unknown,
        "127.0.0.1:/many/199: it was not tried: the time for the bricks",
    );
}

#[tokio::test]
async fn the_release_that_a_volume_needs_is_found_by_asking() {
    let cluster = Cluster::start().await;
    cluster.set(|script| script.op_version = 90_000);
    let installed = Some("8.6".parse().unwrap());
    let report = check(&cluster.servers(), "vol", &Options { installed, ..options() }).await;
    expect(
        &report,
        "op-version",
        Outcome::Failed,
        "glusterfs 9 and later may load the volume (op-version 90000",
    );
    expect(&report, "client-version", Outcome::Failed, "glusterfs 8.6 may not load the volume");
}

#[tokio::test]
async fn bricks_that_are_not_asked_are_unknown() {
    let cluster = Cluster::start().await;
    cluster.set(|script| script.status = Some((-1, 30800, "Another transaction is in progress for vol\x1b")));
    let report = cluster.check().await;
    expect(&report, "brick-online", Outcome::Unknown, "Another transaction is in progress for vol\\u{1b}");
    expect(&report, "free-space", Outcome::Unknown, "ask again");
    cluster.set(|script| script.more = vec![("status".to_owned(), "2".to_owned())]);
    cluster.asked();
    let report = cluster.check().await;
    assert!(!cluster.asked().contains("status"));
    expect(&report, "started", Outcome::Failed, "gluster volume start vol");
    expect(&report, "file-system", Outcome::Unknown, "not started");
    expect(&report, "brick-port", Outcome::Unknown, "not started");
}

#[tokio::test]
async fn garbage_is_a_finding_and_no_end() {
    let cluster = Cluster::start().await;
    for garbage in [&[][..], &[0xff; 64], &[0; 4096]] {
        cluster.set(|script| script.garbage = Some(Bytes::from(garbage)));
        let report = within("a report", check(&cluster.servers(), "vol", &impatient())).await;
        assert!(report.outcome() > Outcome::Ok && report.facts.digest.is_none(), "{report:#?}");
    }
    cluster.set(|script| {
        (script.garbage, script.volfile) = (None, "volume \x1b[2J\n type `id`\n".into());
        script.more = vec![("option.features.worm".to_owned(), "on\x07".to_owned())];
    });
    let report = cluster.check().await;
    expect(&report, "volfile", Outcome::Failed, "cannot be read");
    let shown = report.findings.iter().map(|finding| finding.sentence()).collect::<String>();
    assert!(!shown.contains(char::is_control), "{shown:?}");
}
