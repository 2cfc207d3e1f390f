//! What the controller and `kadalu quotad` tell each other about the limit of a PV, by extended attributes.
//!
//! | attribute | on | by | says |
//! |---|---|---|---|
//! | [`ASKED`] | the record's file, through the volume | the controller | [`Asked`]: the limit that there is to be; `null` for none |
//! | [`STATED`] | the directory of that file, through the volume | the controller | that it was stated anew |
//! | [`IN_FORCE`] | the PV's directory, on the brick | quotad | [`InForce`]: the limit that there is, or why there is none |
//! | [`QUOTAD`] | the brick's root, on the brick | quotad | [`Daemon`]: that it looks after this brick, and how it is |
//!
//! The record's content would say the first, but not on every brick: those of a disperse volume hold erasure-coded
//! fragments of it, and an arbiter holds nothing. Attributes are on each brick as they are.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use twox_hash::XxHash64;

use crate::volfile::Redundancy;

/// The attribute of a record's file that says what is asked for.
pub const ASKED: &str = "trusted.kadalu.quota-asked";

/// The attribute of a directory of records that names the one whose limit was stated anew last: quotad looks at all in it.
///
/// Of a file's attribute that a brick sets by the file's gfid, no watch of the file's directory tells: the path that it takes
/// is that of the hard link below `.glusterfs` (posix's `MAKE_INODE_HANDLE`). Of a directory's own attribute each does.
pub const STATED: &str = "trusted.kadalu.quota-stated";

/// The attribute of a PV's directory on a brick that says what is in force there.
pub const IN_FORCE: &str = "trusted.kadalu.quota";

/// The attribute of a brick's root that says who looks after its limits.
pub const QUOTAD: &str = "trusted.kadalu.quotad";

/// The longest value of an attribute that is read, in bytes.
pub const MAX_VALUE: usize = 4096;

/// The longest sentence of a [`Problem`], in bytes: what XFS keeps of an attribute beside the rest of it.
const MAX_SENTENCE: usize = 1024;

/// Bytes of a file that a disperse volume cuts into `data` fragments of 512 bytes each (ec's `EC_METHOD_CHUNK_SIZE`).
const FRAGMENT: u64 = 512;

/// The largest block of an XFS file system.
const MAX_BLOCK: u64 = 64 << 10;

/// Where an arbiter counts files: one for as many bytes of a PV, the block of an XFS file system.
const BYTES_PER_INODE: u64 = 4096;

/// The least number of files where an arbiter counts them.
const MIN_INODES: u64 = 1024;

/// The limit that a PV is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its size in bytes.
    #[serde(deserialize_with = "super::record::size")]
    pub size: u64,
    /// Percent of it from which on XFS counts a grace period; none for no soft limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_percent: Option<u8>,
    /// How many files, directories and links it may have; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Of the record that says so: see [`generation`].
    pub generation: String,
}

/// Which record of a PV is meant: 16 hexadecimal digits, XXH64 of its bytes.
pub fn generation(record: &[u8]) -> String {
    format!("{:016x}", XxHash64::oneshot(0, record))
}

/// What a brick has of the files of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Bricks' worth of data among which a file is divided; 1 where each has all of it.
    pub data: u64,
    /// An arbiter is in its set, where files have no size: their number is limited, the same on every brick of the set.
    pub arbiter: bool,
}

impl Share {
    /// That of each brick of a set.
    pub fn of(redundancy: Redundancy) -> Self {
        match redundancy {
            Redundancy::Disperse { data, .. } => Self { data: (data as u64).max(1), arbiter: false },
            Redundancy::Arbiter { .. } => Self { data: 1, arbiter: true },
            Redundancy::None | Redundancy::Replicate { .. } | Redundancy::ThinArbiter { .. } => {
                Self { data: 1, arbiter: false }
            }
        }
    }

