//! A machine in the machine, for what its kernel lacks: qemu, without help of the hardware, with Debian's kernel.
//!
//! Its root is this machine's, by 9p and under an overlay in memory: the same programs and the same test binary at the
//! same paths. It boots in 8 s, runs this very program with `KADALU_GUEST` set, tells how each test ended as soon as
//! it has, and is gone with the last one, or with the process that started it.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use super::root;

/// The least that Debian's programs like to have: what is new in a processor is slow where it is emulated.
const CPU: &str = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand";

/// Set in the guest.
const INSIDE: &str = "KADALU_GUEST";

/// What the guest's tests are told of the environment of this process.
const PASSED_ON: [&str; 3] = ["KADALU_LAB", "KADALU_LAB_CACHE", "RUST_BACKTRACE"];

/// After so many seconds it is switched off, and what has not ended has failed.
const LIMIT: &str = "2400";

/// How much of its log is shown with a failure, in lines.
const SHOWN: usize = 80;

/// What it is told, in `run.sh`, and all that its kernel and its tests said, in `log`: of the last run.
const SHARED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/guest");

/// The latter.
const LOG: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/guest/log");

/// Whether this process runs in the guest.
pub(crate) fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Whether this kernel enforces XFS project quota, by trial.
pub(crate) fn has_xfs_quota() -> bool {
    static RESULT: OnceLock<bool> = OnceLock::new();
    *RESULT.get_or_init(|| {
        let script =
            "truncate --size 512M \"$0\" && mkfs.xfs -q \"$0\" && mount -o loop,prjquota \"$0\" /mnt";
        let image = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut trial = Command::new("unshare");
        trial.args(["--mount", "--", "sh", "-c", script]).arg(image.path()).stderr(Stdio::null());
        inside() || trial.status().is_ok_and(|status| status.success())
    })
}

/// How a test ended in the guest.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Well.
    Passed,
    /// It was skipped; the log says why.
    Skipped,
    /// With these words.
    Failed(String),
}

/// A guest that boots when the first outcome is asked for, and then runs the tests that its arguments select.
pub(crate) struct Guest {
    arguments: Vec<String>,
    story: Arc<Story>,
    thread: OnceLock<JoinHandle<()>>,
}

impl Guest {
    /// For these arguments of the test program.
    pub(crate) fn new(arguments: Vec<String>) -> Self {
        Self { arguments, story: Arc::default(), thread: OnceLock::new() }
    }

