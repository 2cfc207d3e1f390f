//! `kadalu crd`.

use clap::Args;
use glusterd_client::operator::crd;

use super::{Failure, output};

/// Print the definition of KadaluStorage for Kubernetes
///
/// Example: kadalu crd | kubectl apply --server-side -f -
#[derive(Debug, Args)]
pub(crate) struct Crd {}

impl Crd {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let manifest =
            crd::manifest().map_err(|error| Failure::other("cannot write the definition", error))?;
        output::print(manifest.as_bytes())
    }
}
