use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use glusterd_client::mount::{
    helper::{Bind, Failed, remove_mount_point},
    mountinfo::{MountEntry, MountTable},
};
use rustix::{io::Errno, process::Signal};

use crate::volume::{SOON, Volume, block_on, directory, helper, make};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_directory_is_bound_once", once),
    ("a_read_only_bind_cannot_be_written", read_only),
    ("a_link_of_the_volume_binds_nothing", hostile_directories),
    ("a_target_must_be_a_directory_of_the_host", targets),
    ("something_else_at_the_target_stays", foreign),
    ("dead_and_stopped_mounts_make_room", dead_and_stopped),
    ("stacked_mounts_of_ours_go", stacked),
    ("a_target_is_never_bare", never_bare),
    ("peers_of_a_shared_parent_follow", shared),
    ("unmounting_says_what_is_in_the_way", unmounting),
    ("mount_points_are_removed_empty_and_unmounted_only", mount_points),
];

fn request(volume: &Volume, subdirectory: &str, target: &Path) -> Bind {
    Bind {
        mount: volume.mount.clone(),
        subdirectory: subdirectory.into(),
        target: target.to_owned(),
        read_only: false,
        staging: target.with_file_name("staging"),
        replaces: Vec::new(),
    }
}

fn bind(bind: &Bind) -> Result<(), Failed> {
    block_on(helper().bind(bind, SOON))
}

fn target() -> PathBuf {
    make(directory().join("target"))
}

fn at(target: &Path) -> Vec<MountEntry> {
    MountTable::read().unwrap().at(target).into_iter().cloned().collect()
}

fn mount(arguments: &[&str], paths: &[&Path]) {
    assert!(Command::new("mount").args(arguments).args(paths).status().unwrap().success());
}

fn name(target: &Path) -> String {
    fs::read_to_string(target.join("name")).unwrap()
}

fn once() {
    let volume = Volume::local("one");
    for (subdirectory, root) in [("", "/"), ("a", "/a"), ("a/b", "/a/b")] {
        let target = target();
        let request = request(&volume, subdirectory, &target);
        bind(&request).unwrap();
        let before = at(&target);
        assert_eq!(before.len(), 1);
        assert_eq!((before[0].device, before[0].root.as_path()), (volume.device(), Path::new(root)));
        assert_eq!(name(&target), "one");
        fs::write(target.join("written"), "yes").unwrap();
        bind(&request).unwrap();
        assert_eq!(at(&target), before, "the same mount is still there");
    }
}

fn read_only() {
    let volume = Volume::local("one");
    let target = target();
    mount(&["-o", "remount,bind,nosuid,nodev"], &[&volume.mount]);
    let writable = request(&volume, "a", &target);
    let sealed = Bind { read_only: true, ..writable.clone() };
    bind(&sealed).unwrap();
    let [entry] = &at(&target)[..] else { panic!("{:?}", at(&target)) };
    assert!(entry.read_only && entry.has("nosuid") && entry.has("nodev"), "{entry:?}");
    let error = fs::write(target.join("name"), "two").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    fs::write(volume.mount.join("a/name"), "still writable").unwrap();
    assert_eq!(fs::read_dir(&sealed.staging).unwrap().count(), 0, "nothing is left in the staging directory");

    // What a child left that was killed there.
    let left = make(sealed.staging.join("read-only"));
    mount(&["--bind"], &[&volume.mount, &left]);
    bind(&writable).unwrap();
    assert!(!at(&target)[0].read_only && at(&target).len() == 1);
    bind(&sealed).unwrap();
    assert!(at(&target)[0].read_only && at(&target).len() == 1);
    assert_eq!(at(&left), [], "the leftover is gone");
}

