//! End-to-end tests: the built `kadalu` against real glusterds, and real glusterfs mounts against our server.
//!
//! One binary, so that stories share labs and one line sums all up. A test that cannot run here is *skipped*: said
//! loudly, with the reason, and never counted as passed. `KADALU_LAB=required` makes that a failure.
//!
//! Stories named `quota_…` need a kernel with XFS quota: on others a guest that has one runs them, with this very binary.
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

#[cfg(feature = "operator")]
#[path = "../fakes/api/mod.rs"]
mod api;
mod brick_side;
mod changes;
mod check_bricks;
mod check_broken;
mod check_healthy;
mod check_network;
mod check_squash;
mod check_stranger;
mod check_tls;
mod check_versions;
mod checked;
mod config_rfc;
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
#[cfg(feature = "operator")]
mod kubernetes;
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
#[cfg(feature = "operator")]
mod operator_filesystem;
#[cfg(feature = "operator")]
mod operator_held;
#[cfg(feature = "operator")]
mod operator_replaced;
#[cfg(feature = "operator")]
mod operator_rfc;
#[cfg(feature = "operator")]
mod operator_server_away;
mod quota_check;
mod quota_guest;
mod quota_killed;
mod quota_kinds;
mod quota_late;
mod quota_life;
mod quota_refused;
mod quota_returns;
mod quota_thousand;
mod quotad;
#[path = "../skip/mod.rs"]
mod skip;
mod teardown;
mod tls;
mod tshark;
mod versions;
mod watch;
mod watcher;

use std::process::ExitCode;
use std::sync::Arc;

use lab::guest::{self, Guest, Outcome};
use labs::Labs;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// How the names of the stories begin that need XFS project quota: where this kernel has none, the guest runs them.
const QUOTA: &str = "quota_";

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
    config_rfc::STORY,
    #[cfg(feature = "operator")]
    operator_rfc::STORY,
    #[cfg(feature = "operator")]
    operator_filesystem::STORY,
    #[cfg(feature = "operator")]
    operator_server_away::STORY,
    #[cfg(feature = "operator")]
    operator_replaced::STORY,
    #[cfg(feature = "operator")]
    operator_held::STORY,
    check_healthy::STORY,
    check_broken::STORY,
    check_network::STORY,
    check_squash::STORY,
    check_stranger::STORY,
    check_tls::STORY,
    check_versions::STORY,
    check_bricks::STORY,
    tshark::STORY,
    teardown::STORY,
    quota_guest::STORY,
    quota_check::STORY,
    quota_kinds::STORY,
    quota_late::STORY,
    quota_killed::STORY,
    quota_returns::STORY,
    quota_life::STORY,
    quota_refused::STORY,
    quota_thousand::STORY,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let labs = Arc::new(Labs::default());
    let guest = Arc::new(Guest::new(guest_arguments(&arguments)));
    let tests =
        STORIES.iter().flat_map(|story| story.tests.iter().map(|(path, test)| (story.need, path, test)));
    let named = tests.map(|(need, path, test)| {
        (need, path.strip_prefix("e2e::").expect("the path of a module of this crate"), test)
    });
    let here = named.filter(|(_, name, _)| !guest::inside() || name.starts_with(QUOTA));
    let trials = here.map(|(need, name, test)| {
        let (labs, guest) = (Arc::clone(&labs), Arc::clone(&guest));
        Trial::ignorable_test(name, move || match need().and_then(|()| run(name, *test, &labs, &guest)) {
            Ok(Outcome::Passed) => Ok(Completion::Completed),
            Ok(Outcome::Failed(words)) => Err(Failed::from(words)),
            Ok(Outcome::Skipped) => Ok(Completion::ignored_with("skipped in the guest")),
            Err(reason) => skip::lacking(name, reason),
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The labs end with their last owner, and no destructor runs once `main` has returned its exit code.
    drop((labs, guest));
    conclusion.exit_code()
}

/// Runs a test here, or where there is what it needs.
fn run(name: &str, test: Test, labs: &Labs, guest: &Guest) -> Result<Outcome, String> {
    if name.starts_with(QUOTA) && !guest::has_xfs_quota() {
        return guest.outcome(name);
    }
    test(labs);
    Ok(Outcome::Passed)
}

/// The arguments that select the same tests again.
fn guest_arguments(arguments: &Arguments) -> Vec<String> {
    let skip = arguments.skip.iter().flat_map(|name| ["--skip", name]);
    let exact = arguments.exact.then_some("--exact");
    let filter = arguments.filter.as_deref();
    skip.chain(exact).chain(filter).map(str::to_owned).collect()
}
