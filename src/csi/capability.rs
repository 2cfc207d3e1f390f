//! What a volume is to be used for, and whether it can be.

use tonic::Status;

use super::{
    generated::{
        VolumeCapability,
        volume_capability::{AccessType, MountVolume, access_mode::Mode},
    },
    status::invalid,
};
use crate::mount::options::MountOptions;

/// Bytes of all flags together: what CSI allows for a list.
const MAX_FLAGS: usize = 4096;

/// A way of use, with all that a request must say of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use<'c> {
    /// As a file system, or as a device where none.
    mount: Option<&'c MountVolume>,
}

impl<'c> Use<'c> {
    /// Reads a capability.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` where it is incomplete.
    pub(super) fn of(capability: &'c VolumeCapability) -> Result<Self, Status> {
        let mode = capability.access_mode.and_then(|mode| Mode::try_from(mode.mode).ok());
        // By how many nodes, and who writes: a Gluster volume allows all that there is.
        if mode.is_none_or(|mode| mode == Mode::Unknown) {
            return Err(invalid("volume_capability: access_mode is missing or unknown"));
        }
        let mount = match &capability.access_type {
            Some(AccessType::Mount(mount)) => Some(mount),
            Some(AccessType::Block(_)) => None,
            None => return Err(invalid("volume_capability: access_type, mount or block, is missing")),
        };
        Ok(Self { mount })
    }

    /// The mount options, where the volumes of this driver can be used so.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the reason why they cannot.
    pub(super) fn options(&self) -> Result<MountOptions, Status> {
        let Some(mount) = self.mount else {
            return Err(invalid(
                "a Gluster volume is a file system and no device: use volumeMode Filesystem",
            ));
        };
        if mount.mount_flags.iter().map(String::len).sum::<usize>() > MAX_FLAGS {
            return Err(invalid(format_args!("mount_flags have more than {MAX_FLAGS} bytes")));
        }
        MountOptions::parse(&mount.mount_flags).map_err(|error| invalid(format_args!("mount_flags: {error}")))
    }
}

/// Whether all of these are complete, and volumes of this driver can be used so.
///
/// # Errors
/// `INVALID_ARGUMENT`, also where there are none.
pub(super) fn check(capabilities: &[VolumeCapability]) -> Result<(), Status> {
    if capabilities.is_empty() {
        return Err(invalid("volume_capabilities are missing"));
    }
    capabilities.iter().try_for_each(|capability| Use::of(capability)?.options().map(drop))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::csi::generated::volume_capability::{AccessMode, BlockVolume};

    fn capability(mode: i32, access_type: Option<AccessType>) -> VolumeCapability {
        VolumeCapability { access_mode: Some(AccessMode { mode }), access_type }
    }

    fn mount(flags: &[&str]) -> Option<AccessType> {
        let mount_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Some(AccessType::Mount(MountVolume { mount_flags, fs_type: "xfs".to_owned(), ..Default::default() }))
    }

    #[test]
    fn a_mounted_volume_is_used_in_every_mode() {
        let all: Vec<_> =
            (1..=7).map(|mode| capability(mode, mount(&["log-level=DEBUG", "noatime"]))).collect();
        check(&all).unwrap();
    }

    #[test]
    fn what_is_missing_or_impossible_is_told() {
        let absent = VolumeCapability { access_mode: None, access_type: mount(&[]) };
        let long = "x".repeat(10_000_000);
        for (capabilities, word) in [
            (vec![], "missing"),
            (vec![absent], "access_mode"),
            (vec![capability(0, mount(&[]))], "access_mode"),
            (vec![capability(99, mount(&[]))], "access_mode"),
            (vec![capability(1, None)], "access_type"),
            (
                vec![capability(1, mount(&[])), capability(1, Some(AccessType::Block(BlockVolume {})))],
                "Filesystem",
            ),
            (vec![capability(1, mount(&["frobnicate"]))], "frobnicate"),
            (vec![capability(1, mount(&[&long]))], "more than"),
        ] {
            let status = check(&capabilities).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains(word) && status.message().len() < 500, "{status}");
        }
    }
}
