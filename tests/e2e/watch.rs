//! Watching: every change of the volume is seen, and nothing else.

use std::collections::HashSet;

use serde_json::Value;

use crate::lab::{Kind, Lab, Signal, require};
use crate::labs::Labs;
use crate::watcher::{Watcher, digest_on};

story! {
    needs require;
    fifty_changes_one_by_one, fifty_changes_in_a_row, changes_of_other_volumes, bricks_change,
    options_and_topology, never_blocks_an_admin, stopped_and_started, deleted_and_created_again,
    deleted_without_a_word,
    ends_on_a_signal, ipv6,
}

fn watch(lab: &Lab, volume: &str) -> Watcher {
    Watcher::start(lab.client(), &lab.server_list(), volume, &digest_on(lab.host(0), volume))
}

/// After each `volume set` the watch gets to its state before the next: fifty changes, fifty events.
fn fifty_changes_one_by_one(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("one-by-one", Kind::Replica3);
    let mut watcher = watch(lab, "one-by-one");
    for n in 0..50 {
        let admin = lab.host(n % 3);
        admin.gluster(&["volume", "set", "one-by-one", "network.ping-timeout", &(50 + n).to_string()]);
        let change = watcher.reaches(&digest_on(admin, "one-by-one"));
        assert_eq!(change["change"]["class"], "options", "{change}");
    }
    assert_eq!(watcher.published().len(), 51);
}

/// Fifty changes with nobody waiting: the last one arrives, and each that is published was really there, in order.
fn fifty_changes_in_a_row(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("in-a-row", Kind::Replica3);
    let mut watcher = watch(lab, "in-a-row");
    let mut served = vec![digest_on(lab.host(0), "in-a-row")];
    for n in 0..50 {
        let admin = lab.host(n % 3);
        admin.gluster(&["volume", "set", "in-a-row", "network.ping-timeout", &(50 + n).to_string()]);
        served.push(digest_on(admin, "in-a-row"));
    }
    assert_eq!(served.iter().collect::<HashSet<_>>().len(), 51, "the volfiles do differ");
    watcher.reaches(served.last().expect("fifty of them"));
    let mut position = 0;
    for event in watcher.published() {
        let found = served[position..].iter().position(|digest| event["digest"] == **digest);
        position += found.unwrap_or_else(|| panic!("never served, or published out of order: {event}"));
    }
}

/// FETCHSPEC names no volume: the changes of another one are no change of this one.
fn changes_of_other_volumes(labs: &Labs) {
    let lab = labs.plain();
    for volume in ["watched", "other"] {
        lab.create_volume(volume, Kind::Single);
    }
    let mut watcher = watch(lab, "watched");
    for n in 0..10 {
        lab.set("other", "network.ping-timeout", &(50 + n).to_string());
    }
    // An option that only glusterd and the bricks read is announced, and changes no client volfile.
    lab.set("watched", "auth.allow", "*");
    lab.set("watched", "network.ping-timeout", "50");
    watcher.reaches(&digest_on(lab.host(0), "watched"));
    assert_eq!(watcher.published().len(), 2);
}

fn bricks_change(labs: &Labs) {
    let lab = labs.plain();
    let admin = lab.host(0);
    lab.start_volume("bricks", Kind::Distribute);
    let mut watcher = watch(lab, "bricks");
    let mut step = |args: &[&str], brick: &str| {
        admin.gluster(args);
        let change = watcher.reaches(&digest_on(admin, "bricks"));
        assert_eq!(change["change"]["class"], "topology", "{change}");
        let items = change["change"]["items"].to_string();
        let path = brick.split_once(':').expect("HOST:/PATH").1;
        assert!(items.contains(path), "{path} is not in {items}");
    };
    let added = lab.brick("bricks", 3);
    step(&["volume", "add-brick", "bricks", &added, "force"], &added);
    step(&["volume", "remove-brick", "bricks", &added, "force"], &added);
    assert_eq!(watcher.published().len(), 3);

    lab.start_volume("replaced", Kind::Replica3);
    let mut watcher = watch(lab, "replaced");
    let (old, new) = (lab.brick("replaced", 2), lab.brick("replaced", 5));
    admin.gluster(&["volume", "replace-brick", "replaced", &old, &new, "commit", "force"]);
    let change = watcher.reaches(&digest_on(admin, "replaced"));
    assert_eq!(change["change"]["class"], "topology", "{change}");
}

