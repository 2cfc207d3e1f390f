//! End-to-end tests: the built `kadalu` against real glusterds, and real glusterfs mounts against our server.
//!
//! One binary, so that stories share labs and one line sums all up. A test that cannot run here is *skipped*: said
//! loudly, with the reason, and never counted as passed. `KADALU_LAB=required` makes that a failure.
//!
//! `cargo test --test e2e -- watch` runs one story; `KADALU_LAB_KEEP=1` keeps the labs' files.

#[path = "../lab/mod.rs"]
mod lab;

/// Lists the tests of a story, and what they need of the machine beyond a lab.
macro_rules! story {
    (needs $need:expr; $($test:ident),* $(,)?) => {
        pub(crate) const STORY: $crate::Story = $crate::Story {
            need: $need,
            tests: &[$((concat!(module_path!(), "::", stringify!($test)), $test)),*],
        };
    };
}

mod changes;
mod csi_killed;
mod csi_life;
mod csi_many;
mod csi_quota;
mod csi_rules;
mod driver;
mod failover;
#[path = "../fakes/mod.rs"]
mod fakes;
mod fetch;
mod labs;
mod live_brick;
mod live_changes;
mod live_container;
mod live_containers;
mod live_failures;
mod live_heal;
mod live_interrupted;
mod live_many;
mod live_poison;
mod live_replaced;
mod live_skew;
mod live_survive;
mod mounted;
mod mounts;
mod teardown;
mod tls;
mod tshark;
mod versions;
mod watch;
mod watcher;

use std::process::ExitCode;
use std::sync::Arc;

use labs::Labs;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test: it panics when it fails.
type Test = fn(&Labs);

/// One file of tests.
struct Story {
    need: fn() -> Result<(), String>,
    tests: &'static [(&'static str, Test)],
}

const STORIES: &[Story] = &[
    fetch::STORY,
    watch::STORY,
    failover::STORY,
    tls::STORY,
    versions::STORY,
    mounts::STORY,
    live_brick::STORY,
    live_changes::STORY,
    live_skew::STORY,
    live_poison::STORY,
    live_replaced::STORY,
    live_heal::STORY,
    live_interrupted::STORY,
    live_containers::STORY,
    live_survive::STORY,
    live_container::STORY,
    live_many::STORY,
    live_failures::STORY,
    csi_rules::STORY,
    csi_life::STORY,
    csi_killed::STORY,
    csi_many::STORY,
    csi_quota::STORY,
    tshark::STORY,
    teardown::STORY,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let labs = Arc::new(Labs::default());
    let tests =
        STORIES.iter().flat_map(|story| story.tests.iter().map(|(path, test)| (story.need, path, test)));
    let trials = tests.map(|(need, path, test)| {
        let name = path.strip_prefix("e2e::").expect("the path of a module of this crate");
        let labs = Arc::clone(&labs);
        Trial::ignorable_test(name, move || match need() {
            Ok(()) => {
                test(&labs);
                Ok(Completion::Completed)
            }
            Err(reason) if std::env::var_os("KADALU_LAB").is_some_and(|v| v == "required") => {
                Err(Failed::from(reason))
            }
            Err(reason) => {
                eprintln!("SKIPPED {name}: {reason}");
                Ok(Completion::ignored_with(reason))
            }
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The labs end with their last owner, and no destructor runs once `main` has returned its exit code.
    drop(labs);
    conclusion.exit_code()
}
