//! One brick of a volume, mounted by itself.

use rustix::fs::XattrFlags;
use serde_json::Value;

use crate::lab::{Host, Kind, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; each_brick_shows_its_own, a_brick_that_leaves }

const ATTRIBUTE: &str = "trusted.kadalu.test";

/// Sets an attribute on a directory below `/mnt` of a host, past all of Gluster.
pub(crate) fn set(host: &Host, path: &str, name: &str, value: &[u8]) {
    let path = host.mnt().join(path.strip_prefix("/mnt/").expect("a path below /mnt"));
    rustix::fs::setxattr(&path, name, value, XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The attribute as the client sees it at a mount.
fn attribute(client: &Host, target: &str) -> String {
    client.shell(&format!("getfattr --absolute-names --only-values -n {ATTRIBUTE} {target}"))
}

fn each_brick_shows_its_own(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("one-brick", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let host = MountHost::start(client, name);
    let source = format!("{}:/{name}", lab.server_list());
    let whole = host.mount(&source, "whole", &[]);
    client.shell(&format!("mkdir {whole}/dir && echo data >{whole}/dir/file && sync -f {whole}"));
    for (n, server) in lab.servers().iter().enumerate() {
        let value = format!("of brick {n}");
        set(server, &format!("/mnt/bricks/{name}-{n}"), ATTRIBUTE, value.as_bytes());
        set(server, &format!("/mnt/bricks/{name}-{n}/dir"), ATTRIBUTE, value.as_bytes());
    }
    let mut pids = vec![host.pid(&whole)];
    for n in 0..3 {
        let target =
            host.mount(&source, &format!("brick-{n}"), &["-o", &format!("brick={}", lab.brick(name, n))]);
        for path in ["", "/dir"] {
            assert_eq!(attribute(client, &format!("{target}{path}")), format!("of brick {n}"));
        }
        assert_eq!(client.shell(&format!("cat {target}/dir/file")), "data\n");
        for script in ["touch {}/new", "rm {}/dir/file", "setfattr -n user.x -v y {}/dir"] {
            let said = client.exec("sh", &["-c", &script.replace("{}", &target)]);
            assert!(said.status != Some(0) && said.stderr.contains("Read-only"), "{script}: {}", said.stderr);
        }
        let pool = host.pool(&target);
        assert_eq!((&pool["state"], &pool["bricks_down"]), (&"healthy".into(), &Value::Array(Vec::new())));
        pids.push(host.pid(&target));
    }
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4, "a process each: {pids:?}");
    // What does not concern the brick changes nothing, and what does is followed.
    lab.set(name, "performance.read-ahead", "off");
    lab.set(name, "network.ping-timeout", "17");
    host.wait_active(lab.host(0), name);
    host.wait_whole(&[&host.target("brick-1")]);
    assert_eq!(attribute(client, &host.target("brick-1")), "of brick 1");
}

fn a_brick_that_leaves(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("one-brick-leaves", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let mut host = MountHost::start(client, name);
    let source = format!("{}:/{name}", lab.server_list());
    let (old, new) = (lab.brick(name, 2), lab.brick(name, 5));
    let flags = |brick: &str| ["-o".to_owned(), format!("brick={brick}")];
    let mount = |host: &MountHost, brick: &str, target: &str| {
        let flags = flags(brick);
        host.mount(&source, target, &[&flags[0], &flags[1]])
    };
    let target = mount(&host, &old, "old");
    let other = mount(&host, &lab.brick(name, 0), "other");
    lab.host(0).gluster(&["volume", "replace-brick", name, &old, &new, "commit", "force"]);
    let sentence = format!("{old} is no brick of volume {name}, which has {}", lab.brick(name, 0));
    eventually("it is said", || {
        let said = host.pool(&target)["last_error"].as_str().unwrap_or_default().to_owned();
        said.contains(&sentence).then_some(())
    });
    // Its process is left; a new mount is refused.
    let refused = host.target("refused");
    let [o, brick] = flags(&old);
    host.kadalu(&["mount", &source, &refused, &o, &brick]).expect(2).says(&[&sentence, &new]);
    mount(&host, &new, "new");
    // The other one goes on, also without us.
    host.end(crate::lab::Signal::Kill);
    host.restart();
    host.umount(&target);
    host.wait_whole(&[&other]);
}
