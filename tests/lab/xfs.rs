//! Bricks on file systems of their own: XFS with and without project quota, and ext4.

use super::Host;

impl Host {
    /// Makes a file system of `size` bytes (not below 300 MiB, mkfs.xfs refuses less) and mounts it at `/mnt/xfs/NAME`.
    pub(crate) fn make_xfs(&self, name: &str, size: u64, options: &str) {
        self.make_disk(name, size, "mkfs.xfs -q -i size=512");
        self.mount_xfs(name, options);
    }

    /// Mounts it (again), for instance with `prjquota`, or with `noquota`.
    pub(crate) fn mount_xfs(&self, name: &str, options: &str) {
        self.shell(&format!(
            "mkdir -p /mnt/xfs/{name}; mount -o loop,{options} /mnt/disks/{name} /mnt/xfs/{name}"
        ));
    }

    /// Unmounts it: nothing may have a file open on it.
    pub(crate) fn umount_xfs(&self, name: &str) {
        self.shell(&format!("umount /mnt/xfs/{name}"));
    }

    /// Runs a command of `xfs_quota` on it, in its expert mode, and returns its output.
    pub(crate) fn xfs_quota(&self, name: &str, command: &str) -> String {
        self.shell(&format!("xfs_quota -x -D /dev/null -P /dev/null -c '{command}' /mnt/xfs/{name}"))
    }

    /// Makes an ext4 of `size` bytes, with its usual inodes of 256 bytes, and mounts it at `/mnt/ext4/NAME`.
    pub(crate) fn make_ext4(&self, name: &str, size: u64) {
        self.make_disk(name, size, "mkfs.ext4 -q -I 256");
        self.shell(&format!("mkdir -p /mnt/ext4/{name}; mount -o loop /mnt/disks/{name} /mnt/ext4/{name}"));
    }

    fn make_disk(&self, name: &str, size: u64, mkfs: &str) {
        self.shell(&format!(
            "mkdir -p /mnt/disks; truncate --size {size} /mnt/disks/{name}; {mkfs} /mnt/disks/{name}"
        ));
    }
}