    /// The limits of a PV on such a brick.
    pub fn limits(self, asked: &Asked) -> Limits {
        let part = |bytes: u64| bytes.div_ceil(self.data * FRAGMENT).saturating_mul(FRAGMENT);
        let soft = asked.soft_percent.map(|percent| part(asked.size / 100 * u64::from(percent.min(100))));
        let counted = || (asked.size / BYTES_PER_INODE).max(MIN_INODES);
        let inodes = asked.inodes.or_else(|| self.arbiter.then(counted));
        Limits { bytes: part(asked.size), soft, inodes }
    }
}

/// The limits of a project on one brick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Above which nothing can be written, in bytes; a multiple of 512.
    pub bytes: u64,
    /// The soft limit, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// Above which nothing can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
}

impl Limits {
    /// Whether these, as they are on a file system, are those that were wanted: XFS rounds up to its blocks, and what was not
    /// asked for may be there by somebody else's doing.
    pub fn meet(&self, wanted: &Self) -> bool {
        let rounded = |is: u64, wanted: u64| is >= wanted && is - wanted < MAX_BLOCK;
        rounded(self.bytes, wanted.bytes)
            && wanted.soft.is_none_or(|wanted| self.soft.is_some_and(|is| rounded(is, wanted)))
            && wanted.inodes.is_none_or(|wanted| self.inodes == Some(wanted))
    }
}

/// What quotad says of a PV on one brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// `HOST:PATH`, as glusterd names it. Self-heal copies attributes: with another brick's name it says nothing.
    pub brick: String,
    /// The record that was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The XFS project of the PV's files; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<u32>,
    /// The limits of that project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// When that was last changed: RFC 3339.
    pub time: String,
    /// Why the PV is not limited, or not as was asked; none where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What quotad says of a brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// `HOST:PATH`, as glusterd names it.
    pub brick: String,
    /// Of the program.
    pub version: String,
    /// When it last looked: RFC 3339.
    pub time: String,
    /// Why no PV of the brick is limited; none where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Why there is no limit: a word for programs and a sentence for people that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Problem {
    /// For programs.
    pub code: Code,
    /// For people.
    pub sentence: String,
}

impl Problem {
    /// A problem with its sentence, of which no more than 1024 bytes are kept.
    pub fn new(code: Code, sentence: impl fmt::Display) -> Self {
        let mut sentence = sentence.to_string();
        sentence.truncate(sentence.floor_char_boundary(MAX_SENTENCE));
        Self { code, sentence }
    }
}

/// What keeps a limit from being in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// The brick's file system is not XFS.
    NotXfs,
    /// The brick's file system is mounted without `prjquota`.
    NoProjectQuota,
    /// Projects are counted there and limits are not enforced (`pqnoenforce`).
    NotEnforced,
    /// The kernel of the brick's host has no XFS quota.
    KernelWithoutQuota,
    /// quotad lacks a capability.
    Denied,
    /// What is at the brick's path is not the brick: its file system is not mounted, or it is another volume's.
    NoBrick,
    /// Files are distributed over several sets of bricks, each with the limit to itself.
    Distributed,
    /// Pieces of files lie in `/.shard`, where no directory's limit counts them.
    Sharded,
    /// Nothing says on this brick what size the PV has.
    RecordUnreadable,
    /// The record says nothing that can be followed.
    RecordInvalid,
    /// The project of the PV's directory is somebody else's too.
    ProjectTaken,
    /// No project id of the range is free.
    NoProject,
    /// Some files could not be put into the project.
    Unmarked,
    /// The PV uses more than it is to have: it can have no smaller limit than that.
    InUse,
    /// The PV has no directory on this brick.
    NoDirectory,
    /// Something stands where the PV's directory should.
    NotDirectory,
    /// quotad has not come to it yet.
    Pending,
    /// Any other failure of a system call.
    Failed,
    /// A later version of kadalu knows what.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The value of an attribute.
///
/// # Errors
/// Why it cannot be written; none of the types of this module does.
pub fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(value)
}

