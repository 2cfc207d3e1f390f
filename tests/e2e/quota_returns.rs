//! A brick that was down while PVs were made comes back: what self-heal brings is limited there, too, and what it copies of
//! other bricks' words is believed by nobody.

use crate::lab::eventually;
use crate::lab::{Kind, Signal, require_quota};
use crate::labs::Labs;
use crate::mounted::wait_healed;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; without_its_quotad, with_its_quotad }

const SIZE: u64 = 16 * MIB;

/// The brick that is down.
const DOWN: usize = 2;

/// Its quotad is down with it. Self-heal copies another brick's acknowledgement, and the controller says that nothing is in
/// force there, until quotad is back and has put its own in that place.
fn without_its_quotad(labs: &Labs) {
    let mut bed = Bed::start(labs, "quota-returns", Kind::Replica3);
    bed.kill_brick(DOWN);
    bed.quotads[DOWN].end(Signal::Kill);
    let volume = bed.try_create("pvc-returns", SIZE, &[]).expect("nobody has to enforce it");
    let path = Bed::path(&volume);
    let target = bed.publish(&volume, "returns");
    bed.lab.client().shell(&format!("mkdir {target}/dir && echo data >{target}/dir/file"));
    let projects = [0, 1].map(|n| bed.wait_limited_on(n, path, SIZE));
    bed.wait_unhealthy(&volume, DOWN, &[""]);

    bed.start_bricks();
    wait_healed(bed.lab.host(0), bed.volume);
    let copied = bed.said(DOWN, path).expect("self-heal copies it");
    assert!([0, 1].iter().any(|n| copied.brick == bed.brick(*n)), "{copied:?}");
    bed.wait_unhealthy(&volume, DOWN, &[""]);

    bed.quotads[DOWN].restart();
    bed.wait_limited_on(DOWN, path, SIZE);
    // The others' words were overwritten too, which is seen at the next look at everything: here, at the next start.
    for quotad in &mut bed.quotads[..DOWN] {
        quotad.end(Signal::Kill);
        quotad.restart();
    }
    let now = [0, 1].map(|n| bed.wait_limited_on(n, path, SIZE));
    assert_eq!(now, projects, "the others stay as they are");
    bed.wait_healthy(&volume);
    is_full(&bed, &target);
    wait_healed(bed.lab.host(0), bed.volume);
    bed.driver.end_of(&volume, &target);
}

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
    let pv = if bed.volume == "quota-returns" { "pvc-returns" } else { "pvc-returns-too" };
    eventually("the brick is as full as the others", || {
        let used = bed.check_pv(pv)[DOWN]["used"].as_u64().expect("it is counted");
        assert!(used <= SIZE, "{used}");
        (used > SIZE - 2 * MIB).then_some(())
    });
}
