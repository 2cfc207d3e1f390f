//! Calls and replies (RFC 5531 §9). The arguments and results stay undecoded behind the header.

use std::fmt;

use super::{Program, auth::Auth};
use crate::xdr::{self, Malformed, Pack, Reader, Unpack, Why, in_field, xdr};

/// The version of the RPC protocol that there is.
pub const RPC_VERSION: u32 = 2;

const CALL: u32 = 0;
const REPLY: u32 = 1;

xdr! {
    /// The header of a call; its arguments follow.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Call<'a> {
        /// Must be [`RPC_VERSION`].
        pub rpc_version: u32,
        /// Program number.
        pub program: u32,
        /// Program version.
        pub version: u32,
        /// Procedure number.
        pub procedure: u32,
        /// Who calls.
        pub credential: Auth<'a>,
        /// Proof of the credential; glusterd copies it into its reply.
        pub verifier: Auth<'a>,
    }
}

impl Call<'static> {
    /// A call without credential, as every program and version of glusterd accepts it (facts §2.3).
    pub fn new(program: Program, procedure: u32) -> Self {
        Self {
            rpc_version: RPC_VERSION,
            program: program.number,
            version: program.version,
            procedure,
            credential: Auth::NONE,
            verifier: Auth::NONE,
        }
    }
}

/// What a reply says before its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The call was accepted; the results follow where `status` is [`Accepted::Success`].
    Accepted {
        /// The server's verifier.
        verifier: Auth<'a>,
        /// How the call went.
        status: Accepted,
    },
    /// The call was refused.
    Denied(Denied),
}

/// `accept_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Results follow.
    Success,
    /// The server has no such program.
    ProgramUnavailable,
    /// The program has other versions; glusterd reports 0 to 0 whatever it has (facts §1.3).
    ProgramMismatch {
        /// Lowest version.
        low: u32,
        /// Highest version.
        high: u32,
    },
    /// The program has no such procedure.
    ProcedureUnavailable,
    /// The server could not decode the arguments.
    GarbageArguments,
    /// The server failed by itself.
    SystemError,
}

/// `reject_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Another version of the RPC protocol is wanted.
    RpcMismatch {
        /// Lowest version.
        low: u32,
        /// Highest version.
        high: u32,
    },
    /// Authentication failed; the number is RFC 5531's `auth_stat`. glusterd says 2 for a source port of 1024 or more
    /// where it forbids those, and 0 for a credential that it could not decode (facts §1.3).
    Authentication(u32),
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::ProgramUnavailable => f.write_str("it has no such program (PROG_UNAVAIL)"),
            Self::ProgramMismatch { low, high } => {
                write!(f, "it has other versions of the program, {low} to {high} (PROG_MISMATCH)")
            }
            Self::ProcedureUnavailable => f.write_str("it has no such procedure (PROC_UNAVAIL)"),
            Self::GarbageArguments => f.write_str("it could not decode the arguments (GARBAGE_ARGS)"),
            Self::SystemError => f.write_str("it failed by itself (SYSTEM_ERR)"),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RpcMismatch { low, high } => {
                write!(f, "it wants RPC version {low} to {high} (RPC_MISMATCH)")
            }
            Self::Authentication(status) => write!(f, "it does not accept who we are (AUTH_ERROR {status})"),
        }
    }
}

/// One message off the wire: its xid, its header, and the bytes behind the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Chosen by the caller; the two directions of a connection count apart.
    pub xid: u32,
    /// Call or reply.
    pub kind: Kind<'a>,
    /// Arguments or results.
    pub body: &'a [u8],
}

/// The two kinds of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// The peer calls.
    Call(Call<'a>),
    /// The peer answers.
    Reply(Reply<'a>),
}

impl<'a> Message<'a> {
    /// Splits a record into header and body.
    pub fn decode(record: &'a [u8]) -> Result<Self, Malformed> {
        let (Header { xid, kind }, body) = xdr::decode_prefix(record)?;
        Ok(Self { xid, kind, body })
    }
}

/// The part of a message that XDR describes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// See [`Message::xid`].
    pub xid: u32,
    /// See [`Message::kind`].
    pub kind: Kind<'a>,
}

/// Reads a discriminant below `count`; another is a failure and reads as 0.
fn discriminant(input: &mut Reader<'_>, field: &'static str, count: u32) -> xdr_codec::Result<u32> {
    let at = input.position();
    let value = in_field(input, field)?;
    if value < count {
        return Ok(value);
    }
    input.fail(at, Why::Discriminant(value));
    in_field::<()>(input, field)?;
    Ok(0)
}

