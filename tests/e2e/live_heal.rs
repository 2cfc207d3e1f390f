//! The glusterfs process of a mount dies, hangs, or is replaced by plan.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::{Host, Kind, Lab, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::{Load, MountHost};

story! { needs require_fuse; killed, hung, replaced }

/// A started volume with two directories in it.
fn volume(lab: &Lab, name: &str) -> String {
    lab.start_volume(name, Kind::Replica3);
    format!("{}:/{name}", lab.server_list())
}

/// A new file at each target that can be written, a look at each that cannot.
fn works(client: &Host, writable: &[&str], read_only: &[&str]) -> bool {
    let writes = writable.iter().map(|target| format!("echo 1 >{target}/probe && rm {target}/probe"));
    let reads = read_only.iter().map(|target| format!("ls {target} >/dev/null && ! touch {target}/probe"));
    let script = writes.chain(reads).collect::<Vec<_>>().join(" && ");
    client.exec("timeout", &["10", "sh", "-c", &format!("({script}) 2>/dev/null")]).status == Some(0)
}

fn killed(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("killed-mount", lab.client());
    let source = volume(lab, name);
    let host = MountHost::start(client, name);
    let all = host.mount(&source, "all", &[]);
    client.shell(&format!("mkdir -p {all}/a {all}/b/c"));
    let a = host.mount(&format!("{source}/a"), "a", &[]);
    let c = host.mount(&format!("{source}/b/c"), "c", &[]);
    let read = host.mount(&format!("{source}/a"), "read", &["--read-only"]);
    let targets = [all.as_str(), &a, &c, &read];
    assert_eq!(host.processes().len(), 1, "one process for all targets");
    host.wait_whole(&targets);
    let mounts = host.mounts();

    let load = Load::start(client, &all, &["--expect-failures"]);
    let mut times = Vec::new();
    for n in 1..=5 {
        let pid = host.pid(&all).expect("a process");
        client.shell(&format!("kill -9 {pid}"));
        let begin = Instant::now();
        eventually("I/O works again at every target", || {
            works(client, &[&all, &a, &c], &[&read]).then_some(())
        });
        times.push(begin.elapsed());
        host.wait_whole(&targets);
        assert_ne!(host.pid(&all), Some(pid));
        assert_eq!(host.pool(&all)["restarts"]["died"], n, "{}", host.list());
        assert_eq!(host.mounts().len(), mounts.len(), "{:?} was {mounts:?}", host.mounts());
        assert_eq!(host.processes().len(), 1);
    }
    times.sort_unstable();
    eprintln!("{name}: healthy again after {times:?}, p50 {:?}", times[2]);
    let report = load.end(name);
    assert!(report["failed"].as_u64() > Some(0), "its files were open when the process died: {report}");
    // The reader of a mapped file is killed by a signal, and has no errno.
    let expected = |failure: &serde_json::Value| {
        let errno = failure["errno"].as_u64();
        errno.map_or(failure["kind"] == "mapped-read", |errno| [103, 107, 5, 9].contains(&errno))
    };
    let failures = report["failures"].as_array().expect("a list of failures");
    assert!(failures.iter().all(expected), "{report}");
}

/// Stopped, it answers nothing and is not dead: after several looks without an answer it is replaced.
fn hung(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("hung-mount", lab.client());
    let source = volume(lab, name);
    let flags = ["--probe-interval", "1", "--probe-deadline", "2"];
    let host = MountHost::start_with(client, name, &flags);
    let all = host.mount(&source, "all", &[]);
    let pid = host.pid(&all).expect("a process");

    // A moment is no reason.
    client.shell(&format!("kill -STOP {pid}"));
    sleep(Duration::from_millis(1500));
    client.shell(&format!("kill -CONT {pid}"));
    host.wait_whole(&[&all]);
    assert_eq!(host.pid(&all), Some(pid));

    client.shell(&format!("kill -STOP {pid}"));
    let begin = Instant::now();
    eventually("another process", || host.pid(&all).filter(|now| *now != pid));
    eventually("I/O works again", || works(client, &[&all], &[]).then_some(()));
    eprintln!("{name}: replaced after {:?}", begin.elapsed());
    host.wait_whole(&[&all]);
    assert_eq!(host.pool(&all)["restarts"]["hung"], 1, "{}", host.list());
    eventually("the hung process is gone", || (host.processes().len() == 1).then_some(()));
}

/// Under load, with files open: nothing fails, and the old process stays for as long as it has open files.
fn replaced(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("replaced-mount", lab.client());
    let source = volume(lab, name);
    let host = MountHost::start(client, name);
    let all = host.mount(&source, "all", &[]);
    client.shell(&format!("mkdir {all}/a"));
    let a = host.mount(&format!("{source}/a"), "a", &[]);
    let load = Load::start(client, &all, &[]);
    // Open for longer than the files of the load.
    let script =
        format!("exec 3>{a}/held; echo open; while sleep 0.1; do echo line >&3 || echo failed; done");
    let mut holder = client.spawn("sh", &["-c", &script]);
    holder.wait_for("an open file", |line| (line == "open").then_some(()));

    let old = host.pid(&all).expect("a process");
    host.kadalu(&["mounts", "--replace", &all]).expect(0);
    assert_ne!(host.pid(&all), Some(old));
    assert!(works(client, &[&all, &a], &[]));
    let draining = host.pool(&all)["draining"].clone();
    assert_eq!(draining[0]["pid"], old, "{}", host.list());
    host.wait_whole(&[&all, &a]);
    sleep(Duration::from_secs(3));
    load.unharmed(name);

    assert!(!holder.seen().iter().any(|line| line == "failed"), "{:?}", holder.seen());
    assert_eq!(host.processes().len(), 2, "a file is open: {}", host.list());
    assert!(client.shell(&format!("wc -l <{a}/held")).trim().parse::<u32>().is_ok_and(|lines| lines > 20));
    drop(holder);
    eventually("the old process is gone", || (host.processes().len() == 1).then_some(()));
    eventually("nothing is drained", || (host.pool(&all)["draining"].as_array()?.is_empty()).then_some(()));
    host.wait_whole(&[&all, &a]);
}
