//! The version matrix: the same against real glusterd 9.2, 10.3 and 11.1.

use crate::lab::{Kind, Root, require_roots};
use crate::labs::Labs;
use crate::watcher::{Watcher, digest_on};

story! { needs require_roots; glusterd_9, glusterd_10, glusterd_11 }

fn matrix(labs: &Labs, root: Root) {
    let lab = labs.versions();
    let index = Root::SUITES.iter().position(|suite| *suite == root).expect("one of the suites");
    let server = lab.host(index);
    let version = root.version().expect("a suite's");
    let said = server.exec("glusterd", &["--version"]).text();
    assert!(said.starts_with(&format!("glusterfs {version}")), "{said}");

    let volume = "matrix";
    lab.create_volume_on(server, volume, Kind::Distribute);
    let get = lab.client().kadalu(&["volfile-get", server.name(), volume]).expect(0);
    assert_eq!(get.stdout, server.read_volfile(volume), "{version}");
    lab.client().kadalu(&["volfile-get", server.name(), volume, "--check"]).expect(0);
    lab.client().kadalu(&["volfile-get", server.name(), "nonesuch"]).expect(4).says(&["nonesuch"]);

    let mut watcher = Watcher::start(lab.client(), server.name(), volume, &digest_on(server, volume));
    for timeout in ["21", "22", "23"] {
        server.gluster(&["volume", "set", volume, "network.ping-timeout", timeout]);
        watcher.reaches(&digest_on(server, volume));
    }
    assert_eq!(watcher.published().len(), 4, "{version}");
}

fn glusterd_9(labs: &Labs) {
    matrix(labs, Root::Bullseye);
}

fn glusterd_10(labs: &Labs) {
    matrix(labs, Root::Bookworm);
}

fn glusterd_11(labs: &Labs) {
    matrix(labs, Root::Trixie);
}
