//! `kadalu config`: what becomes of storage configurations. Those of tests/storages stand beside what is expected of them:
//! NAME.normal.yaml for a sound NAME.yaml, NAME.faults for one that is not.

use std::{fs, path::PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::support::{Ran, finish, kadalu, run};

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/storages"].iter().collect()
}

fn file(name: &str) -> String {
    directory().join(name).display().to_string()
}

fn config(name: &str, arguments: &[&str]) -> Ran {
    run(&[&["config", &file(name)], arguments].concat())
}

#[test]
fn every_spelling_and_every_fault() {
    let names =
        fs::read_dir(directory()).expect("it is there").map(|entry| entry.expect("a name").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let inputs = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned));
    let (mut sound, mut unsound) = (0, 0);
    for name in inputs.filter(|name| !name.ends_with(".normal")) {
        let ran = config(&format!("{name}.yaml"), &[]);
        let expected = |ending: &str| fs::read_to_string(directory().join(format!("{name}.{ending}")));
        if let Ok(normal) = expected("normal.yaml") {
            sound += 1;
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), normal.as_str()), "{name}: {}", ran.stderr);
            assert_eq!(
                config(&format!("{name}.normal.yaml"), &[]).ok(),
                normal,
                "{name}: what is normal stays so"
            );
        } else {
            unsound += 1;
            let prefix = format!("{}:", file(&format!("{name}.yaml")));
            let lines = ran.stderr.lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line));
            let lines: String = lines.map(|line| format!("{line}\n")).collect();
            assert_eq!(lines, expected("faults").unwrap_or_default(), "{name}");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{name}");
        }
    }
    assert!(sound > 10 && unsound > 10, "{sound} and {unsound}");
}

/// Byte for byte.
#[test]
fn the_rfc_s_file_is_the_rfc_s() {
    let ours = fs::read_to_string(file("rfc.yaml")).expect("it is there");
    let digest: String = Sha256::digest(&ours).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "8777a05d5a1fa3fbc486d75ad323ac186038977b63d5fc84cdabec45a881a052");
    // Where the RFC lies beside the repository.
    for beside in ["..", "../..", "../../.."] {
        let rfc = [env!("CARGO_MANIFEST_DIR"), beside, "shared/rfc-external-gluster.txt"];
        if let Ok(rfc) = fs::read_to_string(rfc.iter().collect::<PathBuf>()) {
            let (rfc, ours): (Vec<_>, Vec<_>) = (rfc.lines().collect(), ours.lines().collect());
            assert!(rfc.windows(ours.len()).any(|lines| lines == ours));
        }
    }
    let printed = config("rfc.yaml", &[]).ok();
    assert!(printed.contains("\n  name: kadalu.external.ext-storage\n"), "{printed}");
}

/// As `kubectl get kadalustorages -A -o yaml` has them.
#[test]
fn storages_of_one_name_in_two_namespaces_are_two() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("all.yaml").display().to_string();
    let storage = |namespace: &str, volume: &str| {
        format!(
            "- apiVersion: kadalu-operator.storage/v1alpha1\n  kind: KadaluStorage\n  metadata: {{name: pool, namespace: \
             {namespace}}}\n  spec: {{type: External, details: {{gluster_hosts: 'g:/{volume}'}}}}\n"
        )
    };
    let list = |items: [String; 2]| format!("kind: List\nitems:\n{}", items.concat());
    fs::write(&path, list([storage("a", "one"), storage("b", "two")])).expect("written");
    let ran = run(&["config", &path, "--only", "storage"]);
    assert_eq!((ran.code, ran.stdout.matches("name: pool\n").count()), (Some(0), 2), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "kadalu: a/pool and b/pool want the class kadalu.external.pool: in a cluster it is that of the older one\n"
    );
    let mount = |storage: &str| {
        run(&["mount", "--socket", "/nowhere/mountd.sock", "-f", &path, "--storage", storage, "/mnt"])
    };
    mount("pool").fails(
        2,
        &format!("kadalu: {path} has more than one storage: say --storage, one of a/pool, b/pool\n"),
    );
    assert_eq!((mount("b/pool").code, mount("c/pool").code), (Some(12), Some(2)));
    fs::write(&path, list([storage("a", "one"), storage("a", "two")])).expect("written");
    let ran = run(&["config", &path]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("another storage has this name in line 5,"),
        "{ran:?}"
    );
}