fn hostile_directories() {
    let volume = Volume::local("one");
    let brick = volume.mount.with_file_name("brick");
    symlink("/etc", brick.join("link")).unwrap();
    symlink("b", brick.join("a/inner")).unwrap();
    fs::write(brick.join("file"), "").unwrap();
    let target = target();
    let refused = [
        ("link", Errno::LOOP),
        ("link/ssl", Errno::LOOP),
        ("a/inner", Errno::LOOP),
        ("..", Errno::INVAL),
        ("a/../a", Errno::INVAL),
        ("/etc", Errno::INVAL),
        ("file", Errno::NOTDIR),
        ("absent", Errno::NOENT),
    ];
    for (subdirectory, errno) in refused {
        let failed = bind(&request(&volume, subdirectory, &target)).unwrap_err();
        assert_eq!(failed.errno(), Some(errno.raw_os_error()), "{subdirectory}: {failed}");
        assert!(failed.to_string().contains(subdirectory), "{failed}");
        assert_eq!(at(&target), []);
    }
}

fn targets() {
    let volume = Volume::local("one");
    let directory = directory();
    fs::write(directory.join("file"), "").unwrap();
    let refused = [
        (directory.join("absent"), Errno::NOENT),
        (directory.join("file"), Errno::NOTDIR),
        (volume.mount.join("a"), Errno::INVAL),
    ];
    for (target, errno) in refused {
        let request = Bind { staging: directory.join("staging"), ..request(&volume, "", &target) };
        let failed = bind(&request).unwrap_err();
        assert_eq!(failed.errno(), Some(errno.raw_os_error()), "{failed}");
        assert!(failed.to_string().contains(target.to_str().unwrap()), "{failed}");
    }
    let nowhere = Bind { mount: directory.clone(), ..request(&volume, "", &make(directory.join("target"))) };
    assert_eq!(bind(&nowhere).unwrap_err().errno(), Some(Errno::INVAL.raw_os_error()));

    let real = make(directory.join("real place"));
    symlink(&real, directory.join("link")).unwrap();
    bind(&request(&volume, "a", &directory.join("link"))).unwrap();
    bind(&request(&volume, "a", &directory.join("link"))).unwrap();
    assert_eq!(at(&real).len(), 1);
}

fn foreign() {
    let volume = Volume::local("one");
    let target = target();
    mount(&["-t", "tmpfs", "theirs"], &[&target]);
    let before = at(&target);
    let failed = bind(&request(&volume, "", &target)).unwrap_err();
    assert_eq!(failed.errno(), Some(Errno::BUSY.raw_os_error()));
    assert!(failed.to_string().contains("theirs (tmpfs)"), "{failed}");
    assert_eq!(at(&target), before);
}

fn dead_and_stopped() {
    let next = Volume::local("next");
    for (signal, read_only) in
        [(Signal::KILL, false), (Signal::STOP, false), (Signal::KILL, true), (Signal::STOP, true)]
    {
        let old = Volume::local("old");
        let target = target();
        bind(&request(&old, "a", &target)).unwrap();
        match signal {
            Signal::STOP => old.process.stop(),
            _ => old.process.send(signal),
        }
        let request = Bind { read_only, replaces: vec![old.device()], ..request(&next, "a", &target) };
        bind(&request).unwrap();
        let [entry] = &at(&target)[..] else { panic!("{:?}", at(&target)) };
        assert_eq!((entry.device, entry.read_only), (next.device(), read_only));
        assert_eq!(name(&target), "next");
    }
}

fn stacked() {
    let (old, new) = (Volume::local("old"), Volume::local("new"));
    let target = target();
    let request = Bind { replaces: vec![old.device()], ..request(&new, "", &target) };
    for layers in [[&new, &new, &new], [&old, &old, &new], [&new, &old, &old], [&old, &old, &old]] {
        for layer in layers {
            mount(&["--bind"], &[&layer.mount, &target]);
        }
        bind(&request).unwrap();
        assert_eq!(at(&target).len(), 1);
        assert_eq!(name(&target), "new");
    }
}

