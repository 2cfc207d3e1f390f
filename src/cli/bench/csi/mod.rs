//! `kadalu bench csi`: the calls of PVs' lives, through the driver's socket, beside the system calls underneath.

mod bare;
mod driver;
mod life;

use std::{
    fmt::Write,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::task::JoinSet;

use self::{bare::Bare, driver::Driver, life::Call};
use super::stats::{Times, ratio};
use crate::cli::{Failure, output, servers::Target};

/// Time the CSI driver's calls, through its socket
///
/// Starts a driver of its own, which hosts its mounts, and lets PVs of the volume be created, staged, published, unpublished,
/// unstaged and deleted: the first of the pool, one at a time, and many at a time; then publishes many to see what they cost in
/// memory. Beside it, the bare system calls of the same work on the same mount.
///
/// Example: kadalu bench csi g1,g2,g3:/vol
#[derive(Debug, Args)]
pub(crate) struct CsiBench {
    #[command(flatten)]
    target: Target,
    /// PVs of each round
    #[arg(long, env = "KADALU_COUNT", value_name = "N", default_value = "100", value_parser = super::at_least_one)]
    count: usize,
    /// PVs at a time in the second round
    #[arg(long, env = "KADALU_PARALLEL", value_name = "N", default_value = "16", value_parser = super::at_least_one)]
    parallel: usize,
    /// PVs that are published at the same time to see what they cost in memory
    #[arg(long, env = "KADALU_PUBLISHED", value_name = "N", default_value = "500", value_parser = super::at_least_one)]
    published: usize,
}

impl CsiBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (servers, volume) = self.target.parse()?;
        let servers = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        // Not removed by itself: file systems are mounted below it.
        let dir = tempfile::Builder::new().prefix("kadalu-csi-").tempdir();
        let dir = dir.map_err(|error| Failure::other("no temporary directory", error))?.keep();
        let driver = Driver::start(&dir, &servers, &volume).await?;
        let outcome = self.measure(&driver).await;
        driver.stop(&dir);
        output::print(outcome?.as_bytes())
    }

    async fn measure(&self, driver: &Driver) -> Result<String, Failure> {
        let mut text =
            format!("the first PV of the pool\n{}", table(&[driver.life("first").run().await?], None));
        let bare = Bare::measure(&driver.pool()?, driver.dir(), self.count)?;

        let began = Instant::now();
        let mut lives = Vec::new();
        for n in 0..self.count {
            lives.push(driver.life(&format!("one-{n}")).run().await?);
        }
        let _ = write!(text, "\n1 at a time: {}\n{}", rate(self.count, began), table(&lives, Some(&bare)));

        let began = Instant::now();
        let mut running = JoinSet::new();
        let mut lives = Vec::new();
        for n in 0..self.count {
            if running.len() >= self.parallel {
                lives.extend(ended(&mut running).await?);
            }
            let life = driver.life(&format!("many-{n}"));
            running.spawn(async move { life.run().await });
        }
        while !running.is_empty() {
            lives.extend(ended(&mut running).await?);
        }
        let rate = rate(self.count, began);
        let _ = write!(text, "\n{} at a time: {rate}\n{}", self.parallel, table(&lives, Some(&bare)));

        let before = driver.memory();
        let mut published = Vec::new();
        for n in 0..self.published {
            let mut life = driver.life(&format!("held-{n}"));
            life.begin().await?;
            published.push(life);
        }
        let grown = driver.memory().saturating_sub(before) as f64 / self.published as f64;
        let _ = writeln!(
            text,
            "\n{} PVs published: {} glusterfs, {grown:.1} KiB of the driver's memory each ({before} KiB before)",
            self.published,
            driver.processes(),
        );
        for mut life in published {
            life.finish().await?;
        }
        Ok(text)
    }
}

async fn ended(
    running: &mut JoinSet<Result<Vec<(Call, Duration)>, Failure>>,
) -> Result<Option<Vec<(Call, Duration)>>, Failure> {
    match running.join_next().await {
        Some(Ok(life)) => life.map(Some),
        Some(Err(error)) => Err(Failure::other("a life", error)),
        None => Ok(None),
    }
}

fn rate(count: usize, began: Instant) -> String {
    format!("{:.0} PVs a minute", count as f64 * 60.0 / began.elapsed().as_secs_f64())
}

/// A row for each call, and how many times it is of the system calls underneath.
fn table(lives: &[Vec<(Call, Duration)>], bare: Option<&Bare>) -> String {
    let mut text = String::new();
    for call in Call::ALL {
        let times = lives.iter().flatten().filter(|(of, _)| *of == call).map(|(_, time)| *time);
        let times = Times::new(times.collect());
        let _ = write!(text, "  {call:<10} {times}");
        if let Some(bare) = bare.and_then(|bare| bare.of(call)) {
            let p50 = bare.p50();
            let _ = write!(
                text,
                "   bare {:>8.1} µs, {:.1} times",
                p50.as_secs_f64() * 1e6,
                ratio(times.p50(), p50)
            );
        }
        text.push('\n');
    }
    text
}

fn unmount_below(dir: &Path) {
    let Ok(mountinfo) = fs::read_to_string("/proc/self/mountinfo") else { return };
    let points: Vec<_> = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    for point in points.into_iter().rev().filter(|point| Path::new(point).starts_with(dir)) {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
}
