//! `kadalu check` where servers, bricks or the network in between are in trouble: what is reachable from here, and what not.

use crate::checked::{Checked, FAILED, OK, UNKNOWN, WARNING, at};
use crate::lab::{Fate, Host, Kind, Lab, Signal, require};
use crate::labs::Labs;

story! {
    needs require;
    brick_down, all_bricks_down, brick_port_filtered, management_port_filtered, dead_server, silent_server,
    server_cut_off, all_dead, name_that_does_not_exist,
}

/// A volume of three copies whose bricks are online.
fn start(lab: &Lab, name: &str) -> String {
    lab.start_volume(name, Kind::Replica3);
    lab.host(0).wait_online(name);
    format!("{}:/{name}", lab.server_list())
}

/// The port of the server's brick of a volume.
fn port(server: &Host, volume: &str) -> u16 {
    let said = server.gluster(&["volume", "status", volume, "--xml"]);
    let of =
        said.split("<node>").find(|node| node.contains(&format!("<hostname>{}</hostname>", server.name())));
    let port = of.and_then(|node| node.split_once("<tcp>")?.1.split_once("</tcp>"));
    port.and_then(|(port, _)| port.parse().ok()).unwrap_or_else(|| panic!("no port in {said}"))
}

/// One of three copies is gone: PVs work, and somebody should know.
fn brick_down(labs: &Labs) {
    let lab = labs.plain();
    let source = start(lab, "check-brick-down");
    lab.host(1).kill_bricks("check-brick-down");
    let brick = lab.brick("check-brick-down", 1);
    let advice = ["gluster volume start check-brick-down force"];
    let checked = Checked::run(lab.client(), &source, &["--no-status"]);
    checked.only(&["brick-port"]).of("brick-port", &brick).is(WARNING).advises(&advice);
    let checked = Checked::run(lab.client(), &source, &[]);
    checked.of("brick-online", &brick).is(WARNING).advises(&advice);
    checked.one("brick-online");
}

fn all_bricks_down(labs: &Labs) {
    let lab = labs.plain();
    let source = start(lab, "check-bricks-down");
    for server in lab.servers() {
        server.kill_bricks("check-bricks-down");
    }
    let checked = Checked::run(lab.client(), &source, &["--no-status"]);
    for n in 0..3 {
        checked.of("brick-port", &lab.brick("check-bricks-down", n)).is(FAILED);
    }
}

/// A firewall that was opened for 24007 only, as they are.
fn brick_port_filtered(labs: &Labs) {
    let lab = labs.plain();
    let source = start(lab, "check-filtered");
    let bricks = [0, 1, 2].map(|n| lab.brick("check-filtered", n));
    let ports = [0, 1, 2].map(|n| port(lab.host(n), "check-filtered"));
    let check = || Checked::run(lab.client(), &source, &["--no-status"]);
    for fate in [Fate::Drop, Fate::Reset, Fate::Prohibit] {
        let _filter = lab.host(2).filter(lab.client(), &[ports[2]], fate);
        let checked = check();
        let found = checked.only(&["brick-port"]).of("brick-port", &bricks[2]).is(WARNING);
        found.says(&[&ports[2].to_string()]).advises(&["brick ports"]);
    }
    check().only(&[]);
    let _filters = [0, 1, 2].map(|n| lab.host(n).filter(lab.client(), &[ports[n]], Fate::Prohibit));
    let checked = check();
    checked.only(&["brick-port"]);
    for brick in &bricks {
        checked.of("brick-port", brick).is(FAILED).advises(&["brick ports"]);
    }
}

fn management_port_filtered(labs: &Labs) {
    let lab = labs.breakable();
    let source = start(&lab, "check-24007");
    for fate in [Fate::Drop, Fate::Prohibit] {
        let _filter = lab.host(0).filter(lab.client(), &[24007], fate);
        let checked = Checked::run(lab.client(), &source, &["--no-status"]);
        checked.of("server", "g1:24007").is(WARNING).says(&["24007"]);
        // A mount asks the brick's own glusterd for its port.
        let found = checked.of("brick-port", &lab.brick("check-24007", 0)).is(WARNING);
        found.advises(&["glusterd", "g1"]);
        checked.of("server", "g2:24007").is(OK);
    }
}

fn dead_server(labs: &Labs) {
    let lab = labs.breakable();
    let source = start(&lab, "check-dead");
    lab.host(0).kill_glusterd(Signal::Kill);
    let checked = Checked::run(lab.client(), &source, &["--no-status"]);
    checked.of("server", "g1:24007").is(WARNING).says(&["refused"]).advises(&["glusterd"]);
    checked.of("peers", "g1").is(WARNING);
    let found = checked.of("brick-port", &lab.brick("check-dead", 0)).is(WARNING).says(&["refused"]);
    found.advises(&["see that glusterd runs on g1"]);
    for n in [1, 2] {
        checked.of("server", &at(lab.host(n))).is(OK);
    }
    checked.one("started").is(OK);
    checked.only(&["brick-port", "peers", "server"]);
}

/// The kernel accepts, nobody answers.
fn silent_server(labs: &Labs) {
    let lab = labs.breakable();
    let source = start(&lab, "check-silent");
    lab.host(0).kill_glusterd(Signal::Stop);
    let checked = Checked::run(lab.client(), &source, &["--no-status", "--timeout", "2"]);
    lab.host(0).kill_glusterd(Signal::Continue);
    checked.of("server", "g1:24007").is(WARNING).says(&["answer"]);
    checked.one("started").is(OK);
}

fn server_cut_off(labs: &Labs) {
    let lab = labs.breakable();
    let source = start(&lab, "check-cut-off");
    lab.network().drop_packets(lab.host(0), true);
    let checked = Checked::run(lab.client(), &source, &["--no-status", "--timeout", "2"]);
    checked.of("server", "g1:24007").is(WARNING);
    let found = checked.of("brick-port", &lab.brick("check-cut-off", 0)).is(WARNING);
    found.advises(&["let this host and every node reach glusterd on g1"]);
    checked.one("started").is(OK);
}

/// Nothing more is known, and each server has its own reason.
fn all_dead(labs: &Labs) {
    let lab = labs.breakable();
    let source = start(&lab, "check-all-dead");
    for server in lab.servers() {
        server.kill_glusterd(Signal::Kill);
    }
    let checked = Checked::run(lab.client(), &source, &[]);
    for server in lab.servers() {
        checked.of("server", &at(server)).is(FAILED).says(&["refused"]);
    }
    checked.only(&["server"]).one("volume").is(UNKNOWN);
}

fn name_that_does_not_exist(labs: &Labs) {
    let lab = labs.plain();
    start(lab, "check-name");
    let checked = Checked::run(lab.client(), "nosuchhost,g1:/check-name", &["--no-status"]);
    checked.only(&["server"]).of("server", "nosuchhost:24007").is(WARNING).says(&["name"]);
}