/// What glusterfs applies in place and what makes it switch graphs are told apart.
fn options_and_topology(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("classes", Kind::Replica3);
    let mut watcher = watch(lab, "classes");
    for (option, value, class) in [
        ("network.ping-timeout", "17", "options"),
        ("performance.read-ahead", "on", "topology"),
        ("cluster.quorum-type", "fixed", "options"),
        ("features.shard", "on", "topology"),
        ("performance.read-ahead", "off", "topology"),
    ] {
        lab.set("classes", option, value);
        let change = watcher.reaches(&digest_on(lab.host(0), "classes"));
        assert_eq!(change["change"]["class"], class, "{option} {value}: {change}");
        assert!(change["change"]["items"].as_array().is_some_and(|items| !items.is_empty()), "{change}");
    }
}

/// glusterd refuses a change when a connected client is too old for it (facts §6.6): not because of us.
fn never_blocks_an_admin(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("admin", Kind::Single);
    let before = digest_on(lab.host(0), "admin");
    let new_option = ["volume", "set", "admin", "cluster.use-anonymous-inode", "yes"];
    {
        // The same watch as an old client shows that this glusterd does refuse.
        let _old = Watcher::start_with(
            lab.client(),
            &["--op-version", "1:60000", &lab.server_list(), "admin"],
            &before,
        );
        let refused = lab.servers().iter().find_map(|server| server.try_gluster(&new_option).err());
        assert!(refused.expect("an old client blocks it").contains("op-version"));
    }
    let mut watcher = watch(lab, "admin");
    lab.host(0).gluster(&["volume", "reset", "admin"]);
    lab.host(0).gluster(&new_option);
    for (option, value) in [("storage.linux-io_uring", "off"), ("network.ping-timeout", "20")] {
        lab.set("admin", option, value);
    }
    watcher.reaches(&digest_on(lab.host(0), "admin"));
}

/// Neither is announced nor does it change the volfile; what is changed around it is seen.
fn stopped_and_started(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("stopped", Kind::Replica3);
    let mut watcher = watch(lab, "stopped");
    for (command, timeout) in [("stop", "31"), ("start", "32")] {
        lab.host(1).gluster(&["volume", command, "stopped"]);
        lab.set("stopped", "network.ping-timeout", timeout);
        watcher.reaches(&digest_on(lab.host(0), "stopped"));
    }
    assert_eq!(watcher.published().len(), 3);
}

fn deleted_and_created_again(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("deleted", Kind::Single);
    lab.create_volume("bystander", Kind::Single);
    let mut watcher = watch(lab, "deleted");
    lab.host(0).gluster(&["volume", "delete", "deleted"]);
    // Not announced by itself (facts §6.3): the next change of anything is the occasion to notice.
    lab.set("bystander", "network.ping-timeout", "20");
    let gone = watcher.wait_for("that the volume is gone", |event| event["event"] == "gone");
    assert_eq!(gone["volume"], "deleted");
    assert!(watcher.running().runs(), "the watch goes on");
    lab.create_volume("deleted", Kind::Distribute);
    let back = digest_on(lab.host(0), "deleted");
    watcher.wait_for("that the volume is back", |event| event["digest"] == back.as_str());
    assert_eq!(watcher.events().iter().filter(|event| event["event"] == "gone").count(), 1);
}

/// Nobody says a word when a volume is deleted (facts §6.3): only the slow poll finds out, here a fast one.
fn deleted_without_a_word(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("unannounced", Kind::Single);
    let volfile = digest_on(lab.host(0), "unannounced");
    let servers = lab.server_list();
    let mut watcher = Watcher::start_with(lab.client(), &[&servers, "unannounced", "--poll", "1"], &volfile);
    lab.host(1).gluster(&["volume", "delete", "unannounced"]);
    watcher.wait_for("that the volume is gone", |event| event["event"] == "gone");
}

fn ends_on_a_signal(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("signal", Kind::Single);
    for signal in [Signal::Interrupt, Signal::Term] {
        let mut watcher = watch(lab, "signal");
        watcher.running().signal(signal);
        watcher.running().wait();
        assert_eq!(watcher.running().stderr(), "", "{signal:?}");
    }
}

fn ipv6(labs: &Labs) {
    let lab = labs.ipv6();
    lab.create_volume("watch-six", Kind::Distribute);
    let before = digest_on(lab.host(0), "watch-six");
    let mut watcher = Watcher::start(lab.client(), "[fd99::2],[fd99::1]", "watch-six", &before);
    lab.set("watch-six", "network.ping-timeout", "20");
    watcher.reaches(&digest_on(lab.host(0), "watch-six"));
    let servers: Vec<&Value> = watcher.events().iter().map(|event| &event["server"]).collect();
    assert!(servers.iter().any(|server| server.is_string()), "events name their server: {servers:?}");
}
