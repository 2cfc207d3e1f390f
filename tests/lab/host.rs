//! One host: a set of namespaces, and what is done in them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::kadalu::Output;
use super::root::Root;
use super::{LabDir, LabOptions, eventually, network};

/// A signal to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Ends at once, nothing said to anybody but by the kernel.
    Kill,
    /// Ends in order.
    Term,
    /// As from Ctrl-C.
    Interrupt,
    /// Stands still: accepts connections (the kernel does) and never says a word.
    Stop,
    /// Goes on after `Stop`.
    Continue,
}

impl Signal {
    /// The name that `kill -s` takes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A host of a lab: a server (with a glusterd) or a client.
pub(crate) struct Host {
    name: String,
    address: IpAddr,
    root: Root,
    dir: PathBuf,
    holder: Child,
    pid: u32,
}

impl Host {
    pub(super) fn new(
        lab: &LabDir,
        name: &str,
        address: IpAddr,
        root: Root,
        hosts_file: &str,
        options: &LabOptions,
    ) -> Self {
        let from = root;
        let root = root.folder();
        let dir = lab.join(name);
        for folder in ["lib", "log", "etc", "run/gluster", "mnt/bricks", "mnt/shared", "mnt/volume"] {
            fs::create_dir_all(dir.join(folder)).expect("a host's folder");
        }
        fs::write(dir.join("hosts"), hosts_file).expect("/etc/hosts");
        // Copied, not bound: OPENSSLDIR, where Debian's glusterfs looks for its certificates.
        let copied =
            Command::new("cp").args(["-a", &format!("{root}/usr/lib/ssl")]).arg(dir.join("ssl")).status();
        assert!(copied.expect("cp runs").success(), "copy {root}/usr/lib/ssl");
        let volfile = format!("{root}/etc/glusterfs/glusterd.vol");
        let volfile = fs::read_to_string(&volfile).unwrap_or_else(|e| panic!("{volfile}: {e}"));
        fs::write(dir.join("etc/glusterd.vol"), glusterd_vol(&volfile, options)).expect("glusterd.vol");
        if options.tls.is_some() {
            fs::write(dir.join("lib/secure-access"), "").expect("secure-access");
            for file in ["pem", "key", "ca"] {
                let from = lab.certificates().join(format!("{name}.{file}"));
                fs::copy(from, dir.join(format!("ssl/glusterfs.{file}"))).expect("a certificate");
            }
        }
        let mut holder = Command::new("unshare")
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--propagation", "private", "--"])
            .args(["sh", "-c", include_str!("holder.sh"), "holder", &root])
            .args([&dir, &lab.shared()])
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let said = first_line(&mut holder);
        let pid =
            said.parse().unwrap_or_else(|_| panic!("no process id from the holder of {name}: {said:?}"));
        Self { name: name.into(), address, root: from, dir, holder, pid }
    }