    /// Waits for the end of a test.
    ///
    /// # Errors
    /// Why it was never run: there is no guest, or it has ended before.
    pub(crate) fn outcome(&self, test: &str) -> Result<Outcome, String> {
        self.thread.get_or_init(|| {
            let (arguments, story) = (self.arguments.clone(), Arc::clone(&self.story));
            thread::spawn(move || {
                let ended = run(&arguments, &story).err();
                story.tell(|known| known.ended = Some(ended.unwrap_or_else(|| "it has no such test".into())));
            })
        });
        let waiting = |known: &mut Known| known.ended.is_none() && !known.outcomes.contains_key(test);
        let known = self.story.changed.wait_while(self.story.lock(), waiting);
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let missing = || format!("the guest: {}", known.ended.as_deref().unwrap_or_default());
        known.outcomes.get(test).cloned().ok_or_else(missing)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

/// What is known so far.
#[derive(Default)]
struct Known {
    outcomes: HashMap<String, Outcome>,
    /// Why no other outcome will come.
    ended: Option<String>,
}

/// The same, for all who wait.
#[derive(Default)]
struct Story {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Story {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: impl FnOnce(&mut Known)) {
        news(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Boots, follows what the tests say, and switches off after the last one.
fn run(arguments: &[String], story: &Story) -> Result<(), String> {
    let begin = Instant::now();
    let in_words = |error: std::io::Error| error.to_string();
    if env::consts::ARCH != "x86_64" {
        return Err(format!("it is an x86_64 machine, this one is {}", env::consts::ARCH));
    }
    let kernel = root::make("guest/make.sh", &[])?;
    fs::create_dir_all(SHARED).map_err(in_words)?;
    // One guest at a time: two cores have enough to do with it.
    let lock = File::create(Path::new(SHARED).join("lock")).map_err(in_words)?;
    lock.lock().map_err(in_words)?;
    fs::write(Path::new(SHARED).join("run.sh"), script(arguments)?).map_err(in_words)?;
    fs::write(LOG, "").map_err(in_words)?;
    let mut qemu = qemu(&kernel).spawn().map_err(in_words)?;
    let lines = BufReader::new(qemu.stdout.take().ok_or("no pipe")?).lines();
    let mut complete = false;
    for said in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok()) {
        let name = || said["name"].as_str().unwrap_or_default().to_owned();
        let outcome = match (said["type"].as_str(), said["event"].as_str()) {
            (Some("suite"), Some("started")) => {
                eprintln!("guest: {} tests begin after {:.1?}", said["test_count"], begin.elapsed());
                continue;
            }
            (Some("suite"), _) => {
                complete = true;
                break;
            }
            (Some("test"), Some("ok")) => Outcome::Passed,
            (Some("test"), Some("ignored")) => Outcome::Skipped,
            (Some("test"), Some("failed")) => {
                Outcome::Failed(format!("{}\n{}", said["stdout"].as_str().unwrap_or_default(), end_of_log()))
            }
            _ => continue,
        };
        eprintln!("guest: {} {outcome:.0?} after {:.1?}", name(), begin.elapsed());
        story.tell(|known| drop(known.outcomes.insert(name(), outcome)));
    }
    // Fails only if it has ended already.
    let _ = qemu.kill();
    let status = qemu.wait().map_err(in_words)?;
    if complete { Ok(()) } else { Err(format!("it ended too early ({status})\n{}", end_of_log())) }
}

/// The last lines of the log, and where the others are.
fn end_of_log() -> String {
    let log = fs::read(LOG).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    format!("the end of {LOG}:\n{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"))
}

/// What the guest does once its root is there.
fn script(arguments: &[String]) -> Result<String, String> {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let program = env::current_exe().map_err(|error| format!("the test program's path: {error}"))?;
    let words = ["--format", "json", "--logfile", "/dev/ttyS1"].map(str::to_owned);
    let words: Vec<String> = words.iter().chain(arguments).map(|word| quoted(word)).collect();
    let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, env::var(name).ok()?)));
    let passed_on: String =
        passed_on.map(|(name, value)| format!("export {name}={}\n", quoted(&value))).collect();
    Ok(format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/lab {INSIDE}=1\n{passed_on}\
         ulimit -n 65536\nip link set lo up\ncd {directory}\n{program} {arguments}\n\
         echo \"status $?\"\necho o >/proc/sysrq-trigger\nwhile :; do :; done\n",
        directory = quoted(env!("CARGO_MANIFEST_DIR")),
        program = quoted(&program.to_string_lossy()),
        arguments = words.join(" "),
    ))
}

/// The command for a machine that writes its log to [`LOG`] and what its tests say to standard output.
fn qemu(kernel: &str) -> Command {
    // Commas separate qemu's options.
    let path = |path: &str| path.replace(',', ",,");
    let share = |id: &str, from: &str| {
        let from = path(from);
        [
            "-fsdev".into(),
            format!("local,id={id},path={from},security_model=none,readonly=on,multidevs=remap"),
            "-device".into(),
            format!("virtio-9p-pci,fsdev={id},mount_tag={id}"),
        ]
    };
    let mut command = Command::new("setpriv");
    command
        // Both die with the one before; `timeout` must not outlive us and qemu must not outlive `timeout`.
        .args(["--pdeathsig", "KILL", "--", "timeout", "--signal=KILL", LIMIT])
        .args(["setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args(["-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "1", "-m", "4096"])
        .args(["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"])
        .arg("-kernel")
        .arg(format!("{kernel}/vmlinuz"))
        .arg("-initrd")
        .arg(format!("{kernel}/initrd"))
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr norandmaps tsc=reliable"])
        .args(share("machine", "/"))
        .args(share("run", SHARED))
        .args(["-chardev", &format!("file,id=log,path={}", path(LOG)), "-serial", "chardev:log"])
        .args(["-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}
