//! The version of the client's glusterfs is not the cluster's: 9.2 and 11.1 on 10.3, and 10.3 on 11.1.

use crate::changes::{Change, Volume};
use crate::lab::{Root, Signal, require_roots};
use crate::labs::Labs;
use crate::mounted::{Load, MountHost};

story! { needs require_roots; old_client, new_client, new_cluster }

fn follow(labs: &Labs, client: Root, cluster: Root) {
    let lab = labs.versions();
    let index = |root| Root::SUITES.iter().position(|suite| *suite == root).expect("one of the suites");
    let (client, server) = (&lab.clients()[index(client) + 1], lab.host(index(cluster)));
    let name = format!("skew-{}-{}", client.name(), server.name());
    let mut volume = Volume::start(server, vec![server], &name);
    let mut host = MountHost::start(client, &name);
    let target = host.mount(&format!("{}:/{name}", server.name()), "all", &[]);
    host.wait_active(server, &name);
    let load = Load::start(client, &target, &[]);
    let mut random = fastrand::Rng::new();
    for change in [
        Change::Set("network.ping-timeout", "30"),
        Change::Toggle("performance.read-ahead"),
        Change::Toggle("performance.write-behind"),
        Change::AddBricks,
        Change::RemoveBricks,
        Change::ToTwo,
        Change::ToThree,
        Change::ReplaceBrick,
    ] {
        volume.apply(change, &mut random);
        host.wait_active(server, &name);
    }
    server.kill_glusterd(Signal::Kill);
    host.end(Signal::Kill);
    server.start_glusterd();
    volume.apply(Change::Toggle("performance.quick-read"), &mut random);
    host.restart();
    host.wait_active(server, &name);
    load.unharmed(&name);
}

fn old_client(labs: &Labs) {
    follow(labs, Root::Bullseye, Root::Bookworm);
}

fn new_client(labs: &Labs) {
    follow(labs, Root::Trixie, Root::Bookworm);
}

fn new_cluster(labs: &Labs) {
    follow(labs, Root::Bookworm, Root::Trixie);
}
