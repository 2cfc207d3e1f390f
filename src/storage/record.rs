//! The record of a PV: kadalu's info file, with keys of ours.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{
    Error, Reason,
    quota::{Asked, generation},
};

/// The longest record that is read, in bytes.
pub const MAX_RECORD: usize = 64 << 10;

/// The most characters of what is said of a bad record.
const MAX_WORDS: usize = 256;

/// The largest size of a PV: CSI has no larger number.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// What becomes of a PV when it is deleted; fixed when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reclaim {
    /// It goes into the trash, and is gone when that is emptied.
    #[default]
    Delete,
    /// It is put aside under another name.
    Archive,
    /// It stays where it is.
    Retain,
}

impl FromStr for Reclaim {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = [Self::Delete, Self::Archive, Self::Retain];
        word(&known, text, "reclaim policy: delete, archive or retain")
    }
}

impl fmt::Display for Reclaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "delete",
            Self::Archive => "archive",
            Self::Retain => "retain",
        })
    }
}

/// How much it matters that a PV's size is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaPolicy {
    /// A PV whose limit is not in force is not given out.
    Required,
    /// The limit is set where the bricks can.
    #[default]
    BestEffort,
    /// No limit is set.
    Off,
}

impl FromStr for QuotaPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = [Self::Required, Self::BestEffort, Self::Off];
        word(&known, text, "quota policy: required, best-effort or off")
    }
}

impl fmt::Display for QuotaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        })
    }
}

/// Where a PV is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is in use, or may be.
    #[default]
    InUse,
    /// Its deletion has begun.
    Deleting,
    /// It was deleted by the policy `archive`.
    Archived,
    /// It was deleted by the policy `retain`.
    Retained,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "in-use",
            Self::Deleting => "deleting",
            Self::Archived => "archived",
            Self::Retained => "retained",
        })
    }
}

/// The one of `known` that is called `text`, whatever its case.
fn word<T: Copy + fmt::Display>(known: &[T], text: &str, what: &str) -> Result<T, Error> {
    known.iter().find(|known| known.to_string().eq_ignore_ascii_case(text)).copied().ok_or_else(|| {
        let shown = text.chars().take(64).collect::<String>();
        Error::new(Reason::Invalid, format_args!("{shown:?} is no {what}"))
    })
}

/// The limit that a record asks for, by its bytes; none where it says that no limit is to be set.
///
/// # Errors
/// A line that says where and why they are no record.
pub fn asked(record: &[u8]) -> Result<Option<Asked>, String> {
    Ok(Record::parse(record)?.asked(record))
}

/// What a record says. The keys of kadalu come first; what somebody else has written stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(deserialize_with = "size")]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) path_prefix: String,
    /// None in a record of kadalu's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reclaim: Option<Reclaim>,
    /// Where it is not the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "in_use")]
    pub(crate) state: State,
    /// The component that it is being moved to, or has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<QuotaPolicy>,
    /// Percent of its size from which on a grace period is counted.
    #[serde(default, rename = "softPercent", skip_serializing_if = "Option::is_none")]
    pub(crate) soft_percent: Option<u8>,
    /// Files, directories and links that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inodes: Option<u64>,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

fn in_use(state: &State) -> bool {
    *state == State::InUse
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if size > MAX_SIZE {
        return Err(D::Error::custom(format_args!("a size of {size} bytes is more than a volume can have")));
    }
    Ok(size)
}

