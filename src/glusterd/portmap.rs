//! The port of a brick (facts §9). Each glusterd knows its own bricks only: ask the brick's host.

use std::num::NonZeroU16;

use super::{ReplyError, programs::procedures};
use crate::xdr::{self, Text, xdr};

procedures! {
    /// Asks for the port of a brick by its path.
    PortByBrick = PORTMAP 1 (PortByBrickRequest<'a>) -> PortByBrickReply;
}

xdr! {
    /// Arguments of [`PortByBrick`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PortByBrickRequest<'a> {
        /// The brick's path, exactly as `remote-subvolume` has it.
        pub brick: Text<'a, 4096>,
    }
}

xdr! {
    /// Results of [`PortByBrick`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct PortByBrickReply {
        /// -1 for a brick that is unknown or does not run.
        pub op_ret: i32,
        /// 0 even then.
        pub op_errno: i32,
        /// 1 for a brick that runs.
        pub status: i32,
        /// Its TCP port.
        pub port: i32,
    }
}

impl PortByBrickReply {
    /// What glusterd answers for a brick that it does not know (facts §9).
    pub const NOT_FOUND: Self = Self { op_ret: -1, op_errno: 0, status: 0, port: 0 };
}

/// The port in the results of [`PortByBrick`]; `None` for a brick that does not run there.
pub fn port(body: &[u8]) -> Result<Option<NonZeroU16>, ReplyError> {
    let reply = xdr::decode::<PortByBrickReply>(body)?;
    Ok(u16::try_from(reply.port).ok().and_then(NonZeroU16::new).filter(|_| reply.op_ret >= 0))
}
