//! A client that survives any server's death.
//!
//! * [`Client`]: one connection to one glusterd, any call.
//! * [`Cluster`]: the servers of a cluster; fetches a volfile from whichever serves it.
//! * [`Watch`]: the current volfile of a volume as a stream of changes.

mod backoff;
mod cluster;
mod connection;
mod error;
mod session;
mod watch;

pub use backoff::Backoff;
pub use cluster::{Cluster, Fetched, Options, digest};
pub use connection::Client;
pub use error::{Error, Kind, NoVolfile};
pub(crate) use session::change;
pub use watch::{Event, Generation, Rejection, Watch};
