//! What happened: counted by kind of operation, with the first of what went wrong.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    thread::{self, ThreadId},
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;

use super::{super::stats::Times, block::Wrong};

/// Kept of each sort: what comes after them is counted only.
const KEPT: usize = 20;

/// Operations of the check at the end; they are no part of the overall times.
pub(super) const VERIFY: &str = "verify";

#[derive(Debug)]
pub(super) struct Tally {
    begun: Instant,
    kinds: BTreeMap<&'static str, Kind>,
    under_way: HashMap<ThreadId, (&'static str, PathBuf, Instant)>,
    failures: Vec<Failed>,
    wrong: Vec<Found>,
    bad_blocks: u64,
    wrong_bytes: u64,
    verified_blocks: u64,
    reopened: u64,
}

#[derive(Debug, Default)]
struct Kind {
    times: Vec<Duration>,
    failed: u64,
    longest: Option<Stall>,
}

/// The longest operation.
#[derive(Debug, Clone, Serialize)]
struct Stall {
    ms: f64,
    /// When it began, after the start of the load.
    at_seconds: f64,
    path: PathBuf,
}

/// An operation that failed.
#[derive(Debug, Serialize)]
struct Failed {
    time: String,
    at_seconds: f64,
    kind: &'static str,
    path: PathBuf,
    errno: Option<i32>,
    error: String,
}

/// Something that was read and is not what was written.
#[derive(Debug, Serialize)]
struct Found {
    time: String,
    at_seconds: f64,
    path: PathBuf,
    block: usize,
    what: String,
}

/// What is printed at the end.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    seconds: f64,
    operations: usize,
    pub(super) failed: u64,
    failures: &'a [Failed],
    pub(super) bad_blocks: u64,
    wrong_bytes: u64,
    wrong: &'a [Found],
    verified_blocks: u64,
    /// Long-open files that were opened again, with `--expect-failures`.
    reopened: u64,
    p50_us: f64,
    p99_us: f64,
    longest_stall_ms: f64,
    longest_stall_kind: &'static str,
    kinds: BTreeMap<&'static str, Summary>,
}

