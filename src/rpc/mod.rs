//! SunRPC (RFC 5531) between peers that call each other on one connection, as glusterd does.
//!
//! * [`record`]: record marking, any fragmentation, bounded.
//! * [`message`] and [`auth`]: calls, replies, credentials.
//! * [`Peer`]: a connection as a state machine without sockets or clock.

pub mod auth;
pub mod message;
mod outbox;
mod peer;
pub mod record;

pub use peer::{Busy, CallError, Event, Incoming, Limits, Peer, Violation};

/// A remote program, as its server registers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Program {
    /// The name it has in Gluster's DUMP answer.
    pub name: &'static str,
    /// Program number.
    pub number: u32,
    /// Program version.
    pub version: u32,
}
