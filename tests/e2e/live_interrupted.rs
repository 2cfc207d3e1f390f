//! The mount host is killed in the middle of what it does to its mounts, and goes on with it after its restart.

use std::thread::sleep;
use std::time::Duration;

use crate::lab::{Host, Kind, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; while_it_heals, while_it_replaces }

/// Does `what` to the mounts and kills the mount host some moments later, again and again. After each restart, every
/// target is on one and the same living process, and nothing else is left.
fn interrupt(labs: &Labs, name: &str, what: impl Fn(&Host, &MountHost, &str) -> Option<Running>) {
    let lab = labs.plain();
    let client = lab.client();
    lab.start_volume(name, Kind::Replica3);
    let source = format!("{}:/{name}", lab.server_list());
    let mut host = MountHost::start_with(client, name, &["--probe-interval", "1"]);
    let all = host.mount(&source, "all", &[]);
    client.shell(&format!("mkdir {all}/a {all}/b; echo 1 >{all}/a/file"));
    let mut targets = vec![all];
    targets.extend((0..6).map(|n| {
        let flags: &[&str] = if n % 2 == 0 { &[] } else { &["--read-only"] };
        host.mount(&format!("{source}/{}", ["a", "b"][n % 2]), &format!("target-{n}"), flags)
    }));
    let paths: Vec<_> = targets.iter().map(String::as_str).collect();
    for n in 0..10 {
        // A command that is let run: it ends with its host.
        let _command = what(client, &host, paths[0]);
        sleep(Duration::from_millis(n * 30));
        host.end(Signal::Kill);
        host.restart();
        eventually(&format!("round {n}: one process is left: {}", host.list()), || {
            (host.processes().len() == 1).then_some(())
        });
        host.wait_whole(&paths);
        let mounts = host.mounts();
        assert_eq!(mounts.len(), paths.len() + 1, "the targets and one FUSE mount: {mounts:?}");
        assert_eq!(client.shell(&format!("cat {}/file", paths[1])), "1\n");
        assert_ne!(client.exec("touch", &[&format!("{}/file", paths[2])]).status, Some(0), "read-only");
    }
}

fn while_it_heals(labs: &Labs) {
    interrupt(labs, "interrupted-healing", |client, host, target| {
        let pid = eventually("a process", || host.pid(target));
        client.shell(&format!("kill -9 {pid}"));
        None
    });
}

fn while_it_replaces(labs: &Labs) {
    interrupt(labs, "interrupted-replacing", |client, host, target| {
        Some(client.spawn_kadalu(&["mounts", "--socket", &host.socket(), "--replace", target]))
    });
}
