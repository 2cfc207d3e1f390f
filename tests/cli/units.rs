//! The units for systemd.

use std::{fs, io, path::Path, process::Command};

#[test]
fn systemd_understands_them() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    let copies = tempfile::tempdir().expect("a temporary directory");
    for unit in fs::read_dir(units).expect("they are there") {
        let unit = unit.expect("it is there").path();
        let text = fs::read_to_string(&unit).expect("text");
        // Where it stands here; a command that is not there is a fault.
        let text =
            text.replace("ExecStart=/usr/bin/kadalu", concat!("ExecStart=", env!("CARGO_BIN_EXE_kadalu")));
        let copy = copies.path().join(unit.file_name().expect("a name"));
        fs::write(&copy, text).expect("written");
        match Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("SKIPPED: there is no systemd-analyze here");
                return;
            }
            outcome => {
                let output = outcome.expect("it runs");
                let words = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && words.is_empty(), "{}: {words}", unit.display());
            }
        }
    }
}
