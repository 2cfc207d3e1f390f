//! Files that grow, each append followed by an fsync.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use super::{
    block::{self, FileId},
    worker::{Job, SETTLED, Worker},
};

/// Blocks of a full file.
const FULL: usize = 1024;
/// Files that are kept; the oldest goes.
const KEPT: usize = 4;
const JOB: u64 = 1;

#[derive(Debug, Default)]
pub(super) struct Append {
    files: VecDeque<Growing>,
    count: u64,
    open: Option<File>,
}

#[derive(Debug)]
struct Growing {
    path: PathBuf,
    id: FileId,
    /// When the fsync of each block was answered.
    acknowledged: Vec<Instant>,
    /// An append failed: what is behind the acknowledged blocks is anybody's guess.
    doubtful: bool,
}

impl Job for Append {
    fn prepare(&mut self, _: &mut Worker) -> io::Result<()> {
        Ok(())
    }

    fn step(&mut self, worker: &mut Worker) {
        let full = self.files.back().is_none_or(|file| file.acknowledged.len() >= FULL);
        if full || self.open.is_none() {
            self.next_file(worker);
        }
        let (Some(growing), Some(file)) = (self.files.back_mut(), self.open.as_mut()) else { return };
        let count = worker.random.usize(1..=8);
        let bytes = block::blocks(growing.id, growing.acknowledged.len(), count, 1);
        let done = worker
            .op("append", &growing.path, || file.write_all(&bytes))
            .and_then(|()| worker.op("fsync", &growing.path, || file.sync_all()));
        match done {
            Some(()) => growing.acknowledged.extend(std::iter::repeat_n(Instant::now(), count)),
            None => {
                growing.doubtful = true;
                self.open = None;
            }
        }
        self.read_back(worker);
    }

    fn verify(&mut self, worker: &mut Worker) {
        self.open = None;
        for file in &self.files {
            let versions = file.acknowledged.iter().map(|_| (1, 1));
            worker.verify(&file.path, file.id, versions, !file.doubtful);
        }
    }
}

impl Append {
    fn next_file(&mut self, worker: &mut Worker) {
        self.count += 1;
        let path = worker.load.dir.join(format!("append-{}", self.count));
        let create = || File::options().append(true).create_new(true).open(&path);
        self.open = worker.op("create", &path, create);
        if self.open.is_none() {
            return;
        }
        let id = worker.load.file(JOB, self.count);
        self.files.push_back(Growing { path, id, acknowledged: Vec::new(), doubtful: false });
        while self.files.len() > KEPT
            && let Some(oldest) = self.files.pop_front()
        {
            worker.op("unlink", &oldest.path, || fs::remove_file(&oldest.path));
        }
    }

    /// Opens one of the files and reads a block.
    fn read_back(&self, worker: &mut Worker) {
        let Some(file) = worker.random.choice(&self.files) else { return };
        let settled = file.acknowledged.partition_point(|at| at.elapsed() > SETTLED);
        if settled == 0 {
            return;
        }
        let Some(open) = worker.op("open", &file.path, || File::open(&file.path)) else { return };
        let place = worker.random.usize(..settled);
        worker.read_block("read", (&file.path, &open), file.id, place, (1, 1));
    }
}
