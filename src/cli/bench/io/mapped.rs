//! A file that is mapped into memory and read there, by a process of its own: a read that fails is its death (SIGBUS).

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use memmap2::Mmap;
use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};

use super::{
    super::child,
    block::{self, FileId, SIZE, Wrong},
    worker::{Job, Worker},
};
use crate::cli::{Failure, output};

const KIND: &str = "mapped-read";
/// Blocks of the file.
const BLOCKS: usize = 1024;
const JOB: u64 = 4;
/// Blocks that are read until the page cache is emptied and the file mapped anew.
const EACH: usize = 16;

/// Read a mapped file until it is killed; `bench io` starts it
#[derive(Debug, Args)]
pub(crate) struct MappedReader {
    file: PathBuf,
    seed: u64,
    number: u64,
    /// Milliseconds between two reads
    interval: u64,
}

/// A line of the reader.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Read { micros: u64, block: usize, wrong: Option<(String, usize)> },
    Failed { errno: Option<i32> },
}

impl MappedReader {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let say = |said: &Said| {
            let mut line = serde_json::to_vec(said).map_err(|error| Failure::other("a line", error))?;
            line.push(b'\n');
            output::print(&line)
        };
        let failed = |error: io::Error| {
            say(&Said::Failed { errno: error.raw_os_error() })?;
            Err(Failure::other(self.file.display(), error))
        };
        let id = FileId { seed: self.seed, number: self.number };
        // Once: it stays open through all changes.
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) => return failed(error),
        };
        loop {
            let start = Instant::now();
            // The pages of a file that is mapped nowhere can be dropped: what is read next comes from the server.
            let mapped =
                fadvise(&file, 0, None, Advice::DontNeed).map_err(io::Error::from).and_then(|()| map(&file));
            let map = match mapped {
                Ok(map) => map,
                Err(error) => return failed(error),
            };
            // Part of the first read, not lost between two.
            let mut start = Some(start);
            for _ in 0..EACH {
                let start = start.take().unwrap_or_else(Instant::now);
                let block = fastrand::usize(..map.len() / SIZE);
                let found = map[block * SIZE..(block + 1) * SIZE].to_vec();
                let micros = start.elapsed().as_micros() as u64;
                let wrong =
                    block::check(&found, id, block, (1, 1)).err().map(|wrong| (wrong.what, wrong.bytes));
                say(&Said::Read { micros, block, wrong })?;
                std::thread::sleep(Duration::from_millis(self.interval));
            }
        }
    }
}

#[allow(
    unsafe_code,
    reason = "nobody changes or truncates this file: it is written once, before the reader starts"
)]
fn map(file: &File) -> io::Result<Mmap> {
    unsafe { Mmap::map(file) }
}

#[derive(Debug, Default)]
pub(super) struct Mapped {
    path: PathBuf,
    reader: Option<Reader>,
}

#[derive(Debug)]
struct Reader {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Job for Mapped {
    fn prepare(&mut self, worker: &mut Worker) -> io::Result<()> {
        self.path = worker.load.dir.join("mapped");
        let mut file = File::create_new(&self.path)?;
        file.write_all(&block::blocks(worker.load.file(JOB, 0), 0, BLOCKS, 1))?;
        file.sync_all()?;
        self.reader = Some(Reader::start(&self.path, worker)?);
        Ok(())
    }

    fn step(&mut self, worker: &mut Worker) {
        worker.load.tally().begins(KIND, &self.path);
        match self.read_line(worker) {
            Ok(Said::Read { micros, block, wrong }) => {
                worker.load.tally().ends(Some(Duration::from_micros(micros)), None);
                if let Some((what, bytes)) = wrong {
                    worker.load.tally().wrong(&self.path, block, Wrong { what, bytes });
                }
            }
            Ok(Said::Failed { errno }) => {
                self.reader = None;
                worker.load.tally().ends(
                    None,
                    Some(&errno.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)),
                );
                worker.pace();
            }
            Err(error) => {
                self.reader = None;
                worker.load.tally().ends(None, Some(&error));
                worker.pace();
            }
        }
    }

    fn verify(&mut self, worker: &mut Worker) {
        self.reader = None;
        worker.verify(&self.path, worker.load.file(JOB, 0), vec![(1, 1); BLOCKS].into_iter(), true);
    }
}

impl Mapped {
    fn read_line(&mut self, worker: &Worker) -> io::Result<Said> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::start(&self.path, worker)?),
        };
        let mut line = String::new();
        if reader.lines.read_line(&mut line)? == 0 {
            let status = reader.child.wait()?;
            return Err(io::Error::other(format!("the reader of the mapped file ended: {status}")));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Reader {
    fn start(path: &std::path::Path, worker: &Worker) -> io::Result<Self> {
        let program = child::this_program().map_err(|failure| io::Error::other(failure.message))?;
        let id = worker.load.file(JOB, 0);
        let mut child = Command::new(program)
            .args(["bench", "mapped-reader"])
            .arg(path)
            .args([id.seed, id.number, worker.interval.as_millis() as u64].map(|number| number.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It says on standard output what went wrong.
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, lines: BufReader::new(stdout) })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
