//! `kadalu check` of a volume that is as it should be: it says so, touches nothing, and is in nobody's way.

use serde_json::Value;

use crate::checked::{Checked, FAILED, OK, UNKNOWN, WARNING, at};
use crate::lab::{Host, Kind, Lab, eventually, require};
use crate::labs::Labs;

story! { needs require; healthy, one_server_is_enough, table, touches_nothing, watched, from_a_server }

/// A volume whose bricks are online.
fn start<'lab>(labs: &'lab Labs, name: &str) -> (&'lab Lab, String) {
    let lab = labs.plain();
    lab.start_volume(name, Kind::Replica3);
    lab.host(0).wait_online(name);
    (lab, format!("{}:/{name}", lab.server_list()))
}

/// All but the disks: those of the lab are this machine's, and none of them is XFS with project quota.
fn healthy(labs: &Labs) {
    let (lab, source) = start(labs, "check-healthy");
    let cheap = Checked::run(lab.client(), &source, &["--no-status"]);
    cheap.only(&[]);
    for server in lab.servers() {
        cheap.of("server", &at(server)).is(OK).says(&[&server.address().to_string()]);
    }
    for code in [
        "brick-port",
        "cluster",
        "local-peer",
        "peers",
        "same-volfile",
        "tls",
        "volume",
        "started",
        "volume-id",
        "volfile",
        "layout",
        "sharding",
        "writable",
        "op-version",
    ] {
        cheap.one(code).is(OK);
    }
    cheap.one("client-version").is(OK).says(&["10.3"]);
    let info = lab.host(0).gluster(&["volume", "info", "check-healthy"]);
    let id = info.lines().find_map(|line| line.strip_prefix("Volume ID: ")).expect("its id");
    assert_eq!(cheap.facts["id"], id.trim());

    let all = Checked::run(lab.client(), &source, &["--quota", "required"]);
    all.one("brick-online").is(OK);
    for n in 0..3 {
        let brick = lab.brick("check-healthy", n);
        all.of("file-system", &brick).is(FAILED).says(&["ext"]).advises(&["XFS"]);
        // One thing at a time: no other file system has it.
        all.of("project-quota", &brick).is(UNKNOWN);
    }
    // Only a mount can tell.
    all.one("quota-daemon").is(UNKNOWN);

    let none = Checked::run(lab.client(), &source, &["--no-status", "--glusterfs", "/no/such/program"]);
    none.only(&[]);
    none.one("client-version").is(UNKNOWN).says(&["no glusterfs"]);
}

/// The others are learned from it.
fn one_server_is_enough(labs: &Labs) {
    let (lab, _) = start(labs, "check-one");
    let checked = Checked::run(lab.client(), "g2:/check-one", &["--no-status"]);
    checked.only(&[]);
    let servers = checked.facts["servers"].as_array().expect("servers");
    for server in lab.servers() {
        let its = |known: &Value| known.as_str().is_some_and(|known| known.starts_with(server.name()));
        assert!(servers.iter().any(its), "{} is not in {servers:?}", server.name());
    }
}

fn table(labs: &Labs) {
    let (lab, source) = start(labs, "check-table");
    let good = lab.client().kadalu(&["check", &source, "--no-status"]).expect(0).text();
    assert!(good.contains('✓') && !good.contains('✗'), "{good}");
    lab.host(0).gluster(&["volume", "stop", "check-table"]);
    let bad = lab.client().kadalu(&["check", &source, "--no-status"]).expect(7).text();
    for words in ["✗", "started", "gluster volume start check-table"] {
        assert!(bad.contains(words), "{words:?} is not in {bad}");
    }
    lab.client().kadalu(&["check"]).expect(2);
    lab.client().kadalu(&["check", &source, "--format", "xml"]).expect(2);
}

/// What a cluster knows of a volume, and what is on its bricks.
fn state(lab: &Lab, volume: &str) -> Vec<String> {
    let of = |server: &Host| {
        server.shell(&format!(
            "cd /var/lib/glusterd; find vols/{volume} peers -type f -exec sha256sum {{}} + | sort
             cd /mnt/bricks; find {volume}-* -name .glusterfs -prune -o -printf '%p %T@ %C@ %s\\n' | sort
             getfattr -d -m . -e hex {volume}-*"
        ))
    };
    lab.servers().iter().map(of).chain([lab.host(0).gluster(&["volume", "info", volume])]).collect()
}

/// Makes sure that no brick, and no glusterd for longer than a look takes, has this client.
#[track_caller]
fn has_no_client(lab: &Lab, volume: &str) {
    let said = lab.host(0).gluster(&["volume", "status", volume, "clients"]);
    assert!(!said.contains(&format!("{}:", lab.client().address())), "{said}");
}

fn touches_nothing(labs: &Labs) {
    let (lab, source) = start(labs, "check-touches");
    // The self-heal daemon makes a directory on each brick when it first sees it.
    let before = eventually("self-heal is at rest", || {
        let seen = state(lab, "check-touches");
        let made = seen.iter().filter(|state| state.contains("/.glusterfs-anonymous-inode-")).count();
        (made == lab.servers().len() && seen == state(lab, "check-touches")).then_some(seen)
    });
    for flags in [&[][..], &["--no-status"], &["--quota", "required"], &["--single-pv-per-pool"]] {
        Checked::run(lab.client(), &source, flags);
    }
    has_no_client(lab, "check-touches");
    assert_eq!(state(lab, "check-touches"), before);
}

/// Under the eyes of a check that never ends, an admin can do everything; what that changes is told.
fn watched(labs: &Labs) {
    let (lab, source) = start(labs, "check-watched");
    let name = "check-watched";
    let args = ["check", "--format", "json", "--watch=1", "--no-status", &source];
    let mut watch = lab.client().spawn_kadalu(&args);
    let mut reaches = |what: &str, bad: &[&str]| {
        watch.wait_for(what, |line| {
            let report = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            (Checked::read(&report).bad() == bad).then_some(())
        });
    };
    reaches("a first report", &[]);
    // Refused while a client is connected that says it is older than the option (facts §6.6).
    for value in ["off", "on", "off", "on"] {
        lab.set(name, "cluster.use-anonymous-inode", value);
    }
    has_no_client(lab, name);
    lab.set(name, "features.read-only", "on");
    reaches("a volume that is read-only", &["writable"]);
    lab.set(name, "features.read-only", "off");
    reaches("a volume that is as before", &[]);
    lab.host(0).gluster(&["volume", "stop", name]);
    watch.wait_for("a volume that is stopped", |line| {
        let report = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Checked::read(&report).bad().contains(&"started").then_some(())
    });
}

/// A server of the cluster is handed another volfile, with the volume's password in it.
fn from_a_server(labs: &Labs) {
    let (lab, source) = start(labs, "check-local");
    let trusted = lab.host(0).glusterd_file("vols/check-local/trusted-check-local.tcp-fuse.vol");
    let trusted = String::from_utf8(trusted).expect("a volfile of ASCII");
    let password = trusted.lines().find_map(|line| line.trim().strip_prefix("option password "));
    let checked = Checked::run(lab.host(0), &source, &["--no-status"]);
    checked.only(&["local-peer"]).of("local-peer", &at(lab.host(0))).is(WARNING);
    assert!(!checked.to_string().contains(password.expect("a password")), "a secret is shown");
    // What the servers serve is the same but for it.
    checked.one("same-volfile").is(OK);
}
