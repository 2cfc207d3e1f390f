//! Files that are written beside, renamed into place, read and removed.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use super::{
    block::{self, FileId, Wrong},
    tally::VERIFY,
    worker::{Job, SETTLED, Worker},
};

/// Files that are kept; the oldest goes.
const KEPT: usize = 64;
const JOB: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct Names {
    dir: PathBuf,
    files: VecDeque<Named>,
    count: u64,
    /// Names of which an operation failed: they are there, or not.
    doubtful: BTreeSet<OsString>,
}

#[derive(Debug)]
struct Named {
    path: PathBuf,
    id: FileId,
    blocks: usize,
    since: Instant,
}

impl Job for Names {
    fn prepare(&mut self, worker: &mut Worker) -> io::Result<()> {
        self.dir = worker.load.dir.join("names");
        fs::create_dir(&self.dir)
    }

    fn step(&mut self, worker: &mut Worker) {
        self.count += 1;
        let named = Named {
            path: self.dir.join(format!("file-{}", self.count)),
            id: worker.load.file(JOB, self.count),
            blocks: worker.random.usize(1..=4),
            since: Instant::now(),
        };
        let beside = self.dir.join(format!("new-{}", self.count));
        match create(worker, &named, &beside) {
            Some(()) => self.files.push_back(named),
            None => self.doubtful.extend([&beside, &named.path].iter().filter_map(|path| name(path))),
        }
        while self.files.len() > KEPT
            && let Some(oldest) = self.files.pop_front()
        {
            let removed = worker.op("unlink", &oldest.path, || fs::remove_file(&oldest.path));
            if removed.is_none() {
                self.doubtful.extend(name(&oldest.path));
            }
        }
        self.read_back(worker);
    }

    fn verify(&mut self, worker: &mut Worker) {
        for file in &self.files {
            worker.verify(&file.path, file.id, vec![(1, 1); file.blocks].into_iter(), true);
        }
        let listed = worker.op(VERIFY, &self.dir, || {
            fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<BTreeSet<_>>>()
        });
        let expected: BTreeSet<_> = self.files.iter().filter_map(|file| name(&file.path)).collect();
        for name in listed.iter().flatten().filter(|name| !self.doubtful.contains(*name)) {
            if !expected.contains(name) {
                let wrong = Wrong { what: "it was renamed or removed, and is there".to_owned(), bytes: 0 };
                worker.load.tally().wrong(&self.dir.join(name), 0, wrong);
            }
        }
        for name in
            expected.iter().filter(|name| listed.as_ref().is_some_and(|listed| !listed.contains(*name)))
        {
            let wrong = Wrong { what: "it is not listed".to_owned(), bytes: 0 };
            worker.load.tally().wrong(&self.dir.join(name), 0, wrong);
        }
    }
}

fn create(worker: &mut Worker, named: &Named, beside: &PathBuf) -> Option<()> {
    let bytes = block::blocks(named.id, 0, named.blocks, 1);
    let mut file = worker.op("create", beside, || File::create_new(beside))?;
    worker.op("write", beside, || file.write_all(&bytes))?;
    worker.op("fsync", beside, || file.sync_all())?;
    worker.op("rename", beside, || fs::rename(beside, &named.path))?;
    worker.op("stat", &named.path, || fs::metadata(&named.path)).map(drop)
}

fn name(path: &std::path::Path) -> Option<OsString> {
    path.file_name().map(OsString::from)
}

impl Names {
    /// Opens one of the files and reads a block.
    fn read_back(&self, worker: &mut Worker) {
        let settled = self.files.partition_point(|file| file.since.elapsed() > SETTLED);
        // The oldest may be removed, and then it is not read.
        let Some(file) = (settled > 0).then(|| &self.files[worker.random.usize(..settled)]) else { return };
        let Some(open) = worker.op("open", &file.path, || File::open(&file.path)) else { return };
        let place = worker.random.usize(..file.blocks);
        worker.read_block("read", (&file.path, &open), file.id, place, (1, 1));
    }
}
