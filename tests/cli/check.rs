//! `kadalu check`: what is found of a volume whose server knows no peers and no bricks, and how that is shown.

use glusterd_client::{storage::check::CODES, volfile::example::Example};
use serde_json::Value;

use super::support::{Fake, Ran, Running, VolfileServer, Volfiles, kadalu, render, run};

/// A volume of bricks on the host of the server itself, which knows no ports of theirs.
fn volfiles() -> Volfiles {
    let volfiles = Volfiles::new();
    let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
    let bricks =
        |count: usize| ["/0", "/1", "/2", "/3", "/4", "/5"][..count].iter().map(|path| ("127.0.0.1", *path));
    let volume = |count| Example::new("vol", 3, bricks(count)).option("cluster/replicate", "volume-id", id);
    volfiles.put("vol", &render(&volume(3)));
    volfiles.put("dist", &render(&volume(6)));
    volfiles
}

fn check(server: &str, volume: &str, more: &[&str]) -> Ran {
    let source = format!("{server}:/{volume}");
    run(&[&["check", &source, "--glusterfs", "/none/glusterfs"], more].concat())
}

fn object(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn outcomes<'v>(report: &'v Value, code: &str) -> Vec<&'v str> {
    let findings = report["findings"].as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["code"] == code)
        .filter_map(|finding| finding["outcome"].as_str())
        .collect()
}

#[test]
fn a_table_under_heads_with_what_to_do() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let ran = check(&server.address, "vol", &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(7), "kadalu: not fit for such PVs as it is: vol\n"));
    // Three bricks are one line.
    assert!(ran.stdout.contains("\n1 failed, "), "{}", ran.stdout);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[..3], ["vol, replicate 3", "", "Servers"]);
    for head in ["Volume", "Versions", "Bricks"] {
        assert!(lines.contains(&head), "{head}");
    }
    for expected in [
        "  ✓ volume           vol exists",
        "  – started          no server tells remote hosts of its volumes",
        "  ✓ volume-id        0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        "  ✗ brick-port       127.0.0.1:/0, 127.0.0.1:/1, 127.0.0.1:/2: its glusterd knows no port: the brick",
        "                     → run `gluster volume start vol force`, and see the brick's log",
        "  – client-version   no glusterfs is known that will mount the volume",
    ] {
        assert!(lines.contains(&expected), "{expected:?} is not in\n{}", ran.stdout);
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
}

/// Scripts have these words: none goes, none is spelt anew, and each is told of.
#[test]
fn the_codes_are_these() {
    let golden = [
        "server",
        "tls",
        "cluster",
        "peers",
        "local-peer",
        "volume",
        "started",
        "volume-id",
        "volfile",
        "same-volfile",
        "layout",
        "sharding",
        "writable",
        "redundancy",
        "features",
        "op-version",
        "gluster-version",
        "client-version",
        "brick-port",
        "brick-online",
        "file-system",
        "project-quota",
        "inode-size",
        "free-space",
        "quota-daemon",
    ];
    assert_eq!(CODES.iter().map(|code| code.code).collect::<Vec<_>>(), golden);
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let (_, section) = readme.split_once("| code | what is looked at |").expect("the table");
    let rows = section.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let rows: std::collections::BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(rows, golden.into());
}

#[test]
fn an_object_for_scripts() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let ran = check(&server.address, "vol", &["--format", "json"]);
    let report = object(&ran);
    assert_eq!((&report["volume"], &report["outcome"]), (&"vol".into(), &"failed".into()));
    assert_eq!(outcomes(&report, "layout"), ["ok"]);
    assert_eq!(outcomes(&report, "brick-port"), ["failed"; 3]);
    assert_eq!(outcomes(&report, "quota-daemon"), ["unknown"]);
    assert_eq!(report["facts"]["servers"][0], server.address);
    assert!(report["findings"][0]["micros"].is_u64(), "{report}");
    assert!(report.get("storage").is_none());
}

#[test]
fn what_is_wanted_decides() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    for (more, expected) in [
        (&[][..], "failed"),
        (&["--allow", "shard,distribute"], "warning"),
        (&["--single-pv-per-pool"], "ok"),
    ] {
        let ran = check(&server.address, "dist", &[&["--format", "json"], more].concat());
        assert_eq!(outcomes(&object(&ran), "layout"), [expected], "{more:?}");
    }
    for (policy, expected) in [("off", "ok"), ("required", "unknown")] {
        let ran = check(&server.address, "vol", &["--format", "json", "--quota", policy]);
        assert_eq!(outcomes(&object(&ran), "quota-daemon"), [expected], "{policy}");
    }
}

