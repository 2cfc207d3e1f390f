//! Gluster's programs on port 24007: the procedures, what their numbers and dicts mean, and what counts as success.
//!
//! Both sides use the same types: the client encodes what the server decodes. Nothing above this module sees a dict.
//!
//! Facts: `glusterd-protocol.md` §3 (procedures and structures), §4 (dicts), §5 (GETSPEC), §6 (callbacks).

pub mod cli;
pub mod describe;
pub mod dict;
pub mod dump;
pub mod handshake;
pub mod op_version;
pub mod portmap;
pub mod programs;
pub mod status;

pub use dict::{Dict, DictError};
pub use op_version::{OpVersion, OpVersions};
pub use programs::Procedure;

use crate::xdr::Malformed;

/// The most bytes of a dict on the wire: the description of a volume with thousands of bricks is below 2 MiB.
pub const MAX_DICT: usize = 4 << 20;

/// The most bytes of a volfile: a brick takes about 350 in one, so this is a volume of more than 40,000 bricks.
pub const MAX_SPEC: usize = 16 << 20;

/// The longest GETSPEC key or volume name that glusterd takes (facts §5.3).
pub const MAX_KEY: usize = 254;

/// A reply that has arrived whole but does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not the XDR of its procedure.
    #[error("malformed reply: {0}")]
    Malformed(#[from] Malformed),
    /// A dict in it cannot be read.
    #[error("malformed reply: {0}")]
    Dict(#[from] DictError),
    /// glusterd carried the call out and failed.
    #[error("glusterd answered op_ret {op_ret}, op_errno {op_errno}{}", reason(message))]
    Failed {
        /// The result, below zero.
        op_ret: i32,
        /// An errno, by which alone nothing should be decided.
        op_errno: i32,
        /// glusterd's own words; often none.
        message: String,
    },
}

fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Fails for `op_ret` below zero.
fn succeeded(op_ret: i32, op_errno: i32, message: &[u8]) -> Result<(), ReplyError> {
    if op_ret >= 0 {
        return Ok(());
    }
    let message = String::from_utf8_lossy(message).trim_end_matches('\0').to_owned();
    Err(ReplyError::Failed { op_ret, op_errno, message })
}
