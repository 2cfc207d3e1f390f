//! `kadalu import`: what becomes of the PVs of other drivers; expected outputs are in tests/cli/import, beside the inputs.

use std::{fs, io::Write, path::PathBuf, process::Stdio};

use glusterd_client::storage::{context::Context, handle::Handle};
use serde_json::Value;

use super::support::{Ran, finish, kadalu, run};

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/cli/import", name].iter().collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("it is there")
}

fn import(arguments: &[&str], input: &str) -> Ran {
    finish(kadalu(&["--log-format", "json", "import"]).args(arguments).arg(file(input)))
}

/// What was said, a line each: the level and the message.
fn words(ran: &Ran) -> String {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("an object");
        let word = |value: &Value| value.as_str().expect("words").to_owned();
        format!("{} {}\n", word(&line["level"]), word(&line["fields"]["message"]))
    };
    ran.stderr.lines().map(line).collect()
}

fn items(ran: &Ran) -> Vec<Value> {
    let list: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"List".into(), &"v1".into()));
    list["items"].as_array().expect("a list").clone()
}

/// Every volume there is: with its claim, its group, its options of old; two of one directory with two handles.
#[test]
fn in_tree_volumes() {
    let ran = import(&[], "in-tree.json");
    assert_eq!((ran.code, &ran.stdout), (Some(0), &text("in-tree.yaml")));
    assert_eq!(words(&ran), text("in-tree.words"));
    let json = items(&import(&["--format", "json"], "in-tree.json"));
    assert_eq!(json.len(), 3);
    assert_eq!(json[0]["metadata"]["labels"]["yes"], "no");
    assert_eq!(json[1]["spec"]["csi"]["readOnly"], true);
    // As the driver understands them: two by their handles, the third by its attributes.
    let of = |pv: &Value| {
        let csi = &pv["spec"]["csi"];
        let attributes = serde_json::from_value(csi["volumeAttributes"].clone()).unwrap_or_default();
        match Handle::parse(csi["volumeHandle"].as_str().expect("a handle")).expect("one of ours") {
            Handle::Static(source) => source.to_string(),
            _ => Context::read(&attributes).expect("sound").expect("a volume").path,
        }
    };
    let read: Vec<_> = json.iter().map(of).collect();
    let servers = "10.0.0.1:24007,10.0.0.2:24007,10.0.0.3:24007";
    let dynamic = format!("{servers}:/vol_0123456789abcdef0123456789abcdef");
    assert_eq!(read, [&dynamic, "[2001:db8::1]:24007,10.0.0.2:24007:/media/films", "films"]);
}

#[test]
fn volumes_of_kadalu() {
    let ran = import(&[], "kadalu.json");
    assert_eq!((ran.code, &ran.stdout), (Some(0), &text("kadalu.yaml")));
    let ran = import(
        &["--servers", "G1:24008,[::1]", "--prefix", "", "--driver-name", "gluster.example.com"],
        "kadalu.json",
    );
    assert!(ran.stdout.contains("\n  name: whole\n") && ran.stdout.contains("driver: gluster.example.com\n"));
    assert!(ran.stdout.contains("gluster_hosts: g1:24008,[::1]\n") && !ran.stdout.contains("gserver"));
    assert!(ran.stdout.contains("gluster.example.com/imported-from: whole\n"));
}

