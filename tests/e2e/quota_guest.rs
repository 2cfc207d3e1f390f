//! What the other stories of quota stand on: XFS bricks that really stop a writer, by limits that were set the old way.

use crate::lab::{Kind, require_quota};
use crate::labs::Labs;

story! { needs require_quota; stops_a_writer, without_prjquota }

const MIB: u64 = 1 << 20;

/// A limit on one directory of each brick, by `xfs_quota`: who writes there through the mount has to stop, and nobody else.
fn stops_a_writer(labs: &Labs) {
    let lab = labs.quota();
    let (client, name) = (lab.client(), "quota-guest");
    let bricks = lab.xfs_bricks("quota", name, Kind::Replica3);
    lab.start_volume_at(name, Kind::Replica3, &bricks);
    let mount = client.mount_volume(lab.host(0), name);
    client.shell(&format!("mkdir {mount}/pv {mount}/neighbour"));
    for (host, brick) in &bricks {
        host.xfs_quota("quota", &format!("project -s -p {brick}/pv 77"));
        host.xfs_quota("quota", "limit -p bhard=20m 77");
    }
    let write = |file: &str| {
        client.exec("dd", &["if=/dev/zero", &format!("of={mount}/{file}"), "bs=1M", "count=24", "conv=fsync"])
    };
    let said = write("pv/data").expect(1).stderr;
    assert!(["No space left on device", "Disk quota exceeded"].iter().any(|s| said.contains(s)), "{said}");
    let size = client.shell(&format!("stat --format %s {mount}/pv/data"));
    let size: u64 = size.trim().parse().expect("a number");
    assert!((19 * MIB..=21 * MIB).contains(&size), "{size}");
    for (host, brick) in &bricks {
        let used = host.shell(&format!("du --block-size 1 --summarize {brick}/pv | cut --fields 1"));
        let used: u64 = used.trim().parse().expect("a number");
        assert!((19 * MIB..=20 * MIB).contains(&used), "{brick}: {used}");
    }
    write("neighbour/data").expect(0);
    client.shell(&format!("umount {mount}"));
}

/// A file system without `prjquota` takes no limit, until it is mounted with it.
fn without_prjquota(labs: &Labs) {
    let host = labs.quota().host(0);
    host.make_xfs("bare", 512 * MIB, "noquota");
    let limits = || host.exec("xfs_quota", &["-x", "-c", "limit -p bhard=20m 77", "/mnt/xfs/bare"]);
    assert_ne!(limits().stderr, "");
    host.umount_xfs("bare");
    host.mount_xfs("bare", "prjquota");
    assert_eq!(limits().stderr, "");
    host.umount_xfs("bare");
}
