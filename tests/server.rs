//! The volfile server on the wire: what it answers, whom it tells, and what no client can do to the others.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod fakes;

use std::{
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use fakes::{VOLUME, record, volfile, within, words};
use glusterd_client::{
    client::{Client, Error},
    glusterd::{
        OpVersions, Procedure,
        dump::Ping,
        handshake::{self, Getspec, Refusal},
    },
    rpc::{self, Event, Peer, message::Message},
    server::{Limits, Server},
    transport::{ConnectOptions, Listener, ServerAddress},
    volfile::example::Example,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const REPLY: Duration = Duration::from_secs(30);

fn start(limits: Limits) -> (Server, ServerAddress) {
    let server = Server::new(limits);
    server.publish(VOLUME, volfile(1)).unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (server, ServerAddress::tcp("127.0.0.1", port).unwrap())
}

async fn connect(address: &ServerAddress) -> Client {
    within("a connection", Client::connect(address, &ConnectOptions::default())).await.unwrap()
}

async fn raw(address: &ServerAddress) -> TcpStream {
    let ServerAddress::Tcp { host, port } = address else { panic!("{address}") };
    within("a connection", TcpStream::connect((host.as_str(), *port))).await.unwrap()
}

async fn get(client: &Client, key: &str) -> Result<Vec<u8>, Error> {
    client.getspec(key, OpVersions::ANY, REPLY).await.map(|fetched| fetched.text.to_vec())
}

/// The bytes of GETSPEC calls, with xids from 1.
fn getspecs(keys: &[&str]) -> Vec<u8> {
    let mut peer = Peer::<()>::new(rpc::Limits { in_flight: keys.len(), ..rpc::Limits::default() });
    let xdata = OpVersions::ANY.to_dict();
    for key in keys {
        let to = (Getspec::PROGRAM, Getspec::NUMBER);
        peer.call(Instant::now(), REPLY, to, &handshake::getspec(key, &xdata), ()).unwrap();
    }
    let len = peer.waiting();
    peer.transmit().copy_to_bytes(len).to_vec()
}

/// The next record, without its header.
async fn receive(stream: &mut TcpStream) -> Vec<u8> {
    within("a record", async {
        let header = stream.read_u32().await.unwrap();
        let mut body = vec![0; (header & !(1 << 31)) as usize];
        stream.read_exact(&mut body).await.unwrap();
        body
    })
    .await
}

async fn closed(stream: &mut TcpStream) {
    // A reset where bytes of ours were left unread.
    let end = within("the end of the connection", stream.read(&mut [0])).await;
    assert!(
        end.as_ref().map_or_else(|e| e.kind() == ErrorKind::ConnectionReset, |&read| read == 0),
        "{end:?}"
    );
}

async fn until(what: &str, met: impl Fn() -> bool) {
    within(what, async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A volfile of about a megabyte.
fn large() -> Vec<u8> {
    Example::with_bricks(VOLUME, 3, 1500).volfile().render().unwrap().to_vec()
}

#[tokio::test]
async fn a_client_that_never_reads_delays_no_other() {
    let (server, address) = start(Limits::default());
    server.publish(VOLUME, large()).unwrap();
    let mut deaf = raw(&address).await;
    let calls = getspecs(&[VOLUME; 5000]);
    // Not all of them are taken, because their replies are not.
    let writing = tokio::spawn(async move {
        let _ = deaf.write_all(&calls).await;
        std::future::pending::<()>().await;
    });
    until("a fetch of the deaf one", || server.connections().iter().any(|info| info.fetches > 0)).await;
    let client = connect(&address).await;
    for _ in 0..20 {
        assert_eq!(get(&client, VOLUME).await.unwrap(), large());
    }
    let fetches = server.connections().iter().map(|info| info.fetches).max().unwrap();
    assert!(fetches < 100, "{fetches} replies of a megabyte are made for one that reads none");
    writing.abort();
}

#[tokio::test]
async fn a_stalled_connection_is_closed_and_another_is_not() {
    let (server, address) = start(Limits { stalled: Duration::from_millis(200), ..Limits::default() });
    server.publish(VOLUME, large()).unwrap();
    let idle = connect(&address).await;
    get(&idle, VOLUME).await.unwrap();
    let mut deaf = raw(&address).await;
    deaf.write_all(&getspecs(&[VOLUME; 50])).await.unwrap();
    until("both", || server.connections().iter().filter(|info| info.fetches > 0).count() == 2).await;
    until("the end of one", || server.connections().len() == 1).await;
    get(&idle, VOLUME).await.unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_there_is_room_again_later() {
    let (server, address) = start(Limits { connections: 2, ..Limits::default() });
    let (first, second) = (connect(&address).await, connect(&address).await);
    get(&first, VOLUME).await.unwrap();
    get(&second, VOLUME).await.unwrap();
    closed(&mut raw(&address).await).await;
    drop(first);
    until("room", || server.connections().len() == 1).await;
    // The place is given back just after the table says so.
    within("a fetch", async {
        while get(&connect(&address).await, VOLUME).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    get(&second, VOLUME).await.unwrap();
}

#[tokio::test]
async fn who_is_connected_is_known_with_key_and_op_versions_until_it_leaves() {
    let (server, address) = start(Limits::default());
    let (old, new) = (connect(&address).await, connect(&address).await);
    old.getspec("/vol", "1:90000".parse().unwrap(), REPLY).await.unwrap();
    assert!(get(&new, "nothing").await.is_err());
    let mut table = server.connections();
    table.sort_by_key(|info| info.fetches);
    let [failed, fetched] = &table[..] else { panic!("{table:?}") };
    assert_eq!((failed.key.as_deref(), failed.op_versions), (Some("nothing"), Some(OpVersions::ANY)));
    assert_eq!((fetched.key.as_deref(), fetched.op_versions), (Some("/vol"), "1:90000".parse().ok()));
    drop((old, new));
    until("an empty table", || server.connections().is_empty()).await;
}

#[tokio::test]
async fn a_change_is_told_to_those_whom_it_concerns() {
    let (server, address) = start(Limits::default());
    server.publish("other", volfile(1)).unwrap();
    let (mut one, mut both, mut other, mut none) =
        (connect(&address).await, connect(&address).await, connect(&address).await, connect(&address).await);
    get(&one, VOLUME).await.unwrap();
    get(&both, VOLUME).await.unwrap();
    get(&both, "other").await.unwrap();
    get(&other, "other").await.unwrap();
    // Its connection is served, and it has fetched nothing yet.
    none.call::<Ping>(&(), REPLY).await.unwrap();

    assert!(server.publish(VOLUME, volfile(2)).unwrap());
    assert!(!server.publish(VOLUME, volfile(2)).unwrap(), "the same again");
    let refused = server.publish(VOLUME, "volume v\n").unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    for client in [&mut one, &mut both, &mut none] {
        assert_eq!(within("a notification", client.notified(0)).await.unwrap(), 1);
    }
    assert!(server.publish("other", volfile(2)).unwrap());
    for (client, total) in [(&mut both, 2), (&mut other, 1), (&mut none, 2)] {
        assert_eq!(within("a notification", client.notified(total - 1)).await.unwrap(), total);
    }
    assert_eq!(get(&one, VOLUME).await.unwrap(), volfile(2).as_bytes());
    assert_eq!(one.notifications(), 1);
    let told = server.connections().iter().map(|info| info.notifications).collect::<Vec<_>>();
    assert_eq!(told.iter().sum::<u64>(), 1 + 2 + 1 + 2, "{told:?}");

    assert!(server.withdraw(VOLUME) && !server.withdraw(VOLUME));
    let error = get(&one, VOLUME).await.unwrap_err();
    assert!(matches!(error, Error::Refused { refusal: Refusal::NotFound { op_errno: 2 }, .. }), "{error}");
    assert_eq!(one.notifications(), 1, "as with glusterd, nobody is told of the end of a volume");
}

#[tokio::test]
async fn calls_are_answered_in_order_however_their_bytes_arrive() {
    let (server, address) = start(Limits::default());
    server.publish("other", volfile(2)).unwrap();
    let calls = getspecs(&[VOLUME, "other", "nothing"]);
    let mut stream = raw(&address).await;
    stream.set_nodelay(true).unwrap();
    // In one segment; then byte by byte, each flushed.
    stream.write_all(&calls).await.unwrap();
    for byte in &calls {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        for (xid, expected) in [(1, Some(volfile(1))), (2, Some(volfile(2))), (3, None)] {
            let record = receive(&mut stream).await;
            let message = Message::decode(&record).unwrap();
            assert_eq!(message.xid, xid);
            let text = handshake::spec(message.body).unwrap().ok().map(|spec| spec.text);
            assert_eq!(text, expected.as_ref().map(String::as_bytes));
        }
    }
}

#[tokio::test]
async fn what_there_is_not_is_answered_as_glusterd_does() {
    let (_server, address) = start(Limits::default());
    let mut stream = raw(&address).await;
    let success = [1, 0, 0, 0];
    for (call, reply) in [
        // PROG_UNAVAIL, PROC_UNAVAIL, PROG_MISMATCH, GARBAGE_ARGS.
        ([1_238_463, 2, 33], vec![1]),
        ([14_398_633, 2, 99], vec![3]),
        ([14_398_633, 7, 2], vec![2, 2, 2]),
        ([14_398_633, 2, 2], vec![4]),
        // PING lives on.
        ([123_451_501, 1, 2], vec![0, 0, 0, 0]),
    ] {
        let [program, version, procedure] = call;
        let call = words(&[77, 0, 2, program, version, procedure, 0, 0, 0, 0]);
        stream.write_all(&record(&call)).await.unwrap();
        let expected = [&[77], &success[..], &reply[..]].concat();
        assert_eq!(receive(&mut stream).await, words(&expected), "{procedure}");
    }
}

#[tokio::test]
async fn a_call_beyond_its_limit_ends_the_connection_and_nothing_else() {
    let (server, address) = start(Limits::default());
    let client = connect(&address).await;
    get(&client, VOLUME).await.unwrap();
    let too_long = ((1u32 << 31) | ((64 << 10) + 1)).to_be_bytes();
    let other_rpc = record(&words(&[1, 0, 3, 1, 1, 1, 0, 0, 0, 0]));
    for bytes in [&too_long[..], b"GET / HTTP/1.1\r\n\r\n", &record(b"xy"), &other_rpc, &[0; 8192]] {
        let mut stream = raw(&address).await;
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
    }
    until("the others to be gone", || server.connections().len() == 1).await;
    get(&client, VOLUME).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_its_owners() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volfiles.sock");
    let server = Server::new(Limits::default());
    server.publish(VOLUME, volfile(1)).unwrap();
    let listener = Listener::unix(&path).unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = connect(&ServerAddress::Unix(path.clone())).await;
    assert_eq!(get(&client, VOLUME).await.unwrap(), volfile(1).as_bytes());
    server.publish(VOLUME, volfile(2)).unwrap();
    assert_eq!(within("a notification", client.notified(0)).await.unwrap(), 1);
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    assert!(server.connections()[0].peer.to_string().ends_with(&format!("user {uid}")));
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(!path.exists(), "removed with its listener");
    assert_eq!(get(&client, VOLUME).await.unwrap(), volfile(2).as_bytes(), "connections go on");
}

/// What a glusterfs does: its replies are told from FETCHSPECs by their direction, not by their xid.
#[tokio::test]
async fn a_notification_between_replies_is_a_call() {
    let (server, address) = start(Limits::default());
    let mut stream = raw(&address).await;
    stream.write_all(&getspecs(&[VOLUME])).await.unwrap();
    receive(&mut stream).await;
    server.publish(VOLUME, volfile(2)).unwrap();
    // Facts §6.1, byte for byte.
    let fetchspec = words(&[1, 0, 2, 0x0324_cc42, 1, 1, 0, 0, 0, 0]);
    let bytes = receive(&mut stream).await;
    assert_eq!(bytes, fetchspec);
    let mut peer = Peer::<()>::new(rpc::Limits::default());
    let event = peer.poll_event(&mut BytesMut::from(&record(&bytes)[..])).unwrap();
    assert!(matches!(event, Some(Event::Call(_))), "{event:?}");
}
