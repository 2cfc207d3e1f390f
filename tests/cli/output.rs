//! `-o FILE`: at one moment, readable by its owner only, and never in place of what is no plain file.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use super::support::{Running, VolfileServer, Volfiles, changed, kadalu, run, volfile};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn a_new_file_and_one_that_was_there_with_another_mode() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vol.vol");
    for _ in 0..2 {
        assert_eq!(run(&["volfile-get", &server.address, "vol", "-o", file.to_str().unwrap()]).ok(), "");
        assert_eq!((fs::read(&file).unwrap(), mode(&file)), (volfile(), 0o600));
        // Who has the old one open keeps it: it is another file, under the same name.
        let before = fs::metadata(&file).unwrap().ino();
        let held = fs::File::open(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(run(&["volfile-get", &server.address, "vol", "-o", file.to_str().unwrap()]).ok(), "");
        assert_ne!(fs::metadata(&file).unwrap().ino(), before);
        assert_eq!((held.metadata().unwrap().len(), mode(&file)), (volfile().len() as u64, 0o600));
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing stays beside it");
}

#[test]
fn a_failure_leaves_the_file_alone() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vol.vol");
    fs::write(&file, "good").unwrap();
    assert_eq!(run(&["volfile-get", &server.address, "nope", "-o", file.to_str().unwrap()]).code, Some(4));
    assert_eq!(fs::read_to_string(&file).unwrap(), "good");

    let missing = directory.path().join("missing/vol.vol");
    let ran = run(&["volfile-get", &server.address, "vol", "-o", missing.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    let words = format!("kadalu: cannot write {}: No such file or directory", missing.display());
    assert!(ran.stderr.starts_with(&words), "{}", ran.stderr);

    let link = directory.path().join("link");
    symlink("/dev/null", &link).unwrap();
    for path in [link.as_path(), directory.path()] {
        let path = path.to_str().unwrap();
        run(&["volfile-get", &server.address, "vol", "-o", path]).fails(
            1,
            &format!("kadalu: cannot write {path}: it is there and not a plain file; give another name\n"),
        );
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_watch_keeps_the_file_at_the_current_volfile() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vol.vol");
    let watch = Running::stdout(kadalu(&[
        "volfile-get",
        &server.address,
        "vol",
        "--watch",
        "-o",
        file.to_str().unwrap(),
    ]));
    watch.line_with(" vol initial ");
    volfiles.put("vol", &changed());
    watch.line_with(" vol changed ");
    // A line is printed after the file is written, so that a script that reads the line finds it.
    assert_eq!((fs::read(&file).unwrap(), mode(&file)), (changed(), 0o600));
    assert_eq!(watch.terminate(), Some(0));
}
