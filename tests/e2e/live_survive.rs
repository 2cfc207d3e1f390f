//! The mount host dies, is restarted, upgraded, loses its state: no mount notices.

use std::time::Instant;

use crate::lab::{Kind, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::{Load, MountHost};

story! { needs require_fuse; killed_under_load, ended_in_order, lost_its_state }

fn killed_under_load(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("killed-host", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let mut host = MountHost::start(client, name);
    let target = host.mount(&format!("{}:/{name}", lab.server_list()), "all", &[]);
    host.wait_active(lab.host(0), name);
    let (pid, load) = (host.pid(&target), Load::start(client, &target, &[]));
    for value in ["on", "off", "on"] {
        host.end(Signal::Kill);
        lab.set(name, "performance.read-ahead", value);
        let begin = Instant::now();
        host.restart();
        host.wait_active(lab.host(0), name);
        eprintln!("{name}: the change made meanwhile is active {:?} after the start", begin.elapsed());
        host.wait_whole(&[&target]);
        assert_eq!(host.pid(&target), pid, "it was adopted, not replaced");
    }
    load.unharmed(name);
}

fn ended_in_order(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("ended-host", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let source = format!("{}:/{name}", lab.server_list());
    let mut host = MountHost::start(client, name);
    let target = host.mount(&source, "all", &[]);
    let (pid, mounts) = (host.pid(&target), host.mounts());
    let load = Load::start(client, &target, &[]);
    host.end(Signal::Term);
    assert_eq!(host.mounts(), mounts, "mounts are left in place");
    host.restart();
    assert_eq!(host.pid(&target), pid);
    host.wait_active(lab.host(0), name);
    load.unharmed(name);
    host.end(Signal::Term);
    drop(host);

    let mut host = MountHost::start_with(client, "ended-host-2", &["--unmount-on-exit"]);
    host.mount(&source, "all", &[]);
    host.mount(&source, "read", &["--read-only"]);
    host.end(Signal::Term);
    assert_eq!(host.mounts(), [], "nothing is left");
    eventually("no process is left", || host.processes().is_empty().then_some(()));
}

fn lost_its_state(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("lost-state", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let source = format!("{}:/{name}", lab.server_list());
    let mut host = MountHost::start(client, name);
    let all = host.mount(&source, "all", &[]);
    client.shell(&format!("mkdir {all}/a"));
    let a = host.mount(&format!("{source}/a"), "a", &[]);
    let read = host.mount(&format!("{source}/a"), "read", &["--read-only"]);
    let pid = host.pid(&all);
    let load = Load::start(client, &all, &[]);
    for script in [
        r#"rm "$1""#,
        r#"printf garbage >"$1""#,
        r#"sed -i "s/\"version\": *[0-9][0-9]*/\"version\":4000000000/" "$1""#,
        r#"truncate -s 10 "$1""#,
    ] {
        host.end(Signal::Kill);
        host.each_state_file(script);
        host.restart();
        eprintln!("{name}: after {script}: {}", host.log());
        // By command, as after any restart: the same target again is no error, whatever is remembered.
        host.mount(&source, "all", &[]);
        for target in [&all, &a, &read] {
            assert_eq!(host.pid(target), pid, "{script}: {}", host.list());
        }
        lab.set(name, "performance.read-ahead", if script.starts_with("rm") { "on" } else { "off" });
        host.wait_active(lab.host(0), name);
        host.wait_whole(&[&all, &a, &read]);
        let said = host.pool(&read);
        let targets = said["targets"].as_array().expect("a list of targets");
        let read_only = targets.iter().find(|target| target["path"] == read.as_str()).expect("its target");
        assert_eq!(
            (&read_only["read_only"], &read_only["subdirectory"]),
            (&true.into(), &"a".into()),
            "{script}"
        );
    }
    load.unharmed(name);
    for target in [&read, &a, &all] {
        host.umount(target);
    }
    assert_eq!(host.mounts(), []);
}