#[test]
fn what_is_not_printed_is_named() {
    let ran = import(&[], "refused.json");
    assert_eq!(words(&ran), text("refused.words"));
    assert_eq!((ran.code, ran.stdout.matches("---\n").count()), (Some(1), 1));
    // Other kinds alone are no failure.
    let nfs = r#"{"kind":"PersistentVolume","metadata":{"name":"n"},"spec":{"nfs":{"server":"s"}}}"#;
    let ran = from_input(&["--servers", "g1"], nfs.as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(ran.stderr.contains("is left out: it is a volume of another kind, \"nfs\""), "{}", ran.stderr);
}

#[test]
fn volumes_of_heketi() {
    let topology = file("topology.json");
    let from = |list: &str, rest: &[&str]| {
        let command = ["--format", "json", "--heketi", "g1,g2", "--volumes", list];
        finish(kadalu(&["--log-format", "json", "import"]).args(command).args(rest))
    };
    let topology = topology.to_str().expect("UTF-8");
    let ran = from(topology, &[]);
    let made: Vec<_> = items(&ran)
        .iter()
        .map(|pv| format!("{} {}", pv["spec"]["csi"]["volumeHandle"], pv["spec"]["capacity"]["storage"]))
        .collect();
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(
        made,
        [format!("\"g1,g2:/vol_{id}\" \"5Gi\""), "\"g1,g2:/Shop_uploads_1\" \"20Gi\"".to_owned()]
    );
    assert_eq!(items(&ran)[1]["metadata"]["name"], "kadalu-shop-uploads-1");
    assert_eq!(words(&ran).matches("is left out").count(), 2);

    // A volume that is a PV already is none a second time.
    let ran = from(topology, &[file("in-tree.json").to_str().expect("UTF-8")]);
    assert_eq!((ran.code, items(&ran).len()), (Some(0), 4));
    assert!(
        ran.stderr
            .contains("the PersistentVolume \\\"kadalu-pvc-11111111-2222-3333-4444-555555555555\\\" is it")
    );

    // The names alone, as gluster lists them or as a directory has them, need a size.
    let list = tempfile::tempdir().expect("a directory");
    fs::create_dir(list.path().join(format!("vol_{id}"))).expect("made");
    fs::create_dir(list.path().join("heketidbstorage")).expect("made");
    fs::write(list.path().join("list"), format!("other\nvol_{id}\n")).expect("written");
    for path in [list.path().to_path_buf(), list.path().join("list")] {
        let path = path.to_str().expect("UTF-8");
        let ran = from(path, &["--size", "7Ti"]);
        assert_eq!((ran.code, items(&ran).len()), (Some(0), 1), "{}", ran.stderr);
        assert_eq!(items(&ran)[0]["spec"]["capacity"]["storage"], "7Ti");
        let ran = from(path, &[]);
        assert_eq!((ran.code, items(&ran).len()), (Some(1), 0));
        assert!(ran.stderr.contains("its size is not told"), "{}", ran.stderr);
    }
}

#[test]
fn files_that_are_none() {
    let deep = "[".repeat(100_000);
    let deep_object = format!("{{\"kind\":\"PersistentVolume\",\"spec\":{}", "{\"a\":".repeat(100_000));
    for (input, words) in [
        ("", "- is empty"),
        ("kind: PersistentVolume", "- is no JSON"),
        ("[]", "there is no PersistentVolume in the files"),
        ("{\"kind\":\"List\",\"items\":[1]}", "- is no JSON"),
        ("{\"kind\":\"List\",\"items\":[]}", "there is no PersistentVolume in the files"),
        ("{\"kind\":\"Endpoints\",\"metadata\":{}}", "there is no PersistentVolume in the files"),
        ("{\"kind\":\"PersistentVolume\"}", "is not imported: cannot be read: missing field `metadata`"),
        (&deep, "- is no JSON"),
        (&deep_object, "- is no JSON"),
        ("\u{0}\u{1}", "- is no JSON"),
    ] {
        let ran = from_input(&[], input.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{input:.80}: {}", ran.stderr);
        assert!(ran.stderr.contains(words) && ran.stderr.len() < 1000, "{input:.80}: {}", ran.stderr);
    }
    // A name of a megabyte is not repeated.
    let name = "n".repeat(1 << 20);
    let pv = format!(
        r#"{{"kind":"PersistentVolume","metadata":{{"name":"{name}"}},"spec":{{"capacity":{{"storage":"1"}},"glusterfs":{{"path":"v"}}}}}}"#
    );
    let ran = from_input(&["--servers", "g1"], pv.as_bytes());
    assert!(ran.code == Some(1) && ran.stderr.len() < 1000, "{:.2000}", ran.stderr);
    let ran = run(&["import", "/nowhere"]);
    ran.fails(1, "kadalu: cannot read /nowhere: No such file or directory (os error 2)\n");
}

#[test]
fn what_makes_no_sense() {
    for (arguments, words) in [
        (&["import"][..], "<FILE>"),
        (&["import", "--servers", "g 1", "f"], "g 1"),
        (&["import", "--heketi", "g1"], "--volumes"),
        (&["import", "--volumes", "f"], "--heketi"),
        (&["import", "--size", "1.5", "f"], "a size such as 100Gi"),
        (&["import", "--format", "toml", "f"], "yaml, json"),
        (&["import", "--driver-name", "a/b", "f"], "is no name of a driver"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    let help = run(&["import", "--help"]).ok();
    assert!(help.contains("\nExamples:\n") && help.contains("kadalu import old.json > new.yaml "), "{help}");
}

fn from_input(arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = kadalu(&["import", "-"]);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kadalu runs");
    // It may be done before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
