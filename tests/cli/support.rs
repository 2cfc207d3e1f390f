//! Running `kadalu`, its volfile server, and servers that misbehave.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use glusterd_client::{glusterd::handshake::GetspecReply, volfile::example::Example, xdr};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `kadalu` without the environment of whoever runs the tests.
pub(crate) fn kadalu(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kadalu"));
    command.args(arguments).stdin(Stdio::null());
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name == "RUST_LOG" || name.to_string_lossy().starts_with("KADALU_")) {
        command.env_remove(name);
    }
    command
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    finish(&mut kadalu(arguments))
}

pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("kadalu runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ran {
    /// Succeeded without a word; what it printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// Failed with this number and exactly these words, and printed nothing.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, stderr: &str) {
        assert_eq!(self.stderr, stderr);
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""));
    }
}

/// The client volfile of a volume `vol` of three bricks.
pub(crate) fn volfile() -> Vec<u8> {
    render(&Example::with_bricks("vol", 3, 3))
}

/// The same with an option changed.
pub(crate) fn changed() -> Vec<u8> {
    render(&Example::with_bricks("vol", 3, 3).option("protocol/client", "ping-timeout", "10"))
}

pub(crate) fn render(volume: &Example) -> Vec<u8> {
    volume.volfile().render().expect("an example can be written")
}

/// A directory of volfiles, `vol.vol` in it.
pub(crate) struct Volfiles(tempfile::TempDir);

impl Volfiles {
    pub(crate) fn new() -> Self {
        let volfiles = Self(tempfile::tempdir().expect("a temporary directory"));
        volfiles.put("vol", &volfile());
        volfiles
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, volume: &str) -> PathBuf {
        self.path().join(format!("{volume}.vol"))
    }

    /// Replaces a volfile by rename, as its users are told to.
    pub(crate) fn put(&self, volume: &str, text: &[u8]) {
        let new = self.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, self.file(volume)).expect("renamed");
    }
}

/// A process that is running, with its lines of one kind; ended with this value.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Runs a command whose standard output is looked at line by line.
    pub(crate) fn stdout(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kadalu starts");
        let lines = lines(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }

    /// Runs a command whose standard error is looked at line by line.
    pub(crate) fn stderr(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("kadalu starts");
        let lines = lines(child.stderr.take().expect("it is piped"));
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("one more line")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.line()).expect("a line is an object")
    }

    /// The lines up to the first that holds `text`, which is returned.
    pub(crate) fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it is there");
        self.child.wait().expect("it ends").code()
    }

    /// What it still has to say until SIGTERM has ended it.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it is there");
        self.child.wait().expect("it ends");
        self.lines.iter().collect()
    }

    /// The exit code of a command that ends by itself.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// `kadalu volfile-server`, its log as JSON.
pub(crate) struct VolfileServer {
    pub(crate) process: Running,
    /// `host:port`, or the path of the socket.
    pub(crate) address: String,
}

impl VolfileServer {
    pub(crate) fn start(volfiles: &Volfiles) -> Self {
        Self::listen("127.0.0.1:0", volfiles)
    }

    pub(crate) fn listen(listen: &str, volfiles: &Volfiles) -> Self {
        let mut command = kadalu(&["volfile-server", "--log-format", "json", "--listen", listen, "--dir"]);
        let process = Running::stderr({
            command.arg(volfiles.path()).env("RUST_LOG", "info");
            command
        });
        let line: Value =
            serde_json::from_str(&process.line_with("listening")).expect("a log line is an object");
        let address = line["fields"]["address"].as_str().expect("its address").to_owned();
        Self { process, address }
    }

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit_once(':').expect("host:port").1
    }
}

/// What a server of a few lines does with its connections.
pub(crate) enum Fake {
    /// Accepts and says nothing.
    Silent,
    /// Closes after the first bytes.
    Closes,
    /// Answers each call with the next of these results, the last again and again.
    Answers(Vec<Vec<u8>>),
}

impl Fake {
    /// Answers GETSPEC with these volfiles.
    pub(crate) fn serving(volfiles: &[&[u8]]) -> Self {
        let reply =
            |text: &&[u8]| xdr::encode(&GetspecReply::success(text, &[]).expect("it fits")).expect("it fits");
        Self::Answers(volfiles.iter().map(reply).collect())
    }

    /// Listens on a port of 127.0.0.1 for the rest of the test.
    pub(crate) fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("it is bound").to_string();
        thread::spawn(move || {
            let mut calls = 0;
            let mut held = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                match &self {
                    Self::Silent => held.push(stream),
                    Self::Closes => drop(stream.read(&mut [0; 64])),
                    Self::Answers(results) => while answer(&mut stream, results, &mut calls).is_some() {},
                }
            }
        });
        address
    }
}

/// Reads one record, of one fragment as our client sends them, and answers it: accepted, with these results.
fn answer(stream: &mut TcpStream, results: &[Vec<u8>], calls: &mut usize) -> Option<()> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).ok()?;
    let mut call = vec![0; (u32::from_be_bytes(header) & 0x7fff_ffff) as usize];
    stream.read_exact(&mut call).ok()?;
    // Program 14398633 is the handshake; anything else is not available (RFC 5531 §9).
    let handshake = call.get(12..16)? == 14_398_633_u32.to_be_bytes();
    let result = results.get(*calls).or(results.last())?;
    *calls += usize::from(handshake);
    let mut reply = call.get(..4)?.to_vec();
    // REPLY, MSG_ACCEPTED, AUTH_NONE without a body, SUCCESS or PROG_UNAVAIL.
    for word in [1, 0, 0, 0, u32::from(!handshake)] {
        reply.extend(u32::to_be_bytes(word));
    }
    if handshake {
        reply.extend(result);
    }
    let header = 1 << 31 | u32::try_from(reply.len()).ok()?;
    stream.write_all(&[&header.to_be_bytes()[..], &reply].concat()).ok()
}
