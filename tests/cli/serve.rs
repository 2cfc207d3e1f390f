//! `kadalu volfile-server`.

use std::fs;

use serde_json::Value;

use super::support::{Running, VolfileServer, Volfiles, changed, kadalu, run, volfile};

#[test]
fn a_broken_file_keeps_the_last_good_one_and_says_why() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let get = || run(&["volfile-get", &server.address, "vol"]).ok().into_bytes();

    volfiles.put("vol", b"volume vol\n type debug/io-stats\n");
    let line: Value = serde_json::from_str(&server.process.line_with("ERROR")).unwrap();
    assert_eq!(line["fields"]["message"], "what was served before stays");
    let refused = line["fields"]["refused"].as_str().unwrap();
    assert!(refused.starts_with("volfile of \"vol\" refused: line 3, column 1: expected "), "{refused}");
    assert_eq!(get(), volfile());

    volfiles.put("vol", &changed());
    server.process.line_with("serving a new volfile");
    assert_eq!(get(), changed());

    fs::remove_file(volfiles.file("vol")).unwrap();
    server.process.line_with("no longer served");
    assert_eq!(run(&["volfile-get", &server.address, "vol"]).code, Some(4));
    assert_eq!(server.process.terminate(), Some(0));
}

#[test]
fn what_keeps_it_from_starting() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let path = volfiles.path().to_str().unwrap();
    let second = run(&["volfile-server", "--listen", &server.address, "--dir", path]);
    second.fails(
        1,
        &format!("kadalu: cannot listen on {}: Address already in use (os error 98)\n", server.address),
    );
    run(&["volfile-server", "--listen", "127.0.0.1:0", "--dir", "/nonexistent"])
        .fails(1, "kadalu: cannot serve /nonexistent: No such file or directory (os error 2)\n");
    let file = volfiles.file("vol");
    let file = file.to_str().unwrap();
    run(&["volfile-server", "--listen", "127.0.0.1:0", "--dir", file])
        .fails(1, &format!("kadalu: cannot serve {file}: Not a directory (os error 20)\n"));
}

#[test]
fn nothing_is_logged_but_what_matters() {
    let volfiles = Volfiles::new();
    let mut command = kadalu(&["volfile-server", "--listen", "127.0.0.1:0", "--dir"]);
    command.arg(volfiles.path());
    let server = Running::stderr(command);
    let line = server.line();
    assert!(
        line.contains("INFO listening address=127.0.0.1:") && line.ends_with("volumes=\"vol\""),
        "{line}"
    );
    let address = line.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    run(&["volfile-get", address, "vol"]).ok();
    assert_eq!(server.terminate(), Some(0));
}
