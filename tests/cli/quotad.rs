//! `kadalu quotad` on a host of bricks that are not there, or not on XFS.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use serde_json::Value;

use super::support::{Ran, Running, finish, kadalu, run};

const ID: &str = "c3a7e485-75b9-40f7-b497-1944fa4ac879";

/// The state of a glusterd, with a volume `vol` of one brick.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().expect("a temporary directory"));
        host.write("glusterd/glusterd.info", &format!("UUID={ID}\noperating-version=100000\n"));
        let info = format!("type=0\ncount=1\nreplica_count=1\nvolume-id={ID}\nbrick-0=g1:-b\n");
        host.write("glusterd/vols/vol/info", &info);
        let brick = format!("uuid={ID}\nhostname=g1\npath={}\n", host.brick().display());
        host.write("glusterd/vols/vol/bricks/g1:-b", &brick);
        host
    }

    fn export(&self, list: &str) {
        self.write("glusterd/kadalustorage.info", list);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("written");
    }

    fn brick(&self) -> PathBuf {
        self.0.path().join("brick")
    }

    fn runtime(&self) -> PathBuf {
        self.0.path().join("run/kadalu-quotad")
    }

    fn quotad(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = kadalu(&[&["quotad"], arguments].concat());
        command.env("KADALU_GLUSTERD_DIR", self.0.path().join("glusterd"));
        command.env("KADALU_RUNTIME_DIR", self.runtime());
        command
    }

    /// What it says, with `DIR` for this directory.
    fn ran(&self, arguments: &[&str]) -> Ran {
        let Ran { code, stdout, stderr } = finish(&mut self.quotad(arguments));
        let directory = self.0.path().display().to_string();
        let [stdout, stderr] = [stdout, stderr].map(|text| text.replace(&directory, "DIR"));
        Ran { code, stdout, stderr }
    }
}

#[test]
fn nothing_is_exported() {
    let host = Host::new();
    let ran = host.ran(&["--check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    let words =
        "kadalu: no brick of this host is exported: gluster volume set VOLUME user.kadalu.export on\n";
    assert_eq!(ran.stderr, words);
    assert_eq!(host.ran(&["--check", "--format", "json"]).ok(), "[]\n");
    fs::remove_file(host.0.path().join("glusterd/glusterd.info")).expect("removed");
    host.ran(&["--check"]).fails(
        11,
        "kadalu: DIR/glusterd/glusterd.info: No such file or directory (os error 2); \
         it is written at glusterd's first start on this host\n",
    );
}

#[test]
fn what_is_wrong_is_told_and_counted() {
    let host = Host::new();
    host.export("vol\nlov\n");
    for mode in ["--once", "--check", "--dry-run"] {
        let ran = host.ran(&[mode]);
        assert_eq!(ran.code, Some(7), "{}", ran.stderr);
        let (head, remarks) = ran.stdout.split_once('\n').expect("lines");
        assert_eq!(head, "PV  BRICK  ASKED  IN FORCE  USED  PROJECT  PROBLEM");
        assert!(remarks.starts_with("  NoBrick: there is no directory DIR/brick: "), "{remarks}");
        assert!(remarks.ends_with("\n  in force as asked: 0 of 0\n"), "{remarks}");
        let fault = "DIR/glusterd/kadalustorage.info, line 2: there is no volume \"lov\" in this cluster";
        assert!(ran.stderr.contains(fault), "{}", ran.stderr);
        assert!(
            ran.stderr.ends_with("kadalu: not every PV is limited as was asked; see above\n"),
            "{}",
            ran.stderr
        );
    }
    let json: Value = serde_json::from_str(&host.ran(&["--check", "--format", "json"]).stdout).expect("JSON");
    assert_eq!((&json[0]["volume"], &json[0]["problem"]["code"]), (&"vol".into(), &"NoBrick".into()));
    assert_eq!(json[0]["pvs"], Value::Array(Vec::new()));
}

#[test]
fn a_brick_on_another_file_system_is_named() {
    let host = Host::new();
    host.export("vol");
    fs::create_dir(host.brick()).expect("made");
    let id = u128::from_str_radix(&ID.replace('-', ""), 16).expect("hexadecimal").to_be_bytes();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(host.brick(), "trusted.glusterfs.volume-id", &id, flags).is_err() {
        eprintln!("SKIPPED: trusted attributes cannot be set here");
        return;
    }
    // XFS where somebody keeps temporary files on it: then without limits of projects, or without PVs.
    let ran = host.ran(&["--check"]);
    let known =
        ["NotXfs: the brick g1:", "NoProjectQuota: the brick g1:", "KernelWithoutQuota: the brick g1:"];
    let named = known.iter().any(|words| ran.stdout.contains(words));
    assert!(ran.code == Some(0) || ran.code == Some(7) && named, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_daemon_follows_what_is_exported() {
    let host = Host::new();
    let process = Running::stderr(host.quotad(&["--metrics", "127.0.0.1:0", "--log-format", "json"]));
    let line: Value =
        serde_json::from_str(&process.line_with("looking after the exported")).expect("an object");
    let address = line["fields"]["metrics"].as_str().expect("its address").to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(get("/healthz").ends_with("\r\n\r\nok\n"));
    host.export("vol");
    process.line_with("looked after");
    let line: Value = serde_json::from_str(&process.line_with("NoBrick")).expect("an object");
    let fields = &line["fields"];
    assert_eq!((&line["level"], &fields["code"]), (&"WARN".into(), &"NoBrick".into()));
    assert!(fields["brick"].as_str().expect("its brick").starts_with("g1:/"), "{line}");
    let health = get("/healthz");
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains(": NoBrick: "), "{health}");
    let metrics = get("/metrics");
    assert!(metrics.contains("\nkadalu_quota_bricks{} 1.0\n"), "{metrics}");
    assert!(metrics.contains("code=\"NoBrick\"} 1\n"), "{metrics}");

    // There is one on a host, and looking is free.
    for arguments in [&[][..], &["--once"]] {
        let words = "kadalu: another quotad runs on this host (DIR/run/kadalu-quotad/lock): stop it, or look with --check\n";
        host.ran(arguments).fails(1, words);
    }
    assert_eq!(host.ran(&["--check"]).code, Some(7));
    let mode = fs::metadata(host.runtime()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);

    host.export("# none");
    process.line_with("no longer looked after; its limits stay");
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn what_makes_no_sense_is_told() {
    for (arguments, words) in [
        (&["--once", "--check"][..], "cannot be used with"),
        (&["--check", "--dry-run"], "cannot be used with"),
        (&["--project-ids", "0-7"], "FIRST-LAST is wanted"),
        (&["--crawl-interval", "0"], "a number of seconds above 0"),
        (&["--format", "xml"], "table, json"),
    ] {
        let ran = run(&[&["quotad"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}
