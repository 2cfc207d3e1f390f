//! Files of glusterd and of the admin: bounded, and never waited for.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open};

/// Reads a plain file of at most `limit` bytes. A pipe in its place is an error, not a wait.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let mut bytes = Vec::new();
    if file.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A text of unknown length and content, in quotes, for a sentence.
pub(super) fn quoted(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(100)];
    if cut == text { format!("{text:?}") } else { format!("{cut:?}…") }
}

/// The lines `key=value` of a file of glusterd's, as it writes them.
#[derive(Debug)]
pub(super) struct Pairs(String);

impl Pairs {
    /// Reads such a file; more than a mebibyte is none.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = read(path, 1 << 20)?;
        String::from_utf8(text).map(Self).map_err(|_| io::Error::other("it is not UTF-8"))
    }

    /// The pairs, in the order of the file. What is no pair is the rest of a value with a line break in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once('='))
    }

    /// The last value of a key, which is the one that glusterd goes by.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// The last value of a key that must be there.
    pub(super) fn need(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("it has no {key}"))
    }

    /// A number; 0 where the key is missing, as in files of a glusterd that does not know it.
    pub(super) fn number(&self, key: &str) -> Result<u64, String> {
        let value = self.get(key).unwrap_or("0");
        value.parse().map_err(|_| format!("its {key} is no number: {}", quoted(value)))
    }
}

/// The bytes of a UUID: 32 hexadecimal digits in groups.
pub(super) fn uuid(text: &str) -> Result<[u8; 16], String> {
    let hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sound = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(hex);
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok().filter(|_| sound);
    number.map(u128::to_be_bytes).ok_or_else(|| format!("{} is no UUID", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_of_a_bounded_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("plain"), "12345").unwrap();
        assert_eq!(read(&path("plain"), 5).unwrap(), b"12345");
        assert_eq!(read(&path("plain"), 4).unwrap_err().to_string(), "larger than 4 bytes");
        let fifo = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(fifo.success());
        for name in ["fifo", "."] {
            assert_eq!(read(&path(name), 5).unwrap_err().to_string(), "not a plain file");
        }
        assert_eq!(read(&path("none"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_last_value_counts() {
        let pairs = Pairs("a=1\nno pair\nb=x=y\na=2\n=\n".to_owned());
        assert_eq!((pairs.get("a"), pairs.get("b"), pairs.get("c")), (Some("2"), Some("x=y"), None));
        assert_eq!((pairs.number("a"), pairs.number("c")), (Ok(2), Ok(0)));
        assert!(pairs.number("b").is_err() && pairs.need("c").is_err());
    }

    #[test]
    fn uuids() {
        let bytes = uuid("c3a7e485-75b9-40f7-b497-1944fa4ac879").unwrap();
        assert_eq!((bytes[0], bytes[15]), (0xc3, 0x79));
        let signed = "+3a7e485-75b9-40f7-b497-1944fa4ac879";
        for bad in ["", "c3a7e485", "x3a7e485-75b9-40f7-b497-1944fa4ac879", "-----", signed] {
            assert!(uuid(bad).is_err(), "{bad}");
        }
    }
}
