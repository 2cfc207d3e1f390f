//! `--watch`: its lines are a contract with scripts.

use std::fs;

use glusterd_client::client::digest;
use serde_json::{Value, json};

use super::support::{Fake, Running, VolfileServer, Volfiles, changed, kadalu, volfile};

fn watch(servers: &str, more: &[&str]) -> Running {
    Running::stdout(kadalu(&[&["volfile-get", servers, "vol", "--watch"], more].concat()))
}

/// A line without its time, which must be RFC 3339 in UTC with milliseconds.
fn line(watch: &Running) -> Value {
    let mut line = watch.json();
    let time = line.as_object_mut().and_then(|line| line.remove("time")).expect("a time");
    let time = time.as_str().expect("text").to_owned();
    assert!(
        humantime::parse_rfc3339(&time).is_ok() && time.len() == "2026-01-01T00:00:00.000Z".len(),
        "{time}"
    );
    line
}

#[test]
fn every_event_is_a_line_of_json() {
    let volfiles = Volfiles::new();
    let first = VolfileServer::start(&volfiles);
    // The second one is started on a port that is known by then.
    let second = VolfileServer::start(&volfiles);
    let servers = format!("{},{}", first.address, second.address);
    let watch = watch(&servers, &["--format", "json", "--poll", "1"]);
    let (old, new) = (digest(&volfile()), digest(&changed()));

    assert_eq!(line(&watch), json!({ "event": "connected", "server": first.address, "volume": "vol" }));
    assert_eq!(
        line(&watch),
        json!({ "event": "initial", "server": first.address, "volume": "vol", "generation": 1, "digest": old })
    );

    volfiles.put("vol", &changed());
    let items = [0, 1, 2].map(|n| {
        json!({ "kind": "option-changed", "volume": format!("vol-client-{n}"), "key": "ping-timeout", "from": "42", "to": "10" })
    });
    assert_eq!(
        line(&watch),
        json!({
            "event": "changed", "server": first.address, "volume": "vol", "generation": 2, "digest": new,
            "change": { "class": "options", "items": items },
        })
    );

    second.process.line_with("serving a new volfile");
    assert_eq!(first.process.terminate(), Some(0));
    let ended = line(&watch);
    assert_eq!((&ended["event"], &ended["server"]), (&json!("disconnected"), &json!(first.address)));
    assert!(ended["reason"].is_string() && ended.get("digest").is_none(), "{ended}");
    assert_eq!(line(&watch), json!({ "event": "connected", "server": second.address, "volume": "vol" }));
    assert_eq!(
        line(&watch),
        json!({ "event": "unchanged", "server": first.address, "volume": "vol", "generation": 2, "digest": new })
    );

    fs::remove_file(volfiles.file("vol")).unwrap();
    assert_eq!(line(&watch), json!({ "event": "gone", "server": second.address, "volume": "vol" }));
    assert_eq!(watch.terminate(), Some(0));
}

#[test]
fn a_volfile_that_must_not_be_loaded_is_rejected() {
    let bad = b"volume vol\n type debug/io-stats\n option log-level `reboot`\nend-volume\n";
    let server = Fake::serving(&[&volfile(), bad]).start();
    let watch = watch(&server, &["--format", "json", "--poll", "1"]);
    assert_eq!(line(&watch)["event"], "connected");
    assert_eq!(line(&watch)["event"], "initial");
    assert_eq!(
        line(&watch),
        json!({
            "event": "rejected", "server": server, "volume": "vol", "digest": digest(bad),
            "reasons": ["line 3: a backtick: glusterfs would run what stands between two of them as root"],
        })
    );
}

#[test]
fn the_same_in_words() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let watch = watch(&server.address, &[]);
    let words =
        |line: String| line.split_once(' ').map(|(_, words)| words.to_owned()).expect("time and words");
    assert_eq!(words(watch.line()), format!("vol connected {}", server.address));
    assert_eq!(words(watch.line()), format!("vol initial generation 1 {}", server.address));
    volfiles.put("vol", &changed());
    let changed = format!("vol changed generation 2 (options: applied in place) {}", server.address);
    assert_eq!(words(watch.line()), changed);
    assert_eq!(watch.line(), "    ~ vol-client-0: ping-timeout 42 → 10");
    assert_eq!(watch.terminate(), Some(0));
}
