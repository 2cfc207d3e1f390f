//! Where a brick is.

use std::fmt;

use serde::{Serialize, Serializer};

use super::graph::Xlator;
use super::shown::shown;

/// The host and directory of a brick, `host:/path`, as glusterd writes them.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    /// `remote-host`: a name or an address.
    pub host: String,
    /// `remote-subvolume`: the brick's directory there. What is not UTF-8 is U+FFFD.
    pub path: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.path)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Xlator<'_> {
    /// The brick behind a `protocol/client`; `None` for other translators and for clients of services, such as
    /// that of the snapshot daemon, which has no `remote-host` and no path (facts §10.7).
    pub fn brick(self) -> Option<Address> {
        if self.xlator_type() != "protocol/client" {
            return None;
        }
        let path = self.option("remote-subvolume").filter(|path| path.starts_with(b"/"))?;
        Some(Address { host: shown(self.option("remote-host")?), path: shown(path) })
    }
}
