//! The mount host: glusterfs processes, their mounts, and who follows a volume for them.

pub mod control;
pub mod error;
#[cfg(test)]
mod fake;
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
pub mod host;
pub mod metrics;

pub use error::{Error, Reason};
pub use host::{Config, Host};
