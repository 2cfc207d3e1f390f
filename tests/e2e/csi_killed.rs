//! The driver, which hosts the mounts too, is killed at random points of every operation; what was asked is asked again.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::driver::{Called, Driver, GIB, again, audit, runtime};
use crate::lab::{Kind, PATIENCE, Signal, eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; at_random_points }

/// As a sidecar does: until the call has an answer that is one.
async fn insist<T>(what: &str, mut call: impl AsyncFnMut() -> Called<T>) -> T {
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

fn at_random_points(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-killed";
    lab.start_volume(name, Kind::Replica3);
    let mut driver = Driver::start(lab, name, &[]);
    let servers = lab.server_list();
    let mut random = fastrand::Rng::new();
    // What must be there at the end, and only that.
    let (stays, kept) = driver.serve("pvc-stays", &[("gluster_hosts", &servers), ("gluster_volname", name)]);
    lab.client().shell(&format!("echo kept >{kept}/file"));
    for round in 0..8 {
        let (connect, servers, pod) = (driver.connector(), servers.clone(), format!("pvc-{round}"));
        let target = driver.pod(&pod);
        let life = {
            let target = target.clone();
            thread::spawn(move || {
                runtime().block_on(async {
                    let caller = connect();
                    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", name)];
                    let volume = insist("create", async || caller.create(&pod, GIB, &parameters).await).await;
                    let id = &volume.volume_id;
                    insist("stage", async || caller.stage(&volume).await).await;
                    insist("publish", async || caller.publish(&volume, &target, false).await).await;
                    insist("expand", async || caller.expand(id, 2 * GIB).await).await;
                    insist("unpublish", async || caller.unpublish(id, &target).await).await;
                    insist("unstage", async || caller.unstage(id).await).await;
                    insist("delete", async || caller.delete(id).await).await;
                });
            })
        };
        for _ in 0..4 {
            sleep(Duration::from_millis(random.u64(..400)));
            driver.end(Signal::Kill);
            driver.restart();
        }
        life.join().unwrap_or_else(|_| panic!("round {round}, see above\n{}", driver.log()));
        assert_eq!(driver.mounts().len(), 2, "a staging path and a target: {:?}", driver.mounts());
        lab.client().shell(&format!("test ! -e {target}"));
        let left = audit(lab.host(0), name);
        assert_eq!(
            (left.records, left.directories),
            (vec!["pvc-stays.json".to_owned()], vec!["pvc-stays".to_owned()]),
            "round {round}"
        );
    }
    assert_eq!(lab.client().shell(&format!("cat {kept}/file")), "kept\n");
    eventually("the trash is emptied", || audit(lab.host(0), name).trash.is_empty().then_some(()));
    driver.end_of(&stays, &kept);
}
