//! The glusterfs of this machine: its version, and which translators it has.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use bstr::{BStr, ByteSlice};
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::{Error, Reason};
use crate::{
    glusterd::{OpVersion, OpVersions},
    volfile::{Graph, Volfile},
};

/// It answers in some milliseconds, on a cold disk in a second or two.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of what glusterfs prints; it prints some hundred.
const MAX_OUTPUT: u64 = 16 * 1024;

/// Of `/dev/fuse`, everywhere (Linux, `Documentation/admin-guide/devices.txt`).
const FUSE_DEVICE: (u32, u32) = (10, 229);

/// The release of a glusterfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 10 of 10.3.
    pub major: u32,
    /// 3 of 10.3; 0 where there is none, as in `11dev`.
    pub minor: u32,
}

impl Version {
    /// What it announces to a glusterd: who fetches volfiles for it announces the same. None before 6.
    pub fn op_versions(self) -> Option<OpVersions> {
        let max = OpVersion::of_release(self.major, self.minor)?;
        Some(OpVersions { min: OpVersion(1), max })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// `10.3`, and what packagers and developers make of it: `11dev`, `10.3-4ubuntu1`, `v9.2`.
impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (major, rest) =
            number(text.trim().trim_start_matches('v')).ok_or_else(|| format!("{text:?} is no version"))?;
        let minor = rest.strip_prefix('.').and_then(number).map_or(0, |(minor, _)| minor);
        Ok(Self { major, minor })
    }
}

/// The digits at the beginning, and what follows them.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// An installed glusterfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    program: PathBuf,
    version: Version,
    xlators: PathBuf,
}

impl Installed {
    /// Asks the program what it is; a name without `/` is looked for in `PATH`.
    ///
    /// All errors have [`Reason::Machine`] and say what to install.
    pub async fn find(program: &Path) -> Result<Self, Error> {
        let text = output(program, "--version").await?;
        let version: Version = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("glusterfs ")?.parse().ok())
            .ok_or_else(|| machine(format_args!("{} --version names no glusterfs", program.display())))?;
        if version.op_versions().is_none() {
            let sentence =
                format_args!("{} is glusterfs {version}; 6 or a later one is needed", program.display());
            return Err(machine(sentence));
        }
        let xlators = PathBuf::from(output(program, "--print-xlatordir").await?.trim());
        if !xlators.is_dir() {
            return Err(machine(format_args!(
                "there are no translators of {} in {}: install glusterfs anew",
                program.display(),
                xlators.display()
            )));
        }
        Ok(Self { program: program.to_owned(), version, xlators })
    }

    /// The program to run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its release.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it has a translator of this type, such as `protocol/client`.
    pub fn has_xlator(&self, xlator_type: &BStr) -> bool {
        let inside = xlator_type
            .split_str("/")
            .all(|part| ![&b""[..], b".", b".."].contains(&part) && !part.contains(&0));
        let Ok(name) = xlator_type.to_str() else { return false };
        inside && self.xlators.join(format!("{name}.so")).is_file()
    }

    /// A sentence for each translator of the volfile that this glusterfs lacks: it would refuse the volfile. A volfile
    /// that cannot be read has none; [`faults`](crate::volfile::faults) tells what is wrong with it.
    pub fn unknown(&self, text: &[u8]) -> Vec<String> {
        let Ok(volfile) = Volfile::parse(text) else { return Vec::new() };
        let Some(graph) = Graph::new(&volfile) else { return Vec::new() };
        let problems = graph.unknown_types(|xlator_type| self.has_xlator(xlator_type));
        problems.iter().map(|problem| format!("{problem} (glusterfs {})", self.version)).collect()
    }
}

/// What the program prints, within a deadline and bounds.
async fn output(program: &Path, argument: &str) -> Result<String, Error> {
    let shown = program.display();
    let run = async {
        let mut child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut text = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_OUTPUT).read_to_end(&mut text).await?;
        }
        let status = child.wait().await?;
        Ok::<_, io::Error>((status, String::from_utf8_lossy(&text).into_owned()))
    };
    match timeout(DEADLINE, run).await {
        Ok(Ok((status, text))) if status.success() => Ok(text),
        Ok(Ok((status, _))) => {
            Err(machine(format_args!("{shown} {argument} failed ({status}): install glusterfs anew")))
        }
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Err(machine(format_args!(
            "glusterfs is not installed (there is no {shown}): install glusterfs-client (Debian, Ubuntu) or glusterfs-fuse (Fedora, RHEL)"
        ))),
        Ok(Err(error)) => Err(machine(format_args!("cannot run {shown}: {error}"))),
        Err(_) => {
            Err(machine(format_args!("{shown} {argument} did not end within {} s", DEADLINE.as_secs())))
        }
    }
}

