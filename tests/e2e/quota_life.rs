//! The limit of a PV follows its record.

use serde_json::Value;

use crate::driver::again;
use crate::lab::{Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; grows_and_shrinks }

const SIZE: u64 = 16 * MIB;

/// Bytes of the limit on each brick, and what is wrong there.
fn limits(bed: &Bed<'_>, pv: &str) -> Vec<(Option<u64>, Option<String>)> {
    let of =
        |said: Value| (said["limits"]["bytes"].as_u64(), said["problem"]["code"].as_str().map(str::to_owned));
    bed.check_pv(pv).into_iter().map(of).collect()
}

fn in_force(bed: &Bed<'_>, pv: &str, bytes: u64) -> bool {
    limits(bed, pv) == vec![(Some(bytes), None); 3]
}

/// A PV that was full takes more once ControllerExpandVolume has succeeded. A record below the PV's use is no limit below it; and
/// is followed when there is less.
fn grows_and_shrinks(labs: &Labs) {
    let mut bed = Bed::without_quotad(labs, "quota", "quota-life", Kind::Replica3);
    bed.start_quotads(&["--crawl-interval", "2"]);
    let bed = &bed;
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
    bed.driver.end_of(&volume, &at);
}
