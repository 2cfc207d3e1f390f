//! The first server that gives the volfile is enough, whatever the others do; and each way of failing has its own words.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod fakes;

use std::{net::TcpListener, os::unix::fs::MetadataExt, sync::Mutex, time::Duration};

use fakes::{
    Answer, Glusterd, NOT_FOUND, Then, VOLUME, expect, getspec_reply, hostile, options, record, success,
    volfile, within, words,
};
use glusterd_client::{
    client::{Cluster, Fetched, Kind, NoVolfile, Options},
    transport::ServerAddress,
};

/// A port at which nobody listens.
fn refused() -> ServerAddress {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    ServerAddress::tcp("127.0.0.1", port).unwrap()
}

async fn fetch(servers: &[&ServerAddress], options: Options) -> Result<Fetched, NoVolfile> {
    within("a fetch", Cluster::new(servers.iter().copied().cloned(), options).fetch(VOLUME)).await
}

/// A server that fails in this way does not keep the next one from serving; alone it is told about in these words.
async fn passed_over(bad: &ServerAddress, kind: Kind, message: &str) {
    let good = Glusterd::start(volfile(1)).await;
    let impatient = Options { patience: Duration::from_millis(100), ..options() };
    let fetched = fetch(&[bad, &good.server()], impatient).await.unwrap();
    assert_eq!(fetched.server, good.server(), "{message}");
    assert_eq!(fetched.text, volfile(1), "{message}");

    let error = fetch(&[bad], Options { reply: Duration::from_millis(300), ..options() }).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(message) && text.contains(&bad.to_string()), "{message:?} is not in {text:?}");
}

#[tokio::test]
async fn refused_connection() {
    passed_over(&refused(), Kind::Unreachable, "refused").await;
}

#[tokio::test]
async fn silent_server() {
    let silent = hostile(|_, _| Then::Keep(Vec::new())).await;
    passed_over(&silent, Kind::Unreachable, "accepted the connection but stays silent").await;
}