impl Record {
    /// Reads a record; the error is a line that says where and why it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        // It repeats what it does not know, which can be anything.
        let words = |error: serde_json::Error| {
            error.to_string().chars().flat_map(|char| char.escape_debug()).take(MAX_WORDS).collect()
        };
        serde_json::from_slice(bytes).map_err(words)
    }

    /// The limit that it asks for, as the record that has these bytes; none where no limit is to be set.
    pub(crate) fn asked(&self, bytes: &[u8]) -> Option<Asked> {
        let Self { size, soft_percent, inodes, .. } = *self;
        let limited = self.quota != Some(QuotaPolicy::Off);
        limited.then(|| Asked { size, soft_percent, inodes, generation: generation(bytes) })
    }

    /// As it is written.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes =
            serde_json::to_vec(self).map_err(|error| Error::other("cannot write a record", error))?;
        bytes.push(b'\n');
        if bytes.len() > MAX_RECORD {
            let message = format!("the record has {} bytes; at most {MAX_RECORD} are possible", bytes.len());
            return Err(Error::new(Reason::Precondition, message));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_kadalu_are_read_and_keep_what_others_wrote() {
        let text = r#"{"size": 1073741824, "path_prefix": "subvol/d3/d3", "x": {"y": [1.5, null]}}"#;
        let mut record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!((record.size, record.reclaim, record.state), (1 << 30, None, State::InUse));
        record.state = State::Retained;
        record.reclaim = Some(Reclaim::Retain);
        record.quota = Some(QuotaPolicy::BestEffort);
        let bytes = record.to_bytes().unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "{\"size\":1073741824,\"path_prefix\":\"subvol/d3/d3\",\"reclaim\":\"retain\",\"state\":\"retained\",\
             \"quota\":\"best-effort\",\"x\":{\"y\":[1.5,null]}}\n"
        );
        assert_eq!(Record::parse(&bytes).unwrap(), record);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"size": -1}"#,
            r#"{"size": 1.5}"#,
            r#"{"size": 1e9}"#,
            r#"{"size": "1"}"#,
            r#"{"size": true}"#,
            r#"{"size": null}"#,
            r#"{"size": 9223372036854775808}"#,
            r#"{"size": 99999999999999999999999}"#,
            r#"{"size": 1, "size": 2}"#,
            r#"{"size": 1, "reclaim": "recycle"}"#,
            r#"{"size": 1, "state": "new"}"#,
            r#"{"size": 1, "path_prefix": 7}"#,
            "{\"size\": 1, \"name\": \"\u{fffd}\"} x",
        ] {
            assert!(Record::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!(r#"{{"size": 1, "x": {}"#, "[".repeat(60_000));
        assert!(Record::parse(deep.as_bytes()).is_err());
        let loud = format!(r#"{{"size": 1, "state": "\u001b[2J\n{}"}}"#, "x".repeat(60_000));
        let error = Record::parse(loud.as_bytes()).unwrap_err();
        assert!(error.len() <= MAX_WORDS && !error.contains(char::is_control), "{error}");
    }

    #[test]
    fn a_record_asks_for_a_limit_unless_it_says_off() {
        let text = br#"{"size": 1024, "softPercent": 80, "inodes": 7, "quota": "required"}"#;
        let wanted = asked(text).unwrap().unwrap();
        assert_eq!((wanted.size, wanted.soft_percent, wanted.inodes), (1024, Some(80), Some(7)));
        assert_eq!(wanted.generation, generation(text));
        let again = Record::parse(text).unwrap().to_bytes().unwrap();
        assert!(String::from_utf8(again).unwrap().contains(r#""softPercent":80,"inodes":7"#));
        // Kadalu's own says nothing about it.
        assert_eq!(asked(br#"{"size": 1024}"#).unwrap().unwrap().inodes, None);
        assert_eq!(asked(br#"{"size": 1024, "quota": "off"}"#), Ok(None));
        assert!(asked(br#"{"size": 1024, "inodes": -1}"#).is_err());
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!("Archive".parse::<Reclaim>().unwrap(), Reclaim::Archive);
        assert_eq!("best-effort".parse::<QuotaPolicy>().unwrap(), QuotaPolicy::BestEffort);
        let error = "recycle".parse::<Reclaim>().unwrap_err();
        assert_eq!(error.to_string(), "\"recycle\" is no reclaim policy: delete, archive or retain");
        assert!("x".repeat(10 << 20).parse::<QuotaPolicy>().unwrap_err().to_string().len() < 200);
    }
}
