//! A volume is deleted and another one gets its name, and even its bricks' paths: nobody is moved to it unasked.

use crate::lab::{Kind, Lab, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; replaced }

/// Another volume under the name of one that is mounted.
fn replace(lab: &Lab, name: &str) {
    let admin = lab.host(0);
    admin.gluster(&["volume", "stop", name]);
    admin.gluster(&["volume", "delete", name]);
    for server in lab.servers() {
        server.shell(&format!("rm -rf /mnt/bricks/{name}-*"));
    }
    lab.start_volume(name, Kind::Replica3);
}

fn replaced(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("replaced-volume", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let mut host = MountHost::start(client, name);
    let target = host.mount(&format!("{}:/{name}", lab.server_list()), "all", &[]);
    client.shell(&format!("echo old >{target}/file"));
    let (old, pid) = (host.volume(name)["id"].clone(), host.pid(&target));
    replace(lab, name);

    let rejected = eventually("it is reported", || {
        let rejected = host.volume(name)["rejected"].clone();
        rejected["replaced_by"].as_str().is_some_and(|id| !id.is_empty()).then_some(rejected)
    });
    eprintln!("{name}: {}", rejected["reasons"]);
    assert_eq!((&host.volume(name)["id"], host.pid(&target)), (&old, pid), "nothing has moved");
    // Nor by a restart of ours.
    host.end(crate::lab::Signal::Kill);
    host.restart();
    eventually("it is reported again", || {
        let by = host.volume(name)["rejected"]["replaced_by"].clone();
        (by == rejected["replaced_by"]).then_some(())
    });
    assert_eq!((&host.volume(name)["id"], host.pid(&target)), (&old, pid), "nothing has moved");

    host.kadalu(&["mounts", "--accept-replaced", name]).expect(0);
    eventually("the target shows the new volume", || {
        let said = client.exec("ls", &["-A", &target]);
        let empty = said.status == Some(0) && said.text().trim().is_empty();
        (empty && host.volume(name)["id"] == rejected["replaced_by"]).then_some(())
    });
    client.shell(&format!("echo new >{target}/file"));
    host.wait_active(lab.host(0), name);
    host.wait_whole(&[&target]);
    assert_ne!(host.pid(&target), pid, "another process");
    host.kadalu(&["mounts", "--accept-replaced", name])
        .expect(2)
        .says(&["no other volume has taken the name"]);
}
