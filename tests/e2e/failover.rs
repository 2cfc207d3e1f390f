//! Watching while servers die, hang, restart and are cut off.

use crate::lab::{Host, Kind, Lab, Signal, require};
use crate::labs::Labs;
use crate::watcher::{Watcher, digest_on};

story! {
    needs require;
    connected_server_killed, connected_server_stands_still, connected_server_cut_off,
    connected_server_loses_its_interface, client_cut_off, all_stopped_and_started, stale_after_restart,
    isolated_after_restart,
}

fn watch(lab: &Lab, volume: &str) -> Watcher {
    lab.create_volume(volume, Kind::Distribute);
    Watcher::start(lab.client(), &lab.server_list(), volume, &digest_on(lab.host(0), volume))
}

/// A server that is not `this`.
fn other<'lab>(lab: &'lab Lab, this: &Host) -> &'lab Host {
    lab.servers().iter().find(|server| server.name() != this.name()).expect("there are three")
}

/// Changes the volume on `admin` and waits until the watch got it, as the one change since `published`.
fn change(watcher: &mut Watcher, admin: &Host, volume: &str, timeout: &str) {
    let published = watcher.published().len();
    admin.gluster(&["volume", "set", volume, "network.ping-timeout", timeout]);
    watcher.reaches(&digest_on(admin, volume));
    assert_eq!(watcher.published().len(), published + 1);
}

fn connected_server_killed(labs: &Labs) {
    let lab = labs.breakable();
    let mut watcher = watch(&lab, "killed");
    for timeout in ["21", "22"] {
        let connected = watcher.server(&lab);
        connected.kill_glusterd(Signal::Kill);
        // At once: the change may come before, while and after the watch finds its next server.
        change(&mut watcher, other(&lab, connected), "killed", timeout);
        assert_ne!(watcher.server(&lab).name(), connected.name());
        watcher.published();
        connected.start_glusterd();
        lab.wait_for_peers();
    }
    let said: Vec<&str> = watcher.events().iter().filter_map(|event| event["event"].as_str()).collect();
    assert!(said.contains(&"disconnected") && said.contains(&"connected"), "{said:?}");
}

/// The kernel keeps the connection alive, nobody answers: only a ping finds out.
fn connected_server_stands_still(labs: &Labs) {
    let lab = labs.breakable();
    let mut watcher = watch(&lab, "still");
    let connected = watcher.server(&lab);
    connected.kill_glusterd(Signal::Stop);
    let moved = watcher.wait_for("another server", |event| event["event"] == "connected");
    connected.kill_glusterd(Signal::Continue);
    assert!(moved["server"].is_string(), "{moved}");
    assert_ne!(watcher.server(&lab).name(), connected.name());
    change(&mut watcher, connected, "still", "21");
}

fn cut_off(lab: &Lab, volume: &str, cut: impl Fn(&Host)) {
    let mut watcher = watch(lab, volume);
    let connected = watcher.server(lab);
    cut(connected);
    watcher.wait_for("another server", |event| event["event"] == "connected");
    assert_ne!(watcher.server(lab).name(), connected.name());
    change(&mut watcher, other(lab, connected), volume, "21");
}

fn connected_server_cut_off(labs: &Labs) {
    let lab = labs.breakable();
    cut_off(&lab, "cut-off", |server| lab.network().drop_packets(server, true));
}

fn connected_server_loses_its_interface(labs: &Labs) {
    let lab = labs.breakable();
    cut_off(&lab, "interface", |server| server.interface(false));
}

/// The client's side of the cable: a change made meanwhile is seen when it is back.
fn client_cut_off(labs: &Labs) {
    let lab = labs.breakable();
    let mut watcher = watch(&lab, "client-cut");
    let client = lab.client();
    client.interface(false);
    lab.set("client-cut", "network.ping-timeout", "21");
    client.interface(true);
    watcher.reaches(&digest_on(lab.host(0), "client-cut"));
    lab.network().drop_packets(client, true);
    lab.set("client-cut", "network.ping-timeout", "22");
    // Long enough that the watch has noticed: it must then come back by itself.
    watcher.wait_for("that the watch notices", |event| event["event"] == "disconnected");
    lab.network().drop_packets(client, false);
    watcher.reaches(&digest_on(lab.host(0), "client-cut"));
    assert_eq!(watcher.published().len(), 3);
}

fn all_stopped_and_started(labs: &Labs) {
    let lab = labs.breakable();
    let mut watcher = watch(&lab, "everyone");
    for server in lab.servers() {
        server.kill_glusterd(Signal::Term);
    }
    watcher.wait_for("that the watch notices", |event| event["event"] == "disconnected");
    for server in lab.servers() {
        server.start_glusterd();
    }
    lab.wait_for_peers();
    watcher.wait_for("a server", |event| event["event"] == "connected");
    change(&mut watcher, lab.host(1), "everyone", "21");
    assert_eq!(watcher.published().len(), 2, "nothing changed while all were down");
}

/// A glusterd that was down during a change serves its old volfile for seconds when it is back (facts §6.5): the
/// watch that finds only this one must not publish the old state as a change.
fn stale_after_restart(labs: &Labs) {
    let lab = labs.breakable();
    let client = lab.client();
    // The client sees only the first two; the third is there to hold the truth.
    client.shell(&format!("ip route add unreachable {}", lab.host(2).address()));
    let mut watcher = watch(&lab, "stale");
    let connected = watcher.server(&lab);
    let stale = other(&lab, connected);
    stale.kill_glusterd(Signal::Kill);
    change(&mut watcher, lab.host(2), "stale", "21");
    connected.kill_glusterd(Signal::Kill);
    stale.start_glusterd();
    watcher.wait_for("the restarted server", |event| event["event"] == "connected");
    connected.start_glusterd();
    lab.wait_for_peers();
    change(&mut watcher, lab.host(2), "stale", "22");
    assert_eq!(watcher.published().len(), 3, "no step back to the old state: {:?}", watcher.events());
    client.shell(&format!("ip route del unreachable {}", lab.host(2).address()));
}

/// A glusterd that comes back without its peers serves its old volfile for as long as it is alone: a watch that
/// reaches no other server holds on to what it has, however often the server repeats itself.
fn isolated_after_restart(labs: &Labs) {
    let lab = labs.breakable();
    let client = lab.client();
    let hidden = format!("unreachable {}", lab.host(2).address());
    client.shell(&format!("ip route add {hidden}"));
    let mut watcher = watch(&lab, "isolated");
    let connected = watcher.server(&lab);
    let isolated = other(&lab, connected);
    isolated.kill_glusterd(Signal::Kill);
    change(&mut watcher, lab.host(2), "isolated", "21");
    let peers: Vec<_> = lab.servers().iter().filter(|server| server.name() != isolated.name()).collect();
    for peer in &peers {
        isolated.shell(&format!("ip route add unreachable {}", peer.address()));
    }
    connected.kill_glusterd(Signal::Kill);
    isolated.start_glusterd();
    watcher.wait_for("a server", |event| event["event"] == "connected");
    assert_eq!(watcher.server(&lab).name(), isolated.name());
    // Twice the time after which a server that is not alone is believed.
    std::thread::sleep(std::time::Duration::from_secs(10));
    for peer in &peers {
        isolated.shell(&format!("ip route del unreachable {}", peer.address()));
    }
    connected.start_glusterd();
    lab.wait_for_peers();
    change(&mut watcher, lab.host(2), "isolated", "22");
    assert_eq!(watcher.published().len(), 3, "no step back to the old state: {:?}", watcher.events());
    client.shell(&format!("ip route del {hidden}"));
}
