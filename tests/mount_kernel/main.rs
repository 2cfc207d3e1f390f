//! The mount host's kernel side against the real kernel and real glusterfs mounts: healthy, dead, stopped, without bricks.
//!
//! The tests run in namespaces of their own, so nothing is seen outside, and nothing is left when they end. Where that
//! cannot be, they are *skipped*: said loudly, with the reason, and never counted as passed. `KADALU_LAB=required`
//! makes that a failure.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod binds;
mod containers;
mod node;
mod probes;
mod room;
#[path = "../skip/mod.rs"]
mod skip;
mod volume;

use std::{env, os::unix::process::CommandExt, path::Path, process::Command, process::ExitCode};

use glusterd_client::mount::helper;
use libtest_mimic::{Arguments, Completion, Trial};

/// Set in the process that is inside of the namespaces.
const INSIDE: &str = "KADALU_MOUNT_KERNEL_INSIDE";

fn main() -> ExitCode {
    // The tests' `Helper` starts this program.
    if env::args().nth(1).as_deref() == Some("mount-helper") {
        return helper::serve();
    }
    let arguments = Arguments::from_args();
    let need = need();
    if need.is_ok() && !arguments.list && env::var_os(INSIDE).is_none() {
        return enter();
    }
    let tests = probes::TESTS
        .iter()
        .chain(binds::TESTS)
        .chain(containers::TESTS)
        .chain(node::TESTS)
        .chain(room::TESTS);
    let trials = tests.map(|(name, test)| {
        let need = need.clone();
        Trial::ignorable_test(*name, move || match need {
            Ok(()) => {
                test();
                Ok(Completion::Completed)
            }
            Err(reason) => skip::lacking(name, reason),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn need() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("not root, so nothing can be mounted".into());
    }
    for file in ["/dev/fuse", "/usr/sbin/glusterfs", "/usr/bin/unshare"] {
        if !Path::new(file).exists() {
            return Err(format!("there is no {file}"));
        }
    }
    Ok(())
}

/// Runs this program again where nobody else's mounts, processes and addresses are. `/mnt` is an empty file system there.
fn enter() -> ExitCode {
    let script = "mount -t tmpfs tests /mnt && mount -t tmpfs tests /var/log/glusterfs && ip link set lo up && \"$0\" \"$@\"";
    let error = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    eprintln!("unshare: {error}");
    ExitCode::FAILURE
}
