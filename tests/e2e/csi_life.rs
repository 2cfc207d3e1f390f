//! The life of a PV, end to end, on a real cluster.
#![allow(clippy::unwrap_used, reason = "the answer is in the panic")]

use std::time::Duration;

use glusterd_client::csi::generated::volume_usage::Unit;
use tonic::Code;

use crate::changes::{Change, Volume};
use crate::driver::{Driver, GIB, audit, brick, map};
use crate::lab::{Kind, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::Load;

story! { needs require_fuse; life, twice, kadalus, whole, archived, dead_mount, separate_mount_host }

fn parameters<'p>(servers: &'p str, volume: &'p str) -> [(&'p str, &'p str); 3] {
    [("hostvol_type", "External"), ("gluster_hosts", servers), ("gluster_volname", volume)]
}

/// The whole way, with a load on it while the volume changes outside.
fn life(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-life";
    let mut volume = Volume::start(lab.host(0), lab.servers().iter().collect(), name);
    let driver = Driver::start(lab, name, &[]);
    let servers = lab.server_list();
    let (pv, target) = driver.serve("pvc-life", &parameters(&servers, name));
    assert_eq!(pv.capacity_bytes, GIB);
    assert!(pv.volume_id.ends_with("/pvc-life"), "{}", pv.volume_id);

    let load = Load::start(lab.client(), &target, &[]);
    let mut random = fastrand::Rng::new();
    for change in [
        Change::Toggle("performance.read-ahead"),
        Change::Set("network.ping-timeout", "30"),
        Change::ReplaceBrick,
        Change::Toggle("performance.write-behind"),
    ] {
        volume.apply(change, &mut random);
    }
    let caller = driver.caller();
    assert_eq!(driver.block(caller.expand(&pv.volume_id, 2 * GIB)).expect("it grows"), 2 * GIB);
    let stats = driver.block(caller.stats(&pv.volume_id, &target)).expect("stats");
    for unit in [Unit::Bytes, Unit::Inodes] {
        let usage = stats.usage.iter().find(|usage| usage.unit == i32::from(unit)).expect("both units");
        assert!(usage.total > 0 && usage.used > 0 && usage.available > 0, "{usage:?}");
    }
    load.unharmed(name);

    driver.end_of(&pv, &target);
    assert_eq!(driver.mounts(), Vec::<String>::new());
    lab.client().shell(&format!("test ! -e {target}"));
    eventually("nothing of it is left on the volume", || {
        let audit = audit(lab.host(0), name);
        let left = [audit.records, audit.directories, audit.trash].concat();
        left.is_empty().then_some(())
    });
}

/// Every call again, with the same and with other arguments.
fn twice(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-twice";
    lab.start_volume(name, Kind::Replica3);
    let driver = Driver::start(lab, name, &[]);
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = parameters(&servers, name);
    let (pv, target) = driver.serve("pvc-twice", &parameters);
    driver.block(async {
        assert_eq!(caller.create("pvc-twice", GIB, &parameters).await.unwrap(), pv);
        let other = caller.create("pvc-twice", 5 * GIB, &parameters).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists, "{other:?}");
        caller.stage(&pv).await.unwrap();
        caller.publish(&pv, &target, false).await.unwrap();
        let other = caller.publish(&pv, &target, true).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists, "{other:?}");
        assert_eq!(caller.expand(&pv.volume_id, GIB / 2).await.unwrap(), GIB);
        for _ in 0..2 {
            caller.unpublish(&pv.volume_id, &target).await.unwrap();
        }
        let early = caller.stats(&pv.volume_id, &target).await.unwrap_err();
        assert_eq!(early.code(), Code::NotFound, "{early:?}");
        for _ in 0..2 {
            caller.unstage(&pv.volume_id).await.unwrap();
        }
        let unstaged = caller.publish(&pv, &target, false).await.unwrap_err();
        assert_eq!(unstaged.code(), Code::FailedPrecondition, "{unstaged:?}");
        for _ in 0..2 {
            caller.delete(&pv.volume_id).await.unwrap();
        }
        let gone = caller.expand(&pv.volume_id, GIB).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound, "{gone:?}");
        let gone = caller.stage(&pv).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound, "{gone:?}");
    });
    assert_eq!(driver.mounts(), Vec::<String>::new());
}

