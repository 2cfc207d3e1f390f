//! The driver, its mount host, or both in one, are killed at random points of every operation; what was asked is asked again.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::driver::{Called, Driver, GIB, again, audit, runtime};
use crate::lab::{Kind, PATIENCE, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; all_in_one, driver_or_mount_host, whole_volume }

/// As a sidecar does: until the call has an answer that is one.
pub(crate) async fn insist<T>(what: &str, mut call: impl AsyncFnMut() -> Called<T>) -> T {
    let begin = Instant::now();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(status) if again(&status) && begin.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(status) => panic!("{what}: {status:?}"),
        }
    }
}

fn all_in_one(labs: &Labs) {
    directories(labs, "csi-killed", None);
}

fn driver_or_mount_host(labs: &Labs) {
    let host = MountHost::start(labs.plain().client(), "csi-killed-host");
    directories(labs, "csi-killed-two", Some(host));
}

/// The life of a PV, by somebody who insists.
fn life(
    driver: &Driver,
    pod: &str,
    parameters: &[(&str, String)],
    grows: bool,
) -> (String, thread::JoinHandle<()>) {
    let (connect, pod, target) = (driver.connector(), pod.to_owned(), driver.pod(pod));
    let (parameters, of_thread) = (parameters.to_owned(), target.clone());
    let parameters: Vec<_> = parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let life = thread::spawn(move || {
        runtime().block_on(async {
            let (caller, target) = (connect(), of_thread);
            let parameters: Vec<_> =
                parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let volume = insist("create", async || caller.create(&pod, GIB, &parameters).await).await;
            let id = &volume.volume_id;
            insist("stage", async || caller.stage(&volume).await).await;
            insist("publish", async || caller.publish(&volume, &target, false).await).await;
            if grows {
                insist("expand", async || caller.expand(id, 2 * GIB).await).await;
            }
            insist("unpublish", async || caller.unpublish(id, &target).await).await;
            insist("unstage", async || caller.unstage(id).await).await;
            insist("delete", async || caller.delete(id).await).await;
        });
    });
    (target, life)
}

/// Kills and starts again what a number says, at random moments.
fn kill(driver: &mut Driver, host: &mut Option<MountHost>, random: &mut fastrand::Rng) {
    for _ in 0..4 {
        sleep(Duration::from_millis(random.u64(..400)));
        match host {
            Some(host) if random.bool() => {
                host.end(Signal::Kill);
                host.restart();
            }
            _ => {
                driver.end(Signal::Kill);
                driver.restart();
            }
        }
    }
}

fn directories(labs: &Labs, name: &str, mut host: Option<MountHost>) {
    let lab = labs.plain();
    lab.start_volume(name, Kind::Replica3);
    let socket = host.as_ref().map(|host| format!("unix:{}", host.socket()));
    let flags: Vec<_> = socket.iter().flat_map(|socket| ["--mountd", socket]).collect();
    let mut driver = Driver::start(lab, name, &flags);
    let servers = lab.server_list();
    let mut random = fastrand::Rng::new();
    // What must be there at the end, and only that.
    let (stays, kept) = driver.serve("pvc-stays", &[("gluster_hosts", &servers), ("gluster_volname", name)]);
    lab.client().shell(&format!("echo kept >{kept}/file"));
    let mut there = vec!["pvc-stays".to_owned()];
    for round in 0..6 {
        let (pod, reclaim) = (format!("pvc-{round}"), ["delete", "archive", "retain"][round % 3]);
        let parameters = [
            ("gluster_hosts", servers.clone()),
            ("gluster_volname", name.to_owned()),
            ("reclaim", reclaim.to_owned()),
        ];
        let (target, life) = life(&driver, &pod, &parameters, true);
        kill(&mut driver, &mut host, &mut random);
        life.join().unwrap_or_else(|_| panic!("round {round}, see above\n{}", driver.log()));
        assert_eq!(driver.mounts().len(), 2, "a staging path and a target: {:?}", driver.mounts());
        lab.client().shell(&format!("test ! -e {target}"));
        match reclaim {
            "archive" => there.push(format!("archived-{pod}")),
            "retain" => there.push(pod),
            _ => {}
        }
        there.sort();
        let mut left = audit(lab.host(0), name);
        left.records.sort();
        left.directories.sort();
        let records: Vec<_> = there.iter().map(|pv| format!("{pv}.json")).collect();
        assert_eq!((&left.records, &left.directories), (&records, &there), "round {round}");
    }
    assert_eq!(lab.client().shell(&format!("cat {kept}/file")), "kept\n");
    eventually("the trash is emptied", || audit(lab.host(0), name).trash.is_empty().then_some(()));
    driver.end_of(&stays, &kept);
}

fn whole_volume(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-killed-whole";
    lab.start_volume(name, Kind::Replica3);
    let mut driver = Driver::start(lab, name, &[]);
    let mut random = fastrand::Rng::new();
    let parameters = [
        ("gluster_hosts", lab.server_list()),
        ("gluster_volname", name.to_owned()),
        ("single_pv_per_pool", "true".to_owned()),
    ];
    for round in 0..3 {
        // Each finds the volume free again: the claim of the one before is gone with its data.
        let (target, life) = life(&driver, &format!("pvc-{round}"), &parameters, false);
        kill(&mut driver, &mut None, &mut random);
        life.join().unwrap_or_else(|_| panic!("round {round}, see above\n{}", driver.log()));
        assert_eq!(driver.mounts(), Vec::<String>::new());
        lab.client().shell(&format!("test ! -e {target}"));
    }
}
