//! The system calls themselves.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::symlink},
};

use glusterd_client::{
    quota::{
        Kernel, Mode, Xfs, look,
        xfs::{Project, Support},
    },
    storage::quota::Code,
};
use rustix::{
    fs::{CWD, FileType, Mode as Permissions, mknodat},
    io::Errno,
};

use crate::brick::{Brick, is_in, project, root};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("xfs::projects_are_set_inherited_and_keep_files_in", projects_are_set_inherited_and_keep_files_in),
    ("xfs::what_cannot_be_opened_has_a_project_too", what_cannot_be_opened_has_a_project_too),
    ("xfs::a_file_system_without_quota_is_named", a_file_system_without_quota_is_named),
];

fn projects_are_set_inherited_and_keep_files_in() {
    let (_brick, xfs) = (Brick::mount(), Xfs::default());
    let at = root().join("directory");
    fs::create_dir(&at).unwrap();
    fs::write(at.join("old"), "").unwrap();
    let directory = fs::File::open(&at).unwrap();
    let inherit = Project { id: u32::MAX - 1, inherit: true };
    assert!(xfs.put(directory.as_fd(), inherit).unwrap());
    assert!(!xfs.put(directory.as_fd(), inherit).unwrap());
    assert_eq!(xfs.project(directory.as_fd()).unwrap(), inherit);
    fs::write(at.join("new"), "").unwrap();
    fs::create_dir(at.join("below")).unwrap();
    assert_eq!(project(&at.join("new")), Project { inherit: false, ..inherit });
    assert_eq!(project(&at.join("below")), inherit);
    // An old file cannot even be renamed where it is.
    let error = fs::rename(at.join("old"), at.join("renamed")).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::XDEV));
    let old = fs::File::open(at.join("old")).unwrap();
    assert!(xfs.put(old.as_fd(), Project { inherit: false, ..inherit }).unwrap());
    fs::rename(at.join("old"), at.join("renamed")).unwrap();
    fs::hard_link(at.join("renamed"), root().join("link")).unwrap();
}

fn what_cannot_be_opened_has_a_project_too() {
    let (_brick, xfs) = (Brick::mount(), Xfs::default());
    symlink("/nowhere", root().join("link")).unwrap();
    let mode = Permissions::from(0o600);
    mknodat(CWD, root().join("fifo"), FileType::Fifo, mode, 0).unwrap();
    mknodat(CWD, root().join("device"), FileType::CharacterDevice, mode, rustix::fs::makedev(1, 3)).unwrap();
    let directory = fs::File::open(root()).unwrap();
    for name in [c"link", c"fifo", c"device"] {
        match xfs.put_entry(directory.as_fd(), name, 7) {
            Ok(changed) => assert!(changed && is_in(&root().join(name.to_str().unwrap()), 7)),
            Err(errno) => assert_eq!(errno, Errno::NOSYS, "{name:?}"),
        }
    }
}

fn a_file_system_without_quota_is_named() {
    let (brick, xfs) = (Brick::mount(), Xfs::default());
    let file = fs::File::open(root()).unwrap();
    // It is mounted without prjquota; whether this kernel has XFS quota at all is its affair.
    let support = xfs.support(file.as_fd()).unwrap();
    let expected = match support {
        Support::KernelWithoutQuota => Code::KernelWithoutQuota,
        Support::Off => Code::NoProjectQuota,
        other => panic!("{other:?}"),
    };
    let status = look(&brick.local(), &brick.options(), Mode::Apply, &xfs);
    assert_eq!(status.problem.unwrap().code, expected);
    let tmpfs = fs::File::open("/mnt").unwrap();
    assert_eq!(xfs.support(tmpfs.as_fd()).unwrap(), Support::NotXfs);
}