/// A PV that kadalu made: its layout, its id, its context.
fn kadalus(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-kadalus";
    lab.start_volume(name, Kind::Replica3);
    let servers = lab.server_list();
    lab.client().shell(&format!(
        "mkdir -p /mnt/shared/{name}-storages && cat >/mnt/shared/{name}-storages/pool.info <<'END'\n\
         {{\"volname\": \"pool\", \"volume_id\": \"8f1cf0f4-6d3b-11ea-8a3b-000000000001\", \"type\": \"External\", \
         \"pvReclaimPolicy\": \"delete\", \"single_pv_per_pool\": false, \"gluster_hosts\": \"{servers}\", \
         \"gluster_volname\": \"{name}\", \"gluster_options\": \"\"}}\nEND"
    ));
    let driver = Driver::start(lab, name, &["--storages", &format!("/mnt/shared/{name}-storages")]);
    // By the hands of kadalu: hash and record are facts §1.4's.
    let (mine, theirs) = driver.serve("pvc-mine", &parameters(&servers, name));
    let root = driver.client.shell(&format!("ls -d {}/mnt/*", driver.state()));
    let id = "pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c";
    lab.client().shell(&format!(
        "cd {}; mkdir -p subvol/a6/bf/{id} info/subvol/a6/bf; echo kept >subvol/a6/bf/{id}/file; \
         printf '{{\"size\": 2147483648, \"path_prefix\": \"subvol/a6/bf\"}}' >info/subvol/a6/bf/{id}.json",
        root.trim()
    ));
    let context = [
        ("type", "External"),
        ("hostvol", "pool"),
        ("pvtype", "subvol"),
        ("gvolname", name),
        ("gserver", &servers),
        ("fstype", "xfs"),
        ("options", ""),
        ("single_pv_per_pool", "False"),
        ("path", &format!("subvol/a6/bf/{id}")),
    ];
    let volume = glusterd_client::csi::generated::Volume {
        volume_id: id.to_owned(),
        capacity_bytes: 2 * GIB,
        volume_context: map(&context),
        ..Default::default()
    };
    let (caller, target) = (driver.caller(), driver.pod("kadalus"));
    driver.block(async {
        caller.stage(&volume).await.unwrap();
        caller.publish(&volume, &target, false).await.unwrap();
        assert_eq!(caller.expand(id, 3 * GIB).await.unwrap(), 3 * GIB);
    });
    assert_eq!(lab.client().shell(&format!("cat {target}/file")), "kept\n");
    let record = lab.host(0).shell(&format!("cat {}/info/subvol/a6/bf/{id}.json", brick(lab.host(0), name)));
    let record: serde_json::Value = serde_json::from_str(&record).expect("its record");
    assert_eq!((&record["size"], &record["path_prefix"]), (&(3 * GIB).into(), &"subvol/a6/bf".into()));
    driver.end_of(&volume, &target);
    driver.end_of(&mine, &theirs);
    let audit = audit(lab.host(0), name);
    assert_eq!([audit.records, audit.directories].concat(), Vec::<String>::new());
}

/// A volume that is one PV.
fn whole(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-whole";
    lab.start_volume(name, Kind::Replica3);
    let driver = Driver::start(lab, name, &[]);
    let (servers, caller) = (lab.server_list(), driver.caller());
    let parameters = [parameters(&servers, name).as_slice(), &[("single_pv_per_pool", "true")]].concat();
    let (pv, target) = driver.serve("pvc-whole", &parameters);
    lab.client().shell(&format!("mkdir {target}/dir && echo data >{target}/dir/file"));
    driver.block(async {
        let second = caller.create("pvc-other", GIB, &parameters).await.unwrap_err();
        assert!(second.message().contains("pvc-whole"), "{second:?}");
        let grown = caller.expand(&pv.volume_id, 1 << 50).await.unwrap_err();
        assert!(matches!(grown.code(), Code::OutOfRange | Code::FailedPrecondition), "{grown:?}");
    });
    driver.end_of(&pv, &target);
    // What was in it is not for the next.
    let next = eventually("the volume is free again", || {
        let next = driver.block(caller.create("pvc-next", GIB, &parameters));
        next.ok()
    });
    let target = driver.pod("next");
    driver.block(async {
        caller.stage(&next).await.unwrap();
        caller.publish(&next, &target, false).await.unwrap();
    });
    assert_eq!(lab.client().shell(&format!("ls {target}")), "");
    driver.end_of(&next, &target);
}

