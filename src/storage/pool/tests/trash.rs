//! Trees that nobody would make by accident.

use std::{fs, os::unix::fs::symlink};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::*;
use crate::storage::Reason;

/// Makes directories in one another, each with a file, as deep as asked for or as the file system can; says how many.
fn deep(lab: &Lab, path: &str, name: &str, depth: u64) -> u64 {
    fs::create_dir_all(lab.path(path)).unwrap();
    let open = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut directory = rustix::fs::open(lab.path(path), open, Mode::empty()).unwrap();
    for made in 0..depth {
        // glusterfs knows no path of more than 4096 bytes.
        if rustix::fs::mkdirat(&directory, name, Mode::RWXU) == Err(Errno::NAMETOOLONG) {
            return made;
        }
        rustix::fs::openat(&directory, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
        directory = rustix::fs::openat(&directory, name, open, Mode::empty()).unwrap();
    }
    depth
}

#[test]
fn a_tree_deeper_than_a_path_is_removed() {
    let lab = Lab::new();
    let made = deep(&lab, ".kadalu-trash/pvc-1.1", &"d".repeat(200), 3000)
        + deep(&lab, ".kadalu-trash/pvc-2.1", "d", 33)
        + deep(&lab, ".kadalu-trash/pvc-3.1", "d", 300);
    // A thread of a test has a small stack; this one has less.
    let small = std::thread::Builder::new().stack_size(128 << 10);
    let removed = std::thread::scope(|scope| {
        small.spawn_scoped(scope, || lab.pool().empty_trash(&mut || true)).unwrap().join().unwrap()
    });
    assert_eq!(removed.unwrap(), 2 * made + 3);
    assert!(!lab.path(".kadalu-trash").exists());
}

#[test]
fn it_ends_when_told_and_goes_on_later() {
    let lab = Lab::new();
    (0..100).for_each(|n| lab.write(&format!(".kadalu-trash/pvc-1.1/{n}"), ""));
    let mut left = 10;
    let mut go_on = || {
        left -= 1;
        left >= 0
    };
    let first = lab.pool().empty_trash(&mut go_on).unwrap();
    assert!((1..=10).contains(&first), "{first}");
    assert_eq!(first + lab.pool().empty_trash(&mut || true).unwrap(), 101);
    assert_eq!(lab.pool().empty_trash(&mut || true).unwrap(), 0);
}

#[test]
fn links_are_removed_and_not_followed() {
    let (lab, outside) = (Lab::new(), Lab::new());
    outside.write("a/b", "kept");
    lab.write(".kadalu-trash/pvc-1.1/file", "");
    symlink(outside.path(""), lab.path(".kadalu-trash/link")).unwrap();
    symlink(outside.path("a"), lab.path(".kadalu-trash/pvc-1.1/link")).unwrap();
    symlink("../../..", lab.path(".kadalu-trash/pvc-1.1/up")).unwrap();
    fs::hard_link(outside.path("a/b"), lab.path(".kadalu-trash/pvc-1.1/hard")).unwrap();
    assert_eq!(lab.pool().empty_trash(&mut || true).unwrap(), 6);
    assert_eq!(outside.read("a/b"), "kept");
}

#[test]
fn what_cannot_be_removed_is_told_and_the_rest_is_gone() {
    let lab = Lab::new();
    (0..10).for_each(|n| lab.write(&format!(".kadalu-trash/pvc-{n}.1/a/b/file"), ""));
    let Some(mounted) = Mounted::at(lab.path(".kadalu-trash/pvc-5.1/a/b/other")) else { return };
    lab.write(".kadalu-trash/pvc-5.1/a/b/other/kept", "of another file system");
    let error = lab.pool().empty_trash(&mut || true).unwrap_err();
    assert_eq!(error.reason(), Reason::Precondition);
    assert!(
        error.to_string().contains("1 entries of") && error.to_string().contains("pvc-5.1/…/other"),
        "{error}"
    );
    assert_eq!(lab.below(".kadalu-trash", 1).len(), 1);
    assert_eq!(lab.read(".kadalu-trash/pvc-5.1/a/b/other/kept"), "of another file system");
    drop(mounted);
    assert_eq!(lab.pool().empty_trash(&mut || true).unwrap(), 4);
}

#[test]
fn names_of_any_bytes_are_removed() {
    use std::os::unix::ffi::OsStrExt;
    let lab = Lab::new();
    let strange = lab.path(".kadalu-trash/pvc-1.1").join(std::ffi::OsStr::from_bytes(b"\xff\n \x80"));
    fs::create_dir_all(strange.join("...")).unwrap();
    fs::write(strange.join("*"), "").unwrap();
    assert_eq!(lab.pool().empty_trash(&mut || true).unwrap(), 4);
}