#[tokio::test]
async fn each_server_has_its_own_reason_when_the_time_is_up() {
    let silent = hostile(|_, _| Then::Keep(Vec::new())).await;
    let (refused, untried) = (refused(), refused());
    let options = Options { fetch: Duration::from_millis(300), ..options() };
    let error = fetch(&[&refused, &silent, &untried], options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    for (server, message) in
        [(refused, "refused"), (silent, "connected, but no reply"), (untried, "not tried yet")]
    {
        let own = error.failures.iter().find(|failure| failure.server() == Some(&server)).unwrap();
        assert!(own.to_string().contains(message), "{own}");
    }
}

#[tokio::test]
async fn error_replies() {
    for (answer, kind, message) in [
        (NOT_FOUND, Kind::NoSuchVolume, "no such volume (op_errno 2)"),
        (Answer::Failure(-1, 0), Kind::NoSuchVolume, "no such volume (op_errno 0)"),
        (Answer::Failure(-1, 12), Kind::NoSuchVolume, "no such volume (op_errno 12)"),
        (Answer::Failure(-1, 95), Kind::OpVersion, "needs a client of another op-version"),
        (Answer::Failure(-2, 2), Kind::Other, "op_ret -2"),
        (Answer::Failure(328, 22), Kind::Other, "op_ret 328, op_errno 22"),
        (Answer::Failure(0, 0), Kind::Other, "the volfile is empty on the server"),
        (Answer::Torn(volfile(1).into()), Kind::Other, "torn volfile"),
    ] {
        passed_over(&Glusterd::start(answer).await.server(), kind, message).await;
    }
}

#[tokio::test]
async fn broken_replies() {
    let bad = hostile(|xid, _| Then::Keep(success(xid, &words(&[9, 0, 100])))).await;
    passed_over(&bad, Kind::Other, "malformed reply: GetspecReply.spec").await;

    let bad = hostile(|xid, _| Then::Keep(record(&words(&[xid, 1, 0, 0, 0, 1])))).await;
    passed_over(&bad, Kind::Other, "PROG_UNAVAIL").await;

    let bad = hostile(|_, _| Then::Keep(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    passed_over(&bad, Kind::Unreachable, "a record of").await;

    let bad = hostile(|xid, _| Then::Close(success(xid, &[0; 100])[..50].to_vec())).await;
    passed_over(&bad, Kind::Unreachable, "closed by the other side in the middle of a record").await;

    let bad = hostile(|_, _| Then::Close(Vec::new())).await;
    passed_over(&bad, Kind::Access, "it may require TLS").await;

    let bad = hostile(|_, _| Then::Keep(record(&words(&[0, 1, 0, 0, 0, 4])))).await;
    passed_over(&bad, Kind::Unreachable, "answered with xid 0").await;

    let bad = hostile(|xid, _| Then::Keep(success(xid + 7, &[]))).await;
    passed_over(&bad, Kind::Unreachable, "which was never made").await;

    // Fragments without an end.
    let bad = hostile(|_, _| Then::Keep(vec![0; 1 << 20])).await;
    passed_over(&bad, Kind::Unreachable, "fragments").await;
}

#[tokio::test]
async fn no_such_volume_is_believed_from_a_majority_of_those_reached() {
    let (knows_not, other) = (Glusterd::start(NOT_FOUND).await, Glusterd::start(NOT_FOUND).await);
    let broken = Glusterd::start(Answer::Failure(-2, 2)).await;
    let (knows_not, other, broken, refused) =
        (knows_not.server(), other.server(), broken.server(), refused());
    for (servers, kind) in [
        (vec![&knows_not, &refused], Kind::NoSuchVolume),
        (vec![&knows_not, &broken], Kind::Other),
        (vec![&knows_not, &broken, &other], Kind::NoSuchVolume),
        (vec![&refused], Kind::Unreachable),
    ] {
        let error = fetch(&servers, options()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.failures.len(), servers.len(), "each server's own reason: {error}");
    }
}

#[tokio::test]
async fn servers_are_learned_from_the_reply_and_outlive_the_one_that_told() {
    let (mut first, second) = (Glusterd::start(volfile(1)).await, Glusterd::start(volfile(1)).await);
    first.set_brick_vol_servers(&[&second]);
    let cluster = Cluster::new([first.server()], options());
    within("a fetch", cluster.fetch(VOLUME)).await.unwrap();
    assert_eq!(cluster.servers(), [first.server(), second.server()]);
    first.stop().await;
    let fetched = within("a fetch", cluster.fetch(VOLUME)).await.unwrap();
    assert_eq!(fetched.server, second.server());
}

#[tokio::test]
async fn servers_are_learned_from_the_list_of_peers_of_a_cluster_that_names_none() {
    let (mut first, second) = (Glusterd::start(volfile(1)).await, Glusterd::start(volfile(1)).await);
    first.set_friends(&[&second]);
    let cluster = Cluster::new([first.server()], options());
    let mut watch = cluster.watch(VOLUME);
    expect(&mut watch, &["connected", "initial 1"]).await;
    within("the second server", async {
        while cluster.servers().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    first.stop().await;
    expect(&mut watch, &["disconnected", "connected", "unchanged 1"]).await;
    assert_eq!(second.fetches(), 1);
}

#[tokio::test]
async fn a_server_that_wants_a_privileged_port_gets_one() {
    static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let strict = hostile(|xid, peer| {
        PORTS.lock().unwrap().push(peer.port());
        Then::Keep(match peer.port() {
            // MSG_DENIED, AUTH_ERROR, AUTH_REJECTEDCRED, as with `rpc-auth-allow-insecure off`.
            1024.. => record(&words(&[xid, 1, 1, 1, 2])),
            _ => success(xid, &getspec_reply(&volfile(1).into(), "")),
        })
    })
    .await;
    let outcome = fetch(&[&strict], options()).await;
    let ports = PORTS.lock().unwrap().clone();
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert_eq!(outcome.unwrap().text, volfile(1));
        assert!(matches!(ports[..], [first, second] if first >= 1024 && second < 1024), "{ports:?}");
    } else {
        assert_eq!(outcome.unwrap_err().kind(), Kind::Access);
    }
}
