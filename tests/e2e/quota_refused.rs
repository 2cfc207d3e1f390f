//! `quota=required` promises no size that a brick does not enforce: it names the brick and what is wrong, and the same call
//! succeeds when that is mended.

use tonic::Code;

use crate::driver::again;
use crate::lab::{Host, Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::mounted::wait_healed;
use crate::quotad::{Bed, MIB, Quotad};

story! { needs require_quota; until_it_is_mended, not_on_xfs }

const SIZE: u64 = 16 * MIB;

/// One brick's file system has no `prjquota`, another one's host no quotad; then a brick's process is killed. A PV of
/// `best-effort` is made all the same: its health names the brick, and nothing once it is back.
fn until_it_is_mended(labs: &Labs) {
    let disk = "refused";
    for (n, host) in labs.quota().servers().iter().enumerate() {
        host.make_xfs(disk, 320 * MIB, if n == 2 { "noquota" } else { "prjquota" });
    }
    let mut bed = Bed::without_quotad(labs, disk, "quota-refused", Kind::Replica3);
    bed.quotads = [0, 2].map(|n| Quotad::start(bed.lab.host(n), &[])).into();
    let (never, without) = ("kadalu quotad has never looked after it", "mounted without prjquota");
    refused(&bed, "pvc-first", &[(1, never), (2, without)]);
    bed.quotads.push(Quotad::start(bed.lab.host(1), &[]));
    refused(&bed, "pvc-first", &[(2, without)]);
    bed.kill_brick(2);
    remount(bed.lab.host(2), disk, "prjquota");
    bed.start_bricks();
    let first = bed.create("pvc-first", SIZE, &[]);
    bed.wait_limited(Bed::path(&first), SIZE);
    bed.wait_healthy(&first);

    bed.kill_brick(0);
    refused(&bed, "pvc-second", &[(0, "it cannot be looked at")]);
    let grown = i64::try_from(2 * SIZE).expect("a size");
    let refused_too = bed.driver.block(bed.driver.caller().expand(&first.volume_id, grown));
    let status = refused_too.expect_err("it is not in force on all bricks");
    assert!(status.code() == Code::Unavailable && status.message().contains(&bed.brick(0)), "{status:?}");
    let third = bed.try_create("pvc-third", SIZE, &[]).expect("nobody has to enforce it");
    bed.wait_unhealthy(&third, 0, &["it cannot be looked at"]);
    bed.start_bricks();
    let second = bed.create("pvc-second", SIZE, &[]);
    for (volume, size) in [(&first, 2 * SIZE), (&second, SIZE)] {
        bed.wait_limited(Bed::path(volume), size);
        bed.wait_healthy(volume);
    }
    // Self-heal may have copied the words of one brick to another: growth has each of them said anew.
    for volume in [&first, &third] {
        let expand = || match bed.driver.block(bed.driver.caller().expand(&volume.volume_id, grown)) {
            Err(status) if again(&status) => None,
            outcome => Some(outcome.expect("it is in force by now")),
        };
        assert_eq!(eventually("it has grown", expand), grown);
        bed.wait_limited(Bed::path(volume), 2 * SIZE);
        bed.wait_healthy(volume);
    }
    for volume in [first, second, third] {
        bed.driver.block(bed.driver.caller().delete(&volume.volume_id)).expect("it is deleted");
    }
}

/// A brick on the host's own file system is named as such, until it is replaced by one on XFS.
fn not_on_xfs(labs: &Labs) {
    let (disk, lab) = ("mixed", labs.quota());
    for host in &lab.servers()[..2] {
        host.make_xfs(disk, 320 * MIB, "prjquota");
    }
    lab.host(2).shell(&format!("mkdir -p /mnt/xfs/{disk}"));
    let mut bed = Bed::without_quotad(labs, disk, "quota-mixed", Kind::Replica3);
    bed.start_quotads(&[]);
    refused(&bed, "pvc-1", &[(2, "is not on XFS")]);
    let old = bed.brick(2);
    bed.bricks[2].1 = "/mnt/xfs/quota/quota-mixed-new".to_owned();
    let admin = bed.lab.host(0);
    admin.gluster(&["volume", "replace-brick", bed.volume, &old, &bed.brick(2), "commit", "force"]);
    // The PV's directory was made on the brick before: the new one has it once it is healed, which an admin launches.
    wait_healed(admin, bed.volume);
    let volume = bed.create("pvc-1", SIZE, &[]);
    bed.wait_limited(Bed::path(&volume), SIZE);
    bed.wait_healthy(&volume);
    bed.driver.block(bed.driver.caller().delete(&volume.volume_id)).expect("it is deleted");
}

/// Asks for a PV until the refusal names these bricks, each with its words, and no other; meanwhile nothing else is answered
/// than that it is to be tried again.
#[track_caller]
fn refused(bed: &Bed<'_>, pv: &str, lacks: &[(usize, &str)]) {
    eventually(&format!("{pv} is refused for {lacks:?}"), || {
        let status = bed.try_create(pv, SIZE, &[("quota", "required")]).expect_err("it is not in force");
        eprintln!("{}", status.message());
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        let said = status.message();
        let right = (0..3).all(|n| match lacks.iter().find(|(brick, _)| *brick == n) {
            Some((_, words)) => said.contains(&format!("brick {}: ", bed.brick(n))) && said.contains(words),
            None => !said.contains(&format!("brick {}", bed.brick(n))),
        });
        (right && said.contains(&format!("in force on {} of 3 bricks", 3 - lacks.len()))).then_some(())
    });
}

/// Mounts a file system anew that nobody but a quotad looks at.
fn remount(host: &Host, disk: &str, options: &str) {
    let umount = || host.exec("umount", &[&format!("/mnt/xfs/{disk}")]).status == Some(0);
    eventually("nobody has a file open", || umount().then_some(()));
    host.mount_xfs(disk, options);
}