fn never_bare() {
    let volumes = [Volume::local("one"), Volume::local("two")];
    let replaces: Vec<_> = volumes.iter().map(Volume::device).collect();
    let target = target();
    bind(&request(&volumes[0], "", &target)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                seen.push(fs::read_to_string(target.join("name")).map_err(|error| error.to_string()));
            }
            seen
        });
        for turn in 1..=20 {
            let request = Bind {
                read_only: turn % 3 == 0,
                replaces: replaces.clone(),
                ..request(&volumes[turn % 2], "", &target)
            };
            bind(&request).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(seen.iter().all(|name| matches!(name.as_deref(), Ok("one" | "two"))), "{seen:?}");
        assert!(seen.contains(&Ok("two".into())), "of {} looks", seen.len());
    });
    assert_eq!(at(&target).len(), 1);
}

fn shared() {
    let directory = directory();
    let (place, peer) = (make(directory.join("place")), make(directory.join("peer")));
    mount(&["--bind"], &[&place, &place]);
    mount(&["--make-shared"], &[&place]);
    mount(&["--bind"], &[&place, &peer]);
    let target = make(place.join("target"));
    let (mut one, two) = (Volume::local("one"), Volume::local("two"));
    let devices = vec![one.device(), two.device()];
    bind(&request(&one, "", &target)).unwrap();
    bind(&Bind { replaces: devices.clone(), ..request(&two, "a", &target) }).unwrap();
    for target in [&target, &peer.join("target")] {
        assert_eq!((at(target).len(), name(target)), (1, "two".into()));
    }
    bind(&Bind { read_only: true, replaces: devices.clone(), ..request(&one, "", &target) }).unwrap();
    one.process.kill();
    bind(&Bind { read_only: true, replaces: devices, ..request(&two, "a", &target) }).unwrap();
    for target in [&target, &peer.join("target")] {
        assert_eq!((at(target).len(), name(target)), (1, "two".into()));
        assert!(at(target)[0].read_only);
    }
    block_on(helper().unmount(&target, false, SOON)).unwrap();
    assert_eq!((at(&target), at(&peer.join("target"))), (vec![], vec![]));
}

fn unmounting() {
    let volume = Volume::local("one");
    let target = target();
    bind(&request(&volume, "", &target)).unwrap();
    let open = fs::File::open(target.join("name")).unwrap();
    let failed = block_on(helper().unmount(&target, false, SOON)).unwrap_err();
    assert_eq!(failed.errno(), Some(Errno::BUSY.raw_os_error()));
    assert_eq!(
        failed.to_string(),
        format!("cannot unmount {}: Device or resource busy (os error 16)", target.display())
    );
    block_on(helper().unmount(&target, true, SOON)).unwrap();
    assert_eq!(std::io::read_to_string(open).unwrap(), "one", "a file that is open stays usable");
    assert_eq!(at(&target), []);
    let failed = block_on(helper().unmount(&target, true, SOON)).unwrap_err();
    assert_eq!(failed.errno(), Some(Errno::INVAL.raw_os_error()));

    bind(&request(&volume, "", &target)).unwrap();
    volume.process.stop();
    block_on(helper().unmount(&target, false, SOON)).unwrap();
    block_on(helper().unmount(&volume.mount, false, SOON)).unwrap();
    assert_eq!((at(&target), at(&volume.mount)), (vec![], vec![]));
}

fn mount_points() {
    let target = target();
    mount(&["-t", "tmpfs", "theirs"], &[&target]);
    let error = remove_mount_point(&target).unwrap_err();
    assert!(
        error.to_string().contains("is mounted") || error.to_string().contains("it is mounted"),
        "{error}"
    );
    block_on(helper().unmount(&target, false, SOON)).unwrap();
    fs::write(target.join("file"), "").unwrap();
    remove_mount_point(&target).unwrap_err();
    assert!(target.join("file").exists());
    fs::remove_file(target.join("file")).unwrap();
    remove_mount_point(&target).unwrap();
    remove_mount_point(&target).unwrap();
    assert!(!target.exists());
}
