use std::time::Instant;

use clap::Args;
use glusterd_client::{
    mount::source::Source,
    storage::check::{Options, Outcome, check},
};

use super::{child, stats::Times};
use crate::cli::{Failure, output, servers::Reaching};

/// Time kadalu check, without the state of the bricks, whose time is the cluster's
///
/// In this process, and as a process of its own.
///
/// Example: kadalu bench check g1,g2,g3:/vol
#[derive(Debug, Args)]
pub(crate) struct CheckBench {
    #[arg(value_name = "SERVERS:/VOLUME")]
    volume: String,
    /// Checks
    #[arg(long, env = "KADALU_COUNT", value_name = "N", default_value = "100", value_parser = super::at_least_one)]
    count: usize,
    #[command(flatten)]
    reaching: Reaching,
}

impl CheckBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let Source { servers, volume, .. } = Source::parse(&self.volume)?;
        let options = Options { client: self.reaching.options()?, ..Options::default() };
        let (mut inside, mut processes, mut outcome) = (Vec::new(), Vec::new(), Outcome::Ok);
        let this = child::this_program()?;
        let command = ["check", "--no-status", "--format", "json", &self.volume].map(str::to_owned);
        for _ in 0..self.count {
            let start = Instant::now();
            let report = check(&servers, &volume, &options).await;
            inside.push(start.elapsed());
            outcome = outcome.max(report.outcome());
            if report.outcome() < Outcome::Failed {
                processes.push(child::run(&this, &command)?.time);
            }
        }
        let (inside, processes) = (Times::new(inside), Times::new(processes));
        let text = format!("worst finding {outcome:?}\ncheck    {inside}\nprocess  {processes}\n");
        output::print(text.as_bytes())
    }
}