impl<'a> Unpack<Reader<'a>> for Header<'a> {
    fn unpack(input: &mut Reader<'a>) -> xdr_codec::Result<(Self, usize)> {
        let start = input.position();
        let xid = in_field(input, "message.xid")?;
        let kind = match discriminant(input, "message.type", 2)? {
            CALL => Kind::Call(Call::unpack(input)?.0),
            _ => Kind::Reply(Reply::unpack(input)?.0),
        };
        Ok((Self { xid, kind }, input.position() - start))
    }
}

impl<Out: std::io::Write> Pack<Out> for Header<'_> {
    fn pack(&self, out: &mut Out) -> xdr_codec::Result<usize> {
        let size = self.xid.pack(out)?;
        Ok(size
            + match &self.kind {
                Kind::Call(call) => CALL.pack(out)? + call.pack(out)?,
                Kind::Reply(reply) => REPLY.pack(out)? + reply.pack(out)?,
            })
    }
}

impl<'a> Unpack<Reader<'a>> for Reply<'a> {
    fn unpack(input: &mut Reader<'a>) -> xdr_codec::Result<(Self, usize)> {
        let start = input.position();
        let reply = if discriminant(input, "reply.status", 2)? == 0 {
            let verifier = in_field(input, "reply.verifier")?;
            let status = match discriminant(input, "reply.accept_status", 6)? {
                0 => Accepted::Success,
                1 => Accepted::ProgramUnavailable,
                2 => Accepted::ProgramMismatch {
                    low: in_field(input, "reply.low")?,
                    high: in_field(input, "reply.high")?,
                },
                3 => Accepted::ProcedureUnavailable,
                4 => Accepted::GarbageArguments,
                _ => Accepted::SystemError,
            };
            Self::Accepted { verifier, status }
        } else {
            Self::Denied(match discriminant(input, "reply.reject_status", 2)? {
                0 => Denied::RpcMismatch {
                    low: in_field(input, "reply.low")?,
                    high: in_field(input, "reply.high")?,
                },
                _ => Denied::Authentication(in_field(input, "reply.auth_status")?),
            })
        };
        Ok((reply, input.position() - start))
    }
}

impl<Out: std::io::Write> Pack<Out> for Reply<'_> {
    fn pack(&self, out: &mut Out) -> xdr_codec::Result<usize> {
        match self {
            Self::Accepted { verifier, status } => {
                let size = 0u32.pack(out)? + verifier.pack(out)?;
                Ok(size
                    + match *status {
                        Accepted::Success => 0u32.pack(out)?,
                        Accepted::ProgramUnavailable => 1u32.pack(out)?,
                        Accepted::ProgramMismatch { low, high } => {
                            2u32.pack(out)? + low.pack(out)? + high.pack(out)?
                        }
                        Accepted::ProcedureUnavailable => 3u32.pack(out)?,
                        Accepted::GarbageArguments => 4u32.pack(out)?,
                        Accepted::SystemError => 5u32.pack(out)?,
                    })
            }
            Self::Denied(Denied::RpcMismatch { low, high }) => {
                Ok(1u32.pack(out)? + 0u32.pack(out)? + low.pack(out)? + high.pack(out)?)
            }
            Self::Denied(Denied::Authentication(status)) => {
                Ok(1u32.pack(out)? + 1u32.pack(out)? + status.pack(out)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_another_type_is_named_with_its_place() {
        let error = Message::decode(&[0, 0, 0, 1, 0, 0, 0, 7]).unwrap_err();
        assert_eq!(error.to_string(), "message.type, byte 4: 7 is not a known discriminant");
    }

    #[test]
    fn golden_denial_for_an_insecure_port() {
        let bytes = [9u32, 1, 1, 1, 2].map(u32::to_be_bytes).concat();
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Reply(Reply::Denied(Denied::Authentication(2))));
    }

    #[test]
    fn every_truncation_of_a_header_is_an_error() {
        let header = Header {
            xid: 3,
            kind: Kind::Reply(Reply::Accepted {
                verifier: Auth::NONE,
                status: Accepted::ProgramMismatch { low: 1, high: 2 },
            }),
        };
        let bytes = xdr::encode(&header).unwrap();
        for cut in 0..bytes.len() {
            assert!(Message::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(Message::decode(&bytes).unwrap().kind, header.kind);
    }
}
