//! The lab itself: what it promises to every other test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::lab::{ALL_KINDS, Fate, Host, Lab, LabOptions, Root, Signal, require};
use crate::labs::Labs;

story! { needs require; every_kind_of_volume, survives_being_broken, filters_packets, leaves_nothing_behind }

/// Each kind can be made, and bricks of the kinds that need quorum start.
fn every_kind_of_volume(_: &Labs) {
    let begin = Instant::now();
    let lab = Lab::new(LabOptions::default());
    eprintln!("lab up {:?}", begin.elapsed());
    for (kind, name) in ALL_KINDS {
        lab.create_volume(name, kind);
        for server in lab.servers() {
            assert_eq!(server.read_volfile(name), lab.host(0).read_volfile(name), "{name}");
        }
    }
    eprintln!("volumes {:?}", begin.elapsed());
    drop(lab);
    eprintln!("down {:?}", begin.elapsed());
}

/// Kill, stand still, pull the cable, take the interface down: and all is well again after `restore`.
fn survives_being_broken(labs: &Labs) {
    let lab = labs.breakable();
    let reaches = |n: usize| {
        lab.client()
            .exec("timeout", &["1", "bash", "-c", &format!(": >/dev/tcp/{}/24007", lab.host(n).name())])
            .status
            == Some(0)
    };
    assert!(reaches(0) && reaches(1) && reaches(2));
    lab.host(0).kill_glusterd(Signal::Kill);
    assert!(!lab.host(0).glusterd_runs() && !reaches(0));
    lab.network().drop_packets(lab.host(1), true);
    assert!(!reaches(1));
    lab.host(2).interface(false);
    assert!(!reaches(2));
    drop(lab);
    let lab = labs.breakable();
    lab.create_volume("after", crate::lab::Kind::Replica3);
}

/// One port, for one host, in each of the ways, and only as long as the filter is there.
fn filters_packets(labs: &Labs) {
    let lab = labs.breakable();
    let (server, client) = (lab.host(0), lab.client());
    let script = format!(": >/dev/tcp/{}/24007", server.name());
    let reach = |from: &Host| from.exec("timeout", &["2", "bash", "-c", &script]);
    let ends = [(Fate::Drop, 124, ""), (Fate::Reset, 1, "refused"), (Fate::Prohibit, 1, "No route to host")];
    for (fate, status, said) in ends {
        let filter = server.filter(client, &[24007, 1], fate);
        reach(client).expect(status).says(&[said]);
        reach(lab.host(1)).expect(0);
        drop(filter);
        reach(client).expect(0);
    }
}

/// Two labs at once have the same names and addresses and nothing in common; when they end, no process, mount or
/// file is left.
fn leaves_nothing_behind(_: &Labs) {
    let options = LabOptions { servers: vec![Root::Machine; 2], ..LabOptions::default() };
    let before = (interfaces(), mounts());
    let labs = [Lab::new(options.clone()), Lab::new(options)];
    for (lab, volume) in labs.iter().zip(["one", "two"]) {
        lab.start_volume(volume, crate::lab::Kind::Distribute);
        assert_eq!(lab.host(1).gluster(&["volume", "list"]).trim(), volume);
    }
    let namespaces: Vec<PathBuf> = labs
        .iter()
        .flat_map(|lab| lab.servers())
        .map(|host| {
            let inside = host.exec("readlink", &["/proc/1/ns/pid"]).text();
            PathBuf::from(inside.trim())
        })
        .collect();
    assert!(namespaces.iter().all(|ns| in_namespace(ns) > 2), "glusterd and bricks run in {namespaces:?}");
    let dirs: Vec<PathBuf> = labs.iter().map(Lab::shared).collect();
    drop(labs);
    assert_eq!(namespaces.iter().map(|ns| in_namespace(ns)).sum::<usize>(), 0);
    assert!(dirs.iter().all(|dir| !dir.parent().is_some_and(Path::exists)));
    assert_eq!((interfaces(), mounts()), before);
}

/// How many processes live in a namespace.
fn in_namespace(pid_namespace: &Path) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter(|p| fs::read_link(p.path().join("ns/pid")).is_ok_and(|ns| ns == pid_namespace)).count()
}

/// The machine's own network interfaces.
fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The machine's own mounts.
fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").expect("/proc/self/mounts")
}
