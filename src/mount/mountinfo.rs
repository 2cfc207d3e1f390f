//! The kernel's list of mounts. Reading it touches no file system, so it never hangs.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// One mount of this process's mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// The kernel's number for the mount, unique while it is mounted.
    pub id: u64,
    /// The mount that holds the mount point; of a stacked mount, the one below it.
    pub parent: u64,
    /// Major and minor number of the file system: its identity, the same for all binds of it.
    pub device: (u32, u32),
    /// What of the file system is seen: `/` or, for a bind of a directory, that directory.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Nothing can be written through this mount, whatever the file system allows.
    pub read_only: bool,
    /// The options of this mount, such as `rw,nosuid,relatime`.
    pub options: String,
    /// Such as `fuse.glusterfs`.
    pub fs_type: String,
    /// Such as `server:/volume`.
    pub source: String,
}

impl MountEntry {
    /// The fields of proc_pid_mountinfo(5): id, parent, device, root, mount point, options, any number of tags, `-`,
    /// type, source, the file system's options. A type can hold a dot, and no field a space.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let mut device = fields.next()?.splitn(2, |byte| *byte == b':');
        let device = (number(device.next()?)?, number(device.next()?)?);
        let root = path(fields.next()?);
        let mount_point = path(fields.next()?);
        let options = words(fields.next()?);
        fields.find(|field| field == b"-")?;
        let fs_type = words(fields.next()?);
        let source = words(fields.next()?);
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Self { id, parent, device, root, mount_point, read_only, options, fs_type, source })
    }

    /// Whether the mount has this option, such as `nosuid`.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|own| own == option)
    }
}

/// All mounts of this process's mount namespace, at one moment.
#[derive(Debug, Clone, Default)]
pub struct MountTable {
    entries: Vec<MountEntry>,
}

impl MountTable {
    /// The mounts as they are now.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn read() -> io::Result<Self> {
        fs::read("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// The mounts in the text of a mountinfo file; lines that cannot be read are skipped.
    pub fn parse(text: &[u8]) -> Self {
        Self { entries: text.split(|byte| *byte == b'\n').filter_map(MountEntry::parse).collect() }
    }

    /// In the kernel's order.
    pub fn entries(&self) -> &[MountEntry] {
        &self.entries
    }

    /// The mount with this number.
    pub fn by_id(&self, id: u64) -> Option<&MountEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// What is mounted at a path, the lowest first. The path is compared as the kernel writes it: absolute, no links.
    pub fn at(&self, path: &Path) -> Vec<&MountEntry> {
        let mut left: Vec<_> = self.entries.iter().filter(|entry| entry.mount_point == path).collect();
        let mut stack: Vec<&MountEntry> = Vec::with_capacity(left.len());
        // A mount slid beneath another comes later in the file, so that the order is that of parents.
        while !left.is_empty() {
            let next = match stack.last() {
                Some(top) => left.iter().position(|entry| entry.parent == top.id),
                None => left.iter().position(|entry| left.iter().all(|other| other.id != entry.parent)),
            };
            // What is not on the stack any more belongs to a mount that is itself covered.
            let Some(next) = next else { break };
            stack.push(left.swap_remove(next));
        }
        stack
    }

    /// What is seen at a path: the last of [`MountTable::at`].
    pub fn top_at(&self, path: &Path) -> Option<&MountEntry> {
        self.at(path).pop()
    }

    /// All mounts of a file system.
    pub fn of_device(&self, device: (u32, u32)) -> impl Iterator<Item = &MountEntry> {
        self.entries.iter().filter(move |entry| entry.device == device)
    }
}

fn number<N: std::str::FromStr>(field: &[u8]) -> Option<N> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn words(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

fn path(field: &[u8]) -> PathBuf {
    OsString::from_vec(unescape(field)).into()
}

/// Space, tab, newline, `#` and backslash are written as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}