#[derive(Debug, Serialize)]
struct Summary {
    operations: usize,
    failed: u64,
    p50_us: f64,
    p99_us: f64,
    longest: Option<Stall>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            kinds: BTreeMap::new(),
            under_way: HashMap::new(),
            failures: Vec::new(),
            wrong: Vec::new(),
            bad_blocks: 0,
            wrong_bytes: 0,
            verified_blocks: 0,
            reopened: 0,
        }
    }

    /// This thread begins an operation.
    pub(super) fn begins(&mut self, kind: &'static str, path: &Path) {
        self.under_way.insert(thread::current().id(), (kind, path.to_owned(), Instant::now()));
    }

    /// The operation of this thread is over; it took `time`, where that is not known from its beginning.
    pub(super) fn ends(&mut self, time: Option<Duration>, error: Option<&std::io::Error>) {
        let Some((kind, path, start)) = self.under_way.remove(&thread::current().id()) else { return };
        self.count(kind, path, start, time.unwrap_or_else(|| start.elapsed()), error);
    }

    /// Counts what is still under way, in whatever thread, as failed: nobody waits for it any longer.
    pub(super) fn give_up(&mut self) {
        for (kind, path, start) in std::mem::take(&mut self.under_way).into_values() {
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "it has not ended");
            self.count(kind, path, start, start.elapsed(), Some(&error));
        }
    }

    fn count(
        &mut self,
        kind: &'static str,
        path: PathBuf,
        start: Instant,
        time: Duration,
        error: Option<&std::io::Error>,
    ) {
        let counted = self.kinds.entry(kind).or_default();
        counted.times.push(time);
        let (ms, at) = (time.as_secs_f64() * 1e3, start.duration_since(self.begun).as_secs_f64());
        if counted.longest.as_ref().is_none_or(|longest| longest.ms < ms) {
            counted.longest = Some(Stall { ms, at_seconds: at, path: path.clone() });
        }
        let Some(error) = error else { return };
        counted.failed += 1;
        if self.failures.len() < KEPT {
            self.failures.push(Failed {
                time: now(),
                at_seconds: at,
                kind,
                path,
                errno: error.raw_os_error(),
                error: error.to_string(),
            });
        }
    }

    /// A block of a file is wrong.
    pub(super) fn wrong(&mut self, path: &Path, block: usize, wrong: Wrong) {
        self.bad_blocks += 1;
        self.wrong_bytes += wrong.bytes as u64;
        if self.wrong.len() < KEPT {
            let at_seconds = self.begun.elapsed().as_secs_f64();
            self.wrong.push(Found {
                time: now(),
                at_seconds,
                path: path.to_owned(),
                block,
                what: wrong.what,
            });
        }
    }

    /// Blocks were compared at the end.
    pub(super) fn verified(&mut self, blocks: usize) {
        self.verified_blocks += blocks as u64;
    }

    /// A long-open file was opened again.
    pub(super) fn reopened(&mut self) {
        self.reopened += 1;
    }

    pub(super) fn report(&mut self) -> Report<'_> {
        let load = self.kinds.iter().filter(|(kind, _)| **kind != VERIFY);
        let times = Times::new(load.clone().flat_map(|(_, kind)| kind.times.iter().copied()).collect());
        let longest = load
            .clone()
            .filter_map(|(name, kind)| Some((*name, kind.longest.as_ref()?.ms)))
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .unwrap_or_default();
        let micros = |times: &Times, share| times.percentile(share).as_secs_f64() * 1e6;
        Report {
            seconds: self.begun.elapsed().as_secs_f64(),
            operations: load.map(|(_, kind)| kind.times.len()).sum(),
            failed: self.kinds.values().map(|kind| kind.failed).sum(),
            failures: &self.failures,
            bad_blocks: self.bad_blocks,
            wrong_bytes: self.wrong_bytes,
            wrong: &self.wrong,
            verified_blocks: self.verified_blocks,
            reopened: self.reopened,
            p50_us: micros(&times, 0.5),
            p99_us: micros(&times, 0.99),
            longest_stall_ms: longest.1,
            longest_stall_kind: longest.0,
            kinds: self
                .kinds
                .iter()
                .map(|(name, kind)| {
                    let times = Times::new(kind.times.clone());
                    let summary = Summary {
                        operations: kind.times.len(),
                        failed: kind.failed,
                        p50_us: micros(&times, 0.5),
                        p99_us: micros(&times, 0.99),
                        longest: kind.longest.clone(),
                    };
                    (*name, summary)
                })
                .collect(),
        }
    }
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stalls_and_what_never_ended() {
        let mut tally = Tally::new();
        let path = Path::new("a");
        for time in [1, 9, 2] {
            tally.begins("write", path);
            tally.ends(Some(Duration::from_millis(time)), None);
        }
        tally.begins(VERIFY, path);
        tally.ends(Some(Duration::from_secs(60)), Some(&std::io::Error::from_raw_os_error(107)));
        tally.begins("fsync", path);
        tally.give_up();
        let report = tally.report();
        assert_eq!((report.operations, report.failed), (4, 2));
        assert_eq!((report.longest_stall_ms, report.longest_stall_kind), (9.0, "write"));
        assert_eq!(report.failures[0].errno, Some(107));
        assert_eq!(report.failures[1].kind, "fsync");
    }

    #[test]
    fn only_the_first_are_kept() {
        let mut tally = Tally::new();
        for block in 0..100 {
            tally.wrong(Path::new("a"), block, Wrong { what: "zeros".into(), bytes: 4000 });
        }
        let report = tally.report();
        assert_eq!((report.bad_blocks, report.wrong_bytes, report.wrong.len()), (100, 400_000, KEPT));
    }
}
