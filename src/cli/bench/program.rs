//! Programs that run beside the bench.

use std::{
    fs,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::Failure;

/// How long what is waited for may take to be there.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A child that is ended with this value: asked, then made to.
#[derive(Debug)]
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(command: &mut Command) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::null()).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self(child.map_err(|error| Failure::other(format_args!("cannot run {program}"), error))?))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its standard output, where that is a pipe.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    pub(super) fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.terminate();
        let _ = until(|| self.ended().then_some(()));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until there is an answer, for as long as [`PATIENCE`].
pub(super) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            None if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}

/// Memory that it has now, in KiB.
pub(super) fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Processor time that it has used, of all its threads.
pub(super) fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses can be anything.
    let fields = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<_>>()?;
    Some(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_and_time() {
        assert!(memory(std::process::id()) > 1024);
        assert!(processor_time(std::process::id()).is_some());
        assert_eq!((memory(u32::MAX), processor_time(u32::MAX)), (0, None));
    }
}
