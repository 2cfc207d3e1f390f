//! `kadalu bench`.

use clap::Args;

use super::Failure;

/// Measure
#[derive(Debug, Args)]
pub(crate) struct Bench {}

impl Bench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        Ok(())
    }
}
