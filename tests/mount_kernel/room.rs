use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::Duration,
};

use glusterd_client::mount::helper::Failed;
use rustix::io::Errno;

use crate::volume::{SOON, Volume, block_on, helper};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_volume_says_how_full_it_is_or_why_it_does_not", space),
    ("a_group_gets_the_directory_of_a_volume_and_nothing_else", group),
];

fn space() {
    let mut volume = Volume::local("one");
    let space = || block_on(helper().space(&volume.mount, SOON));
    let brick = rustix::fs::statvfs(volume.mount.with_file_name("brick")).unwrap();
    let found = space().unwrap();
    assert_eq!(found.bytes.total, brick.f_blocks * brick.f_frsize);
    assert!(found.bytes.used > 0 && found.bytes.available <= found.bytes.total, "{found:?}");
    assert_eq!(found.inodes.total, brick.f_files);
    volume.process.stop();
    let short = Duration::from_millis(500);
    assert_eq!(block_on(helper().space(&volume.mount, short)), Err(Failed::TimedOut(short)));
    volume.process.kill();
    let failed = block_on(helper().space(&volume.mount, SOON)).unwrap_err();
    assert_eq!(failed.errno(), Some(Errno::NOTCONN.raw_os_error()), "{failed}");
}

fn group() {
    let volume = Volume::local("one");
    let of = |path: &str| {
        let stat = fs::metadata(volume.mount.join(path)).unwrap();
        (stat.uid(), stat.gid(), stat.mode() & 0o7777, stat.ctime_nsec())
    };
    fs::set_permissions(volume.mount.join("a"), PermissionsExt::from_mode(0o700)).unwrap();
    let inside = ["a", "a/b", "name"].map(of);
    let (uid, ..) = of("");
    for _ in 0..2 {
        block_on(helper().let_use(&volume.mount, 4711, SOON)).unwrap();
        assert_eq!((of("").0, of("").1, of("").2), (uid, 4711, 0o2775));
    }
    assert_eq!(["a", "a/b", "name"].map(of), inside);
}
