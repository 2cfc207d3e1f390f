//! What the stories of live mounts share: the mount host, its mounts, a load on them, and the volume's health.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Host, Output, Running, Signal, eventually};
use crate::watcher::digest_on;

/// For bricks to get what they have missed, on a busy machine and under writes.
const HEALED: Duration = Duration::from_secs(180);

/// `kadalu mountd` on a client host, with what it has mounted. All of it goes with this value.
pub(crate) struct MountHost<'lab> {
    client: &'lab Host,
    /// Where everything lies.
    dir: String,
    flags: Vec<String>,
    running: Option<Running>,
}

impl<'lab> MountHost<'lab> {
    /// Starts it, in a directory of this name, and waits until it answers.
    pub(crate) fn start(client: &'lab Host, name: &str) -> Self {
        Self::start_with(client, name, &[])
    }

    /// The same with flags of the caller's.
    pub(crate) fn start_with(client: &'lab Host, name: &str, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut this = Self { client, dir: format!("/mnt/live/{name}"), flags, running: None };
        client.shell(&format!("mkdir -p {}", this.dir));
        this.restart();
        this
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> String {
        format!("{}/mountd.sock", self.dir)
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> String {
        format!("{}/state", self.dir)
    }

    /// A target's path; its directory is made.
    pub(crate) fn target(&self, name: &str) -> String {
        let target = format!("{}/{name}", self.dir);
        self.client.shell(&format!("mkdir -p {target}"));
        target
    }

    /// Starts the program (again) and waits until it answers.
    pub(crate) fn restart(&mut self) {
        let (socket, state) = (self.socket(), self.state());
        let mut args = vec!["mountd", "--socket", &socket, "--state-dir", &state];
        args.extend(self.flags.iter().map(String::as_str));
        self.running = Some(self.client.spawn_kadalu(&args));
        eventually("mountd answers", || {
            let running = self.running.as_mut().expect("it was just started");
            assert!(running.runs(), "mountd ended: {}", running.stderr());
            (self.kadalu(&["mounts"]).status == Some(0)).then_some(())
        });
    }

    /// Ends it by `signal` and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) {
        let mut running = self.running.take().expect("it runs");
        running.signal(signal);
        running.wait();
    }

    /// What it has said on standard error since its last start.
    pub(crate) fn log(&self) -> String {
        self.running.as_ref().map(Running::stderr).unwrap_or_default()
    }

    /// Runs a subcommand that speaks to it.
    pub(crate) fn kadalu(&self, args: &[&str]) -> Output {
        let mut all = vec![args[0], "--socket"];
        let socket = self.socket();
        all.push(&socket);
        all.extend(&args[1..]);
        self.client.kadalu(&all)
    }

    /// Mounts `source` at the target of this name, and returns the target's path.
    #[track_caller]
    pub(crate) fn mount(&self, source: &str, name: &str, flags: &[&str]) -> String {
        let target = self.target(name);
        let mut args = vec!["mount", source, &target];
        args.extend(flags);
        self.kadalu(&args).expect(0);
        target
    }

    /// Unmounts a target.
    #[track_caller]
    pub(crate) fn umount(&self, target: &str) {
        self.kadalu(&["umount", target]).expect(0);
    }

    /// What `kadalu mounts` says.
    #[track_caller]
    pub(crate) fn list(&self) -> Value {
        let said = self.kadalu(&["mounts", "--format", "json"]).expect(0);
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.text()))
    }

    /// What it says of a volume.
    #[track_caller]
    pub(crate) fn volume(&self, name: &str) -> Value {
        let list = self.list();
        let volumes = list["volumes"].as_array().expect("a list of volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == name);
        volume.cloned().unwrap_or_else(|| panic!("{name} is not in {list}"))
    }

    /// What it says of the pool that serves a target.
    #[track_caller]
    pub(crate) fn pool(&self, target: &str) -> Value {
        let list = self.list();
        let volumes = list["volumes"].as_array().into_iter().flatten();
        let mut pools = volumes.flat_map(|volume| volume["pools"].as_array().into_iter().flatten());
        let serves = |pool: &&Value| {
            pool["targets"].as_array().is_some_and(|targets| targets.iter().any(|t| t["path"] == target))
        };
        pools.find(serves).cloned().unwrap_or_else(|| panic!("{target} is not in {list}"))
    }

    /// The glusterfs process that serves a target; none between two.
    #[track_caller]
    pub(crate) fn pid(&self, target: &str) -> Option<i64> {
        self.pool(target)["process"]["pid"].as_i64()
    }

    /// Waits until all pools of `volume` are proven to have the volfile that lies on `server` now.
    #[track_caller]
    pub(crate) fn wait_active(&self, server: &Host, volume: &str) {
        let begin = Instant::now();
        loop {
            let (said, digest) = (self.volume(volume), digest_on(server, volume));
            if active(&said, &digest) {
                return;
            }
            assert!(
                begin.elapsed() < crate::lab::PATIENCE,
                "{volume} is not active with {digest}:\n{said:#}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The mount points below its directory, with their file system's type, in the order of mounting.
    pub(crate) fn mounts(&self) -> Vec<(String, String)> {
        let mountinfo = self.client.shell("cat /proc/self/mountinfo");
        let of_line = |line: &str| {
            let (mount, source) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            point
                .starts_with(&format!("{}/", self.dir))
                .then(|| (point.to_owned(), source.split(' ').next().unwrap_or_default().to_owned()))
        };
        mountinfo.lines().filter_map(of_line).collect()
    }

    /// The glusterfs processes that it has started.
    pub(crate) fn processes(&self) -> Vec<String> {
        let script = format!(
            "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in glusterfs*) \
             grep -qs {}/ $p/cmdline && echo ${{p#/proc/}};; esac; done; true",
            self.dir
        );
        self.client.shell(&script).lines().map(str::to_owned).collect()
    }

    /// The mount host's own process id, in its host.
    pub(crate) fn own_pid(&self) -> String {
        let script = format!(
            "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in kadalu) \
             tr '\\0' ' ' <$p/cmdline | grep -qs 'mountd --socket {}' && echo ${{p#/proc/}};; esac; done; true",
            self.socket()
        );
        let said = self.client.shell(&script);
        said.lines().next().unwrap_or_else(|| panic!("mountd does not run: {}", self.log())).to_owned()
    }

    /// Runs `script` for each file of its state: volumes and processes, not sockets, logs and mounts.
    pub(crate) fn each_state_file(&self, script: &str) {
        let (state, sh) = (self.state(), "sh -euc");
        self.client.shell(&format!(
            "find {state} -path {state}/mnt -prune -o -type f \\( -name '*.json' -o -name '*.vol' \\) -exec {sh} '{script}' file {{}} \\;"
        ));
    }

    /// Waits until the pool of each target is healthy and not a mount is there twice or dead.
    #[track_caller]
    pub(crate) fn wait_whole(&self, targets: &[&str]) {
        eventually(&format!("healthy pools: {}", self.list()), || {
            targets.iter().all(|target| self.pool(target)["state"] == "healthy").then_some(())
        });
        let mounts = self.mounts();
        for target in targets {
            let there = mounts.iter().filter(|(point, _)| point == target).count();
            assert_eq!(there, 1, "{target} is mounted {there} times: {mounts:?}");
        }
        for (point, _) in &mounts {
            assert_eq!(
                self.client.exec("timeout", &["10", "stat", point]).status,
                Some(0),
                "{point} is dead"
            );
        }
    }
}

/// Whether every pool of what is said of a volume has this volfile.
fn active(volume: &Value, digest: &str) -> bool {
    let pools = volume["pools"].as_array().expect("a list of pools");
    volume["digest"] == digest
        && pools.iter().all(|pool| {
            pool["digest_wanted"] == digest && pool["digest_active"] == digest && pool["drift"] == ""
        })
}

impl Drop for MountHost<'_> {
    fn drop(&mut self) {
        // Whatever a failed test has left: the lab is shared.
        drop(self.running.take());
        for pid in self.processes() {
            self.client.exec("kill", &["-KILL", &pid]);
        }
        for (point, _) in self.mounts().into_iter().rev() {
            self.client.exec("umount", &["--lazy", &point]);
        }
    }
}

/// `kadalu bench io` on a directory.
pub(crate) struct Load(Running);

impl Load {
    /// Starts it and waits until it runs.
    #[track_caller]
    pub(crate) fn start(client: &Host, dir: &str, flags: &[&str]) -> Self {
        let mut args = vec!["bench", "io", dir];
        args.extend(flags);
        let mut running = client.spawn_kadalu(&args);
        running.wait_for("the load's begin", |line| (line == "ready").then_some(()));
        Self(running)
    }

    /// Ends it and returns its report; the data was verified.
    #[track_caller]
    pub(crate) fn end(mut self, what: &str) -> Value {
        self.0.signal(Signal::Term);
        let report: Value = self.0.wait_for("the load's report", |line| serde_json::from_str(line).ok());
        eprintln!(
            "{what}: {} operations, {} failed, {} bad blocks of {}, longest {:.0} ms ({} at {:.1} s), p99 {:.1} ms",
            report["operations"],
            report["failed"],
            report["bad_blocks"],
            report["verified_blocks"],
            report["longest_stall_ms"].as_f64().unwrap_or(f64::NAN),
            report["longest_stall_kind"],
            report["kinds"][report["longest_stall_kind"].as_str().unwrap_or_default()]["longest"]["at_seconds"],
            report["p99_us"].as_f64().unwrap_or(f64::NAN) / 1e3,
        );
        assert!(report["verified_blocks"].as_u64() > Some(1000), "{report:#}");
        assert_eq!(
            (&report["bad_blocks"], &report["wrong_bytes"]),
            (&0.into(), &0.into()),
            "{what}: {report:#}"
        );
        report
    }

    /// Ends it: nothing failed and nothing is wrong.
    #[track_caller]
    pub(crate) fn unharmed(self, what: &str) {
        let report = self.end(what);
        assert_eq!(report["failed"], 0, "{what}: {report:#}");
    }
}

/// How often it is asked what a brick lacks: a heal goes from a directory to its files, which are named only once they
/// have been made, so that three answers in a row may have nothing in common while it is under way.
const LOOKS: usize = 7;

/// Waits until no brick of a volume lacks anything: nothing is named in three answers in a row. Files that are just
/// being written come and go.
#[track_caller]
pub(crate) fn wait_healed(server: &Host, volume: &str) {
    let begin = Instant::now();
    loop {
        let infos: Vec<_> = (0..LOOKS).map(|_| lacking(server, volume)).collect();
        let lacks = |looks: &[Result<Vec<String>, String>]| match looks {
            [Ok(first), Ok(second), Ok(third)] => {
                first.iter().any(|entry| second.contains(entry) && third.contains(entry))
            }
            _ => true,
        };
        if !infos.windows(3).any(lacks) {
            return;
        }
        assert!(begin.elapsed() < HEALED, "{volume} is not healed within {HEALED:?}: {infos:?}");
        // It would start by itself within ten minutes; while a brick is not connected yet it is refused.
        let _ = server.try_gluster(&["volume", "heal", volume]);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What some brick lacks; what was said where not every brick could be asked.
fn lacking(server: &Host, volume: &str) -> Result<Vec<String>, String> {
    let info = server.try_gluster(&["volume", "heal", volume, "info"])?;
    let counts = || info.lines().filter_map(|line| line.strip_prefix("Number of entries: "));
    if counts().count() == 0 || counts().any(|count| count.trim() == "-") {
        return Err(info);
    }
    let entries = info.lines().filter(|line| line.starts_with(['/', '<']));
    Ok(entries.map(|line| line.split(" - ").next().unwrap_or(line).trim().to_owned()).collect())
}
