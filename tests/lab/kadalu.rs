//! Running the tool under test in a host.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use super::host::{Host, Signal};
use super::root::Root;
use super::{PATIENCE, eventually};

/// Where every host sees the binary: a place that also an unprivileged user can read.
const KADALU: &str = "/mnt/shared/kadalu";

/// The same for hosts whose C library is older than this machine's, for which it was built: it brings that one.
const KADALU_WITH_LIBC: &str = "/mnt/shared/with-libc/kadalu";

/// Puts the built binary into the folder that the hosts share.
pub(super) fn install(shared: &Path, roots: impl IntoIterator<Item = Root>) {
    fs::copy(env!("CARGO_BIN_EXE_kadalu"), shared.join("kadalu")).expect("copy the binary under test");
    if roots.into_iter().any(Root::has_older_libc) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/with-libc.sh");
        let status = Command::new("sh")
            .args([script, env!("CARGO_BIN_EXE_kadalu"), KADALU_WITH_LIBC])
            .arg(shared)
            .status();
        assert!(status.expect("sh runs").success(), "{script}");
    }
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit status; none when a signal ended it.
    pub(crate) status: Option<i32>,
    /// Data.
    pub(crate) stdout: Vec<u8>,
    /// Words.
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The output, once the exit status was found to be `status`.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }

    /// The output, once each of `words` was found in what it complained about (in whatever case).
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let said = self.stderr.to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "{word:?} is not in: {}", self.stderr);
        }
        self
    }
}

impl Host {
    /// The path at which this host has the binary under test.
    pub(crate) fn binary(&self) -> &'static str {
        if self.root().has_older_libc() { KADALU_WITH_LIBC } else { KADALU }
    }

    /// Runs `kadalu` to its end.
    pub(crate) fn kadalu(&self, args: &[&str]) -> Output {
        self.exec(self.binary(), args)
    }

    /// Runs `kadalu` as the user `nobody` to its end.
    pub(crate) fn kadalu_as_nobody(&self, args: &[&str]) -> Output {
        let mut all = vec!["--reuid=65534", "--regid=65534", "--clear-groups", "--", self.binary()];
        all.extend(args);
        self.exec("setpriv", &all)
    }

    /// Starts `kadalu`.
    pub(crate) fn spawn_kadalu(&self, args: &[&str]) -> Running {
        self.spawn(self.binary(), args)
    }

    /// Starts a program, of which the lines of its standard output are then read as they come.
    pub(crate) fn spawn(&self, program: &str, args: &[&str]) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let stderr = self.dir().join(format!("stderr-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut child = self
            .command(program, args)
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).expect("a file for standard error"))
            .spawn()
            .expect("nsenter runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            // Both end with the program or with the test.
            for line in stdout.lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let what = format!("{program} {}", args.join(" "));
        Running { child, lines, seen: Vec::new(), stderr, what }
    }
}

/// A program that runs in a host; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: PathBuf,
    what: String,
}

impl Running {
    /// Reads lines until one for which `wanted` gives a value.
    ///
    /// # Panics
    /// When the program ends or [`super::PATIENCE`] is over before that, with `what` and all that was said.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let value = wanted(&line);
                    self.seen.push(line);
                    if let Some(value) = value {
                        return value;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not within {PATIENCE:?}: {what}\n{}", self.story()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before: {what}\n{}", self.story()),
            }
        }
    }

    /// Every line of standard output so far, the ones not waited for included.
    pub(crate) fn seen(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).expect("its standard error")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let nsenter = self.child.id();
        let children = format!("/proc/{nsenter}/task/{nsenter}/children");
        let inner = fs::read_to_string(children).expect("the processes of nsenter");
        let status = Command::new("kill").args(["-s", signal.name()]).args(inner.split_whitespace()).status();
        assert!(status.expect("kill runs").success(), "no such process: {}", self.what);
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually(&format!("the end of {}", self.what), || self.child.try_wait().expect("it is our child"))
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// All that is known, for a failure's message.
    fn story(&mut self) -> String {
        let stdout = self.seen().join("\n");
        format!("{}\nstdout:\n{stdout}\nstderr:\n{}", self.what, self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }
}
