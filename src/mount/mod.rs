//! The mount host: glusterfs processes, their mounts, and who follows a volume for them.

pub mod diagnose;
pub mod error;
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

pub mod installed;
pub mod options;
pub mod source;

pub use error::{Error, Reason};