#[test]
fn each_storage_of_a_file_is_checked_for_what_it_says_of_itself() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let storage = |name: &str, volume: &str, more: &str| {
        format!(
            "apiVersion: kadalu-operator.storage/v1alpha1\nkind: KadaluStorage\nmetadata: {{name: {name}}}\nspec:\n  \
             type: External\n{more}  details: {{gluster_hosts: ['{}'], gluster_volname: {volume}}}\n---\n",
            server.address
        )
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text =
        storage("one", "dist", "") + &storage("two", "dist", "  allow: [distribute]\n  quota: 'off'\n");
    std::fs::write(file.path(), text).expect("it is written");
    let path = file.path().to_str().expect("a path");
    let check = |more: &[&str]| {
        run(&[&["check", "-f", path, "--format", "json", "--glusterfs", "/none"], more].concat())
    };
    let both = object(&check(&[]));
    let of = |n: usize| (both[n]["storage"].as_str(), outcomes(&both[n], "layout"));
    assert_eq!((of(0), of(1)), ((Some("one"), vec!["failed"]), (Some("two"), vec!["warning"])));
    let ran = check(&["--storage", "two"]);
    assert_eq!(
        (object(&ran).as_array().map(Vec::len), outcomes(&object(&ran)[0], "quota-daemon")),
        (Some(1), vec!["ok"])
    );
    assert_eq!(check(&["--storage", "three"]).code, Some(2));
    std::fs::write(file.path(), "kind: KadaluStorag\n").expect("it is written");
    let ran = check(&[]);
    assert!(ran.code == Some(2) && ran.stderr.contains(":1:7: kind: "), "{ran:?}");
}

#[test]
fn servers_that_do_not_answer_leave_the_others_their_word() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let silent = Fake::Silent.start();
    let closes = Fake::Closes.start();
    let servers = format!("{silent},{closes},127.0.0.1:1,{}", server.address);
    let ran = check(&servers, "vol", &["--format", "json", "--timeout", "1"]);
    let report = object(&ran);
    assert_eq!(outcomes(&report, "server"), ["warning", "warning", "warning", "ok"]);
    assert_eq!((outcomes(&report, "tls"), outcomes(&report, "volume")), (vec!["warning"], vec!["ok"]));
    let ran = check("127.0.0.1:1", "vol", &["--format", "json"]);
    let report = object(&ran);
    assert_eq!((outcomes(&report, "server"), outcomes(&report, "volume")), (vec!["failed"], vec!["unknown"]));
    assert_eq!(ran.code, Some(7));
}

#[test]
fn a_volume_that_is_not_there_and_one_that_cannot_be_read() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let report = object(&check(&server.address, "none", &["--format", "json"]));
    assert_eq!(outcomes(&report, "volume"), ["failed"]);
    let broken = Fake::serving(&[b"volume `id`"]).start();
    let report = object(&check(&broken, "vol", &["--format", "json"]));
    assert_eq!((outcomes(&report, "volume"), outcomes(&report, "volfile")), (vec!["ok"], vec!["failed"]));
}

#[test]
fn who_watches_is_told_what_is_new() {
    let volfiles = volfiles();
    let server = VolfileServer::start(&volfiles);
    let source = format!("127.0.0.1:1,{}:/vol", server.address);
    let watching = |format| {
        Running::stdout(kadalu(&["check", &source, "--format", format, "--watch=0.2", "--timeout", "1"]))
    };
    let (objects, words) = (watching("json"), watching("table"));
    assert_eq!(outcomes(&objects.json(), "volume"), ["ok"]);
    words.line_with("quota-daemon");
    assert!(server.process.terminate().is_some());
    let report = objects.json();
    assert_eq!(outcomes(&report, "server"), ["failed"; 2]);
    // What is looked at once is still there.
    assert_eq!(outcomes(&report, "op-version"), ["ok"]);
    words.line_with("✗ server");
}

#[test]
fn a_command_line_that_makes_no_sense_is_usage() {
    for (arguments, expected) in [
        (&["check"][..], "SERVERS:/VOLUME"),
        (&["check"], "kadalu check [OPTIONS] -f <FILE>"),
        (&["check", "g1"], "no volume in"),
        (&["check", "g1:/vol/dir"], "write SERVERS:/VOLUME"),
        (&["check", "g1:/vol", "-f", "x"], "cannot be used with"),
        (&["check", "g1:/vol", "--storage", "x"], "cannot be used with"),
        (&["check", "g1:/vol", "--quota", "hard"], "best-effort"),
        (&["check", "g1:/vol", "--allow", "all"], "distribute"),
        (&["check", "g1:/vol", "--watch=0"], "above 0"),
        (&["check", "g1:/vol", "--watch=abc"], "above 0"),
        (&["check", "g1:/vol", "--watch=nan"], "above 0"),
        (&["check", "-f", "/none/storage-config.yaml"], "cannot read /none/storage-config.yaml"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
    }
}
