//! The mount host: the node's one owner of glusterfs processes, fed by watches, serving them through our volfile server.
//!
//! [`Host`] is what `kadalu mountd` runs. A *volume* is followed on behalf of its mounts and says which volfile they should
//! have; a *pool* is one glusterfs process and the targets that it serves, which are binds of its FUSE mount. Each process
//! fetches its volfile from us, over a unix socket, under a key of its own.
//!
//! What touches a mount is done in a [`helper`], a process that can be left behind when the mount hangs.

mod containers;
pub mod control;
pub mod diagnose;
mod dress;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod file;
#[rustfmt::skip]
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod generated;
mod glusterfs;
pub mod helper;
pub mod host;
pub mod installed;
mod list;
pub(crate) mod lock;
pub mod metrics;
pub mod mountinfo;
pub mod options;
mod pool;
mod ports;
mod process;
pub mod source;
mod store;
mod time;
mod volume;

pub use error::{Error, Reason};
pub use host::{Config, Host};
pub(crate) use volume::ask_around;
