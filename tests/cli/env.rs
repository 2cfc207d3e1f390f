//! The environment, the log, and what must be the same for every subcommand.

use serde_json::Value;

use super::support::{VolfileServer, Volfiles, finish, kadalu, run, volfile};

#[test]
fn every_flag_has_a_variable() {
    for subcommand in [
        &["volfile-get"][..],
        &["volfile-server"],
        &["mountd"],
        &["mount"],
        &["umount"],
        &["mounts"],
        &["import"],
        &["config"],
        &["csi"],
        &["pvs"],
        &["quota"],
        &["quotad"],
        &["demo"],
        &["bench", "fetch"],
        &["bench", "serve"],
        &["bench", "connections"],
        &["bench", "notify"],
        &["bench", "io"],
        &["bench", "live"],
        &["bench", "csi"],
        &["bench", "quota"],
        &["completions"],
        &["man"],
    ] {
        let help = run(&[subcommand, &["--help"]].concat()).ok();
        let (_, options) = help.split_once("Options:\n").expect("a list of options");
        let flags = options.lines().filter(|line| line.trim_start().starts_with('-') && line.contains("--"));
        let flags = flags.collect::<Vec<_>>();
        let plain = flags.iter().filter(|line| !line.contains("--help")).count();
        assert!(plain > 0, "{subcommand:?}: {flags:?}");
        assert_eq!(options.matches("[env: KADALU_").count(), plain, "{subcommand:?}: {flags:?}");
    }
}

#[test]
fn everything_from_the_environment() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let get = |variables: &[(&str, &str)]| {
        let servers = [("KADALU_SERVERS", server.address.as_str()), ("KADALU_VOLUME", "vol")];
        finish(kadalu(&["volfile-get"]).envs(servers).envs(variables.iter().copied()))
    };
    assert_eq!(get(&[]).ok().as_bytes(), volfile());
    assert!(get(&[("KADALU_FORMAT", "digest"), ("KADALU_TIMEOUT", "20")]).ok().starts_with("sha256:"));
    assert!(get(&[("KADALU_CHECK", "1")]).ok().starts_with("vol: replicate 3"));
    assert!(get(&[("KADALU_CHECK", "true")]).ok().starts_with("vol: replicate 3"));
    assert_eq!(get(&[("KADALU_CHECK", "0"), ("KADALU_TRACE", "")]).ok().as_bytes(), volfile());
    let none = get(&[("KADALU_KEY", "nope"), ("KADALU_LOG_FORMAT", "json")]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(4), ""));
    // The command line comes first.
    let mut command = kadalu(&["volfile-get", "--format", "digest"]);
    let servers =
        [("KADALU_SERVERS", server.address.as_str()), ("KADALU_VOLUME", "vol"), ("KADALU_FORMAT", "json")];
    assert!(finish(command.envs(servers)).ok().starts_with("sha256:"));
}

#[test]
fn a_log_in_json_is_json_to_the_last_word() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    // Whatever else is logged or not.
    for log in ["trace", "off"] {
        let mut command = kadalu(&["--log-format", "json", "volfile-get", &server.address, "nope"]);
        let ran = finish(command.env("RUST_LOG", log));
        assert_eq!(ran.code, Some(4));
        let lines = ran.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        let lines = lines.collect::<Vec<_>>();
        assert_eq!(lines.len() == 1, log == "off", "{lines:?}");
        let last = lines.last().expect("one line");
        assert_eq!((&last["level"], &last["fields"]["exit"]), (&"ERROR".into(), &4.into()));
        let message = last["fields"]["message"].as_str().expect("words");
        assert!(message.starts_with("volume \"nope\": no such volume"), "{message}");
        let time = last["timestamp"].as_str().expect("a time");
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }
}
