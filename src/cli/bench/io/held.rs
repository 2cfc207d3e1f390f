//! Files that are opened once, before anything changes, and read and overwritten all the time.

use std::{fs::File, io, os::unix::fs::FileExt, path::PathBuf};

use super::{
    block::{self, FileId, SIZE},
    worker::{Job, Worker},
};

const FILES: u64 = 3;
/// Blocks of each.
const BLOCKS: usize = 512;
const JOB: u64 = 2;

#[derive(Debug, Default)]
pub(super) struct Held {
    files: Vec<Open>,
    version: u64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    id: FileId,
    file: File,
    /// Of each block, the versions that it may have: the last one that an fsync has answered for, and the last one that
    /// was written.
    versions: Vec<(u64, u64)>,
}

impl Job for Held {
    fn prepare(&mut self, worker: &mut Worker) -> io::Result<()> {
        self.version = 1;
        for n in 0..FILES {
            let path = worker.load.dir.join(format!("held-{n}"));
            let id = worker.load.file(JOB, n);
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            file.write_all_at(&block::blocks(id, 0, BLOCKS, 1), 0)?;
            file.sync_all()?;
            self.files.push(Open { path, id, file, versions: vec![(1, 1); BLOCKS] });
        }
        Ok(())
    }

    fn step(&mut self, worker: &mut Worker) {
        self.version += 1;
        let which = worker.random.usize(..self.files.len());
        let open = &mut self.files[which];
        let place = worker.random.usize(..BLOCKS);
        let done = if worker.random.bool() {
            worker.read_block("held-read", (&open.path, &open.file), open.id, place, open.versions[place])
        } else {
            open.overwrite(worker, place, self.version)
        };
        if !done
            && worker.load.forgiving
            && let Some(file) =
                worker.op("reopen", &open.path, || File::options().read(true).write(true).open(&open.path))
        {
            open.file = file;
            worker.load.tally().reopened();
        }
    }

    fn verify(&mut self, worker: &mut Worker) {
        for open in &self.files {
            worker.verify(&open.path, open.id, open.versions.iter().copied(), true);
        }
    }
}

impl Open {
    fn overwrite(&mut self, worker: &mut Worker, first: usize, version: u64) -> bool {
        let count = worker.random.usize(1..=8).min(BLOCKS - first);
        let written = &mut self.versions[first..first + count];
        written.iter_mut().for_each(|versions| versions.1 = version);
        let bytes = block::blocks(self.id, first, count, version);
        let done = worker
            .op("held-write", &self.path, || self.file.write_all_at(&bytes, (first * SIZE) as u64))
            .and_then(|()| worker.op("held-fsync", &self.path, || self.file.sync_data()));
        if done.is_some() {
            written.iter_mut().for_each(|versions| versions.0 = version);
        }
        done.is_some()
    }
}