    /// The name, which every host of the lab resolves.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address on the lab's network.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The first process of the host's namespaces, as seen from outside.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A command that will run in the host, with an environment that owes nothing to the caller's. Killing it kills
    /// what it runs.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--all", "--root", "--wd", "--"])
            .args(["setpriv", "--pdeathsig", "KILL", "--", program])
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program in the host to its end. One that hangs is killed, which shows in its status.
    pub(crate) fn exec(&self, program: &str, args: &[&str]) -> Output {
        let mut all = vec!["--signal=KILL", "120", program];
        all.extend(args);
        let output = self.command("timeout", &all).output().expect("nsenter runs");
        Output {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a shell script in the host that must succeed, and returns its output.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.exec("sh", &["-euc", script]);
        assert_eq!(output.status, Some(0), "{}: {script}: {}", self.name, output.stderr);
        output.text()
    }

    /// Runs the gluster command line, which must succeed, and returns its output.
    pub(crate) fn gluster(&self, args: &[&str]) -> String {
        self.try_gluster(args)
            .unwrap_or_else(|said| panic!("{}: gluster {}: {said}", self.name, args.join(" ")))
    }

    /// Runs the gluster command line: its output, or what it complained about. Waits while another command holds
    /// the cluster's lock.
    pub(crate) fn try_gluster(&self, args: &[&str]) -> Result<String, String> {
        let mut all = vec!["--mode=script"];
        all.extend(args);
        eventually("the cluster's lock", || {
            let output = self.exec("gluster", &all);
            let said = format!("{}{}", output.text(), output.stderr);
            if output.status == Some(0) {
                Some(Ok(said))
            } else if ["Another transaction is in progress", "Locking failed"]
                .iter()
                .any(|s| said.contains(s))
            {
                None
            } else {
                Some(Err(said))
            }
        })
    }

    /// Starts glusterd and waits until it answers the command line.
    pub(crate) fn start_glusterd(&self) {
        let output = self.exec("glusterd", &["-p", "/run/glusterd.pid"]);
        assert_eq!(
            output.status,
            Some(0),
            "glusterd on {}: {}{}",
            self.name,
            output.stderr,
            self.glusterd_log()
        );
        eventually(&format!("glusterd answers on {}", self.name), || {
            self.try_gluster(&["volume", "list"]).ok().map(drop)
        });
    }

    /// Sends `signal` to glusterd; its bricks and self-heal daemon live on. Returns when it is dead, if it dies of it.
    pub(crate) fn kill_glusterd(&self, signal: Signal) {
        self.shell(&format!("kill -s {} $(cat /run/glusterd.pid)", signal.name()));
        if matches!(signal, Signal::Kill | Signal::Term | Signal::Interrupt) {
            eventually("glusterd ends", || (!self.glusterd_runs()).then_some(()));
        }
    }

    /// Whether there is a glusterd.
    pub(crate) fn glusterd_runs(&self) -> bool {
        self.exec("sh", &["-c", "kill -0 $(cat /run/glusterd.pid)"]).status == Some(0)
    }

    /// What glusterd wrote to its log, to say with a failure.
    pub(crate) fn glusterd_log(&self) -> String {
        let log = fs::read_dir(self.dir.join("log")).into_iter().flatten().flatten();
        log.filter(|file| file.file_name().to_string_lossy().contains("glusterd"))
            .filter_map(|file| fs::read_to_string(file.path()).ok())
            .collect()
    }

    /// The bytes of a file of this host below `/var/lib/glusterd`.
    pub(crate) fn glusterd_file(&self, path: &str) -> Vec<u8> {
        let path = self.dir.join("lib").join(path);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The untrusted client volfile of `volume` as it lies on this server.
    pub(crate) fn read_volfile(&self, volume: &str) -> Vec<u8> {
        self.glusterd_file(&format!("vols/{volume}/{volume}.tcp-fuse.vol"))
    }

    /// Teaches this host one more name of another.
    pub(crate) fn knows(&self, other: &Self, name: &str) {
        let line = format!("{} {name}", other.address());
        self.shell(&format!("grep -qx '{line}' /etc/hosts || echo '{line}' >>/etc/hosts"));
    }

    /// Takes the host's network interface up or down.
    pub(crate) fn interface(&self, up: bool) {
        network::ip(self.pid, &format!("link set eth0 {}\n", if up { "up" } else { "down" }));
    }

    /// Where the host's `/mnt` lies on this machine.
    pub(crate) fn mnt(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    /// A path of the host as this process reaches it: also on what only the host has mounted.
    pub(crate) fn seen(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// Where its programs come from.
    pub(super) fn root(&self) -> Root {
        self.root
    }

    /// The host's folder on this machine.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().expect("the holder was never waited for");
    }
}

/// The first line that a holder says; empty when it failed (its complaint is on standard error).
pub(super) fn first_line(holder: &mut Child) -> String {
    let mut line = String::new();
    let mut stdout = BufReader::<ChildStdout>::new(holder.stdout.take().expect("it is piped"));
    stdout.read_line(&mut line).expect("a line of text");
    line.trim_end().to_owned()
}

/// The distribution's glusterd.vol with the lab's options in it.
fn glusterd_vol(packaged: &str, options: &LabOptions) -> String {
    let mut ours = String::new();
    if options.ipv6 {
        ours += "    option transport.address-family inet6\n";
    }
    if !options.allow_insecure {
        ours += "    option rpc-auth-allow-insecure off\n";
    }
    packaged.replace("end-volume", &format!("{ours}end-volume"))
}
