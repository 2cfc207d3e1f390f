//! `kadalu check` of volumes that cannot hold PVs, or not as promised: each by its code, with what to do.

use crate::checked::{Checked, FAILED, WARNING};
use crate::lab::{Kind, Lab, require};
use crate::labs::Labs;

story! {
    needs require;
    no_such_volume, never_started, stopped, distributed, sharded, read_only, worm, gluster_quota, snapshots_for_users,
    single_copy, copies_on_one_host, server_with_another_volfile, volfile_that_nobody_can_load,
}

/// What is cheap: the state of the disks is another story.
#[track_caller]
fn check(lab: &Lab, volume: &str, flags: &[&str]) -> Checked {
    let source = format!("{}:/{volume}", lab.server_list());
    Checked::run(lab.client(), &source, &[&["--no-status"], flags].concat())
}

/// A volume of this kind whose bricks are online.
fn start<'lab>(labs: &'lab Labs, name: &str, kind: Kind) -> &'lab Lab {
    let lab = labs.plain();
    lab.start_volume(name, kind);
    lab.host(0).wait_online(name);
    lab
}

fn no_such_volume(labs: &Labs) {
    let checked = check(labs.plain(), "check-nonesuch", &[]);
    checked.only(&["volume"]).one("volume").is(FAILED).says(&["check-nonesuch"]).advises(&["name"]);
}

fn never_started(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("check-created", Kind::Replica3);
    let checked = check(lab, "check-created", &[]);
    let found = checked.one("started").is(FAILED);
    found.says(&["never"]).advises(&["gluster volume start check-created"]);
}

fn stopped(labs: &Labs) {
    let lab = start(labs, "check-stopped", Kind::Replica3);
    lab.host(0).gluster(&["volume", "stop", "check-stopped"]);
    let checked = check(lab, "check-stopped", &[]);
    checked.one("started").is(FAILED).says(&["stopped"]).advises(&["gluster volume start check-stopped"]);
}

/// Sizes mean nothing there: permitted by who knows it, and of no matter where one PV has all.
fn distributed(labs: &Labs) {
    for (name, kind) in [("check-dist", Kind::Distribute), ("check-distrep", Kind::DistributedReplicate)] {
        let lab = start(labs, name, kind);
        let checked = check(lab, name, &[]);
        checked.one("layout").is(FAILED).says(&["distribut"]).advises(&["allow"]);
        let allowed = check(lab, name, &["--allow", "distribute"]);
        allowed.one("layout").is(WARNING);
        assert!(!allowed.findings.iter().any(|finding| finding["outcome"] == FAILED), "{allowed}");
        let whole = check(lab, name, &["--single-pv-per-pool"]);
        assert!(!whole.bad().contains(&"layout"), "{whole}");
    }
}

fn sharded(labs: &Labs) {
    let lab = start(labs, "check-shard", Kind::Shard);
    let checked = check(lab, "check-shard", &[]);
    checked.only(&["sharding"]).one("sharding").is(FAILED).says(&["shard"]).advises(&["allow"]);
    let allowed = check(lab, "check-shard", &["--allow", "shard"]);
    allowed.only(&["sharding"]).one("sharding").is(WARNING);
    check(lab, "check-shard", &["--single-pv-per-pool"]).only(&[]);
}

fn read_only(labs: &Labs) {
    let lab = start(labs, "check-ro", Kind::Replica3);
    lab.set("check-ro", "features.read-only", "on");
    let checked = check(lab, "check-ro", &[]);
    let found = checked.only(&["writable"]).one("writable").is(FAILED).says(&["features.read-only"]);
    found.advises(&["gluster volume reset check-ro features.read-only"]);
}

fn worm(labs: &Labs) {
    let lab = start(labs, "check-worm", Kind::Replica3);
    lab.set("check-worm", "features.worm", "enable");
    let checked = check(lab, "check-worm", &[]);
    let found = checked.only(&["writable"]).one("writable").is(FAILED).says(&["features.worm"]);
    found.advises(&["gluster volume reset check-worm features.worm"]);
}

/// Gluster's own quota counts beside ours.
fn gluster_quota(labs: &Labs) {
    let lab = start(labs, "check-quota", Kind::Replica3);
    lab.host(0).gluster(&["volume", "quota", "check-quota", "enable"]);
    let checked = check(lab, "check-quota", &[]);
    let found = checked.only(&["features"]).of("features", "features.quota").is(WARNING);
    found.advises(&["gluster volume quota check-quota disable"]);
}

fn snapshots_for_users(labs: &Labs) {
    let lab = start(labs, "check-uss", Kind::Replica3);
    lab.set("check-uss", "features.uss", "enable");
    check(lab, "check-uss", &[]).only(&["features"]).of("features", "features.uss").is(WARNING);
}

fn single_copy(labs: &Labs) {
    let lab = start(labs, "check-single", Kind::Single);
    let checked = check(lab, "check-single", &[]);
    checked.only(&["redundancy"]).one("redundancy").is(WARNING).says(&["one copy"]).advises(&["replica 3"]);
}

fn copies_on_one_host(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume_on(lab.host(1), "check-one-host", Kind::Replica3);
    lab.host(0).gluster(&["volume", "start", "check-one-host"]);
    lab.host(0).wait_online("check-one-host");
    let checked = check(lab, "check-one-host", &[]);
    checked.only(&["redundancy"]).one("redundancy").is(WARNING).says(&["one host"]);
}

/// As after a partition: which of two volfiles a mount gets is a matter of luck.
fn server_with_another_volfile(labs: &Labs) {
    let lab = start(labs, "check-stale", Kind::Replica3);
    let file = "/var/lib/glusterd/vols/check-stale/check-stale.tcp-fuse.vol";
    lab.host(2).shell(&format!("sed -i 's/option ping-timeout .*/option ping-timeout 7/' {file}"));
    let checked = check(lab, "check-stale", &[]);
    checked.only(&["same-volfile"]).of("same-volfile", "g3:24007").is(WARNING).says(&["ping-timeout"]);
}

/// A stock mount would run what stands in backticks.
fn volfile_that_nobody_can_load(labs: &Labs) {
    let lab = start(labs, "check-poison", Kind::Replica3);
    let file = "/var/lib/glusterd/vols/check-poison/check-poison.tcp-fuse.vol";
    for server in lab.servers() {
        server.shell(&format!("sed -i '/type protocol.client/a option x `true`' {file}"));
    }
    check(lab, "check-poison", &[]).only(&["volfile"]).one("volfile").is(FAILED).says(&["backtick"]);
}
