//! `kadalu check` against real glusterd 9.2, 10.3 and 11.1, from hosts with each of them.

use crate::checked::{Checked, OK, WARNING};
use crate::lab::{Kind, Root, require_roots};
use crate::labs::Labs;

story! { needs require_roots; cluster_9, cluster_10, cluster_11 }

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
        checked.one("client-version").is(outcome).says(&[root.version().expect("a suite's")]);
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
