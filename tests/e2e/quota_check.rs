//! `kadalu check` where nothing is missing: XFS bricks with project quota, and a quotad on each host.

use glusterd_client::storage::check::CODES;

use crate::checked::{Checked, FAILED, OK};
use crate::lab::{Kind, Signal, require_quota};
use crate::labs::Labs;
use crate::mounted::MountHost;
use crate::quotad::{Bed, MIB};

story! { needs require_quota; all_is_well }

fn all_is_well(labs: &Labs) {
    let (lab, name) = (labs.quota(), "quota-check");
    lab.servers().iter().for_each(|server| server.make_xfs(name, 512 * MIB, "prjquota"));
    let mut bed = Bed::without_quotad(labs, name, name, Kind::Replica3);
    lab.host(0).wait_online(name);
    let host = MountHost::start(lab.client(), name);
    let (source, socket) = (format!("{}:/{name}", lab.server_list()), host.socket());
    let check = || Checked::run(lab.client(), &source, &["--quota", "required", "--socket", &socket]);

    let before = check();
    before.only(&["quota-daemon"]);
    for (server, path) in &bed.bricks {
        let brick = format!("{}:{path}", server.name());
        before.of("quota-daemon", &brick).is(FAILED).says(&["never"]).advises(&["export"]);
    }

    bed.start_quotads(&[]);
    let well = check();
    assert!(well.findings.iter().all(|finding| finding["outcome"] == OK), "{well}");
    for code in CODES {
        let looked_at = well.findings.iter().any(|finding| finding["code"] == code.code);
        assert!(looked_at, "{} was not looked at:\n{well}", code.code);
    }
    bed.quotads.iter_mut().for_each(|quotad| quotad.end(Signal::Term));
    assert_eq!((host.mounts(), host.processes()), (Vec::new(), Vec::new()), "nothing is left mounted");
}
