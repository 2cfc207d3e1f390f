//! The two mounts of one volume that are compared: by our mount host, and as everybody has it.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::mount::{UnmountFlags, unmount};
use serde_json::Value;

use super::super::{
    child,
    program::{PATIENCE, Program, until},
};
use crate::cli::Failure;

/// Our mount host with the volume mounted.
#[derive(Debug)]
pub(super) struct Ours {
    host: Program,
    socket: PathBuf,
    program: OsString,
}

impl Ours {
    pub(super) fn mount(dir: &Path, servers: &str, volume: &str, target: &Path) -> Result<Self, Failure> {
        let (program, socket) = (child::this_program()?, dir.join("mountd.sock"));
        let mut mountd = Command::new(&program);
        mountd.args(["mountd", "--unmount-on-exit", "--socket"]).arg(&socket);
        mountd.arg("--state-dir").arg(dir.join("state")).env("RUST_LOG", "warn").stdout(Stdio::null());
        let mut this = Self { host: Program::start(&mut mountd)?, socket, program };
        let ready = until(|| (this.host.ended() || this.run(&["mounts"]).is_ok()).then_some(()));
        if ready.is_none() || this.host.ended() {
            return Err(Failure::other("kadalu mountd", "it does not answer"));
        }
        let target = target.to_string_lossy();
        this.run(&["mount", &format!("{servers}:/{volume}"), &target])?;
        Ok(this)
    }

    fn run(&self, args: &[&str]) -> Result<String, Failure> {
        let output = Command::new(&self.program)
            .arg(args[0])
            .arg("--socket")
            .arg(&self.socket)
            .args(&args[1..])
            .output();
        let output = output.map_err(|error| Failure::other("cannot run kadalu", error))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(Failure::other(format_args!("kadalu {}", args[0]), said.trim()))
            }
        }
    }

    /// The mount host's own process.
    pub(super) fn host(&self) -> u32 {
        self.host.id()
    }

    /// The glusterfs process and the server that the volume is followed by, as the mount host says.
    pub(super) fn state(&self) -> Result<(u32, String), Failure> {
        let list = self.run(&["mounts", "--format", "json"])?;
        let list: Value =
            serde_json::from_str(&list).map_err(|error| Failure::other("kadalu mounts", error))?;
        let volume = &list["volumes"][0];
        let pid = volume["pools"][0]["process"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| Failure::other("kadalu mounts", "there is no glusterfs process"))?;
        Ok((pid, volume["connected"].as_str().unwrap_or_default().to_owned()))
    }
}

/// A glusterfs that asks the cluster itself.
#[derive(Debug)]
pub(super) struct Stock {
    glusterfs: Program,
    target: PathBuf,
    /// As a person would type it.
    pub(super) command: String,
}

impl Stock {
    pub(super) fn mount(dir: &Path, hosts: &[String], volume: &str, target: &Path) -> Result<Self, Failure> {
        let mut arguments: Vec<String> =
            hosts.iter().map(|host| format!("--volfile-server={host}")).collect();
        arguments.push(format!("--volfile-id={volume}"));
        let command = format!("glusterfs {}", arguments.join(" "));
        let mut glusterfs = Command::new("glusterfs");
        glusterfs.args(["--no-daemon", "--process-name", "fuse", "--log-file"]).arg(dir.join("stock.log"));
        glusterfs.args(arguments).arg(target);
        let mut this =
            Self { glusterfs: Program::start(&mut glusterfs)?, target: target.to_owned(), command };
        let there = until(|| (this.glusterfs.ended() || active_graph(target).is_some()).then_some(()));
        match there.is_some() && !this.glusterfs.ended() {
            true => Ok(this),
            false => Err(Failure::other(&this.command, "it did not mount the volume")),
        }
    }

    /// Its process.
    pub(super) fn glusterfs(&self) -> u32 {
        self.glusterfs.id()
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        // It may never have been mounted.
        let _ = unmount(&self.target, UnmountFlags::DETACH);
    }
}

/// The name of the graph that is in use; asking makes glusterfs go over to it.
pub(super) fn active_graph(mount: &Path) -> Option<PathBuf> {
    let graph = fs::read_link(mount.join(".meta/graphs/active")).ok()?;
    fs::metadata(mount).ok()?;
    Some(graph)
}

/// How many graphs a mount holds.
pub(super) fn graphs(mount: &Path) -> usize {
    let entries = fs::read_dir(mount.join(".meta/graphs")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name() != "active").count()
}

/// Sends the moment at which a mount uses another graph than `before`; ends after [`PATIENCE`].
pub(super) fn switched(mount: PathBuf, before: Option<PathBuf>) -> mpsc::Receiver<Instant> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if active_graph(&mount).is_some_and(|now| Some(&now) != before.as_ref()) {
                // Nobody waits for it any longer.
                let _ = send.send(Instant::now());
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    receive
}

/// A load on a mount.
#[derive(Debug)]
pub(super) struct Load {
    program: Program,
    lines: BufReader<ChildStdout>,
}

impl Load {
    pub(super) fn start(mount: &Path, rate: usize) -> Result<Self, Failure> {
        let mut command = Command::new(child::this_program()?);
        command.args(["bench", "io", "--rate", &rate.to_string()]).arg(mount).stdout(Stdio::piped());
        let mut program = Program::start(&mut command)?;
        let failed = || Failure::other(format_args!("the load in {}", mount.display()), "it did not start");
        let mut lines = BufReader::new(program.take_output().ok_or_else(failed)?);
        let mut ready = String::new();
        match lines.read_line(&mut ready) {
            Ok(_) if ready == "ready\n" => Ok(Self { program, lines }),
            _ => Err(failed()),
        }
    }

    /// Ends it, when all was verified; its report.
    pub(super) fn end(mut self) -> Result<Value, Failure> {
        self.program.terminate();
        let mut report = String::new();
        let failed = |error: &dyn std::fmt::Display| Failure::other("the load's report", error);
        self.lines.read_line(&mut report).map_err(|error| failed(&error))?;
        serde_json::from_str(&report).map_err(|error| failed(&error))
    }
}
