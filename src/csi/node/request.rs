//! What is asked, checked.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::{
    csi::{
        capability::Use,
        generated::{
            VolumeCapability,
            volume_capability::{AccessType, MountVolume, access_mode::Mode},
        },
        status::invalid,
    },
    storage::handle::Handle,
};

/// Of the kernel, with its NUL.
const PATH_MAX: usize = 4096;

/// The id of a volume.
pub(super) fn volume_id(id: String) -> Result<String, Status> {
    Handle::parse(&id)?;
    Ok(id)
}

/// A path of this machine that something can be mounted at, without doubled and trailing slashes.
pub(super) fn path(field: &str, text: &str) -> Result<PathBuf, Status> {
    let refuse = |why: &str| Err(invalid(format_args!("{field} {why}")));
    let path = Path::new(text);
    if text.is_empty() {
        return refuse("is missing");
    }
    if text.len() >= PATH_MAX || text.contains(char::is_control) {
        return refuse("is too long or has control characters");
    }
    if !path.is_absolute()
        || path.parent().is_none()
        || path.components().any(|part| part == Component::ParentDir)
    {
        return refuse(&format!("{text:?} is no absolute path of a directory, or it has \"..\" in it"));
    }
    Ok(path.components().collect())
}

/// A path that need not be given.
pub(super) fn optional_path(field: &str, text: &str) -> Result<Option<PathBuf>, Status> {
    if text.is_empty() { Ok(None) } else { path(field, text).map(Some) }
}

/// A path that came as text, as text again.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// How a volume is to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Capability {
    /// A [`Mode`].
    mode: i32,
    /// Options of the mount, each once.
    pub(super) flags: Vec<String>,
    /// Nothing is written.
    pub(super) read_only: bool,
    /// The group that must be able to use it.
    pub(super) group: Option<u32>,
}

impl Capability {
    /// What `volume_capability` says: a mount, in a mode that is known, with options that are possible.
    pub(super) fn read(capability: Option<VolumeCapability>) -> Result<Self, Status> {
        let capability = capability.ok_or_else(|| invalid("volume_capability is missing"))?;
        let options = Use::of(&capability)?.options()?;
        let mode = capability.access_mode.map(|it| it.mode()).unwrap_or_default();
        let Some(AccessType::Mount(MountVolume { mount_flags: mut flags, volume_mount_group, .. })) =
            capability.access_type
        else {
            return Err(invalid("volume_capability: access_type is missing"));
        };
        flags.sort_unstable();
        flags.dedup();
        let group = match volume_mount_group.as_str() {
            "" => None,
            number => Some(number.parse().map_err(|_| {
                invalid(format_args!("volume_mount_group {number:.20?} is not the number of a group"))
            })?),
        };
        let reader = matches!(mode, Mode::SingleNodeReaderOnly | Mode::MultiNodeReaderOnly);
        Ok(Self { mode: mode.into(), flags, read_only: reader || options.read_only(), group })
    }

    /// Whether nobody else of this node may use it.
    pub(super) fn is_exclusive(&self) -> bool {
        self.mode == i32::from(Mode::SingleNodeSingleWriter)
    }
}
