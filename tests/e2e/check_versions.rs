//! `kadalu check` against real glusterd 9.2, 10.3 and 11.1, from hosts with each of them.

use crate::checked::{Checked, FAILED, OK, WARNING};
use crate::lab::{Kind, Root, require_roots};
use crate::labs::Labs;

story! { needs require_roots; cluster_9, cluster_10, cluster_11, option_of_11 }

/// A cluster of one server, of which every client says what it is.
fn matrix(labs: &Labs, cluster: Root) {
    let lab = labs.versions();
    let index = |root| Root::SUITES.iter().position(|suite| *suite == root).expect("one of the suites");
    let server = lab.host(index(cluster));
    let name = "check-versions";
    lab.create_volume_on(server, name, Kind::Replica3);
    server.gluster(&["volume", "start", name]);
    server.wait_online(name);
    let source = format!("{}:/{name}", server.name());
    for root in Root::SUITES {
        let client = &lab.clients()[index(root) + 1];
        let checked = Checked::run(client, &source, &["--no-status"]);
        let what = format!("{root:?} on {cluster:?}");
        eprintln!("{what}:\n{checked}");
        // All copies are on the one server. Up to 10 the answers of servers look alike.
        let is_skewed = (root == Root::Trixie) != (cluster == Root::Trixie);
        let skew = is_skewed.then_some("client-version");
        checked.only(&skew.into_iter().chain(["redundancy"]).collect::<Vec<_>>());
        for code in ["volume", "started", "volfile", "layout", "op-version", "gluster-version"] {
            checked.one(code).is(OK);
        }
        checked.one("brick-port").is(OK);
        let outcome = if is_skewed { WARNING } else { OK };
        let version = checked.one("client-version").is(outcome).says(&[root.version().expect("a suite's")]);
        if is_skewed {
            let how = if root == Root::Trixie { "later than the servers" } else { "older than the servers" };
            version.says(&[how]).advises(&["of the servers' release"]);
        }
    }
    // With the state of the disks, as this release tells it.
    let checked = Checked::run(lab.client(), &source, &[]);
    checked.one("brick-online").is(OK);
    for n in 0..3 {
        let brick = format!("{}:/mnt/bricks/{name}-{n}", server.name());
        checked.of("file-system", &brick).is(WARNING).says(&["ext"]);
    }
}

fn cluster_9(labs: &Labs) {
    matrix(labs, Root::Bullseye);
}

fn cluster_10(labs: &Labs) {
    matrix(labs, Root::Bookworm);
}

fn cluster_11(labs: &Labs) {
    matrix(labs, Root::Trixie);
}

/// One that only the glusterfs of 11 can load: glusterd keeps such a volume from the others.
fn option_of_11(labs: &Labs) {
    let (lab, name) = (labs.versions(), "check-of-11");
    let server = lab.host(2);
    lab.create_volume_on(server, name, Kind::Replica3);
    server.gluster(&["volume", "set", name, "cluster.rmdir-optimize", "on"]);
    server.gluster(&["volume", "start", name]);
    server.wait_online(name);
    let source = format!("{}:/{name}", server.name());
    for (client, root) in lab.clients()[1..].iter().zip(Root::SUITES) {
        let checked = Checked::run(client, &source, &["--no-status"]);
        let (window, version) = (checked.one("op-version"), checked.one("client-version"));
        let window = window.says(&["glusterfs 11 and later may load the volume"]);
        if root == Root::Trixie {
            window.is(OK);
            version.is(OK);
        } else {
            let installed = root.version().expect("a suite's");
            window.is(FAILED).says(&[installed]).advises(&["install glusterfs 11 or later"]);
            version.is(FAILED).says(&[installed]).advises(&["install glusterfs 11 or later"]);
        }
    }
}
