//! A mount under load through everything that admins and accidents do to a volume: nothing fails, nothing is lost.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::changes::{self, Volume};
use crate::lab::{Host, Kind, Lab, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::{Load, MountHost};

story! { needs require_fuse; thirty_changes, accidents }

/// For glusterfs to find a brick by itself, which looks every three seconds; and for all to be found at last.
const LOST: Duration = Duration::from_secs(20);
const RECONNECTED: Duration = Duration::from_secs(180);

/// The random choices: printed, and repeated with `KADALU_SEED`.
fn random(what: &str) -> fastrand::Rng {
    let seed = std::env::var("KADALU_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{what}: KADALU_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn thirty_changes(labs: &Labs) {
    let lab = labs.breakable();
    let (name, client) = ("live-changes", lab.client());
    let mut random = random(name);
    let mut volume = Volume::start(lab.host(0), lab.servers().iter().collect(), name);
    let host = MountHost::start(client, name);
    let target = host.mount(&format!("{}:/{name}", lab.server_list()), "all", &[]);
    host.wait_active(lab.host(0), name);
    let load = Load::start(client, &target, &[]);
    for (n, change) in (1..).zip(changes::random(&mut random, 30)) {
        eprintln!("{name} {n}: {change}");
        volume.apply(change, &mut random);
        host.wait_active(lab.host(0), name);
    }
    // Every brick once more, by its copies: what was healed last is read too.
    volume.wait_healed();
    load.unharmed(name);
}

fn accidents(labs: &Labs) {
    let lab = labs.breakable();
    let (name, client) = ("live-accidents", lab.client());
    let mut random = random(name);
    lab.start_volume(name, Kind::Replica3);
    let source = format!("{}:/{name}", lab.server_list());
    let mut host = MountHost::start(client, name);
    let target = host.mount(&source, "all", &[]);
    let load = Load::start(client, &target, &[]);
    host.wait_active(lab.host(0), name);

    for server in lab.servers() {
        server.kill_glusterd(Signal::Kill);
        sleep(Duration::from_millis(random.u64(..1500)));
        let other =
            lab.servers().iter().find(|other| other.name() != server.name()).expect("there are three");
        toggle(other, name, "performance.read-ahead");
        host.wait_active(other, name);
        server.start_glusterd();
        lab.wait_for_peers();
        host.wait_active(server, name);
        // A graph that was made without this glusterd has found its brick: the next one may go.
        reconnect(&lab, &host, name, &[&target]);
    }
    let second = without_glusterds(&lab, &host, name, &source, &target);
    for _ in 0..4 {
        sleep(Duration::from_millis(random.u64(..1000)));
        host.end(Signal::Kill);
        toggle(lab.host(1), name, "performance.io-cache");
        sleep(Duration::from_millis(random.u64(..1000)));
        host.restart();
        host.wait_active(lab.host(1), name);
    }
    for script in [
        // Of a version of mountd that is not this one.
        r#"sed -i "s/\"version\": *[0-9][0-9]*/\"version\":4000000000/" "$1""#,
        r#"printf garbage >"$1""#,
        r#": >"$1""#,
    ] {
        host.end(Signal::Kill);
        host.each_state_file(script);
        host.restart();
        toggle(lab.host(0), name, "performance.io-cache");
        host.wait_active(lab.host(0), name);
        host.wait_whole(&[&target]);
    }
    // A partition, shorter than the ping timeout: I/O waits, and goes on.
    lab.network().drop_packets(client, true);
    sleep(Duration::from_secs(5));
    lab.network().drop_packets(client, false);
    toggle(lab.host(2), name, "performance.io-cache");
    host.wait_active(lab.host(2), name);

    load.unharmed(name);
    second.unharmed("live-accidents, mounted without a glusterd");
}

/// All glusterds are down for twenty seconds; a mount is made meanwhile. Once they are back, a brick gets another port.
/// Gives back the load on the new mount.
fn without_glusterds(lab: &Lab, host: &MountHost, name: &str, source: &str, target: &str) -> Load {
    let client = lab.client();
    wait_for_ports(lab, host, name);
    for server in lab.servers() {
        server.kill_glusterd(Signal::Kill);
    }
    client.shell(&format!("mkdir {}/sub", host.target("all")));
    let bind = host.mount(&format!("{source}/sub"), "bind", &[]);
    let other = host.mount(source, "other", &["-o", "log-level=WARNING"]);
    assert_ne!(host.pid(&other), host.pid(&bind), "other options are another process");
    assert_eq!(host.pool(&other)["offline"], true, "{}", host.list());
    client.shell(&format!("echo 1 >{bind}/file; cat {other}/sub/file >/dev/null"));
    let load = Load::start(client, &other, &["--rate", "100"]);
    sleep(Duration::from_secs(20));

    for server in lab.servers() {
        server.start_glusterd();
    }
    lab.wait_for_peers();
    eventually("the pool is the cluster's own again", || {
        (host.pool(&other)["offline"] == false).then_some(())
    });
    // A glusterd that returns may start its brick anew by itself: one more at the same time would take the quorum from
    // every client.
    sleep(Duration::from_secs(10));
    reconnect(lab, host, name, &[target, &other]);
    let _listener = move_brick(lab.host(1), name);
    toggle(lab.host(0), name, "performance.readdir-ahead");
    host.wait_active(lab.host(0), name);
    reconnect(lab, host, name, &[target, &other]);
    load
}

/// Waits until the mount host has noted where each brick is: a glusterd that comes back to a volume that has changed
/// starts its bricks anew, on other ports.
fn wait_for_ports(lab: &Lab, host: &MountHost, name: &str) {
    eventually("the ports of all bricks are known", || {
        let stored = lab.client().shell(&format!("cat {}/volumes/*/volume.json", host.state()));
        let stored: serde_json::Value = serde_json::from_str(&stored).expect("its state");
        let known = |server: &Host| {
            let bricks = stored["bricks"].as_array()?;
            let brick = bricks.iter().find(|brick| brick["host"] == server.name())?;
            brick["port"].as_u64()
        };
        lab.servers()
            .iter()
            .all(|server| brick(server, name).map(|(_, port)| port.into()) == known(server))
            .then_some(())
    });
}

/// Waits until the processes of these targets are connected to every brick and nothing is left to heal. A glusterd that
/// was killed may have lost track of its brick, or started another beside it, and no client finds it then: it is done
/// what an admin would do, to the bricks that are down only.
fn reconnect(lab: &Lab, host: &MountHost, name: &str, targets: &[&str]) {
    let begin = Instant::now();
    let mut mended = begin;
    loop {
        let pids: Vec<_> = targets.iter().filter_map(|target| host.pid(target)).collect();
        let reached = |server: &Host| pids.iter().all(|&pid| reaches_brick(lab.client(), pid, server));
        let missed: Vec<_> = lab.servers().iter().filter(|server| !reached(server)).collect();
        if missed.is_empty() && pids.len() == targets.len() {
            break;
        }
        let status = || lab.host(0).try_gluster(&["volume", "status", name]).unwrap_or_else(|said| said);
        assert!(begin.elapsed() < RECONNECTED, "not all is connected:\n{}\n{}", host.list(), status());
        if mended.elapsed() > LOST {
            for server in &missed {
                eprintln!("{name}: the brick of {} is started again:\n{}", server.name(), status());
                end_bricks(server, name);
                // It may say no while it is at it.
                let _ = server.try_gluster(&["volume", "start", name, "force"]);
            }
            mended = Instant::now();
        }
        sleep(Duration::from_millis(100));
    }
    crate::mounted::wait_healed(lab.host(0), name);
}

/// Whether a process of the client host has a connection to a brick of this server.
fn reaches_brick(client: &Host, pid: i64, server: &Host) -> bool {
    let said = client.shell(&format!("ss -Htnp state established dst {}", server.address()));
    said.lines().any(|line| line.contains(&format!("pid={pid},")) && !line.contains(":24007 "))
}

/// Kills the server's brick processes of a volume.
fn end_bricks(server: &Host, name: &str) {
    server.shell(&format!("pkill -KILL -f '[g]lusterfsd .*/mnt/bricks/{name}-' || true"));
}

/// Kills the server's brick and has it started again on another port: its own is taken, for as long as what is given
/// back lives.
fn move_brick(server: &Host, name: &str) -> Running {
    let (_, port) = brick(server, name).expect("a brick that runs");
    end_bricks(server, name);
    let listen = format!("{}:{port}", server.address());
    let listener = eventually("the old port is taken", || {
        let mut listener =
            server.spawn_kadalu(&["volfile-server", "--listen", &listen, "--dir", "/mnt/bricks"]);
        sleep(Duration::from_millis(300));
        listener.runs().then_some(listener)
    });
    server.gluster(&["volume", "start", name, "force"]);
    eventually("the brick runs on another port", || brick(server, name).filter(|(_, now)| *now != port));
    listener
}

/// The process id and the port of the server's brick; none while it does not run.
fn brick(server: &Host, name: &str) -> Option<(u32, u16)> {
    let status = server.try_gluster(&["volume", "status", name, "--xml"]).ok()?;
    let tag = |text: &str, tag: &str| -> Option<String> {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let node = status.split("<node>").find(|node| {
        tag(node, "hostname").as_deref() == Some(server.name())
            && tag(node, "path").is_some_and(|path| path.starts_with('/'))
    })?;
    Some((tag(node, "pid")?.parse().ok().filter(|pid| *pid > 0)?, tag(node, "port")?.parse().ok()?))
}

/// Has a translator the other way than it is.
fn toggle(admin: &Host, name: &str, translator: &str) {
    let now = admin.gluster(&["volume", "get", name, translator]);
    let on = now.lines().last().is_some_and(|line| line.contains(" on"));
    admin.gluster(&["volume", "set", name, translator, if on { "off" } else { "on" }]);
}
