//! What the tests need of the machine, installed where that can be done.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::root::Root;

/// A program that proves each Debian package is there.
const PACKAGES: [(&str, &str); 12] = [
    ("glusterfs-server", "/usr/sbin/glusterd"),
    ("glusterfs-client", "/usr/sbin/glusterfs"),
    ("iproute2", "/sbin/ip"),
    ("nftables", "/usr/sbin/nft"),
    ("tshark", "/usr/bin/tshark"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("openssl", "/usr/bin/openssl"),
    ("patchelf", "/usr/bin/patchelf"),
    ("util-linux", "/usr/bin/nsenter"),
    ("e2fsprogs", "/usr/sbin/mkfs.ext4"),
    ("xfsprogs", "/usr/sbin/mkfs.xfs"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64"),
];

/// Whether a lab can be brought up here; installs what is missing.
///
/// # Errors
/// The reason why not, in words for a person.
pub(crate) fn require() -> Result<(), String> {
    static RESULT: OnceLock<Result<(), String>> = OnceLock::new();
    RESULT.get_or_init(check).clone()
}

fn check() -> Result<(), String> {
    let unshare =
        ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--", "mount", "-t", "tmpfs", "x", "/mnt"];
    if run("id", &["-u"]).as_deref() != Ok("0\n") {
        return Err("not root, so there can be no namespaces for a cluster".into());
    }
    install()?;
    run("unshare", &unshare).map_err(|said| format!("this machine gives no namespaces: {said}")).map(drop)
}

fn install() -> Result<(), String> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("lab: installing {}", missing.join(" "));
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(&missing);
    run("apt-get", &["update"])
        .and_then(|_| run("apt-get", &args))
        .map(drop)
        .map_err(|said| format!("cannot install {}: {said}", missing.join(" ")))
}

/// Whether file systems can be mounted by glusterfs here.
///
/// # Errors
/// The reason why not.
pub(crate) fn require_fuse() -> Result<(), String> {
    require()?;
    if Path::new("/dev/fuse").exists() { Ok(()) } else { Err("there is no /dev/fuse".into()) }
}

/// Whether XFS project quota can be tried: by this kernel or by the guest's, which shows when it is started.
///
/// # Errors
/// The reason why not.
pub(crate) fn require_quota() -> Result<(), String> {
    require_fuse()
}

/// Whether the root folders of other GlusterFS versions are there, or could be made.
///
/// # Errors
/// The reason why not.
pub(crate) fn require_roots() -> Result<(), String> {
    require_fuse()?;
    Root::SUITES.into_iter().try_for_each(|root| root.build().map(drop))
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}
