use std::path::Path;

use rustix::{
    fd::AsFd,
    fs::{Gid, Mode, OFlags},
};

use super::{
    failed::{Doing, Failure},
    space,
};

/// What members of the group need, and that what is made in the directory becomes theirs too.
const FOR_GROUP: Mode = Mode::RWXG.union(Mode::SGID);

pub(super) fn let_use(path: &Path, gid: u32) -> Result<(), Failure> {
    let (directory, _) = space::open(path, OFlags::RDONLY)?;
    give(&directory, Gid::from_raw(gid)).doing(|| format!("give {} to the group {gid}", path.display()))
}

/// Each only where it is not so: a change is one for all clients of the volume.
fn give(directory: impl AsFd, gid: Gid) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(&directory)?;
    if stat.st_gid != gid.as_raw() {
        rustix::fs::fchown(&directory, None, Some(gid))?;
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(FOR_GROUP) { Ok(()) } else { rustix::fs::fchmod(&directory, mode | FOR_GROUP) }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::*;

    #[test]
    fn a_group_gets_the_directory_and_nothing_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let of = |path: &Path| {
            fs::metadata(path).map(|it| (it.gid(), it.mode() & 0o7777, it.ctime_nsec())).unwrap()
        };
        let (gid, untouched) = (of(directory.path()).0, of(&file));
        // To another group where we may: as root.
        let wanted = if rustix::process::geteuid().is_root() { 4711 } else { gid };
        let opened = fs::File::open(directory.path()).unwrap();
        give(&opened, Gid::from_raw(wanted)).unwrap();
        let given = of(directory.path());
        assert_eq!((given.0, given.1), (wanted, 0o2770));
        assert_eq!(of(&file), untouched);
        give(&opened, Gid::from_raw(wanted)).unwrap();
        assert_eq!(of(directory.path()), given, "touched again");
        let bare = super::super::Failed::from(let_use(directory.path(), wanted).unwrap_err());
        assert!(bare.to_string().contains("no volume is mounted there"), "{bare}");
    }
}
