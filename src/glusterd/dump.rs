//! GF-DUMP: which programs a server has, and PING (facts §3.2). The RPC library of glusterd answers these without its
//! big lock: an answer to PING proves that the process lives, not that it can serve a volfile (facts §7).

use super::{ReplyError, programs::procedures, succeeded};
use crate::xdr::{self, Chain, Opaque, Text, xdr};

procedures! {
    /// Lists the programs.
    Dump = DUMP 1 (DumpRequest) -> DumpReply<'a>;
    /// Does nothing: the keepalive of an idle connection.
    Ping = DUMP 2 (()) -> PingReply<'a>;
}

xdr! {
    /// Arguments of [`Dump`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DumpRequest {
        /// Ignored; the stock client sends 0xcaed.
        pub gfs_id: u64,
    }
}

xdr! {
    /// One program of a [`DumpReply`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DumpProgram<'a> {
        /// Its name.
        pub name: Text<'a, 255>,
        /// Its number.
        pub number: u64,
        /// Its version.
        pub version: u64,
    }
}

xdr! {
    /// Results of [`Dump`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DumpReply<'a> {
        /// Zero.
        pub gfs_id: u64,
        /// Below zero for a failure.
        pub op_ret: i32,
        /// An errno.
        pub op_errno: i32,
        /// The programs.
        pub programs: Chain<DumpProgram<'a>, 256>,
    }
}

xdr! {
    /// Results of [`Ping`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PingReply<'a> {
        /// Below zero for a failure.
        pub op_ret: i32,
        /// An errno.
        pub op_errno: i32,
        /// Nothing.
        pub xdata: Opaque<'a, 65536>,
    }
}

/// The programs in the results of [`Dump`].
pub fn programs(body: &[u8]) -> Result<Vec<DumpProgram<'_>>, ReplyError> {
    let reply = xdr::decode::<DumpReply<'_>>(body)?;
    succeeded(reply.op_ret, reply.op_errno, &[])?;
    Ok(reply.programs.0)
}
