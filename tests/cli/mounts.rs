//! A mount host and who asks it for something; no volume is mounted.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::support::{Ran, Running, finish, kadalu, run};

/// `kadalu mountd` in a directory of its own, its log as JSON.
struct Mountd {
    process: Running,
    directory: tempfile::TempDir,
    metrics: String,
}

impl Mountd {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = kadalu(&["mountd", "--log-format", "json", "--metrics", "127.0.0.1:0"]);
        command.arg("--socket").arg(socket(&directory)).arg("--state-dir").arg(state(&directory));
        let process = Running::stderr(command);
        let line: Value =
            serde_json::from_str(&process.line_with("listening")).expect("a log line is an object");
        let metrics = line["fields"]["metrics"].as_str().expect("its address").to_owned();
        Self { process, directory, metrics }
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        finish(kadalu(arguments).env("KADALU_SOCKET", socket(&self.directory)))
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.metrics).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

fn socket(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("run/kadalu/s")
}

fn state(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("lib/kadalu")
}

#[test]
fn a_host_with_nothing_mounted() {
    let mountd = Mountd::start();
    let list = mountd.ask(&["mounts"]);
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), ""));
    assert_eq!(list.stderr, "kadalu: nothing is mounted\n");
    let list: Value = serde_json::from_str(&mountd.ask(&["mounts", "--format", "json"]).ok()).expect("JSON");
    assert_eq!(list["volumes"], Value::Array(Vec::new()));

    let nowhere = mountd.directory.path().join("nowhere");
    for arguments in [&["umount"][..], &["umount", "--lazy"], &["mounts", "--replace"]] {
        let ran = mountd.ask(&[arguments, &[nowhere.to_str().expect("UTF-8")]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(10), ""), "{}", ran.stderr);
        let message = format!("kadalu: {} is not mounted by this host", nowhere.display());
        assert!(ran.stderr.starts_with(&message), "{}", ran.stderr);
    }
    assert_eq!(mountd.ask(&["mounts", "--accept-replaced", "nope"]).code, Some(4));

    assert!(mountd.get("/healthz").ends_with("\r\n\r\nok\n"));
    assert!(mountd.get("/metrics").ends_with("# EOF\n"));
    let directory = mountd.directory;
    assert_eq!(mountd.process.terminate(), Some(0));
    assert!(!socket(&directory).exists());
}

#[test]
fn what_it_makes_is_private() {
    let mountd = Mountd::start();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&socket(&mountd.directory)), 0o600);
    for made in ["run", "run/kadalu", "lib", "lib/kadalu"] {
        assert_eq!(mode(&mountd.directory.path().join(made)), 0o700, "{made}");
    }
}

#[test]
fn two_do_not_share_a_state_directory_or_a_socket() {
    let mountd = Mountd::start();
    let other = |socket: &Path, state: &Path| {
        finish(kadalu(&["mountd"]).arg("--socket").arg(socket).arg("--state-dir").arg(state))
    };
    let free = mountd.directory.path().join("other");
    other(&free, &state(&mountd.directory)).fails(
        1,
        &format!(
            "kadalu: another mount host runs on {}: use that one, stop it, or give another state directory and socket\n",
            state(&mountd.directory).display()
        ),
    );
    let socket = socket(&mountd.directory);
    other(&socket, &free).fails(
        1,
        &format!("kadalu: cannot listen on {0}: {0}: another process listens there\n", socket.display()),
    );
    // A killed one leaves both, and the next is not kept from them.
    let directory = mountd.directory;
    drop(mountd.process);
    let mut command = kadalu(&["mountd"]);
    command.arg("--socket").arg(&socket).arg("--state-dir").arg(state(&directory));
    let next = Running::stderr(command);
    next.line_with("listening");
    assert_eq!(next.terminate(), Some(0));
}

#[test]
fn there_is_no_mount_host() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let absent = directory.path().join("s");
    for arguments in [
        &["mount", "g1:/vol", "/mnt"][..],
        &["umount", "/mnt"],
        &["mounts"],
        &["mounts", "--format", "json"],
        &["mounts", "--replace", "/mnt"],
        &["mounts", "--accept-replaced", "vol"],
    ] {
        finish(kadalu(arguments).env("KADALU_SOCKET", &absent)).fails(
            12,
            &format!(
                "kadalu: no mount host at {}: start `kadalu mountd`, or give --socket\n",
                absent.display()
            ),
        );
    }
    // One that accepts and hangs up.
    let listener = UnixListener::bind(&absent).expect("a socket");
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let ran = finish(kadalu(&["mounts", "--socket"]).arg(&absent));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(12), ""));
    assert!(ran.stderr.contains("is gone, hangs or is no mount host"), "{}", ran.stderr);
}

#[test]
fn what_makes_no_sense_is_said_before_anybody_is_asked() {
    for (arguments, words) in [
        (
            &["mount", "g1", "/mnt"][..],
            "no volume in \"g1\": write SERVERS:/VOLUME or SERVERS:/VOLUME/DIRECTORY",
        ),
        (&["mount", "g1:/", "/mnt"], "the volume's name is empty"),
        (&["mount", "g 1:/vol", "/mnt"], "g 1"),
        (&["mount", "g1:/vol"], "<TARGET>"),
        (&["mount", "g1:/vol", ""], "<TARGET>"),
        (&["mount", "g1:/vol", "/mnt", "--timeout", "0"], "--timeout"),
        (&["umount"], "<TARGET>"),
        (&["mounts", "--replace", "/mnt", "--accept-replaced", "vol"], "cannot be used with"),
        (&["mounts", "--format", "xml"], "table, json"),
        (&["mountd", "--probe-interval", "0"], "a number of seconds above 0"),
        (&["mountd", "--op-version", "1:1"], "unexpected argument"),
        (&["mountd", "--metrics", "nowhere:x"], "nowhere:x"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn help_shows_examples() {
    for (subcommand, example) in [
        ("mount", "kadalu mount g1,g2,g3:/vol /mnt "),
        ("umount", "kadalu umount --lazy /mnt "),
        ("mounts", "kadalu mounts --format json "),
        ("pvs", "kadalu pvs g1,g2:/vol "),
        ("quota", "kadalu quota g1,g2:/vol "),
        ("mountd", "kadalu mountd --metrics 127.0.0.1:9760 "),
        ("quotad", "kadalu quotad --check "),
    ] {
        let help = run(&[subcommand, "--help"]).ok();
        assert!(help.contains("\nExamples:\n") && help.contains(example), "{help}");
    }
    let help = run(&["--help"]).ok().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("9 the volume cannot serve I/O") && help.contains("12 no mount host."), "{help}");
}
