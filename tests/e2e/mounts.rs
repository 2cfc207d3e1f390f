//! The reverse: real glusterfs 9.2, 10.3 and 11.1 mount from `kadalu volfile-server` and follow what it pushes.

use std::fs;
use std::path::Path;

use crate::lab::{Host, Kind, Lab, Root, Running, eventually, require_roots};
use crate::labs::Labs;

story! { needs require_roots; glusterfs_9, glusterfs_10, glusterfs_11 }

/// The folder that `kadalu volfile-server` serves, as this process sees it.
fn served(lab: &Lab, version: &str) -> std::path::PathBuf {
    lab.shared().join(format!("served-{version}"))
}

/// Puts the volfile that glusterd has now into the served folder, as an editor would: written beside, then renamed.
fn publish(lab: &Lab, version: &str, server: &Host, volume: &str) {
    let dir = served(lab, version);
    let new = dir.join(".new");
    fs::write(&new, server.read_volfile(volume)).expect("write");
    fs::rename(&new, dir.join(format!("{volume}.vol"))).expect("rename");
}

fn active_graph(client: &Host) -> String {
    client.shell("stat /mnt/volume >/dev/null; readlink /mnt/volume/.meta/graphs/active")
}

/// A program that keeps a file open and appends to it; says `ok` or `failed` for each write.
fn writer(client: &Host) -> Running {
    let script =
        "exec 3>>/mnt/volume/log; while sleep 0.05; do echo line >&3 && echo ok || echo failed; done";
    client.spawn("sh", &["-c", script])
}

#[track_caller]
fn goes_on(writer: &mut Running) {
    writer.seen();
    for _ in 0..5 {
        let said = writer.wait_for("a write", |line| Some(line.to_owned()));
        assert_eq!(said, "ok");
    }
    assert!(!writer.seen().iter().any(|line| line == "failed"), "no write ever failed");
}

/// Mounts with `from` as glusterfs's volfile server, and changes the volume under a writer.
fn follow(lab: &Lab, client: &Host, version: &str, volume: &str, from: &[&str]) {
    let server = lab.host(1);
    let id = format!("--volfile-id={volume}");
    let mut args = from.to_vec();
    args.extend([id.as_str(), "--process-name", "fuse", "/mnt/volume"]);
    let mounted = client.exec("glusterfs", &args);
    assert_eq!(mounted.status, Some(0), "glusterfs {version} {args:?}: {}", mounted.stderr);
    eventually("the mount", || client.exec("mountpoint", &["-q", "/mnt/volume"]).status.filter(|s| *s == 0));
    let mut writer = writer(client);
    goes_on(&mut writer);
    for value in ["on", "off"] {
        let before = active_graph(client);
        server.gluster(&["volume", "set", volume, "performance.read-ahead", value]);
        publish(lab, version, server, volume);
        eventually(&format!("{version} {from:?} switches its graph"), || {
            (active_graph(client) != before).then_some(())
        });
        goes_on(&mut writer);
    }
    // In place: no new graph, and the mount goes on.
    let before = active_graph(client);
    server.gluster(&["volume", "set", volume, "diagnostics.client-log-level", "WARNING"]);
    publish(lab, version, server, volume);
    goes_on(&mut writer);
    assert_eq!(active_graph(client), before);
    drop(writer);
    // What the writer has open goes with it, a moment later.
    eventually("umount", || client.exec("umount", &["/mnt/volume"]).status.filter(|s| *s == 0));
}

fn mount(labs: &Labs, root: Root) {
    let lab = labs.versions();
    let version = root.version().expect("a suite's");
    let index = Root::SUITES.iter().position(|suite| *suite == root).expect("one of the suites");
    let client = &lab.clients()[index + 1];
    let said = client.exec("glusterfs", &["--version"]).text();
    assert!(said.starts_with(&format!("glusterfs {version}")), "{said}");

    // The bricks are those of a real volume, on glusterd 10.3.
    let volume = format!("mounted-{index}");
    lab.create_volume_on(lab.host(1), &volume, Kind::Replica3);
    lab.host(1).gluster(&["volume", "start", &volume]);
    fs::create_dir(served(lab, version)).expect("a folder to serve");
    publish(lab, version, lab.host(1), &volume);

    let dir = format!("/mnt/shared/served-{version}");
    let port = format!("{}", 24100 + index);
    let socket = format!("/mnt/shared/served-{version}.sock");
    let kadalu = lab.client();
    let tcp = format!("{}:{port}", kadalu.address());
    let _tcp = kadalu.spawn_kadalu(&["volfile-server", "--listen", &tcp, "--dir", &dir]);
    let _unix =
        kadalu.spawn_kadalu(&["volfile-server", "--listen", &format!("unix:{socket}"), "--dir", &dir]);
    eventually("the volfile servers", || {
        let listening = lab.shared().join(format!("served-{version}.sock"));
        let get = |servers: &str| kadalu.kadalu(&["volfile-get", servers, &volume]).status;
        (Path::exists(&listening) && get(&tcp) == Some(0) && get(&format!("unix:{socket}")) == Some(0))
            .then_some(())
    });

    let server = format!("--volfile-server={}", kadalu.name());
    follow(lab, client, version, &volume, &[&server, &format!("--volfile-server-port={port}")]);
    let server = format!("--volfile-server={socket}");
    follow(lab, client, version, &volume, &[&server, "--volfile-server-transport=unix"]);
}

fn glusterfs_9(labs: &Labs) {
    mount(labs, Root::Bullseye);
}

fn glusterfs_10(labs: &Labs) {
    mount(labs, Root::Bookworm);
}

fn glusterfs_11(labs: &Labs) {
    mount(labs, Root::Trixie);
}
