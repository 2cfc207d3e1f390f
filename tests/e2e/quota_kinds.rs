//! A PV stops at its size on every kind of volume, its neighbour does not notice, and nothing is left to heal.

use serde_json::Value;

use crate::lab::{Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; single_brick, replica_3, arbiter, disperse }

const SIZE: u64 = 16 * MIB;

/// A writer of one PV is stopped within 1 MiB of its size, keeps what was written, and another PV on the same bricks takes its
/// full size afterwards.
fn a_writer_stops(bed: &Bed<'_>) {
    let client = bed.lab.client();
    let (full, neighbour) = (bed.create("pvc-full", SIZE, &[]), bed.create("pvc-neighbour", SIZE, &[]));
    let (at, beside) = (bed.publish(&full, "full"), bed.publish(&neighbour, "neighbour"));
    for pv in ["pvc-full", "pvc-neighbour"] {
        for said in bed.check_pv(pv) {
            assert!(said["project"].is_u64() && said["problem"].is_null(), "{pv}: {said}");
        }
    }
    let said = bed.write(&format!("{at}/data"), SIZE / 1024 * 3 / 2).expect(1).stderr;
    // Where half of the bricks of a disperse volume took a write and half did not, Gluster has lost the file.
    if bed.kind != Kind::Disperse || !said.contains("Input/output error") {
        stopped(&said);
        // Write-behind goes on after a failure: what is stored counts, not where the file ends.
        let stored = client.shell(&format!("stat --format '%b * 512' {at}/data | xargs expr"));
        let stored: u64 = stored.trim().parse().expect("a number");
        assert!((SIZE - MIB..=SIZE).contains(&stored), "{stored}");
        client.shell(&format!("cmp --bytes {} {at}/data /dev/zero", SIZE - 2 * MIB));
    }
    for said in bed.check_pv("pvc-full") {
        assert!(said["used"].as_u64() <= said["limits"]["bytes"].as_u64(), "{said}");
    }

    bed.write(&format!("{beside}/data"), (SIZE - MIB / 16) / 1024).expect(0);

    // What was freed can be written again.
    client.shell(&format!("rm {at}/data"));
    eventually("what was removed is free", || {
        let said = bed.check_pv("pvc-full");
        said.iter().all(|said| said["used"].as_u64() < Some(MIB)).then_some(())
    });
    bed.write(&format!("{at}/data"), (SIZE - MIB) / 1024).expect(0);
    bed.driver.end_of(&full, &at);
    bed.driver.end_of(&neighbour, &beside);
}

/// Soon no file waits for self-heal.
fn nothing_to_heal(bed: &Bed<'_>) {
    eventually("nothing is left to heal", || {
        let said = bed.lab.host(0).gluster(&["volume", "heal", bed.volume, "info"]);
        let entries = said.lines().filter(|line| line.starts_with("Number of entries:"));
        (entries.filter(|line| line.ends_with(" 0")).count() == bed.bricks.len()).then_some(())
    });
}

fn single_brick(labs: &Labs) {
    a_writer_stops(&Bed::start(labs, "quota-single", Kind::Single));
}

fn replica_3(labs: &Labs) {
    let bed = Bed::start(labs, "quota-replica", Kind::Replica3);
    a_writer_stops(&bed);
    nothing_to_heal(&bed);
}

/// Where the arbiter takes whatever is written, it counts files: all bricks say no at the same one.
fn arbiter(labs: &Labs) {
    let bed = Bed::start(labs, "quota-arbiter", Kind::Arbiter);
    a_writer_stops(&bed);
    let many = bed.create("pvc-many", 4 * MIB, &[]);
    let at = bed.publish(&many, "many");
    // A hundred at a time: a slow guest makes ten a second.
    let touch = |first: usize| {
        let script = format!("cd {at} && touch $(seq {first} {})", first + 99);
        bed.lab.client().exec("sh", &["-c", &script])
    };
    let said = (1..1100).step_by(100).map(touch).find(|said| said.status != Some(0));
    stopped(&said.expect("it stops").stderr);
    let limits = bed.check_pv("pvc-many").into_iter().map(|said| said["limits"]["inodes"].clone());
    assert_eq!(limits.collect::<Vec<_>>(), vec![Value::from(1024); 3]);
    for (host, brick) in &bed.bricks {
        let count = host.shell(&format!("find {brick}/{} | wc --lines", Bed::path(&many)));
        assert_eq!(count.trim(), "1024", "{brick}");
    }
    nothing_to_heal(&bed);
    bed.driver.end_of(&many, &at);
}

/// Each of three bricks has a third of what is written, and one more as much.
fn disperse(labs: &Labs) {
    let bed = Bed::start(labs, "quota-disperse", Kind::Disperse);
    a_writer_stops(&bed);
    nothing_to_heal(&bed);
}