/// Whether this process may mount FUSE file systems, as far as the device tells.
pub fn check_fuse() -> Result<(), Error> {
    check_device(Path::new("/dev/fuse"))
}

fn check_device(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => machine(format_args!(
            "there is no {shown}: run `modprobe fuse` on this node, and give a container the device"
        )),
        _ => machine(format_args!("cannot look at {shown}: {error}")),
    })?;
    let device = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    if !metadata.file_type().is_char_device() || device != FUSE_DEVICE {
        return Err(machine(format_args!(
            "{shown} is not the FUSE device (a character device 10:229): give the container the device of the node"
        )));
    }
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(machine(format_args!(
            "{shown} may not be opened ({error}): run as root, and in a container privileged or with the device allowed"
        ))),
        Err(error) => {
            Err(machine(format_args!("cannot open {shown} ({error}): run `modprobe fuse` on this node")))
        }
    }
}

fn machine(message: impl fmt::Display) -> Error {
    Error::new(Reason::Machine, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_as_they_are_printed() {
        for (text, shown) in [
            ("10.3", "10.3"),
            ("11dev", "11.0"),
            ("10.3-4ubuntu1", "10.3"),
            ("v9.2", "9.2"),
            ("3.12.15", "3.12"),
            ("11.", "11.0"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), shown);
        }
        for text in ["", "x", "99999999999.1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(Version { major: 9, minor: 9 } < Version { major: 10, minor: 0 });
    }

    /// A glusterfs of a few lines of shell, with a directory of translators.
    fn fake(directory: &Path, version: &str) -> PathBuf {
        let xlators = directory.join("xlator");
        fs::create_dir_all(xlators.join("protocol")).unwrap();
        fs::write(xlators.join("protocol/client.so"), "").unwrap();
        fs::write(xlators.join("meta.so"), "").unwrap();
        fs::write(directory.join("outside.so"), "").unwrap();
        let program = directory.join("glusterfs");
        let text = format!(
            "#!/bin/sh\ncase $1 in --version) echo '{version}';; *) echo {};; esac\n",
            xlators.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    #[tokio::test]
    async fn a_program_tells_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let installed = Installed::find(&fake(directory.path(), "glusterfs 10.3")).await.unwrap();
        assert_eq!(installed.version(), Version { major: 10, minor: 3 });
        assert_eq!(installed.version().op_versions().unwrap().to_string(), "1:100000");
        for (xlator_type, has) in [
            ("protocol/client", true),
            ("meta", true),
            ("protocol/server", false),
            ("../outside", false),
            ("protocol/../../outside", false),
            ("protocol//client", false),
            ("", false),
            ("a\0b", false),
        ] {
            assert_eq!(installed.has_xlator(xlator_type.into()), has, "{xlator_type}");
        }
        assert!(!installed.has_xlator(directory.path().join("outside").to_str().unwrap().into()));
        let unknown = installed.unknown(
            b"volume a\n type protocol/client\n option x y\nend-volume\nvolume b\n type features/new\n subvolumes a\nend-volume\n",
        );
        assert!(
            matches!(&*unknown, [one] if one.contains("features/new") && one.contains("10.3")),
            "{unknown:?}"
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_said_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let none = Installed::find(&directory.path().join("none")).await.unwrap_err();
        assert!(
            none.reason() == Reason::Machine && none.to_string().contains("install glusterfs-client"),
            "{none}"
        );
        for (version, expected) in
            [("glusterfs 3.12.2", "is glusterfs 3.12; 6 or"), ("busybox", "names no glusterfs")]
        {
            let error = Installed::find(&fake(directory.path(), version)).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_device_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fuse");
        assert!(check_device(&path).unwrap_err().to_string().contains("modprobe fuse"));
        for other in [Path::new("/dev/null"), directory.path()] {
            assert!(check_device(other).unwrap_err().to_string().contains("is not the FUSE device"));
        }
    }
}
