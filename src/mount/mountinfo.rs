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
    /// Mounts below it are seen at its peers, in whatever namespace, and theirs here.
    pub shared: bool,
    /// Those below another mount are seen here, but not the other way round.
    pub slave: bool,
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
        let (mut shared, mut slave) = (false, false);
        fields.find(|field| {
            shared |= field.starts_with(b"shared:");
            slave |= field.starts_with(b"master:");
            field == b"-"
        })?;
        let fs_type = words(fields.next()?);
        let source = words(fields.next()?);
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Self {
            id,
            parent,
            device,
            root,
            mount_point,
            read_only,
            options,
            shared,
            slave,
            fs_type,
            source,
        })
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

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    fn ids(entries: Vec<&MountEntry>) -> Vec<u64> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_line_is_read_with_its_tags_and_escapes() {
        let line = b"92 91 0:43 /a\\134b /mnt/with\\040space\\011\\012 ro,nosuid,relatime shared:7 master:1 - fuse.glusterfs \
            h:/v\\040w rw,user_id=0\n";
        let table = MountTable::parse(line);
        let [entry] = table.entries() else { panic!("{table:?}") };
        let expected = MountEntry {
            id: 92,
            parent: 91,
            device: (0, 43),
            root: "/a\\b".into(),
            mount_point: "/mnt/with space\t\n".into(),
            read_only: true,
            options: "ro,nosuid,relatime".into(),
            shared: true,
            slave: true,
            fs_type: "fuse.glusterfs".into(),
            source: "h:/v w".into(),
        };
        assert_eq!(*entry, expected);
        assert!(entry.has("nosuid") && !entry.has("suid"));
    }

    #[test]
    fn paths_need_not_be_text_and_escapes_need_not_be_whole() {
        let table = MountTable::parse(b"1 0 0:1 / /\xff\\377\\04\\999\\ rw - t s o\n");
        assert_eq!(table.entries()[0].mount_point, Path::new(OsStr::from_bytes(b"/\xff\xff\\04\\999\\")));
    }

    #[test]
    fn lines_that_cannot_be_read_are_skipped() {
        let good = "5 4 8:1 / /data rw - ext4 /dev/sda1 rw";
        let bad = [
            "",
            "5",
            "x 4 8:1 / /data rw - ext4 /dev/sda1 rw",
            "-5 4 8:1 / /data rw - ext4 /dev/sda1 rw",
            "5 4 8 / /data rw - ext4 /dev/sda1 rw",
            "5 4 8:99999999999 / /data rw - ext4 /dev/sda1 rw",
            "99999999999999999999 4 8:1 / /data rw - ext4 s rw",
            "5 4 8:1 / /data rw shared:1 ext4 /dev/sda1 rw",
            "5 4 8:1 / /data rw -",
        ];
        for bad in bad {
            let table = MountTable::parse(format!("{bad}\n{good}\n{bad}").as_bytes());
            assert_eq!(table.entries().len(), 1, "{bad:?}");
            assert_eq!(table.entries()[0].mount_point, Path::new("/data"));
        }
    }

    #[test]
    fn a_stack_is_in_the_order_of_parents() {
        // 12 was slid beneath 11: it comes later in the file.
        let table = MountTable::parse(
            b"1 0 8:1 / / rw - t s o\n11 12 0:1 / /m rw - t s o\n12 1 0:2 / /m rw - t s o\n\
              13 1 0:1 / /m/deep rw - t s o\n14 11 0:3 / /m rw - t s o\n",
        );
        assert_eq!(ids(table.at(Path::new("/m"))), [12, 11, 14]);
        assert_eq!(table.top_at(Path::new("/m")).map(|entry| entry.id), Some(14));
        assert_eq!(ids(table.of_device((0, 1)).collect()), [11, 13]);
        assert!(table.at(Path::new("/other")).is_empty());
    }

    #[test]
    fn parents_in_a_circle_end() {
        let table =
            MountTable::parse(b"1 2 0:1 / /m rw - t s o\n2 1 0:1 / /m rw - t s o\n3 3 0:1 / /n rw - t s o\n");
        assert!(table.at(Path::new("/m")).is_empty());
        assert!(table.at(Path::new("/n")).is_empty());
    }

    #[test]
    fn the_kernels_own_table_is_read_whole() {
        let lines = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let table = MountTable::read().unwrap();
        assert_eq!(table.entries().len(), lines);
        assert!(table.top_at(Path::new("/proc")).is_some_and(|entry| entry.fs_type == "proc"));
    }
}
