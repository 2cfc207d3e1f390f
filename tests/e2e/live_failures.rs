//! What a mount that cannot be says, and that it leaves nothing behind.

use crate::lab::{Kind, Lab, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! {
    needs require_fuse;
    volume_stopped, brick_down, no_quorum, refused_by_the_bricks, no_such_volume, no_such_directory, targets, options,
    no_glusterfs, no_mount_host, no_server,
}

/// The exit codes of `kadalu mount`.
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;
const NO_SUCH_VOLUME: i32 = 4;
const ACCESS: i32 = 6;
const NOT_SERVING: i32 = 9;
const TARGET: i32 = 10;
const MACHINE: i32 = 11;
const NO_HOST: i32 = 12;

/// A mount of `source` fails so, and nothing is left of it.
#[track_caller]
fn fails(host: &MountHost, source: &str, flags: &[&str], exit: i32, words: &[&str]) {
    let before = (host.mounts(), host.processes());
    let target = host.target("target");
    let args = [&["mount", source, &target, "--timeout", "20"], flags].concat();
    let said = host.kadalu(&args).expect(exit).says(words);
    eprintln!("exit {exit}: {}", said.stderr.trim_end());
    // A process that was asked to end may take a moment.
    eventually("nothing is left", || ((host.mounts(), host.processes()) == before).then_some(()));
}

fn host<'lab>(lab: &'lab Lab, name: &str) -> MountHost<'lab> {
    MountHost::start(lab.client(), name)
}

fn source(lab: &Lab, volume: &str) -> String {
    format!("{}:/{volume}", lab.server_list())
}

fn volume_stopped(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("never-started", Kind::Replica3);
    fails(
        &host(lab, "stopped"),
        &source(lab, "never-started"),
        &[],
        NOT_SERVING,
        &["volume never-started was never started", "gluster volume start never-started"],
    );
}

fn brick_down(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("brick-down", Kind::Single);
    lab.host(0).kill_bricks("brick-down");
    let brick = lab.brick("brick-down", 0);
    fails(&host(lab, "brick-down"), &source(lab, "brick-down"), &[], NOT_SERVING, &["brick-down", &brick]);
}

fn no_quorum(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("no-quorum", Kind::Replica3);
    lab.host(0).kill_bricks("no-quorum");
    lab.host(1).kill_bricks("no-quorum");
    let bricks = [lab.brick("no-quorum", 0), lab.brick("no-quorum", 1)];
    let words = ["2 are needed", bricks[0].as_str(), &bricks[1]];
    fails(&host(lab, "no-quorum"), &source(lab, "no-quorum"), &[], NOT_SERVING, &words);
}

fn refused_by_the_bricks(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("refusing", Kind::Replica3);
    lab.set("refusing", "auth.allow", "10.99.0.250");
    fails(&host(lab, "refused"), &source(lab, "refusing"), &[], ACCESS, &["refusing", "auth.allow"]);
}

fn no_such_volume(labs: &Labs) {
    let lab = labs.plain();
    fails(&host(lab, "no-volume"), &source(lab, "no-such-volume"), &[], NO_SUCH_VOLUME, &["no-such-volume"]);
}

fn no_such_directory(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("no-directory", Kind::Replica3);
    let host = host(lab, "no-directory");
    let missing = format!("{}/a/b", source(lab, "no-directory"));
    fails(&host, &missing, &[], TARGET, &["a/b"]);
    // Beside a target that is there: that one stays.
    let all = host.mount(&source(lab, "no-directory"), "all", &[]);
    fails(&host, &missing, &[], TARGET, &["a/b"]);
    lab.client().shell(&format!("echo 1 >{all}/file"));
    // Links do not lead out of the volume.
    lab.client().shell(&format!("ln -s /etc {all}/link"));
    fails(&host, &format!("{}/link", source(lab, "no-directory")), &[], TARGET, &["link"]);
}

fn targets(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("targets", Kind::Replica3);
    let (host, source) = (host(lab, "targets"), source(lab, "targets"));
    let target = host.target("target");
    lab.client().shell(&format!("mount -t tmpfs tmpfs {target}"));
    fails(&host, &source, &[], TARGET, &[&target]);
    lab.client().shell(&format!("umount {target}"));
    let wrong = |target: &str, words: &[&str]| {
        let said = host.kadalu(&["mount", &source, target]).expect(TARGET).says(words);
        eprintln!("exit {TARGET}: {}", said.stderr.trim_end());
    };
    wrong(&format!("{target}/nothing"), &["nothing"]);
    lab.client().shell(&format!("touch {target}/file"));
    wrong(&format!("{target}/file"), &["file"]);
    assert_eq!(host.mounts(), []);
    // Not mounted: nothing to unmount.
    host.kadalu(&["umount", &target]).expect(TARGET).says(&[&target]);
    // Files are open: not without being told so.
    let target = host.mount(&source, "target", &[]);
    let mut holder =
        lab.client().spawn("sh", &["-c", &format!("exec 3>{target}/held; echo open; exec sleep 600 <&3")]);
    holder.wait_for("an open file", |line| (line == "open").then_some(()));
    host.kadalu(&["umount", &target]).expect(TARGET).says(&[&target]);
    host.kadalu(&["umount", "--lazy", &target]).expect(0);
    drop(holder);
    eventually("nothing is left", || (host.mounts().is_empty() && host.processes().is_empty()).then_some(()));
}

fn options(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("options", Kind::Replica3);
    let (host, source) = (host(lab, "options"), source(lab, "options"));
    fails(&host, &source, &["-o", "nonsense"], USAGE, &["nonsense"]);
    fails(&host, &source, &["-o", "log-level=LOUD"], USAGE, &["log-level", "LOUD"]);
    fails(&host, &format!("{source}/../etc"), &[], USAGE, &[".."]);
}

fn no_glusterfs(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("no-glusterfs", Kind::Replica3);
    let mut args = vec!["mountd", "--glusterfs", "/nonexistent", "--state-dir", "/mnt/live/none/state"];
    args.extend(["--socket", "/mnt/live/none/sock"]);
    lab.client().shell("mkdir -p /mnt/live/none");
    // It starts all the same: what is mounted can be followed.
    let mut mountd = lab.client().spawn_kadalu(&args);
    let mount = ["mount", "--socket", "/mnt/live/none/sock", &source(lab, "no-glusterfs"), "/mnt/volume"];
    let said = eventually("mountd answers", || {
        let said = lab.client().kadalu(&mount);
        (said.status != Some(NO_HOST)).then_some(said)
    });
    let said = said.expect(MACHINE).says(&["/nonexistent", "install glusterfs-client"]);
    eprintln!("exit {MACHINE}: {}", said.stderr.trim_end());
    mountd.signal(Signal::Term);
    mountd.wait();
}

fn no_mount_host(labs: &Labs) {
    let lab = labs.plain();
    for args in [&["mount", "g1:/vol", "/mnt/volume"][..], &["umount", "/mnt/volume"], &["mounts"]] {
        let said = lab.client().kadalu(&[args, &["--socket", "/nonexistent.sock"]].concat());
        said.expect(NO_HOST).says(&["/nonexistent.sock", "kadalu mountd"]);
    }
}

fn no_server(labs: &Labs) {
    let lab = labs.plain();
    let nowhere = format!("{}:1:/vol", lab.client().name());
    fails(&host(lab, "no-server"), &nowhere, &[], UNREACHABLE, &[lab.client().name()]);
}
