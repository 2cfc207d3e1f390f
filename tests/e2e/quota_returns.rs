//! A brick that was down while PVs were made comes back: what self-heal brings is limited there, too, and what it copies of
//! other bricks' words is believed by nobody.

use crate::lab::{Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::mounted::wait_healed;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; with_its_quotad }

const SIZE: u64 = 16 * MIB;

/// The brick that is down.
const DOWN: usize = 2;

/// Its quotad runs all the while, and sees what self-heal brings: there, too, its own word stands in the end.
fn with_its_quotad(labs: &Labs) {
    let bed = Bed::start(labs, "quota-returns-too", Kind::Replica3);
    bed.kill_brick(DOWN);
    let volume = bed.try_create("pvc-returns-too", SIZE, &[]).expect("nobody has to enforce it");
    let target = bed.publish(&volume, "returns-too");
    bed.write(&format!("{target}/before"), 4 << 10).expect(0);
    bed.start_bricks();
    wait_healed(bed.lab.host(0), bed.volume);
    bed.wait_limited(Bed::path(&volume), SIZE);
    bed.wait_healthy(&volume);
    is_full(&bed, &target);
    bed.driver.end_of(&volume, &target);
}

/// A writer is stopped, and the brick that was down has no more than the PV's size.
#[track_caller]
fn is_full(bed: &Bed<'_>, target: &str) {
    stopped(&bed.write(&format!("{target}/large"), 18 << 10).expect(1).stderr);
    eventually("the brick is as full as the others", || {
        let used = bed.check_pv("pvc-returns-too")[DOWN]["used"].as_u64().expect("it is counted");
        assert!(used <= SIZE, "{used}");
        (used > SIZE - 2 * MIB).then_some(())
    });
}
