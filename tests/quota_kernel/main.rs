//! Projects of files on a real XFS file system, which needs no quota for that: what is inherited, what `EXDEV` refuses, what
//! a look does while pods write. Limits are enforced in the guest of `tests/e2e`; here they are only written down.
//!
//! The tests run in a mount namespace of their own, on a loop device. Where that cannot be, they are *skipped*: said loudly,
//! with the reason, and never counted as passed. `KADALU_LAB=required` makes that a failure.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod brick;
mod limits;
mod marking;
#[path = "../skip/mod.rs"]
mod skip;
mod xfs;

use std::{env, os::unix::process::CommandExt, path::Path, process::Command, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};

/// Set in the process that is inside of the namespace.
const INSIDE: &str = "KADALU_QUOTA_KERNEL_INSIDE";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share one brick.
    arguments.test_threads = Some(1);
    let need = need();
    if need.is_ok() && !arguments.list && env::var_os(INSIDE).is_none() {
        return enter();
    }
    let tests = xfs::TESTS.iter().chain(marking::TESTS).map(|test| (test, need.clone()));
    let limits = limits::TESTS.iter().map(|test| (test, need.clone().and_then(|()| limits::need())));
    let trials = tests.chain(limits).map(|((name, test), need)| {
        Trial::ignorable_test(*name, move || match need {
            Ok(()) => {
                test();
                Ok(Completion::Completed)
            }
            Err(reason) if crate::need().is_err() => skip::lacking(name, reason),
            // A kernel without quota is none that this could ask for: the guest has one.
            Err(reason) => skip::skipped(name, reason),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn need() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("not root, so nothing can be mounted".into());
    }
    for file in ["/dev/loop-control", "/usr/sbin/mkfs.xfs", "/usr/bin/unshare"] {
        if !Path::new(file).exists() {
            return Err(format!("there is no {file}"));
        }
    }
    Ok(())
}

/// Runs this program again where nobody else sees its mounts; `/mnt/image` is a file system then, which [`brick`] mounts.
fn enter() -> ExitCode {
    let script = "mount -t tmpfs tests /mnt && truncate -s 1G /mnt/image && mkfs.xfs -q /mnt/image && \
                  mkdir /mnt/host && exec \"$0\" \"$@\"";
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    eprintln!("unshare: {error}");
    ExitCode::FAILURE
}
