//! Many PVs at once, and a restart with many.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tonic::Status;

use crate::driver::{Driver, GIB, audit};
use crate::lab::{Kind, Signal, eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; fifty_at_once, a_restart_with_hundred }

fn fifty_at_once(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-fifty";
    lab.start_volume(name, Kind::Replica3);
    let driver = Driver::start(lab, name, &[]);
    let servers = lab.server_list();
    let begin = Instant::now();
    let mut lives = JoinSet::new();
    for n in 0..50 {
        let (caller, servers, pod) = (driver.caller(), servers.clone(), format!("pvc-{n}"));
        let target = driver.pod(&pod);
        let life = async move {
            let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", "csi-fifty")];
            let volume = caller.create(&pod, GIB / 64, &parameters).await?;
            caller.stage(&volume).await?;
            caller.publish(&volume, &target, false).await?;
            caller.stats(&volume.volume_id, &target).await?;
            caller.unpublish(&volume.volume_id, &target).await?;
            caller.unstage(&volume.volume_id).await?;
            caller.delete(&volume.volume_id).await
        };
        driver.block(async { lives.spawn(life) });
    }
    let ended: Vec<Result<(), Status>> = driver.block(lives.join_all());
    let failed: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", driver.log());
    eprintln!("{name}: 50 lives in {:.1?}", begin.elapsed());
    assert_eq!(driver.mounts(), Vec::<String>::new());
    eventually("nothing of them is left on the volume", || {
        let left = audit(lab.host(0), name);
        [left.records, left.directories, left.trash].concat().is_empty().then_some(())
    });
}

fn a_restart_with_hundred(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-hundred";
    lab.start_volume(name, Kind::Replica3);
    let mut driver = Driver::start(lab, name, &[]);
    let servers = lab.server_list();
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", name)];
    let served: Vec<_> = (0..100).map(|n| driver.serve(&format!("pvc-{n}"), &parameters)).collect();
    let mounted = || {
        let said = driver.client.shell("cat /proc/self/mountinfo");
        let ours = said.lines().filter(|line| line.contains("/mnt/live/csi-hundred/pods/"));
        ours.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let (before, processes) = (mounted(), driver.processes());
    assert_eq!((before.len(), processes.len()), (100, 1), "one process serves all");
    driver.end(Signal::Kill);
    std::thread::sleep(Duration::from_millis(200));
    let took = driver.restart();
    eprintln!("{name}: ready again after {took:.0?}");
    assert_eq!((mounted(), driver.processes()), (before, processes), "no mount was touched");
    let caller = driver.caller();
    for (volume, target) in &served {
        let stats = driver.block(caller.stats(&volume.volume_id, target)).expect("stats");
        assert!(stats.usage.iter().all(|usage| usage.total > 0), "{stats:?}");
    }
    for (volume, target) in &served {
        driver.end_of(volume, target);
    }
    assert_eq!(driver.mounts(), Vec::<String>::new());
}
