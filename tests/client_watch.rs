//! What subscribers of a volume are told, and what it costs the cluster.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod fakes;

use std::time::Duration;

use fakes::{Answer, Glusterd, NOT_FOUND, VOLUME, expect, options, volfile, within};
use glusterd_client::{
    client::{Cluster, Event, Options, Watch},
    server::{self, Server},
    transport::{Listener, ServerAddress},
    volfile::example::Example,
};

/// Our own server, on loopback.
fn embedded() -> (Server, ServerAddress) {
    let server = Server::new(server::Limits::default());
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (server, ServerAddress::tcp("127.0.0.1", port).unwrap())
}

/// A fake with volfile 1, and a watch that has seen it.
async fn watched(options: Options) -> (Glusterd, Watch) {
    let glusterd = Glusterd::start(volfile(1)).await;
    let mut watch = Cluster::new([glusterd.server()], options).watch(VOLUME);
    expect(&mut watch, &["connected", "initial 1"]).await;
    (glusterd, watch)
}

/// Waits until a server has as many connections.
async fn connections(server: &Server, count: usize) {
    within("the connections", async {
        while server.connections().len() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn ten_watches_of_a_volume_are_one_connection_and_one_fetch() {
    let (server, address) = embedded();
    server.publish(VOLUME, volfile(1)).unwrap();
    server.publish("other", volfile(1)).unwrap();
    let cluster = Cluster::new([address], options());
    let mut watches = (0..10).map(|_| cluster.watch(VOLUME)).collect::<Vec<_>>();
    for watch in &mut watches {
        expect(watch, &["connected", "initial 1"]).await;
    }
    let fetches = |server: &Server| server.connections().iter().map(|info| info.fetches).collect::<Vec<_>>();
    assert_eq!(fetches(&server), [1]);

    server.publish(VOLUME, volfile(2)).unwrap();
    for watch in &mut watches {
        expect(watch, &["changed 2"]).await;
    }
    assert_eq!(fetches(&server), [2]);
    expect(&mut cluster.watch(VOLUME), &["initial 2"]).await;
    assert_eq!(fetches(&server), [2], "a late subscriber gets what is there");

    let mut other = cluster.watch("other");
    expect(&mut other, &["connected", "initial 1"]).await;
    assert_eq!(fetches(&server), [2, 1], "glusterd keeps the volume and the op-versions by connection");

    drop(other);
    connections(&server, 1).await;
    let last = watches.pop();
    drop(watches);
    server.publish(VOLUME, volfile(3)).unwrap();
    expect(&mut last.unwrap(), &["changed 3"]).await;
    connections(&server, 0).await;
}

#[tokio::test]
async fn the_connection_ends_with_the_last_watch_although_a_call_is_unanswered() {
    let glusterd = Glusterd::start(volfile(1)).await;
    glusterd.hide_friends();
    let options = Options { reply: Duration::from_secs(3600), ..options() };
    let mut watch = Cluster::new([glusterd.server()], options).watch(VOLUME);
    expect(&mut watch, &["connected", "initial 1"]).await;
    drop(watch);
    glusterd.ended(1).await;
}

#[tokio::test]
async fn a_burst_is_acted_on_at_once_and_costs_one_more_fetch() {
    let (glusterd, mut watch) = watched(options()).await;
    glusterd.hold();
    glusterd.set(volfile(2));
    glusterd.notify();
    glusterd.fetched(2).await;
    // Its answer, with volfile 2, is under way when the next change lands, told a hundred times.
    glusterd.set(volfile(3));
    for _ in 0..100 {
        glusterd.notify();
    }
    glusterd.release();
    let event = expect(&mut watch, &["changed 2", "changed 3"]).await;
    let Event::Changed { generation, .. } = event else { unreachable!() };
    assert_eq!(generation.text, volfile(3));
    glusterd.notify();
    expect(&mut watch, &["unchanged 3"]).await;
    assert_eq!(glusterd.fetches(), 4);
}

#[tokio::test]
async fn what_makes_no_difference_to_glusterfs_is_no_change() {
    let example = Example::with_bricks(VOLUME, 3, 3);
    let text = |example: &Example| String::from_utf8(example.volfile().render().unwrap().to_vec()).unwrap();
    let (glusterd, mut watch) = watched(options()).await;
    glusterd.set(text(&example));
    glusterd.notify();
    expect(&mut watch, &["changed 2"]).await;
    let trusted = example.clone().option("protocol/client", "username", "u").option(
        "protocol/client",
        "password",
        "secret",
    );
    for same in [text(&example), format!("# by hand\n{}\n\n", text(&example)), text(&trusted)] {
        glusterd.set(same);
        glusterd.notify();
        expect(&mut watch, &["unchanged 2"]).await;
    }
}

#[tokio::test]
async fn a_volfile_that_must_not_be_loaded_is_rejected_once_and_the_last_good_one_stays() {
    let (glusterd, mut watch) = watched(options()).await;
    let bad = "volume v\n type debug/io-stats\n option threads `id`\nend-volume\n".to_owned();
    glusterd.set(bad.clone());
    glusterd.notify();
    let Event::Rejected(rejection) = expect(&mut watch, &["rejected"]).await else { unreachable!() };
    assert!(rejection.reasons.iter().any(|reason| reason.contains("line 3")), "{rejection:?}");
    glusterd.notify();
    glusterd.fetched(3).await;
    assert_eq!(watch.current().unwrap().number, 1);

    glusterd.set(volfile(1));
    glusterd.notify();
    expect(&mut watch, &["unchanged 1"]).await;
    glusterd.set(bad);
    glusterd.notify();
    expect(&mut watch, &["rejected"]).await;
    glusterd.set(volfile(2));
    glusterd.notify();
    expect(&mut watch, &["changed 2"]).await;
}

#[tokio::test]
async fn a_first_volfile_that_must_not_be_loaded_is_waited_out() {
    let glusterd = Glusterd::start("volume v\n".to_owned()).await;
    let mut watch = Cluster::new([glusterd.server()], options()).watch(VOLUME);
    expect(&mut watch, &["connected", "rejected"]).await;
    assert!(watch.current().is_none());
    glusterd.set(volfile(1));
    glusterd.notify();
    expect(&mut watch, &["initial 1"]).await;
}

#[tokio::test]
async fn a_volume_goes_and_comes_back() {
    let (glusterd, mut watch) = watched(options()).await;
    glusterd.set(NOT_FOUND);
    glusterd.notify();
    expect(&mut watch, &["gone"]).await;
    glusterd.notify();
    glusterd.fetched(3).await;
    glusterd.set(volfile(1));
    glusterd.notify();
    expect(&mut watch, &["unchanged 1"]).await;
    glusterd.set(NOT_FOUND);
    glusterd.notify();
    expect(&mut watch, &["gone"]).await;
    glusterd.set(volfile(2));
    glusterd.notify();
    expect(&mut watch, &["changed 2"]).await;
}

#[tokio::test]
async fn what_nobody_announces_is_found_by_the_poll() {
    let (glusterd, mut watch) = watched(Options { poll: Duration::from_millis(20), ..options() }).await;
    glusterd.set(volfile(2));
    expect(&mut watch, &["changed 2"]).await;
    glusterd.set(NOT_FOUND);
    expect(&mut watch, &["gone"]).await;
    glusterd.set(volfile(2));
    expect(&mut watch, &["unchanged 2"]).await;
    glusterd.set("volume v\n".to_owned());
    expect(&mut watch, &["rejected"]).await;
    glusterd.set(volfile(2));
    expect(&mut watch, &["unchanged 2"]).await;
}

#[tokio::test]
async fn a_volfile_caught_half_written_is_looked_at_again() {
    let (glusterd, mut watch) = watched(options()).await;
    for (fetches, torn) in [(2, Answer::Torn(volfile(1).into())), (3, Answer::Failure(0, 0))] {
        glusterd.set(torn);
        if fetches == 2 {
            glusterd.notify();
        }
        glusterd.fetched(fetches).await;
    }
    glusterd.set(volfile(2));
    expect(&mut watch, &["changed 2"]).await;
}

#[tokio::test]
async fn a_subscriber_that_lags_gets_the_current_volfile() {
    let (server, address) = embedded();
    server.publish(VOLUME, volfile(1)).unwrap();
    let cluster = Cluster::new([address], options());
    let (mut reader, mut idle) = (cluster.watch(VOLUME), cluster.watch(VOLUME));
    expect(&mut reader, &["connected", "initial 1"]).await;
    for number in 2..=1000 {
        server.publish(VOLUME, volfile(number)).unwrap();
        expect(&mut reader, &[&format!("changed {number}")]).await;
    }
    expect(&mut idle, &["initial 1000"]).await;
    for number in 1001..=1300 {
        server.publish(VOLUME, volfile(number)).unwrap();
        expect(&mut reader, &[&format!("changed {number}")]).await;
    }
    let Event::Changed { generation, change } = expect(&mut idle, &["changed 1300"]).await else {
        unreachable!()
    };
    assert_eq!(generation.text, volfile(1300));
    assert_eq!(change.items.len(), 1, "from the one it saw last: {change:?}");
    server.publish(VOLUME, volfile(1301)).unwrap();
    expect(&mut idle, &["changed 1301"]).await;
}
