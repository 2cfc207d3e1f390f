//! A volume whose bricks make a nobody of root: the driver, which is root, makes no PV there.

use tonic::Code;

use crate::checked::{Checked, FAILED};
use crate::driver::{Driver, GIB};
use crate::lab::{Kind, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; root, everybody }

fn root(labs: &Labs) {
    squashed(labs, "check-root-squash", "server.root-squash");
}

fn everybody(labs: &Labs) {
    squashed(labs, "check-all-squash", "server.all-squash");
}

fn squashed(labs: &Labs, name: &str, option: &str) {
    let (lab, reset) = (labs.plain(), format!("gluster volume reset {name} {option}"));
    lab.start_volume(name, Kind::Replica3);
    lab.host(0).wait_online(name);
    let servers = lab.server_list();
    let parameters = [("gluster_hosts", servers.as_str()), ("gluster_volname", name)];
    let create = |driver: &Driver<'_>, more: &[(&str, &str)]| {
        let (caller, parameters) = (driver.caller(), [&parameters, more].concat());
        let refused = driver.block(async { caller.create("pvc-after", GIB, &parameters).await });
        let status = refused.expect_err("root is nobody there");
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        status.message().to_owned()
    };
    let mut driver = Driver::start(lab, name, &[]);
    let (before, target) = driver.serve("pvc-before", &parameters);
    lab.set(name, option, "on");

    let checked = Checked::run(lab.client(), &format!("{servers}:/{name}"), &["--no-status"]);
    let found = checked.only(&["features"]).of("features", option).is(FAILED);
    found.says(&[option, "nobody"]).advises(&[&reset]);
    // One that has seen the volume as it was learns it from the bricks, by what they do.
    let told = create(&driver, &[]);
    assert!(told.contains("cannot make the directory") && told.contains("does not squash root"), "{told}");
    // One that looks at it now says it before.
    driver.end(crate::lab::Signal::Term);
    driver.restart();
    for more in [&[][..], &[("single_pv_per_pool", "true")]] {
        let told = create(&driver, more);
        assert!(told.contains("cannot hold PVs") && told.contains(&reset), "{told}");
    }

    lab.host(0).gluster(&["volume", "reset", name, option]);
    driver.end_of(&before, &target);
}
