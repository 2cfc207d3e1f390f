//! A thread of the load: operations at a pace, each timed and counted.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    block::{self, FileId, SIZE},
    tally::{Tally, VERIFY},
};

/// What is read through another glusterfs process than it was written through may be a second old: its caches.
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// What all threads of a load share.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) dir: PathBuf,
    pub(super) seed: u64,
    /// Failures are expected: files that were open when something failed are opened again.
    pub(super) forgiving: bool,
    pub(super) stop: AtomicBool,
    pub(super) tally: Mutex<Tally>,
}

impl Load {
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The number of a file: the nth of a job.
    pub(super) fn file(&self, job: u64, n: u64) -> FileId {
        FileId { seed: self.seed, number: job << 32 | n }
    }
}

/// One sort of work on files of its own.
pub(super) trait Job: Send {
    /// Makes the files that are there before the load begins.
    fn prepare(&mut self, worker: &mut Worker) -> io::Result<()>;
    /// A few operations.
    fn step(&mut self, worker: &mut Worker);
    /// Compares every block of every file, each opened anew.
    fn verify(&mut self, worker: &mut Worker);
}

/// One thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) load: std::sync::Arc<Load>,
    pub(super) random: fastrand::Rng,
    /// Between two operations, at least.
    pub(super) interval: Duration,
    pub(super) next: Instant,
}

impl Worker {
    /// Waits for the moment of the next operation, or for the end of the load.
    pub(super) fn pace(&mut self) {
        while !self.load.stopped() {
            let left = self.next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(Duration::from_millis(100)));
        }
        // What a stall has delayed is not caught up with.
        self.next = Instant::now() + self.interval;
    }

    /// Does one operation of the load; none where it failed.
    pub(super) fn op<T>(
        &mut self,
        kind: &'static str,
        path: &Path,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Option<T> {
        self.pace();
        self.measured(kind, path, operation)
    }

    fn measured<T>(
        &self,
        kind: &'static str,
        path: &Path,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Option<T> {
        self.load.tally().begins(kind, path);
        let outcome = operation();
        self.load.tally().ends(None, outcome.as_ref().err());
        outcome.ok()
    }

    /// Reads a block through `file` and compares it; `versions` as in [`block::check`].
    pub(super) fn read_block(
        &mut self,
        kind: &'static str,
        (path, file): (&Path, &File),
        id: FileId,
        place: usize,
        versions: (u64, u64),
    ) -> bool {
        let mut found = vec![0; SIZE];
        let read = self.op(kind, path, || read_at(file, &mut found, place));
        let Some(read) = read else { return false };
        if let Err(wrong) = block::check(&found[..read], id, place, versions) {
            self.load.tally().wrong(path, place, wrong);
        }
        true
    }

    /// Compares the first blocks of a file, opened anew, with their versions; nothing is behind them where `exact`.
    pub(super) fn verify(
        &self,
        path: &Path,
        id: FileId,
        versions: impl ExactSizeIterator<Item = (u64, u64)>,
        exact: bool,
    ) {
        let count = versions.len();
        let content = self.measured(VERIFY, path, || std::fs::read(path)).unwrap_or_default();
        let mut tally = self.load.tally();
        for (place, versions) in versions.enumerate() {
            let from = (place * SIZE).min(content.len());
            let found = &content[from..(from + SIZE).min(content.len())];
            if let Err(wrong) = block::check(found, id, place, versions) {
                tally.wrong(path, place, wrong);
            }
        }
        if exact && content.len() > count * SIZE {
            let bytes = content.len() - count * SIZE;
            tally.wrong(path, count, block::Wrong { what: format!("{bytes} bytes too many"), bytes });
        }
        tally.verified(count);
    }
}

/// Reads a block as far as it is there.
fn read_at(file: &File, found: &mut [u8], place: usize) -> io::Result<usize> {
    let mut read = 0;
    while read < found.len() {
        match file.read_at(&mut found[read..], (place * SIZE + read) as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
