//! `kadalu volfile-get`: what is fetched, from where, and how it is shown.

use std::fs;

use glusterd_client::{client::digest, volfile::example::Example};
use serde_json::Value;

use super::support::{Fake, VolfileServer, Volfiles, changed, finish, kadalu, render, run, volfile};

#[test]
fn the_bytes_exactly_as_served() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let text = String::from_utf8(volfile()).unwrap();
    assert_eq!(run(&["volfile-get", &server.address, "vol"]).ok(), text);
    assert_eq!(run(&["volfile-get", &server.address, "vol", "--key", "vol.tcp-fuse"]).ok(), text);
}

#[test]
fn every_spelling_of_the_servers() {
    let volfiles = Volfiles::new();
    // Of the servers of one list, each in another form. [::] takes IPv4 too.
    let server = VolfileServer::listen("[::]:0", &volfiles);
    let socket = volfiles.path().join("server.sock");
    let unix = format!("unix:{}", socket.display());
    let _unix_server = VolfileServer::listen(&unix, &volfiles);
    let port = server.port();
    for servers in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        unix.clone(),
        format!("127.0.0.1:1,[::1]:1,{unix}"),
        format!("{unix},127.0.0.1:{port}"),
    ] {
        let with =
            |arguments: &[&str]| run(&[&["volfile-get", "--format", "digest"], arguments].concat()).ok();
        let expected = digest(&volfile()) + "\n";
        assert_eq!(with(&[&servers, "vol"]), expected, "{servers} vol");
        for end in ["", "/"] {
            assert_eq!(with(&[&format!("{servers}:/vol{end}")]), expected, "{servers}:/vol{end}");
        }
    }
}

#[test]
fn every_format() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let get = |format| run(&["volfile-get", &server.address, "vol", "--format", format]).ok();

    let tree = get("tree");
    assert_eq!(tree.lines().next(), Some("vol  debug/io-stats"));
    assert!(
        tree.ends_with("└─ vol-client-2  protocol/client  server-2.example.net:/bricks/vol/brick-2\n"),
        "{tree}"
    );
    let dot = get("dot");
    assert!(dot.starts_with("digraph") && dot.contains("vol-client-2") && dot.ends_with("}\n"), "{dot}");

    let object: Value = serde_json::from_str(&get("json")).unwrap();
    assert_eq!(object["volume"], "vol");
    assert_eq!(object["server"], server.address);
    assert_eq!(object["digest"], digest(&volfile()));
    assert_eq!(object["bytes"], volfile().len());
    assert_eq!(object["translators"][0]["name"], "vol-client-0");
    assert_eq!(object["translators"][0]["options"]["remote-host"], "server-0.example.net");
}

#[test]
fn credentials_are_left_out_but_of_the_raw_format() {
    let volfiles = Volfiles::new();
    volfiles.put(
        "vol",
        &render(&Example::with_bricks("vol", 3, 3).option("protocol/client", "password", "s3cr3t")),
    );
    let server = VolfileServer::start(&volfiles);
    for (format, shown) in [("raw", true), ("json", false), ("tree", false), ("dot", false)] {
        let text = run(&["volfile-get", &server.address, "vol", "--format", format]).ok();
        assert_eq!(text.contains("s3cr3t"), shown, "{format}");
    }
    let trace = run(&["volfile-get", &server.address, "vol", "--trace", "--format", "digest"]);
    assert!(trace.stderr.contains("GETSPEC") && !trace.stderr.contains("s3cr3t"), "{}", trace.stderr);
}

