//! `kadalu check` where not all of the servers that were given are of one cluster.

use crate::checked::{Checked, FAILED, OK};
use crate::lab::{Host, Kind, Lab, require_roots};
use crate::labs::Labs;

story! { needs require_roots; stranger, stranger_with_a_namesake }

fn start(lab: &Lab, server: &Host, name: &str) {
    lab.create_volume_on(server, name, Kind::Single);
    server.gluster(&["volume", "start", name]);
    server.wait_online(name);
}

fn stranger(labs: &Labs) {
    let lab = labs.versions();
    start(lab, lab.host(1), "check-stranger");
    let checked = Checked::run(lab.client(), "g2,g3:/check-stranger", &["--no-status"]);
    checked.of("cluster", "g3:24007").is(FAILED).advises(&["one cluster"]);
    checked.one("started").is(OK);
}

/// Which of the two volumes a PV is on would be a matter of luck.
fn stranger_with_a_namesake(labs: &Labs) {
    let lab = labs.versions();
    start(lab, lab.host(1), "check-namesake");
    start(lab, lab.host(2), "check-namesake");
    let checked = Checked::run(lab.client(), "g2,g3:/check-namesake", &["--no-status"]);
    checked.of("cluster", "g3:24007").is(FAILED).advises(&["one cluster"]);
}
