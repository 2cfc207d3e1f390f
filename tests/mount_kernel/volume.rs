//! Volumes as small as they get: a glusterfs that holds its brick itself, and one with bricks in processes beside it.

use std::{
    fmt::Write,
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use glusterd_client::mount::{helper::Helper, mountinfo::MountTable};
use rustix::process::{Pid, Signal};

pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn helper() -> Helper {
    Helper::default()
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An empty directory that no other test has; it goes with the namespace.
pub(crate) fn directory() -> PathBuf {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let path = PathBuf::from(format!("/mnt/{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path).unwrap();
    path
}

/// Makes a directory, and says its path.
pub(crate) fn make(path: PathBuf) -> PathBuf {
    fs::create_dir_all(&path).unwrap();
    path
}

/// A process that ends with its owner.
pub(crate) struct Process(Child);

impl Process {
    fn start(program: &str, volfile: &Path, more: &[&Path]) -> Self {
        let mut command = Command::new(program);
        command.arg("-N").arg("-f").arg(volfile).arg("-l").arg(volfile.with_extension("log")).args(more);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Stops it, each of its threads: that takes a moment.
    pub(crate) fn stop(&self) {
        self.send(Signal::STOP);
        eventually("it stands still", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
            let states =
                tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default());
            states.into_iter().all(|status| status.contains("State:\tT"))
        });
    }

    pub(crate) fn send(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn has_ended(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A mounted volume.
pub(crate) struct Volume {
    pub(crate) process: Process,
    pub(crate) bricks: Vec<Process>,
    pub(crate) mount: PathBuf,
}

impl Volume {
    /// A volume whose brick is in the glusterfs process: a directory `a/b` and a file `name` with this name.
    pub(crate) fn local(name: &str) -> Self {
        let directory = directory();
        let brick = make(directory.join("brick"));
        fs::create_dir_all(brick.join("a/b")).unwrap();
        for file in [brick.join("name"), brick.join("a/name"), brick.join("a/b/name")] {
            fs::write(file, name).unwrap();
        }
        let posix =
            format!("volume posix\n type storage/posix\n option directory {}\nend-volume\n", brick.display());
        let top = "volume top\n type debug/io-stats\n subvolumes posix\nend-volume\n";
        Self::mount(&directory, &(posix + top), Vec::new())
    }

    /// Replica 3 with each brick in a process of its own.
    pub(crate) fn replicated() -> Self {
        static PORT: AtomicU16 = AtomicU16::new(49_200);
        let directory = directory();
        let (mut bricks, mut volfile) = (Vec::new(), String::new());
        for number in 0..3 {
            let port = PORT.fetch_add(1, Ordering::Relaxed);
            let path = make(directory.join(format!("brick{number}")));
            let server = format!(
                "volume posix\n type storage/posix\n option directory {}\nend-volume\n\
                 volume locks\n type features/locks\n subvolumes posix\nend-volume\n\
                 volume /brick\n type performance/io-threads\n subvolumes locks\nend-volume\n\
                 volume server\n type protocol/server\n option transport-type tcp\n \
                 option transport.address-family inet\n option transport.socket.listen-port {port}\n \
                 option auth.addr./brick.allow *\n subvolumes /brick\nend-volume\n",
                path.display()
            );
            let file = path.with_extension("vol");
            fs::write(&file, server).unwrap();
            bricks.push(Process::start("glusterfsd", &file, &[]));
            write!(
                volfile,
                "volume vol-client-{number}\n type protocol/client\n option remote-host 127.0.0.1\n \
                 option remote-port {port}\n option remote-subvolume /brick\n option transport-type tcp\n \
                 option transport.address-family inet\nend-volume\n"
            )
            .unwrap();
        }
        volfile += "volume vol-replicate-0\n type cluster/replicate\n \
                    subvolumes vol-client-0 vol-client-1 vol-client-2\nend-volume\n";
        Self::mount(&directory, &volfile, bricks)
    }

    fn mount(directory: &Path, volfile: &str, bricks: Vec<Process>) -> Self {
        let mount = make(directory.join("mount"));
        let file = directory.join("client.vol");
        fs::write(&file, volfile).unwrap();
        let process = Process::start("glusterfs", &file, &[&mount]);
        let volume = Self { process, bricks, mount };
        eventually("the volume works", || {
            block_on(helper().probe(&volume.mount, false, SOON)).is_ok_and(|probe| probe.works())
                && MountTable::read().unwrap().top_at(&volume.mount).is_some()
        });
        volume
    }

    pub(crate) fn device(&self) -> (u32, u32) {
        MountTable::read().unwrap().top_at(&self.mount).unwrap().device
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
