//! Containers: mount namespaces that have copies of a target and learn nothing of what happens to it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::{Host, Kind, Lab, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; killed, unasked, replaced }

/// A process with a mount namespace of its own, which holds binds of a target. It writes and reads through all of them,
/// again and again, and says `ok` or `failed`.
struct Container<'lab> {
    client: &'lab Host,
    pid: String,
    running: Running,
}

/// Its own mounts, and the copy of the target that it has had from the beginning.
const MOUNTS: u64 = 5;

/// One look at everything in it.
const LOOK: &str = "echo 1 >whole/$$ && rm whole/$$ && echo 2 >sub/probe && grep -q 2 read/b/probe && \
    grep -q in file && ! touch read/x";

impl<'lab> Container<'lab> {
    /// With the whole of a target, a directory of it as kubelet binds a subPath, a file, and one read-only.
    fn start(client: &'lab Host, dir: &str, all: &str) -> Self {
        client.shell(&format!("mkdir -p {all}/a/b {dir}/in; echo in >{all}/a/file"));
        let script = format!(
            "cd {dir}/in; mkdir -p whole sub read; touch file; mount --bind {all} whole; mount --bind {all}/a/b sub
             mount --bind {all}/a/file file; mount --bind {all}/a read; mount -o remount,bind,ro,nosuid read
             echo $$; while sleep 0.1; do ({LOOK}) >/dev/null 2>&1 && echo ok || echo failed; done"
        );
        let args = ["--mount", "--propagation", "private", "sh", "-euc", &script];
        let mut running = client.spawn("unshare", &args);
        let pid = running.wait_for("a process id", |line| line.parse::<u32>().ok());
        let mut this = Self { client, pid: pid.to_string(), running };
        this.works();
        this
    }

    /// Waits until what runs in it works.
    #[track_caller]
    fn works(&mut self) {
        self.running.seen();
        self.running.wait_for("I/O in the container", |line| (line == "ok").then_some(()));
    }

    /// What has been said since so many lines.
    fn since(&mut self, lines: usize) -> &[String] {
        &self.running.seen()[lines..]
    }

    /// The mounts of glusterfs that it has made: where, what of the volume, and how.
    fn mounts(&self) -> Vec<(String, String, String)> {
        let mountinfo = self.client.shell(&format!("cat /proc/{}/mountinfo", self.pid));
        let fuse =
            mountinfo.lines().filter(|line| line.contains(" fuse.glusterfs ") && line.contains("/in/"));
        let fields = fuse.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        fields.map(|fields| (fields[4].clone(), fields[3].clone(), fields[5].clone())).collect()
    }
}

/// A mount host with a target, in a directory of this name.
fn mounted<'lab>(lab: &'lab Lab, name: &str, flags: &[&str]) -> (MountHost<'lab>, String) {
    lab.start_volume(name, Kind::Replica3);
    let host = MountHost::start_with(lab.client(), name, flags);
    let all = host.mount(&format!("{}:/{name}", lab.server_list()), "all", &[]);
    (host, all)
}

fn kill(client: &Host, host: &MountHost<'_>, all: &str) {
    let pid = host.pid(all).expect("a process");
    client.shell(&format!("kill -9 {pid}"));
}

fn rebinds(host: &MountHost<'_>, all: &str) -> u64 {
    host.pool(all)["container_rebinds"].as_u64().expect("a number")
}

fn killed(labs: &Labs) {
    let (lab, name) = (labs.plain(), "containers-killed");
    let client = lab.client();
    let (mut host, all) = mounted(lab, name, &["--rebind-containers"]);
    // As kubelet does for a subPath, outside of the container: it binds it again when the container starts anew.
    let subpath = host.target("subpath");
    client.shell(&format!("mkdir -p {all}/a/b; mount --bind {all}/a/b {subpath}"));
    let mut container = Container::start(client, &format!("/mnt/live/{name}"), &all);
    let before = container.mounts();
    assert_eq!(before.len(), 4, "{before:?}");

    for turn in 1..=3 {
        kill(client, &host, &all);
        let begin = Instant::now();
        eventually("the container's mounts are those of the new process", || {
            // The container has a copy of what kubelet has bound too.
            (rebinds(&host, &all) >= turn * (MOUNTS + 2)).then_some(())
        });
        container.works();
        client.shell(&format!("grep 2 {subpath}/probe"));
        eprintln!("{name}: the container works again after {:?}", begin.elapsed());
        host.wait_whole(&[&all]);
        let same = |mut mounts: Vec<_>| {
            mounts.sort();
            mounts
        };
        assert_eq!(
            same(container.mounts()),
            same(before.clone()),
            "the same of the volume, with the same options"
        );
        assert_eq!(host.pool(&all)["container_mounts_left"], 0, "{}", host.log());
    }
    let log = host.log();
    assert!(log.contains("mounted anew in a container") && log.contains("/in/whole"), "{log}");

    // Both die, and the next run of the mount host finds what is left.
    host.end(Signal::Kill);
    let pid = host.processes().pop().expect("a process");
    client.shell(&format!("kill -9 {pid}"));
    host.restart();
    container.works();
    host.wait_whole(&[&all]);

    // Killed when the targets are healed and the containers may not be.
    let healed = host.pid(&all);
    kill(client, &host, &all);
    eventually("another process", || host.pid(&all).filter(|pid| Some(*pid) != healed));
    host.end(Signal::Kill);
    host.restart();
    container.works();
    host.wait_whole(&[&all]);
    assert_eq!(container.mounts().len(), 4, "{:?}", container.mounts());
}

/// Without the flag nothing of others is touched.
fn unasked(labs: &Labs) {
    let (lab, name) = (labs.plain(), "containers-unasked");
    let client = lab.client();
    let (host, all) = mounted(lab, name, &["--probe-interval", "1"]);
    let mut container = Container::start(client, &format!("/mnt/live/{name}"), &all);
    let pid = host.pid(&all);
    kill(client, &host, &all);
    eventually("another process", || host.pid(&all).filter(|now| Some(*now) != pid));
    host.wait_whole(&[&all]);
    let lines = container.since(0).len();
    sleep(Duration::from_secs(4));
    let said = container.since(lines);
    assert!(said.len() > 5 && said.iter().all(|line| line == "failed"), "{said:?}");
    assert_eq!(rebinds(&host, &all), 0);
}

/// By plan: nothing fails, and the old process ends although the container had binds of it.
fn replaced(labs: &Labs) {
    let (lab, name) = (labs.plain(), "containers-replaced");
    let client = lab.client();
    let (host, all) = mounted(lab, name, &["--rebind-containers", "--probe-interval", "1"]);
    let mut container = Container::start(client, &format!("/mnt/live/{name}"), &all);
    let lines = container.since(0).len();
    for turn in 1..=3 {
        let old = host.pid(&all).expect("a process");
        host.kadalu(&["mounts", "--replace", &all]).expect(0);
        eventually("the container's mounts are those of the new process", || {
            (rebinds(&host, &all) >= turn * MOUNTS).then_some(())
        });
        eventually("the old process ends", || {
            (host.processes().len() == 1 && host.pid(&all) != Some(old)).then_some(())
        });
        eventually("nothing is drained", || host.pool(&all)["draining"].as_array()?.is_empty().then_some(()));
        container.works();
    }
    let said = container.since(lines);
    assert!(said.iter().all(|line| line == "ok"), "{said:?}");
    host.wait_whole(&[&all]);
}
