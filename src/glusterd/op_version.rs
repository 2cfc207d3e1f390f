//! Op-versions: what a client can load and what a volume demands (facts §4.2, §12).

use std::{fmt, str::FromStr};

use super::dict::{self, Dict, DictError};

/// The number by which Gluster says which features a program knows: 100000 for release 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpVersion(pub u32);

impl OpVersion {
    /// What the releases of `glusterfs` announce, by major number (`GD_OP_VERSION_MAX` of each).
    pub const RELEASES: [(u32, Self); 6] = [
        (6, Self(60_000)),
        (7, Self(70_200)),
        (8, Self(80_000)),
        (9, Self(90_000)),
        (10, Self(100_000)),
        (11, Self(110_000)),
    ];

    /// Blocks no admin: above what any option of any release wants. For tools that load no volfile.
    pub const ANY: Self = Self(999_999);

    /// What `glusterfs` of this release announces; releases after 11 are taken to count on in the same way.
    pub fn of_release(major: u32, minor: u32) -> Option<Self> {
        match (major, minor) {
            (..=5, _) => None,
            (7, 0 | 1) => Some(Self(70_000)),
            (7, _) => Some(Self(70_200)),
            _ => major.checked_mul(10_000).map(Self),
        }
    }
}

impl fmt::Display for OpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The window that a client announces with GETSPEC; glusterd keeps it with the connection and refuses changes that a
/// client connected for that volume could not load (facts §6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpVersions {
    /// Lowest.
    pub min: OpVersion,
    /// Highest.
    pub max: OpVersion,
}

impl OpVersions {
    /// Gets every volfile and blocks no admin.
    pub const ANY: Self = Self { min: OpVersion(1), max: OpVersion::ANY };

    /// GETSPEC's xdata, in the order in which the stock client writes it.
    pub fn to_dict(self) -> Vec<u8> {
        let (min, max) = (self.min.to_string(), self.max.to_string());
        dict::encode(&[("max-op-version", &max), ("min-op-version", &min)])
    }

    /// Reads GETSPEC's xdata; `None` where it has none of the two. glusterd wants both (facts §4.2).
    pub fn from_dict(bytes: &[u8]) -> Result<Option<Self>, DictError> {
        let dict = Dict::decode(bytes)?;
        let version = |key| dict.number(key).map(OpVersion);
        Ok(match (version("min-op-version"), version("max-op-version")) {
            (Some(min), Some(max)) => Some(Self { min, max }),
            _ => None,
        })
    }
}

impl fmt::Display for OpVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.min, self.max)
    }
}

/// `MIN:MAX`, or `MAX` alone.
impl FromStr for OpVersions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once(':').unwrap_or(("1", text));
        let number =
            |part: &str| part.parse().map(OpVersion).map_err(|e| format!("op-version {part:?}: {e}"));
        let window = Self { min: number(min)?, max: number(max)? };
        if window.min > window.max {
            return Err(format!("op-versions {window}: the lowest is above the highest"));
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_survives_its_dict() {
        let window: OpVersions = "1:100000".parse().unwrap();
        assert_eq!(OpVersions::from_dict(&window.to_dict()), Ok(Some(window)));
        assert_eq!(OpVersions::from_dict(&[]), Ok(None));
    }

    #[test]
    fn releases_agree_with_their_formula() {
        for (major, version) in OpVersion::RELEASES {
            assert_eq!(OpVersion::of_release(major, 9), Some(version));
        }
        assert_eq!(OpVersion::of_release(7, 1), Some(OpVersion(70_000)));
        assert_eq!(OpVersion::of_release(3, 12), None);
    }

    #[test]
    fn windows_that_make_no_sense_are_named() {
        assert!("9:1".parse::<OpVersions>().unwrap_err().contains("above the highest"));
        assert!("x".parse::<OpVersions>().unwrap_err().contains("op-version \"x\""));
    }
}
