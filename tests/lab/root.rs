//! Root file systems: this machine's, or a Debian suite's with the GlusterFS of its day.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a host's programs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// This machine.
    Machine,
    /// Debian 11: GlusterFS 9.2.
    Bullseye,
    /// Debian 12: GlusterFS 10.3.
    Bookworm,
    /// Debian 13: GlusterFS 11.1.
    Trixie,
}

impl Root {
    /// The suites, oldest first.
    pub(crate) const SUITES: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// The version of GlusterFS in it, as `glusterfs --version` begins to say it; none for this machine's.
    pub(crate) fn version(self) -> Option<&'static str> {
        match self {
            Self::Machine => None,
            Self::Bullseye => Some("9.2"),
            Self::Bookworm => Some("10.3"),
            Self::Trixie => Some("11.1"),
        }
    }

    /// Whether a program that was built on this machine may need a newer C library than there is.
    pub(super) fn has_older_libc(self) -> bool {
        self == Self::Bullseye
    }

    /// The folder in the cache, made at the first call (half a minute and 300 MB each).
    ///
    /// # Errors
    /// What `mmdebstrap` complained about, for instance that no mirror could be reached.
    pub(super) fn build(self) -> Result<String, String> {
        let suite = match self {
            Self::Machine => return Ok(String::new()),
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        };
        make("root.sh", &[suite])
    }

    /// The folder, without a slash at its end: empty for this machine's root.
    pub(super) fn folder(self) -> String {
        self.build().unwrap_or_else(|reason| panic!("{reason}"))
    }
}

/// Runs a script of this folder that makes something in the cache at its first call, and returns its path.
///
/// # Errors
/// What it complained about.
pub(super) fn make(script: &str, args: &[&str]) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(script);
    let output = Command::new("sh").arg(path).args(args).arg(cache()).output().expect("sh runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    } else {
        Err(format!("{script} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
    }
}

/// `KADALU_LAB_CACHE`, else `lab-cache` in cargo's target folder.
fn cache() -> PathBuf {
    std::env::var_os("KADALU_LAB_CACHE")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/../lab-cache")), PathBuf::from)
}