/// Reads the value of an attribute; none for what says nothing, as somebody else has written it.
pub fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    if value.len() > MAX_VALUE { None } else { serde_json::from_slice(value).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::record::MAX_SIZE;

    fn asked(size: u64) -> Asked {
        Asked { size, soft_percent: None, inodes: None, generation: generation(b"{}") }
    }

    #[test]
    fn limits_by_kind_of_volume() {
        let gib = asked(1 << 30);
        let limits = |redundancy| Share::of(redundancy).limits(&gib);
        let full = Limits { bytes: 1 << 30, soft: None, inodes: None };
        assert_eq!(limits(Redundancy::None), full);
        assert_eq!(limits(Redundancy::Replicate { copies: 3 }), full);
        assert_eq!(limits(Redundancy::Arbiter { copies: 2 }), Limits { inodes: Some(262_144), ..full });
        // 3 × 357,913,941.33 bytes, in whole fragments.
        let third = limits(Redundancy::Disperse { data: 3, redundancy: 1 });
        assert_eq!(third, Limits { bytes: 357_914_112, ..full });
        assert!(third.bytes * 3 - (1 << 30) < 3 * FRAGMENT);
    }

    #[test]
    fn soft_and_inode_limits_where_asked() {
        let asked = Asked { soft_percent: Some(80), inodes: Some(7), ..asked(1_000_000) };
        let limits = Share { data: 1, arbiter: true }.limits(&asked);
        assert_eq!(limits, Limits { bytes: 1_000_448, soft: Some(800_256), inodes: Some(7) });
        let small = Asked { inodes: None, ..asked };
        assert_eq!(Share { data: 1, arbiter: true }.limits(&small).inodes, Some(MIN_INODES));
    }

    #[test]
    fn limits_are_met_as_a_file_system_rounds_them() {
        let wanted = Limits { bytes: 357_914_112, soft: Some(4096), inodes: None };
        let met = |bytes, soft, inodes| Limits { bytes, soft, inodes }.meet(&wanted);
        assert!(met(357_914_112, Some(4096), None) && met(357_916_672, Some(8192), Some(9)));
        assert!(!met(357_914_111, Some(4096), None) && !met(357_914_112 + MAX_BLOCK, Some(4096), None));
        assert!(!met(357_914_112, None, None));
        let counted = Limits { inodes: Some(7), ..wanted };
        assert!(!wanted.meet(&counted) && counted.meet(&counted));
    }

    #[test]
    fn nothing_overflows() {
        for data in [1, 2, 3, 1 << 40, u64::MAX / FRAGMENT] {
            let asked = Asked { soft_percent: Some(255), ..asked(MAX_SIZE) };
            assert!(Share { data, arbiter: false }.limits(&asked).bytes > 0);
        }
    }

    #[test]
    fn attributes_say_what_was_written_and_hostile_ones_nothing() {
        let limits = Share { data: 3, arbiter: false }.limits(&asked(1 << 30));
        let problem = Problem::new(Code::InUse, "x".repeat(5000));
        let said = InForce {
            brick: "g1:/bricks/b".into(),
            asked: Some(asked(1 << 30)),
            project: Some(7),
            limits: Some(limits),
            time: "2026-11-23T12:00:00Z".into(),
            problem: Some(problem),
        };
        let value = write(&said).unwrap();
        assert!(value.len() < MAX_VALUE);
        assert_eq!(read::<InForce>(&value), Some(said));
        let other = br#"{"brick":"g1:/b","time":"","problem":{"code":"Later","sentence":""},"more":1}"#;
        assert_eq!(read::<InForce>(other).unwrap().problem.unwrap().code, Code::Unknown);
        for bad in [&b""[..], b"{}", b"[]", b"\xff", &[b'['; 5000], br#"{"size":-1,"generation":""}"#] {
            assert!(read::<Asked>(bad).is_none() && read::<Daemon>(bad).is_none());
        }
    }
}
