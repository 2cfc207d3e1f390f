//! `kadalu bench quota`: from a PV's record to its limit, beside the forks of `xfs_quota` that the old daemon makes.

mod brick;
mod forks;

use std::{
    fmt::Write,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use self::brick::Brick;
use super::{
    program::processor_time,
    stats::{Times, ratio},
};
use crate::cli::{Failure, output};

/// Time the quota daemon on a brick of its own
///
/// Makes a brick in a directory of an XFS file system that is mounted with prjquota, fills it with PVs, and lets a kadalu quotad
/// of its own look after it: the time from a PV's record to its limit while others are there, the first look at all of them and
/// the next ones, and what an idle quotad costs. Beside it, two xfs_quota processes a PV do the same, as kadalu-quotad works.
/// At the end what was made is removed.
///
/// Example: kadalu bench quota /bricks/scratch
#[derive(Debug, Args)]
pub(crate) struct QuotaBench {
    /// A directory of an XFS file system that is mounted with prjquota
    directory: PathBuf,
    /// PVs that are there while records are written, a comma list
    #[arg(long, env = "KADALU_PRESENT", value_name = "N,…", default_value = "1,100,10000", value_delimiter = ',', value_parser = super::at_least_one)]
    present: Vec<usize>,
    /// Records that are written, one after the other, in each round; as many PVs are limited by xfs_quota
    #[arg(long, env = "KADALU_COUNT", value_name = "N", default_value = "100", value_parser = super::at_least_one)]
    count: usize,
    /// How long the idle daemon is looked at, with the most PVs
    #[arg(long, env = "KADALU_SECONDS", value_name = "SECONDS", default_value = "60")]
    seconds: u64,
}

impl QuotaBench {
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        self.present.sort_unstable();
        let mut brick = Brick::make(&self.directory)?;
        let outcome = self.measure(&mut brick);
        let removed = brick.remove();
        output::print(outcome?.as_bytes())?;
        removed
    }

    fn measure(&self, brick: &mut Brick) -> Result<String, Failure> {
        let (mut text, mut first) = (String::new(), None);
        for (round, present) in self.present.iter().enumerate() {
            let fresh = present.saturating_sub(brick.pvs());
            brick.fill(fresh)?;
            let began = Instant::now();
            brick.look()?;
            let (applied, began) = (began.elapsed(), Instant::now());
            brick.look()?;
            let _ = writeln!(
                text,
                "{present} PVs: first look at {fresh} new ones {:.1} ms, the next at all of them {:.1} ms",
                applied.as_secs_f64() * 1e3,
                began.elapsed().as_secs_f64() * 1e3,
            );
            if round + 1 == self.present.len() && fresh > 0 {
                first = Some(applied / u32::try_from(fresh).unwrap_or(u32::MAX));
            }
            let daemon = brick.daemon()?;
            let times = (0..self.count).map(|_| brick.one()).collect::<Result<Vec<_>, _>>()?;
            let _ = writeln!(text, "  record to limit in force {}", Times::new(times));
            if round + 1 == self.present.len() {
                // The look that the daemon begins with has ended by now.
                let used = || processor_time(daemon.id()).unwrap_or_default();
                let before = used();
                thread::sleep(Duration::from_secs(self.seconds));
                let share = (used() - before).as_secs_f64() / (self.seconds as f64).max(1e-9);
                let memory = super::program::memory(daemon.id());
                let _ = writeln!(
                    text,
                    "  idle for {} s: {:.3} % of a core, {memory} KiB",
                    self.seconds,
                    share * 100.0
                );
            }
        }
        let forks = Times::new(forks::limit(brick, self.count)?);
        let _ = writeln!(text, "xfs_quota, two processes a PV {forks}");
        if let Some(first) = first {
            let _ = writeln!(
                text,
                "rate: {:.0} PVs a second, {:.1} times that of the processes",
                1.0 / first.as_secs_f64(),
                ratio(forks.p50(), first)
            );
        }
        Ok(text)
    }
}