/// Deleted to be archived: data and record are put aside, and come back.
fn archived(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-archived";
    lab.start_volume(name, Kind::Replica3);
    let driver = Driver::start(lab, name, &[]);
    let servers = lab.server_list();
    let parameters = [parameters(&servers, name).as_slice(), &[("pvReclaimPolicy", "archive")]].concat();
    let (pv, target) = driver.serve("pvc-1", &parameters);
    lab.client().shell(&format!("echo kept >{target}/file"));
    driver.end_of(&pv, &target);
    let left = audit(lab.host(0), name);
    assert_eq!(
        (left.records, left.directories),
        (vec!["archived-pvc-1.json".to_owned()], vec!["archived-pvc-1".to_owned()])
    );
    // Facts §1.4: the hash of the name that it had.
    assert_eq!(
        lab.host(0).shell(&format!("cat {}/subvol/d3/d3/archived-pvc-1/file", brick(lab.host(0), name))),
        "kept\n"
    );
    let root = driver.client.shell(&format!("ls -d {}/mnt/*", driver.state()));
    let pvs = |args: &[&str]| lab.client().kadalu(&[&["pvs", root.trim()], args].concat()).expect(0);
    assert!(pvs(&[]).text().contains("archived-pvc-1"));
    pvs(&["--restore", "archived-pvc-1"]);
    let left = audit(lab.host(0), name);
    assert_eq!((left.records, left.directories), (vec!["pvc-1.json".to_owned()], vec!["pvc-1".to_owned()]));
    let caller = driver.caller();
    let target = driver.pod("restored");
    driver.block(async {
        caller.stage(&pv).await.unwrap();
        caller.publish(&pv, &target, false).await.unwrap();
    });
    assert_eq!(lab.client().shell(&format!("cat {target}/file")), "kept\n");
    driver.end_of(&pv, &target);
    pvs(&["--purge", "archived-pvc-1"]);
    pvs(&["--empty-trash"]);
    eventually("nothing of it is left", || {
        let left = audit(lab.host(0), name);
        [left.records, left.directories, left.trash].concat().is_empty().then_some(())
    });
}

/// glusterfs dies below a pod: it is healed, and in the time between every call has an answer.
fn dead_mount(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-dead";
    lab.start_volume(name, Kind::Replica3);
    let driver = Driver::start(lab, name, &[]);
    let (servers, caller) = (lab.server_list(), driver.caller());
    let (pv, target) = driver.serve("pvc-dead", &parameters(&servers, name));
    lab.client().shell(&format!("echo 1 >{target}/file"));
    for pid in driver.processes() {
        lab.client().exec("kill", &["-KILL", &pid]);
    }
    driver.block(caller.stats(&pv.volume_id, &target)).expect("an answer, whatever the mount is");
    eventually("the pod has its volume again", || {
        let read = lab.client().exec("timeout", &["5", "cat", &format!("{target}/file")]);
        (read.status == Some(0)).then_some(())
    });
    eventually("and it is said to be well", || {
        let stats = driver.block(caller.stats(&pv.volume_id, &target)).ok()?;
        stats
            .volume_condition
            .is_none_or(|condition| !condition.abnormal || condition.message.contains("uota"))
            .then_some(())
    });
    for pid in driver.processes() {
        lab.client().exec("kill", &["-KILL", &pid]);
    }
    driver.end_of(&pv, &target);
    assert_eq!(driver.mounts(), Vec::<String>::new());
    lab.client().shell(&format!("test ! -e {target}"));
}

/// The mounts are another process's: the driver can go and come.
fn separate_mount_host(labs: &Labs) {
    let lab = labs.plain();
    let name = "csi-separate";
    lab.start_volume(name, Kind::Replica3);
    let host = crate::mounted::MountHost::start(lab.client(), "csi-separate-host");
    let socket = format!("unix:{}", host.socket());
    let mut driver = Driver::start(lab, name, &["--mountd", &socket]);
    let servers = lab.server_list();
    let (pv, target) = driver.serve("pvc-separate", &parameters(&servers, name));
    let load = Load::start(lab.client(), &target, &[]);
    driver.end(Signal::Kill);
    std::thread::sleep(Duration::from_secs(1));
    driver.restart();
    let stats = driver.block(driver.caller().stats(&pv.volume_id, &target)).expect("stats");
    assert!(!stats.usage.is_empty());
    load.unharmed(name);
    driver.end_of(&pv, &target);
    assert_eq!(driver.mounts(), Vec::<String>::new());
}
