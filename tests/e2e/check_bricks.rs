//! `kadalu check` and the disks: the file system of each brick, what it can enforce, and what is left on it.

use crate::checked::{Checked, FAILED, OK, WARNING};
use crate::lab::{Host, Kind, Lab, require};
use crate::labs::Labs;

story! { needs require; ext4, xfs_without_project_quota, full }

const GIB: u64 = 1 << 30;

/// A volume of three copies on a directory of each host, and where its bricks are.
fn start(lab: &Lab, name: &str, dir: &str) -> [String; 3] {
    let bricks: Vec<(&Host, String)> =
        lab.servers().iter().map(|server| (server, format!("{dir}/{name}/brick"))).collect();
    lab.start_volume_at(name, Kind::Replica3, &bricks);
    lab.host(0).wait_online(name);
    [0, 1, 2].map(|n| format!("{}:{}", bricks[n].0.name(), bricks[n].1))
}

#[track_caller]
fn check(lab: &Lab, volume: &str, quota: &str) -> Checked {
    Checked::run(lab.client(), &format!("{}:/{volume}", lab.server_list()), &["--quota", quota])
}

/// The policy says how bad it is that nothing enforces sizes.
fn ext4(labs: &Labs) {
    let lab = labs.plain();
    lab.servers().iter().for_each(|server| server.make_ext4("check-ext4", GIB));
    let bricks = start(lab, "check-ext4", "/mnt/ext4");
    for (quota, outcome) in [("required", FAILED), ("best-effort", WARNING)] {
        let checked = check(lab, "check-ext4", quota);
        for brick in &bricks {
            checked.of("file-system", brick).is(outcome).says(&["ext4"]).advises(&["XFS"]);
            checked.of("inode-size", brick).is(WARNING).says(&["256"]).advises(&["512"]);
        }
    }
    let off = check(lab, "check-ext4", "off");
    assert!(!off.findings.iter().any(|finding| finding["outcome"] == FAILED), "{off}");
}

fn xfs_without_project_quota(labs: &Labs) {
    let lab = labs.plain();
    lab.servers().iter().for_each(|server| server.make_xfs("check-xfs", GIB, "noquota"));
    let bricks = start(lab, "check-xfs", "/mnt/xfs");
    for (quota, outcome) in [("required", FAILED), ("best-effort", WARNING)] {
        let checked = check(lab, "check-xfs", quota);
        checked.only(&["project-quota"]);
        for code in ["brick-online", "file-system", "inode-size", "free-space"] {
            checked.one(code).is(OK);
        }
        for brick in &bricks {
            checked.of("project-quota", brick).is(outcome).advises(&["prjquota"]);
        }
    }
    check(lab, "check-xfs", "off").only(&[]);
}

fn full(labs: &Labs) {
    let lab = labs.plain();
    lab.servers().iter().for_each(|server| server.make_xfs("check-full", GIB, "noquota"));
    let bricks = start(lab, "check-full", "/mnt/xfs");
    check(lab, "check-full", "off").only(&[]);
    let file = "/mnt/xfs/check-full/other";
    lab.host(1)
        .shell(&format!("fallocate -l $(($(stat -f -c '%a * %S' /mnt/xfs/check-full) - 8388608)) {file}"));
    let checked = check(lab, "check-full", "off");
    checked.only(&["free-space"]).one("free-space");
    checked.of("free-space", &bricks[1]).is(FAILED).says(&["0 %"]).advises(&["make room"]);
}