#[test]
fn the_difference_to_a_file() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let old = volfiles.path().join("old");
    let file = old.to_str().unwrap();
    let diff =
        |more: &[&str]| run(&[&["volfile-get", &server.address, "vol", "--diff", file], more].concat()).ok();

    fs::write(&old, volfile()).unwrap();
    assert_eq!(diff(&[]), "no change\n");

    fs::write(&old, changed()).unwrap();
    let words = "options: applied in place:\n\
        ~ vol-client-0: ping-timeout 10 → 42\n\
        ~ vol-client-1: ping-timeout 10 → 42\n\
        ~ vol-client-2: ping-timeout 10 → 42\n";
    assert_eq!(diff(&[]), words);
    let change: Value = serde_json::from_str(&diff(&["--format", "json"])).unwrap();
    assert_eq!(change["class"], "options");
    assert_eq!(change["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(change["items"][0]["to"], "42");

    fs::write(&old, render(&Example::with_bricks("vol", 3, 6))).unwrap();
    let change: Value = serde_json::from_str(&diff(&["--format", "json"])).unwrap();
    assert_eq!(change["class"], "topology");

    fs::write(&old, "broken").unwrap();
    run(&["volfile-get", &server.address, "vol", "--diff", file]).fails(
        8,
        &format!("kadalu: {file}: not a volfile: line 1, column 1: expected `volume`, found `broken`\n"),
    );
    run(&["volfile-get", &server.address, "vol", "--diff", "/nonexistent"]).fails(
        1,
        "kadalu: cannot read /nonexistent: No such file or directory (os error 2) \
         (a volfile or the mount point of a Gluster volume is wanted)\n",
    );
}

#[test]
fn a_check_that_passes_and_one_that_fails() {
    let volfiles = Volfiles::new();
    volfiles.put("one", b"volume one\n type debug/io-stats\n option log-level INFO\nend-volume\n");
    let server = VolfileServer::start(&volfiles);
    let passed = run(&["volfile-get", &server.address, "vol", "--check"]).ok();
    assert!(
        passed.starts_with("vol: replicate 3\n    server-0.example.net:/bricks/vol/brick-0 (vol-client-0)\n"),
        "{passed}"
    );

    let failed = run(&["volfile-get", &server.address, "one", "--check"]);
    assert_eq!((failed.code, failed.stderr.as_str()), (Some(7), "kadalu: one: 1 of the checks failed\n"));
    assert!(failed.stdout.contains("error [no-bricks]: no brick is in this volfile"), "{}", failed.stdout);

    let failed = run(&["volfile-get", &server.address, "one", "--check", "--format", "json"]);
    let object: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((failed.code, &object["checks"][0]["code"]), (Some(7), &Value::from("no-bricks")));
}

#[test]
fn an_invalid_volfile_is_shown_but_replaces_no_file() {
    let text = b"volume vol\n type debug/io-stats\n option log-level `reboot`\nend-volume\n";
    let server = Fake::serving(&[text]).start();
    let words = "kadalu: invalid volfile:\n  \
        line 3: a backtick: glusterfs would run what stands between two of them as root\n";
    let got = run(&["volfile-get", &server, "vol"]);
    assert_eq!((got.code, got.stderr.as_str(), got.stdout.as_bytes()), (Some(8), words, &text[..]));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vol.vol");
    fs::write(&file, "good").unwrap();
    run(&["volfile-get", &server, "vol", "-o", file.to_str().unwrap()]).fails(8, words);
    assert_eq!(fs::read_to_string(&file).unwrap(), "good");

    let checked = run(&["volfile-get", &server, "vol", "--check"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(8), words));
    let server = Fake::serving(&[b"volume vol\n"]).start();
    run(&["volfile-get", &server, "vol", "--format", "tree"])
        .fails(8, "kadalu: invalid volfile:\n  line 2, column 1: expected `type`, found the end of the file (in volume `vol`)\n");
}

#[test]
fn frames_are_traced_to_standard_error() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let traced = run(&["volfile-get", &server.address, "vol", "--trace"]);
    assert_eq!((traced.code, traced.stdout.as_bytes()), (Some(0), &volfile()[..]));
    let lines = traced.stderr.lines().collect::<Vec<_>>();
    let [call, reply] = lines[..] else { panic!("{lines:?}") };
    assert!(
        call.ends_with(
            "→ call  Gluster Handshake GETSPEC, 76 bytes, flags 0, key \"vol\", op-versions 1:999999"
        ),
        "{call}"
    );
    assert!(reply.contains("← reply Gluster Handshake GETSPEC, "), "{reply}");
    assert!(
        reply.ends_with(&format!("op_ret {0}, op_errno 0, volfile {0} bytes", volfile().len())),
        "{reply}"
    );
}

#[test]
fn nobody_reads_any_more() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = finish(kadalu(&["volfile-get", &server.address, "vol"]).stdout(writer));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // The same for who watches: at the next event at the latest.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = finish(kadalu(&["volfile-get", &server.address, "vol", "--watch"]).stdout(writer));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // And words that nobody reads change no exit code.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = kadalu(&["volfile-get", &server.address, "nope"]);
    assert_eq!(command.stderr(writer).status().unwrap().code(), Some(4));
}
