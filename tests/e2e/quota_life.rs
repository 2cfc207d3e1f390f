//! The limit of a PV follows its life: it grows, shrinks, goes with it, and stays with what is archived.

use serde_json::Value;

use crate::driver::again;
use crate::lab::{Kind, Signal, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; follows }

const SIZE: u64 = 16 * MIB;

/// One PV through all of it, with its size enforced on three bricks.
fn follows(labs: &Labs) {
    let mut bed = Bed::without_quotad(labs, "quota", "quota-life", Kind::Replica3);
    bed.start_quotads(&["--crawl-interval", "2"]);
    let projects = grows_and_shrinks(&bed);
    begins_anew(&bed, &projects);
    stays_when_archived(&mut bed);
}

/// Bytes of the limit on each brick, and what is wrong there.
fn limits(bed: &Bed<'_>, pv: &str) -> Vec<(Option<u64>, Option<String>)> {
    let of =
        |said: Value| (said["limits"]["bytes"].as_u64(), said["problem"]["code"].as_str().map(str::to_owned));
    bed.check_pv(pv).into_iter().map(of).collect()
}

/// The project on each brick.
fn projects(bed: &Bed<'_>, pv: &str) -> Vec<Value> {
    bed.check_pv(pv).into_iter().map(|said| said["project"].clone()).collect()
}

fn in_force(bed: &Bed<'_>, pv: &str, bytes: u64) -> bool {
    limits(bed, pv) == vec![(Some(bytes), None); 3]
}

/// A PV that was full takes more once ControllerExpandVolume has succeeded. A record below the PV's use is no limit below it; and
/// is followed when there is less.
fn grows_and_shrinks(bed: &Bed<'_>) -> Vec<Value> {
    let client = bed.lab.client();
    let volume = bed.create("pvc-1", SIZE, &[]);
    let at = bed.publish(&volume, "one");
    stopped(&bed.write(&format!("{at}/data"), 20 << 10).expect(1).stderr);
    let large = SIZE + 8 * MIB;
    let grown = eventually("it has grown", || {
        match bed.driver.block(bed.driver.caller().expand(&volume.volume_id, large as i64)) {
            Ok(bytes) => Some(bytes),
            Err(status) if again(&status) => None,
            Err(status) => panic!("{status:?}"),
        }
    });
    assert!(grown == large as i64 && in_force(bed, "pvc-1", large), "{:?}", limits(bed, "pvc-1"));
    bed.write(&format!("{at}/more"), 7 << 10).expect(0);
    stopped(&bed.write(&format!("{at}/too-much"), 2 << 10).expect(1).stderr);

    let root = client.mount_volume(bed.lab.host(0), bed.volume);
    let record = format!("{root}/info/{}.json", Bed::path(&volume));
    let edit = |bytes: u64| {
        client
            .shell(&format!(r#"sed -i 's/"size": *[0-9]*/"size":{bytes}/' {record}; grep {bytes} {record}"#))
    };
    edit(4 * MIB);
    let all = eventually("each brick has less in its record than is used", || {
        let all = limits(bed, "pvc-1");
        all.iter().all(|(_, problem)| problem.as_deref() == Some("InUse")).then_some(all)
    });
    for said in bed.check_pv("pvc-1") {
        let (used, limit) = (said["used"].as_u64(), said["limits"]["bytes"].as_u64());
        assert!(limit >= used && limit <= Some(large) && used >= Some(SIZE), "{said} {all:?}");
    }
    stopped(&bed.write(&format!("{at}/too-much"), 2 << 10).expect(1).stderr);
    client.shell(&format!("rm -f {at}/data {at}/too-much"));
    edit(12 * MIB);
    eventually("the limit follows the record", || in_force(bed, "pvc-1", 12 * MIB).then_some(()));
    bed.write(&format!("{at}/data"), 4 << 10).expect(0);
    stopped(&bed.write(&format!("{at}/too-much"), 2 << 10).expect(1).stderr);
    client.shell(&format!("umount {root}"));
    let projects = projects(bed, "pvc-1");
    bed.driver.end_of(&volume, &at);
    projects
}

/// Nothing is left of a deleted PV's limit, and one of the same name is empty and has all of its size.
fn begins_anew(bed: &Bed<'_>, projects: &[Value]) {
    eventually("nothing is left of its projects", || {
        let left = bed.bricks.iter().zip(projects).any(|((host, _), project)| {
            let known = host.xfs_quota("quota", "report -p -b -i -n -N");
            known.lines().any(|line| line.split_whitespace().next() == Some(&format!("#{project}")))
        });
        (!left).then_some(())
    });
    for (host, path) in &bed.bricks {
        let trash =
            host.shell(&format!("cd {path}; [ ! -e .kadalu-trash ] || find .kadalu-trash -mindepth 1"));
        assert_eq!(trash, "", "a limit was released before its files were gone");
    }
    let volume = bed.create("pvc-1", SIZE, &[]);
    assert!(in_force(bed, "pvc-1", SIZE), "{:?}", limits(bed, "pvc-1"));
    let at = bed.publish(&volume, "again");
    assert_eq!(bed.lab.client().shell(&format!("ls -A {at}")), "");
    bed.write(&format!("{at}/data"), 15 << 10).expect(0);
    stopped(&bed.write(&format!("{at}/more"), 2 << 10).expect(1).stderr);
    bed.driver.end_of(&volume, &at);
}

/// A PV that is put aside keeps its project and its limit, which the kernel enforces also where no quotad runs.
fn stays_when_archived(bed: &mut Bed<'_>) {
    let volume = bed.create("pvc-kept", SIZE, &[("reclaim", "archive")]);
    let at = bed.publish(&volume, "kept");
    bed.write(&format!("{at}/data"), 8 << 10).expect(0);
    let before = projects(bed, "pvc-kept");
    bed.driver.end_of(&volume, &at);
    eventually("the archived one is limited as before", || {
        in_force(bed, "archived-pvc-kept", SIZE).then_some(())
    });
    assert!(projects(bed, "archived-pvc-kept") == before && before.iter().all(Value::is_u64), "{before:?}");
    bed.quotads.iter_mut().for_each(|quotad| quotad.end(Signal::Term));
    let client = bed.lab.client();
    let root = client.mount_volume(bed.lab.host(0), bed.volume);
    let kept = Bed::path(&volume).replace("pvc-kept", "archived-pvc-kept");
    stopped(&bed.write(&format!("{root}/{kept}/more"), 10 << 10).expect(1).stderr);
    client.shell(&format!("umount {root}"));
}
