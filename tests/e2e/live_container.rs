//! The mount host in a container, as deploy/kubernetes has it: it dies alone, and with its container.

use std::fs;

use crate::lab::{Host, Kind, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; dies_alone_and_with_its_container }

/// PID 1 of the container.
const SUPERVISE: &str = include_str!("../../deploy/supervise");

const SOCKET: &str = "/mnt/container/run/mountd.sock";
const STATE: &str = "/mnt/container/state";
const TARGET: &str = "/mnt/container/kubelet/pod";

/// Namespaces of its own for mounts and processes; its volumes are shared with the host (Bidirectional).
fn container(host: &Host) -> Running {
    let namespaces =
        ["--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let command = ["sh", "/mnt/supervise", host.binary(), "mountd", "--socket", SOCKET, "--state-dir", STATE];
    host.spawn("unshare", &[&namespaces[..], &command].concat())
}

fn dies_alone_and_with_its_container(labs: &Labs) {
    let lab = labs.plain();
    let (name, node) = ("container", lab.client());
    lab.start_volume(name, Kind::Replica3);
    fs::write(node.mnt().join("supervise"), SUPERVISE).expect("written");
    node.shell(
        "mkdir -p /mnt/container/kubelet/pod /mnt/container/state /mnt/container/run
         for volume in kubelet state; do
             mount --bind /mnt/container/$volume /mnt/container/$volume
             mount --make-shared /mnt/container/$volume
         done",
    );
    // By its own command line, of all that run on the machine; `init` is the shell that runs supervise.
    let pids = |pattern: &str| node.shell(&format!("pgrep -f -- '{pattern}' || true")).trim().to_owned();
    let (init, glusterfs) = ("^sh /mnt/supervise", "^glusterfs .*/mnt/container/state/");
    let mountd = format!("^{} mountd --socket {SOCKET}", node.binary());
    let read = || node.exec("cat", &[&format!("{TARGET}/file")]).text();
    let healthy = || {
        let list = node.kadalu(&["mounts", "--socket", SOCKET, "--format", "json"]);
        list.text().contains("\"state\": \"healthy\"").then_some(())
    };

    let first = container(node);
    let source = format!("{}:/{name}", lab.server_list());
    eventually("it listens", || {
        (node.kadalu(&["mount", "--socket", SOCKET, &source, TARGET]).status == Some(0)).then_some(())
    });
    node.shell(&format!("echo here >{TARGET}/file"));

    // Alone: the next one takes over what runs, and a file that is open stays so.
    let (was, process) = (pids(&mountd), pids(glusterfs));
    node.shell(&format!(
        "exec 7<{TARGET}/file; kill -KILL {was}
         while [ \"$(pgrep -f -- '{mountd}')\" = {was} ]; do sleep 0.1; done; cat <&7"
    ));
    eventually("another has started", || Some(pids(&mountd)).filter(|pid| !pid.is_empty() && *pid != was));
    eventually("it has adopted the mount", healthy);
    assert_eq!((read().as_str(), pids(glusterfs)), ("here\n", process));

    // With it: what is left on the node is dead, until the next container.
    first.signal(Signal::Kill);
    eventually("all of it has ended", || (pids(glusterfs) + &pids(&mountd)).is_empty().then_some(()));
    assert_eq!(read(), "");
    let mut second = container(node);
    eventually("the node's mount is mended", || (read() == "here\n").then_some(()));
    node.kadalu(&["umount", "--socket", SOCKET, TARGET]).expect(0);
    let left = node.shell("grep -c '/mnt/container/.* fuse.glusterfs' /proc/self/mountinfo || true");
    assert_eq!(left.trim(), "0");

    // In order: SIGTERM reaches mountd, and both end.
    node.shell(&format!("kill -TERM $(pgrep -f -- '{init}')"));
    assert!(second.wait().success());
    node.shell("umount /mnt/container/kubelet /mnt/container/state");
}
