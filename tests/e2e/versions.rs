//! The version matrix: the same against real glusterd 9.2, 10.3 and 11.1.

use std::path::Path;

use crate::lab::{Host, Kind, Root, eventually, require_roots};
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

    lab.client()
        .kadalu(&["volfile-get", server.name(), volume, "--op-version", "1:1"])
        .expect(5)
        .says(&["op-version"]);
    everything_it_tells(labs, server, volume, version);

    let mut watcher = Watcher::start(lab.client(), server.name(), volume, &digest_on(server, volume));
    for timeout in ["21", "22", "23"] {
        server.gluster(&["volume", "set", volume, "network.ping-timeout", timeout]);
        watcher.reaches(&digest_on(server, volume));
    }
    assert_eq!(watcher.published().len(), 4, "{version}");
}

/// The read-only procedures, each called by the example that prints all of them: pool, volumes, the volume's description
/// and id, snapshots, the state of its bricks, and a brick's port as the volume's own glusterd knows it.
fn everything_it_tells(labs: &Labs, server: &Host, volume: &str, version: &str) {
    // Beside the program: `cargo test` builds the examples too.
    let example = Path::new(env!("CARGO_BIN_EXE_kadalu")).with_file_name("examples").join("cluster_info");
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    server.gluster(&["volume", "start", volume]);
    let example = example.to_str().expect("a path in UTF-8");
    let told = eventually("the bricks are up", || {
        let told = labs.versions().client().exec(example, &[server.name(), volume]).expect(0).text();
        (!told.contains("port None")).then_some(told)
    });
    let brick = format!("{}:/mnt/bricks/{volume}-0", server.name());
    let (volume, brick) = (format!("{volume:?}"), format!("{brick:?}"));
    let words = [
        "hostname: \"localhost\"",
        "volumes [",
        &volume,
        "status: Started",
        &brick,
        "id Some(",
        "snapshots Ok([])",
    ];
    for word in words {
        assert!(told.contains(word), "{version}: no {word} in {told}");
    }
    assert!(told.contains("port Some(") && told.contains("online: true"), "{version}: {told}");
    server.gluster(&["volume", "stop", volume.trim_matches('"')]);
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
