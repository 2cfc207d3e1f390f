//! `kadalu check` against real glusterd 9.2, 10.3 and 11.1, from hosts with each of them.

use crate::checked::{Checked, OK};
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
        // All copies are on the one server.
        checked.only(&["redundancy"]);
        for code in ["volume", "started", "volfile", "layout", "op-version", "gluster-version"] {
            checked.found(code, None).is(OK);
        }
        checked.found("client-version", None).is(OK).says(&[root.version().expect("a suite's")]);
        checked.found("brick-port", Some(&format!("{}:/mnt/bricks/{name}-0", server.name()))).is(OK);
    }
    // With the state of the disks, as this release tells it.
    let checked = Checked::run(lab.client(), &source, &[]);
    for n in 0..3 {
        let brick = format!("{}:/mnt/bricks/{name}-{n}", server.name());
        checked.found("brick-online", Some(&brick)).is(OK);
        checked.found("free-space", Some(&brick)).is(OK);
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
