//! What is mounted: a volume, or a directory of one, and the servers that know it.

use std::fmt;

use super::{Error, Reason};
use crate::{
    glusterd::MAX_KEY,
    transport::{ServerAddress, parse_servers},
};

/// The longest subdirectory in bytes: `PATH_MAX`, with its NUL, less one for the `/` that glusterfs wants before it.
pub const MAX_SUBDIRECTORY: usize = 4094;

/// The longest name that a file may have, in bytes.
const MAX_NAME: usize = 255;

/// A volume, or a directory of one, and the servers to ask for its volfile.
///
/// Shown as `SERVERS:/VOLUME[/SUB/DIR]`, which parses to the same value again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Each once, in the order in which they are tried; at least one.
    pub servers: Vec<ServerAddress>,
    /// The volume's name.
    pub volume: String,
    /// Without a `/` at its ends; empty for the whole volume.
    pub subdirectory: String,
}

impl Source {
    /// Reads `SERVERS:/VOLUME[/SUB/DIR]`, as people and fstab(5) write it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (servers, path) = text
            .match_indices(":/")
            .map(|(at, colon)| (&text[..at], &text[at + colon.len()..]))
            // The path of a unix socket is no volume.
            .find(|(servers, _)| servers.rsplit(',').next() != Some("unix"))
            .ok_or_else(|| {
                invalid(format_args!(
                    "no volume in {:?}: write SERVERS:/VOLUME or SERVERS:/VOLUME/DIRECTORY",
                    shortened(text)
                ))
            })?;
        Self::of_words(servers, path)
    }

    /// Reads two words: the servers, as a comma list, and `VOLUME[/SUB/DIR]`.
    pub fn of_words(servers: &str, path: &str) -> Result<Self, Error> {
        let path = path.trim_start_matches('/');
        let (volume, subdirectory) = path.split_once('/').unwrap_or((path, ""));
        Self::new(parse_servers(servers).map_err(invalid)?, volume, subdirectory)
    }

    /// A source from its parts, checked; a `/` around the subdirectory is left out.
    pub fn new(servers: Vec<ServerAddress>, volume: &str, subdirectory: &str) -> Result<Self, Error> {
        if servers.is_empty() {
            return Err(invalid("no server is named: write SERVERS:/VOLUME"));
        }
        let subdirectory = subdirectory.trim_matches('/');
        check(volume, subdirectory)?;
        Ok(Self { servers, volume: volume.to_owned(), subdirectory: subdirectory.to_owned() })
    }
}

/// Whether these can be a volume and a directory of it, empty for the whole.
pub(crate) fn check(volume: &str, subdirectory: &str) -> Result<(), Error> {
    check_volume(volume)?;
    check_subdirectory(subdirectory)
}

/// glusterd's own rule allows no dot; a volfile server's key, such as `VOL.tcp-fuse`, has some.
fn check_volume(volume: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let shown = shortened(volume);
    if volume.is_empty() {
        return Err(invalid("the volume's name is empty: write SERVERS:/VOLUME"));
    }
    if volume.len() > MAX_KEY {
        return Err(invalid(format_args!(
            "the volume's name has {} bytes; at most {MAX_KEY} are possible",
            volume.len()
        )));
    }
    if volume.bytes().all(|byte| byte == b'.') || !volume.bytes().all(allowed) {
        return Err(invalid(format_args!(
            "{shown:?} is not a volume's name: letters, digits, '_', '-' and '.' make one"
        )));
    }
    Ok(())
}

fn check_subdirectory(subdirectory: &str) -> Result<(), Error> {
    if subdirectory.is_empty() {
        return Ok(());
    }
    let shown = shortened(subdirectory);
    let refuse = |why: &str| Err(invalid(format_args!("the directory {shown:?} in the volume {why}")));
    if subdirectory.len() > MAX_SUBDIRECTORY {
        return refuse(&format!("has {} bytes; at most {MAX_SUBDIRECTORY} are possible", subdirectory.len()));
    }
    if subdirectory.contains('\0') {
        return refuse("has a NUL byte");
    }
    for part in subdirectory.split('/') {
        match part {
            "" => return refuse("has an empty part: write one '/' between names"),
            "." | ".." => {
                return refuse(&format!("has {part:?} in it: write the way from the volume's root"));
            }
            _ if part.len() > MAX_NAME => {
                return refuse(&format!("has a name of more than {MAX_NAME} bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Reason::Invalid, message)
}

/// As much of what somebody wrote as is worth repeating.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.servers.iter().enumerate() {
            write!(f, "{}{server}", if n > 0 { "," } else { "" })?;
        }
        write!(f, ":/{}", self.volume)?;
        if !self.subdirectory.is_empty() {
            write!(f, "/{}", self.subdirectory)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_as_people_write_them() {
        for (text, shown, subdirectory) in [
            ("g1:/vol", "g1:24007:/vol", ""),
            ("g1,G2:24008:/vol/", "g1:24007,g2:24008:/vol", ""),
            ("[::1]:/vol/a/b//", "[::1]:24007:/vol/a/b", "a/b"),
            ("fe80::1%eth0:/vol/a:/b", "[fe80::1%eth0]:24007:/vol/a:/b", "a:/b"),
            ("unix:/run/g.sock:/vol/a b", "unix:/run/g.sock:/vol/a b", "a b"),
            ("g1,unix:/run/g.sock:/vol.tcp-fuse", "g1:24007,unix:/run/g.sock:/vol.tcp-fuse", ""),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!((&*source.to_string(), &*source.subdirectory), (shown, subdirectory));
            assert_eq!(Source::parse(shown).unwrap(), source);
        }
        assert_eq!(Source::of_words("g1", "/vol/a").unwrap(), Source::parse("g1:/vol/a").unwrap());
        assert_eq!(Source::of_words("unix:/a:/b", "vol").unwrap().servers[0].to_string(), "unix:/a:/b");
    }

    #[test]
    fn what_is_no_source_is_told_in_a_sentence() {
        let long = format!("g1:/{}", "v".repeat(255));
        let deep = format!("g1:/vol{}", "/abc".repeat(1100));
        let name = format!("g1:/vol/{}", "n".repeat(256));
        for (text, expected) in [
            ("g1", "no volume in \"g1\""),
            ("unix:/run/g.sock", "no volume in"),
            (":/vol", "is empty"),
            ("g1:/", "the volume's name is empty"),
            ("g1:/..", "is not a volume's name"),
            ("g1:/a b", "is not a volume's name"),
            (&long, "has 255 bytes"),
            ("g1:/vol/a//b", "has an empty part"),
            ("g1:/vol/a/../b", "has \"..\" in it"),
            ("g1:/vol/.", "has \".\" in it"),
            ("g1:/vol/a\0", "NUL byte"),
            (&deep, "at most 4094"),
            (&name, "more than 255"),
        ] {
            let error = Source::parse(text).unwrap_err();
            assert_eq!(error.reason(), Reason::Invalid);
            assert!(error.to_string().contains(expected) && error.to_string().len() < 250, "{error}");
        }
        assert!(Source::new(Vec::new(), "vol", "").is_err());
    }
}
