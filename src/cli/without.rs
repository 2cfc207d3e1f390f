//! What a build without a feature lacks.

use std::ffi::OsString;

use clap::Args;

use super::{Exit, Failure};

/// A subcommand that only a build with the feature `operator` has
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct OfOperator {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl OfOperator {
    /// Says so.
    pub(crate) fn run(self) -> Result<(), Failure> {
        tracing::debug!(words = ?self.words, "not of this build");
        let sentence =
            "this kadalu was built without the feature operator: cargo install --path . --features operator";
        Err(Failure::new(Exit::Usage, sentence))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    #[test]
    fn whatever_is_asked_for_the_build_is_at_fault() {
        for words in
            [&["operator"][..], &["operator", "--help"], &["operator", "--csi", "unix:///csi.sock", "x"]]
        {
            let matches =
                OfOperator::augment_args(Command::new("operator")).try_get_matches_from(words).unwrap();
            let failure = OfOperator::from_arg_matches(&matches).unwrap().run().unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(
                failure.message.ends_with("cargo install --path . --features operator"),
                "{}",
                failure.message
            );
        }
    }
}
