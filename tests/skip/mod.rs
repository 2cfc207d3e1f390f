//! What becomes of a test that cannot run on this machine: never a pass.

use libtest_mimic::{Completion, Failed};

/// The machine lacks something that can be had: a failure where `KADALU_LAB=required` asks for all tests, otherwise skipped.
pub(crate) fn lacking(name: &str, reason: String) -> Result<Completion, Failed> {
    if std::env::var_os("KADALU_LAB").is_some_and(|v| v == "required") {
        return Err(Failed::from(reason));
    }
    skipped(name, reason)
}

/// Says so loudly, and counts the test as skipped.
pub(crate) fn skipped(name: &str, reason: String) -> Result<Completion, Failed> {
    eprintln!("SKIPPED {name}: {reason}");
    Ok(Completion::ignored_with(reason))
}
