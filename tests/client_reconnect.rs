//! What a watch makes of the volfile that it finds after a connection was lost: it may be news, or what a server that was
//! down has not heard of yet (facts §6.5).

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod fakes;

use std::time::Duration;

use fakes::{Glusterd, NOT_FOUND, VOLUME, expect, options, volfile};
use glusterd_client::{
    client::{Cluster, Event, Options, Watch},
    transport::ServerAddress,
};

async fn watch(servers: impl IntoIterator<Item = ServerAddress>, options: Options) -> Watch {
    let mut watch = Cluster::new(servers, options).watch(VOLUME);
    expect(&mut watch, &["connected", "initial 1"]).await;
    watch
}

/// Fakes that serve the volfiles of these numbers.
async fn glusterds<const N: usize>(numbers: [u32; N]) -> [Glusterd; N] {
    let mut all = Vec::new();
    for number in numbers {
        all.push(Glusterd::start(volfile(number)).await);
    }
    all.try_into().unwrap()
}

#[tokio::test]
async fn a_change_missed_is_seen_by_a_second_look_at_a_single_server() {
    let [only] = glusterds([1]).await;
    let options = Options { second_look: Duration::from_millis(50), ..options() };
    let mut watch = watch([only.server()], options).await;
    only.set(volfile(2));
    only.hang_up();
    expect(&mut watch, &["disconnected", "connected", "changed 2"]).await;
    assert_eq!(only.fetches(), 3, "it was looked at twice");
}

#[tokio::test]
async fn a_server_that_comes_back_with_an_old_volfile_changes_nothing() {
    let [only] = glusterds([1]).await;
    let mut watch = watch([only.server()], options()).await;
    only.set(volfile(7));
    only.hang_up();
    expect(&mut watch, &["disconnected", "connected"]).await;
    // FETCHSPEC may be about any volume: the same again proves nothing.
    only.notify();
    only.fetched(3).await;
    only.set(volfile(1));
    only.notify();
    expect(&mut watch, &["unchanged 1"]).await;
}

#[tokio::test]
async fn a_change_upon_an_old_volfile_is_news() {
    let [only] = glusterds([1]).await;
    let mut watch = watch([only.server()], options()).await;
    only.set(volfile(7));
    only.hang_up();
    expect(&mut watch, &["disconnected", "connected"]).await;
    only.fetched(2).await;
    only.set(volfile(2));
    only.notify();
    let Event::Changed { generation, .. } = expect(&mut watch, &["changed 2"]).await else { unreachable!() };
    assert_eq!(generation.text, volfile(2));
}

#[tokio::test]
async fn agreement_of_the_servers_needs_no_second_look() {
    let [first, second] = glusterds([1, 1]).await;
    let mut watch = watch([first.server(), second.server()], options()).await;
    first.set(volfile(2));
    second.set(volfile(2));
    first.hang_up();
    expect(&mut watch, &["disconnected", "connected", "changed 2"]).await;
}

#[tokio::test]
async fn a_server_in_the_minority_is_left() {
    let [first, stale, third] = glusterds([1, 7, 1]).await;
    let mut watch = watch([first.server(), stale.server(), third.server()], options()).await;
    first.hang_up();
    expect(&mut watch, &["disconnected", "connected"]).await;
    let Event::Disconnected { server, reason } = expect(&mut watch, &["disconnected"]).await else {
        unreachable!()
    };
    assert_eq!(server, stale.server());
    assert!(reason.contains("another volfile than most servers"), "{reason}");
    expect(&mut watch, &["connected", "unchanged 1"]).await;
}

#[tokio::test]
async fn a_server_known_by_two_names_has_one_voice() {
    let [first, stale] = glusterds([1, 7]).await;
    let mut watch = watch([first.server(), stale.server(), stale.alias()], options()).await;
    first.hang_up();
    // Two names of the stale one, against one of the other, would be a majority.
    expect(&mut watch, &["disconnected", "connected"]).await;
    stale.fetched(2).await;
    first.fetched(2).await;
    stale.set(volfile(1));
    stale.notify();
    expect(&mut watch, &["unchanged 1"]).await;
}

#[tokio::test]
async fn servers_that_serve_no_volfile_of_use_agree_with_nobody() {
    let [first, second, broken] = glusterds([1, 2, 7]).await;
    broken.set("volume v\n".to_owned());
    let mut watch = watch([first.server(), second.server(), broken.server()], options()).await;
    first.hang_up();
    expect(&mut watch, &["disconnected", "connected"]).await;
    first.fetched(2).await;
    broken.fetched(1).await;
    second.set(volfile(1));
    second.notify();
    expect(&mut watch, &["unchanged 1"]).await;
}

#[tokio::test]
async fn one_server_that_does_not_know_the_volume_is_left_for_those_that_do() {
    let [lost, other] = glusterds([1, 1]).await;
    let mut watch = watch([lost.server(), lost.alias(), other.server()], options()).await;
    // Known by two names, it still has one voice.
    lost.set(NOT_FOUND);
    lost.notify();
    expect(&mut watch, &["disconnected", "connected", "unchanged 1"]).await;
}

#[tokio::test]
async fn a_volume_that_most_servers_do_not_know_is_gone_and_the_one_who_says_so_is_named() {
    let [mut dead, alive] = glusterds([1, 1]).await;
    let mut watch = watch([dead.server(), alive.server()], options()).await;
    alive.set(NOT_FOUND);
    dead.stop().await;
    let Event::Gone(server) = expect(&mut watch, &["disconnected", "gone"]).await else { unreachable!() };
    assert_eq!(server, alive.server());
    alive.set(volfile(1));
    expect(&mut watch, &["connected", "unchanged 1"]).await;
}