#[test]
fn class_names_and_json() {
    let names = |arguments: &[&str]| {
        let all = config("rfc.yaml", &[&["--format", "json"], arguments].concat()).ok();
        let all: Vec<Value> = serde_json::from_str(&all).expect("an array");
        let name =
            |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        all.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let storage = "KadaluStorage ext-storage";
    let (rfc, kadalu) = ("StorageClass kadalu.external.ext-storage", "StorageClass kadalu.ext-storage");
    assert_eq!(names(&[]), format!("{storage}, {rfc}"));
    assert_eq!(names(&["--class-names", "kadalu"]), format!("{storage}, {kadalu}"));
    assert_eq!(names(&["--class-names", "both"]), format!("{storage}, {rfc}, {kadalu}"));
    assert_eq!(names(&["--only", "class"]), rfc);
    assert_eq!(names(&["--only", "storage", "--class-names", "both"]), storage);
    let others = config("beside-others.yaml", &[]);
    assert_eq!(others.stderr, "kadalu: own is left out: kadalu runs the bricks of its type Replica3\n");
}

#[test]
fn files_that_are_none() {
    let missing = config("missing.yaml", &[]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.starts_with("kadalu: cannot read "), "{}", missing.stderr);
    let help = run(&["config", "--help"]).ok();
    assert!(help.contains("0 all is well, 2 the file cannot be read or makes no sense."), "{help}");
    // Standard input, of which nothing comes.
    run(&["config", "-"]).fails(
        2,
        "-:1:1: there is no KadaluStorage in it: kind: KadaluStorage with spec.type: External makes one\n",
    );
    let large = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(large.path(), vec![b'a'; (1 << 20) + 1]).expect("written");
    let ran = run(&["config", &large.path().display().to_string()]);
    assert!(
        ran.stderr.ends_with(":1:1: the file has more than 1 MiB: this is no configuration\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn faults_for_a_script() {
    let ran = finish(&mut kadalu(&["--log-format", "json", "config", &file("fault-type.yaml")]));
    let line: Value = serde_json::from_str(&ran.stderr).expect("one line");
    assert_eq!((&line["fields"]["exit"], &line["level"]), (&2.into(), &"ERROR".into()));
    let faults = line["fields"]["faults"].as_array().expect("a list");
    assert!(
        faults.len() == 4 && faults[0].as_str().expect("words").contains(":6:9: spec.type: "),
        "{faults:?}"
    );
}

/// A mount host is asked for what the file says, or nothing is asked for.
#[test]
fn a_storage_is_mounted_by_its_file() {
    let mount = |arguments: &[&str]| {
        run(&[&["mount", "--socket", "/nowhere/mountd.sock"], arguments, &["/mnt"]].concat())
    };
    let no_host = "kadalu: no mount host at /nowhere/mountd.sock: start `kadalu mountd`, or give --socket\n";
    mount(&["-f", &file("rfc.yaml")]).fails(12, no_host);
    let many = file("host-and-volume.yaml");
    mount(&["-f", &many, "--storage", "one-word"]).fails(12, no_host);
    mount(&["-f", &many]).fails(
        2,
        &format!("kadalu: {many} has more than one storage: say --storage, one of one-word, other-word\n"),
    );
    mount(&["-f", &many, "--storage", "x"])
        .fails(2, &format!("kadalu: {many} has no storage \"x\", but one-word, other-word\n"));
    let faulty = file("fault-none.yaml");
    mount(&["--file", &faulty]).fails(
        2,
        &format!("{faulty}:1:1: there is no KadaluStorage in it: kind: KadaluStorage with spec.type: External makes one\n"),
    );
    for both in [&["-f", &file("rfc.yaml"), "g1:/vol"][..], &["--storage", "x", "g1:/vol"], &[]] {
        assert_eq!(mount(both).code, Some(2), "{both:?}");
    }
}

/// The jobs of Nomad have not been run: at least they say nothing that kadalu does not know.
#[test]
fn the_files_of_nomad() {
    let nomad = [env!("CARGO_MANIFEST_DIR"), "deploy/nomad"].iter().collect::<PathBuf>();
    let text = |name: &str| fs::read_to_string(nomad.join(name)).expect("it is there");
    let printed = run(&["config", &nomad.join("storage-config.yaml").display().to_string()]).ok();
    assert!(printed.contains("name: kadalu.external.ext-storage\n"), "{printed}");
    assert!(text("volume.hcl").contains("storage_name = \"ext-storage\""));
    let help = run(&["csi", "--help"]).ok();
    let mut flags = 0;
    for job in ["controller.nomad.hcl", "node.nomad.hcl"].map(text) {
        for flag in job.split("\"--").skip(1).filter_map(|flag| flag.split('=').next()) {
            flags += 1;
            assert!(help.contains(&format!("--{flag} <")), "{flag}");
        }
    }
    assert_eq!(flags, 10);
}

#[test]
fn options_without_effect_are_told_with_the_reason_and_are_no_fault() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("storage-config.yaml");
    let with = |options: &str| {
        let text =
            fs::read_to_string(file("rfc.yaml")).expect("it is there").replace("log_level=DEBUG", options);
        assert!(text.contains(options), "{text}");
        fs::write(&path, text).expect("written");
        run(&["config", path.to_str().expect("UTF-8")])
    };
    let plain = with("log-level=DEBUG").ok();
    let ran = with("log-level=DEBUG,log-file=/tmp/log,noauto");
    assert_eq!((ran.code, ran.stdout), (Some(0), plain));
    let place = format!("{}:13:24: spec.details[0].Gluster_options: mount option", path.display());
    let expected = format!(
        "{place} log-file has no effect: the mount host keeps the log of each glusterfs itself\n\
         {place} noauto has no effect: it is for mount(8), fstab(5) and systemd, and does nothing to the mount itself\n"
    );
    assert_eq!(ran.stderr, expected);
}
