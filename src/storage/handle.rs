//! Volume ids: what the container orchestrator knows a PV by, for as long as it lives.

use std::{fmt, str::FromStr};

use super::{
    error::{Error, Reason},
    layout::{ARCHIVED, MAX_MADE, MAX_NAME, Place},
};
use crate::mount::source::{Source, shortened};

/// Bytes of a pool's id.
const POOL_ID: usize = 36;

/// Bytes of an id that is accepted; those made here have at most 128.
const MAX_ID: usize = 1024;

/// The id of a volume in its cluster: a UUID in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(String);

/// What a volume id stands for. Shown, it is that id again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// `POOL/COMPONENT`: a directory of a pool.
    Pv {
        /// Where it is.
        pool: PoolId,
        /// The name of its directory.
        component: String,
    },
    /// `POOL:COMPONENT`: a volume as a whole. With the name of the PV that claims it, so that a late call for one that is
    /// gone does nothing to the next.
    Whole {
        /// The volume.
        pool: PoolId,
        /// The PV's name, as that of a directory would be.
        component: String,
    },
    /// `NAME`, as kadalu has it: a directory of one of the pools that are known.
    Named(String),
    /// `SERVERS:/VOLUME[/DIRECTORY]`, of people who wrote a PV by hand.
    Static(Source),
    /// Anything else: somebody's PV whose `volume_context` says where it is.
    Opaque(String),
}

impl Handle {
    /// Reads a volume id.
    ///
    /// # Errors
    /// [`Reason::Invalid`] for one that is empty, too long or has control characters, and for one that begins like ours
    /// and cannot be.
    pub fn parse(id: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::new(Reason::Invalid, format_args!("volume_id {why}")));
        if id.is_empty() {
            return refuse("is missing");
        }
        if id.len() > MAX_ID {
            return refuse(&format!("{:?} has more than {MAX_ID} bytes", shortened(id)));
        }
        if id.contains(char::is_control) {
            return refuse(&format!("{:?} has a control character", shortened(id)));
        }
        if let Some((pool, rest)) = id.split_at_checked(POOL_ID)
            && let Ok(pool) = pool.parse()
            && let Some(separator @ ('/' | ':')) = rest.chars().next()
        {
            let component = rest[1..].to_owned();
            return match separator {
                _ if !is_component(&component, MAX_MADE) => {
                    refuse(&format!("{:?} is none of this driver's", shortened(id)))
                }
                '/' => Ok(Self::Pv { pool, component }),
                _ => Ok(Self::Whole { pool, component }),
            };
        }
        if let Ok(source) = Source::parse(id) {
            return Ok(Self::Static(source));
        }
        // Kadalu does not shorten names.
        Ok(if is_component(id, MAX_NAME) { Self::Named(id.to_owned()) } else { Self::Opaque(id.to_owned()) })
    }
}

/// Whether a PV that is in use can have this directory.
fn is_component(text: &str, max: usize) -> bool {
    text.len() <= max && !text.starts_with(ARCHIVED) && Place::of(text).is_ok()
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pv { pool, component } => write!(f, "{pool}/{component}"),
            Self::Whole { pool, component } => write!(f, "{pool}:{component}"),
            Self::Named(id) | Self::Opaque(id) => f.write_str(id),
            Self::Static(source) => source.fmt(f),
        }
    }
}

impl PoolId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let dash = |n| [8, 13, 18, 23].contains(&n);
        let fits = |(n, byte)| match byte {
            b'-' => dash(n),
            b'0'..=b'9' | b'a'..=b'f' => !dash(n),
            _ => false,
        };
        if text.len() == POOL_ID && text.bytes().enumerate().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        let sentence = format!("{:?} is not the id of a volume, a UUID in lower case", shortened(text));
        Err(Error::new(Reason::Invalid, sentence))
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POOL: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

    fn kind(id: &str) -> &'static str {
        match Handle::parse(id) {
            Ok(Handle::Pv { .. }) => "pv",
            Ok(Handle::Whole { .. }) => "whole",
            Ok(Handle::Named(_)) => "named",
            Ok(Handle::Static(_)) => "static",
            Ok(Handle::Opaque(_)) => "opaque",
            Err(error) => {
                assert_eq!(error.reason(), Reason::Invalid);
                assert!(error.to_string().len() < 400, "{error}");
                "invalid"
            }
        }
    }

    #[test]
    fn ids_of_every_kind() {
        let in_pool = |component: &str| format!("{POOL}/{component}");
        for (id, expected) in [
            (format!("{POOL}:pvc-1"), "whole"),
            (format!("{POOL}:../etc"), "invalid"),
            (POOL.to_owned(), "named"),
            (in_pool("pvc-1"), "pv"),
            (in_pool("%2Ea b%2F€"), "pv"),
            (in_pool(&"x".repeat(91)), "pv"),
            (in_pool(&"x".repeat(92)), "invalid"),
            (in_pool(""), "invalid"),
            (in_pool(".."), "invalid"),
            (in_pool("../../etc"), "invalid"),
            (in_pool("a/b"), "invalid"),
            (in_pool("archived-pvc-1"), "invalid"),
            (in_pool("a\0b"), "invalid"),
            (POOL.to_uppercase(), "named"),
            ("pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c".to_owned(), "named"),
            ("x".repeat(128), "named"),
            ("x".repeat(129), "opaque"),
            ("..".to_owned(), "opaque"),
            ("archived-pvc-1".to_owned(), "opaque"),
            ("default/claim".to_owned(), "opaque"),
            ("g1,g2:24008:/vol/a/b".to_owned(), "static"),
            ("g1:/vol".to_owned(), "static"),
            ("g1:/vol/../b".to_owned(), "opaque"),
            (String::new(), "invalid"),
            ("x".repeat(1025), "invalid"),
            ("x".repeat(10_000_000), "invalid"),
            ("a\nb".to_owned(), "invalid"),
        ] {
            assert_eq!(kind(&id), expected, "{id:.200}");
        }
    }

    #[test]
    fn a_handle_is_shown_as_its_id() {
        for id in [&format!("{POOL}:pvc-1"), &format!("{POOL}/pvc-1"), "pvc-1", "g1:24007:/vol/a", "a/b"] {
            assert_eq!(Handle::parse(id).unwrap().to_string(), id);
        }
    }

    proptest! {
        #[test]
        fn what_parses_comes_back(id in prop_oneof![any::<String>(), "[/:].{0,20}".prop_map(|rest| format!("{POOL}{rest}"))]) {
            if let Ok(handle) = Handle::parse(&id) {
                prop_assert_eq!(Handle::parse(&handle.to_string()).ok(), Some(handle));
            }
        }
    }
}
