//! Bricks on XFS file systems of their own, with and without project quota.

use super::Host;

impl Host {
    /// Makes a file system of `size` bytes (not below 300 MiB, mkfs.xfs refuses less) and mounts it at `/mnt/xfs/NAME`.
    pub(crate) fn make_xfs(&self, name: &str, size: u64, options: &str) {
        self.shell(&format!(
            "mkdir -p /mnt/disks /mnt/xfs/{name}; truncate --size {size} /mnt/disks/{name}; \
             mkfs.xfs -q -i size=512 /mnt/disks/{name}"
        ));
        self.mount_xfs(name, options);
    }

    /// Mounts it (again), for instance with `prjquota`, or with `noquota`.
    pub(crate) fn mount_xfs(&self, name: &str, options: &str) {
        self.shell(&format!("mount -o loop,{options} /mnt/disks/{name} /mnt/xfs/{name}"));
    }

    /// Unmounts it: nothing may have a file open on it.
    pub(crate) fn umount_xfs(&self, name: &str) {
        self.shell(&format!("umount /mnt/xfs/{name}"));
    }

    /// Runs a command of `xfs_quota` on it, in its expert mode, and returns its output.
    pub(crate) fn xfs_quota(&self, name: &str, command: &str) -> String {
        self.shell(&format!("xfs_quota -x -D /dev/null -P /dev/null -c '{command}' /mnt/xfs/{name}"))
    }
}
