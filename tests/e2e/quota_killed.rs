//! quotad is killed at random moments on every host while PVs are made, grown and deleted: what was asked is in force in the
//! end, and nothing else is left.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::csi_killed::insist;
use crate::driver::{audit, runtime};
use crate::lab::{Host, Kind, Signal, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB};

story! { needs require_quota; at_random_moments }

/// How many PVs are made. Every other one is expanded, every third one deleted, and made again with another size.
const PVS: usize = 7;

/// The first project that quotad takes.
const FIRST: u32 = 1 << 30;

/// How large PV `n` is in the end, in MiB; none where it is deleted.
fn size(n: usize) -> Option<u64> {
    match n % 3 {
        2 if n == 2 => None,
        2 => Some(16),
        _ => Some(if n.is_multiple_of(2) { 24 } else { 20 }),
    }
}

/// While a provisioner works, one quotad after the other dies and is started again. After the last start every PV has its
/// limit on every brick, in a project of its own, and the file systems know of no other limit.
fn at_random_moments(labs: &Labs) {
    let disk = "killed";
    for host in labs.quota().servers() {
        host.make_xfs(disk, 512 * MIB, "prjquota");
    }
    let mut bed = Bed::without_quotad(labs, disk, "quota-killed", Kind::Replica3);
    bed.start_quotads(&[]);
    let seed = fastrand::u64(..);
    eprintln!("the seed is {seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let (connect, servers, name) = (bed.driver.connector(), bed.lab.server_list(), bed.volume);
    let ended = AtomicBool::new(false);
    let paths = thread::scope(|scope| {
        let provisioner = scope.spawn(|| {
            let _ended = Ended(&ended);
            runtime().block_on(async {
                let (caller, mut paths) = (connect(), Vec::new());
                let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", name)];
                for n in 0..PVS {
                    let pv = format!("pvc-{n}");
                    let create = async |mib: i64| {
                        insist("create", async || caller.create(&pv, mib << 20, &parameters).await).await
                    };
                    let mut volume = create(20).await;
                    if n.is_multiple_of(2) {
                        insist("expand", async || caller.expand(&volume.volume_id, 24 << 20).await).await;
                    }
                    if n % 3 == 2 {
                        insist("delete", async || caller.delete(&volume.volume_id).await).await;
                    }
                    if n % 3 == 2 && n != 2 {
                        volume = create(16).await;
                    }
                    paths.push(Bed::path(&volume).to_owned());
                }
                paths
            })
        });
        let mut kills = 0;
        while !ended.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(random.u64(..600)));
            let quotad = random.choice(bed.quotads.iter_mut()).expect("three");
            quotad.end(Signal::Kill);
            // Another one may die meanwhile.
            sleep(Duration::from_millis(random.u64(..200)));
            quotad.restart();
            kills += 1;
        }
        eprintln!("quotad was killed {kills} times");
        assert!(kills >= 3, "{kills}");
        provisioner.join().expect("see above")
    });
    eventually("the trash is emptied", || audit_is_clean(bed.lab.host(0), name).then_some(()));
    for quotad in &mut bed.quotads {
        quotad.end(Signal::Kill);
        quotad.restart();
    }

    let mut projects = vec![BTreeSet::new(); bed.bricks.len()];
    for (n, path) in paths.iter().enumerate() {
        let Some(mib) = size(n) else { continue };
        for (project, of_brick) in bed.wait_limited(path, mib * MIB).into_iter().zip(&mut projects) {
            assert!(
                project >= FIRST && of_brick.insert(project),
                "{path} has project {project} of another one"
            );
        }
    }
    for ((host, _), expected) in bed.bricks.iter().zip(&projects) {
        eventually(&format!("{} has limits of {expected:?} alone", host.name()), || {
            let limited = limited(host, disk);
            (limited == *expected).then_some(())
        });
    }
}

/// Whether nothing waits to be deleted.
fn audit_is_clean(server: &Host, volume: &str) -> bool {
    audit(server, volume).trash.is_empty()
}

/// The projects that have a limit.
fn limited(host: &Host, disk: &str) -> BTreeSet<u32> {
    let report = host.xfs_quota(disk, "report -p -n -b -N");
    let project = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [project, _used, _soft, hard, ..] = words.as_slice() else { return None };
        let project = project.trim_start_matches('#').parse::<u32>().ok()?;
        (*hard != "0").then_some(project)
    };
    report.lines().filter_map(project).collect()
}

/// Says that a thread has ended, by whatever way.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
