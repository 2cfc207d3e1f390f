//! `kadalu bench io`: a load that knows of every block what must be in it.

mod append;
mod block;
mod held;
mod mapped;
mod names;
mod tally;
mod worker;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use clap::{Args, builder::FalseyValueParser};
use tokio::signal::unix::{SignalKind, signal};

pub(super) use mapped::MappedReader;
use tally::Tally;
use worker::{Job, Load, Worker};

use crate::cli::{Failure, output};

/// Put a load on a directory and verify every block that was written
///
/// Appends and fsyncs, overwrites of files that are open all the time, create + rename + unlink, reading back, and a reader
/// of a mapped file; each block says which it is. Says "ready" when the load begins; at the end, by SIGTERM, SIGINT or
/// --seconds, all is read again through new opens, and one JSON object says what happened. Exit code 1: an operation failed
/// or a block was wrong. The files, below 64 MiB, are in a directory of their own, which stays where something was wrong.
///
/// Example: kadalu bench io /mnt/vol --seconds 60
#[derive(Debug, Args)]
pub(crate) struct IoBench {
    /// Where
    #[arg(value_name = "DIR", env = "KADALU_DIR")]
    dir: PathBuf,
    /// How long; without it until a signal
    #[arg(long, env = "KADALU_SECONDS", value_name = "N")]
    seconds: Option<u64>,
    /// Repeats the choices of an earlier run
    #[arg(long, env = "KADALU_SEED", value_name = "N")]
    seed: Option<u64>,
    /// Operations a second of all kinds together, about
    #[arg(long, env = "KADALU_RATE", value_name = "N", default_value = "300", value_parser = super::at_least_one)]
    rate: usize,
    /// Without the mapped file
    #[arg(long, env = "KADALU_NO_MMAP", value_parser = FalseyValueParser::new())]
    no_mmap: bool,
    /// Failed operations are counted and no fault; what an fsync has answered for must be there at the end
    #[arg(long, env = "KADALU_EXPECT_FAILURES", value_parser = FalseyValueParser::new())]
    expect_failures: bool,
}

/// How long an operation may take once the load is over; then it is said to hang.
const PATIENCE: Duration = Duration::from_secs(60);

type Thread = (Box<dyn Job>, Worker);

impl IoBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let failed = |error| Failure::other(format_args!("the load in {}", self.dir.display()), error);
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let directory =
            tempfile::Builder::new().prefix("kadalu-io-").tempdir_in(&self.dir).map_err(failed)?;
        let load = Arc::new(Load {
            dir: directory.keep(),
            seed,
            forgiving: self.expect_failures,
            stop: false.into(),
            tally: Mutex::new(Tally::new()),
        });
        let threads = self.prepare(&load).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        *load.tally() = Tally::new();
        output::print(b"ready\n")?;

        let running = start(threads, |job, worker| {
            while !worker.load.stopped() {
                job.step(worker);
            }
            worker.interval = Duration::ZERO;
        });
        let time = self.seconds.map_or(Duration::MAX, Duration::from_secs);
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        load.stop.store(true, Ordering::Relaxed);
        let whole = match join(running).await {
            Some(threads) => {
                // Only root may, and then what is read comes from the bricks.
                let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
                join(start(threads, |job, worker| job.verify(worker))).await.is_some()
            }
            None => false,
        };
        self.conclude(&load, whole)
    }

    fn prepare(&self, load: &Arc<Load>) -> std::io::Result<Vec<Thread>> {
        let mut jobs: Vec<Box<dyn Job>> = vec![
            Box::<append::Append>::default(),
            Box::<held::Held>::default(),
            Box::<names::Names>::default(),
        ];
        if !self.no_mmap {
            jobs.push(Box::<mapped::Mapped>::default());
        }
        let interval = Duration::from_secs_f64(jobs.len() as f64 / self.rate as f64);
        let threads = (0u64..).zip(jobs).map(|(n, mut job)| {
            let random = fastrand::Rng::with_seed(load.seed.wrapping_add(n));
            let mut worker = Worker { load: load.clone(), random, interval, next: Instant::now() };
            job.prepare(&mut worker)?;
            Ok((job, worker))
        });
        threads.collect()
    }

    fn conclude(&self, load: &Load, whole: bool) -> Result<(), Failure> {
        let mut tally = load.tally();
        if !whole {
            tally.give_up();
        }
        let report = tally.report();
        let mut line = serde_json::to_value(&report).map_err(|error| Failure::other("the report", error))?;
        line["seed"] = load.seed.into();
        line["directory"] = load.dir.to_string_lossy().into();
        output::print(format!("{line}\n").as_bytes())?;
        let (failed, bad) = (report.failed, report.bad_blocks);
        if whole && bad == 0 && (failed == 0 || self.expect_failures) {
            // Ours alone: the name was free when we made it.
            return std::fs::remove_dir_all(&load.dir).map_err(|error| {
                Failure::other(format_args!("cannot remove {}", load.dir.display()), error)
            });
        }
        let hang = if whole { "" } else { ", and some have not ended" };
        let directory = load.dir.display();
        Err(Failure::other(
            directory,
            format_args!("{failed} operations failed{hang}; {bad} blocks are wrong"),
        ))
    }
}

/// Runs `work` in a thread for each job.
fn start(threads: Vec<Thread>, work: fn(&mut dyn Job, &mut Worker)) -> Vec<JoinHandle<Thread>> {
    let run = |(mut job, mut worker): Thread| {
        thread::spawn(move || {
            work(&mut *job, &mut worker);
            (job, worker)
        })
    };
    threads.into_iter().map(run).collect()
}

/// Waits for the threads; none where one of them hangs.
async fn join(threads: Vec<JoinHandle<Thread>>) -> Option<Vec<Thread>> {
    let deadline = Instant::now() + PATIENCE;
    while !threads.iter().all(JoinHandle::is_finished) {
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A thread that panicked is a defect, and its files are not verified.
    threads.into_iter().map(|thread| thread.join().ok()).collect()
}
