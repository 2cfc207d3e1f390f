//! `kadalu bench`: ratios against named peers, on the same work in one run.

mod check;
mod child;
mod connections;
mod csi;
mod fetch;
mod io;
mod live;
mod notify;
mod program;
mod quota;
mod raw;
mod serve;
mod stats;

use clap::{Args, Subcommand};

use super::Failure;

/// Measure the client and the server beside what else does their work
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Fetch(fetch::FetchBench),
    Check(check::CheckBench),
    Serve(serve::ServeBench),
    Connections(connections::ConnectionsBench),
    Notify(notify::NotifyBench),
    Io(io::IoBench),
    Live(live::LiveBench),
    Csi(csi::CsiBench),
    Quota(quota::QuotaBench),
    #[command(hide = true)]
    MappedReader(io::MappedReader),
}

/// A number of things to do: none would measure nothing.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is wanted".to_owned()),
        other => other.map_err(|error| format!("{error}")),
    }
}

impl Bench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Fetch(bench) => bench.run().await,
            What::Check(bench) => bench.run().await,
            What::Serve(bench) => bench.run().await,
            What::Connections(bench) => bench.run().await,
            What::Notify(bench) => bench.run().await,
            What::Io(bench) => bench.run().await,
            What::Live(bench) => bench.run().await,
            What::Csi(bench) => bench.run().await,
            What::Quota(bench) => bench.run(),
            What::MappedReader(reader) => reader.run(),
        }
    }
}
