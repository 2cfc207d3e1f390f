//! One line about a call or a reply, for traces. Volfiles can hold credentials, so their bytes never appear.

use std::fmt::Write;

use bytes::Bytes;

use super::{
    Dict, OpVersions, Procedure,
    dump::{self, Dump},
    handshake::{self, Getspec, GetspecReply, GetspecRequest},
    portmap::{self, PortByBrick, PortByBrickRequest},
    programs,
};
use crate::{rpc::CallError, xdr};

/// What a call asks for.
pub fn call(program: u32, procedure: u32, body: &[u8]) -> String {
    let mut line = name(program, procedure, body.len());
    let _ = match (program, procedure) {
        to if Getspec::is(to) => match xdr::decode::<GetspecRequest<'_>>(body) {
            Ok(request) => {
                let announced = match OpVersions::from_dict(request.xdata.0) {
                    Ok(Some(window)) => window.to_string(),
                    Ok(None) => "none".to_owned(),
                    Err(error) => error.to_string(),
                };
                write!(line, ", flags {}, key {:?}, op-versions {announced}", request.flags, request.key)
            }
            Err(error) => write!(line, ", {error}"),
        },
        to if PortByBrick::is(to) => match xdr::decode::<PortByBrickRequest<'_>>(body) {
            Ok(request) => write!(line, ", brick {:?}", request.brick),
            Err(error) => write!(line, ", {error}"),
        },
        _ => Ok(()),
    };
    line
}

/// What a reply to a call says.
pub fn reply(program: u32, procedure: u32, result: &Result<Bytes, CallError>) -> String {
    let body = match result {
        Ok(body) => body,
        Err(error) => return format!("{}: {error}", name(program, procedure, 0)),
    };
    let mut line = name(program, procedure, body.len());
    let _ = match (program, procedure) {
        to if Getspec::is(to) => match xdr::decode::<GetspecReply<'_>>(body) {
            Ok(reply) => {
                let (op_ret, op_errno) = (reply.op_ret, reply.op_errno);
                let written = write!(
                    line,
                    ", op_ret {op_ret}, op_errno {op_errno}, volfile {} bytes",
                    reply.spec.0.len()
                );
                for (key, value) in Dict::decode(reply.xdata.0).unwrap_or_default().iter() {
                    let _ = write!(line, ", {key} {value:?}");
                }
                written
            }
            Err(error) => write!(line, ", {error}"),
        },
        to if Dump::is(to) => match dump::programs(body) {
            Ok(programs) => {
                programs.iter().try_for_each(|p| write!(line, ", {} v{}", p.name.as_bstr(), p.version))
            }
            Err(error) => write!(line, ", {error}"),
        },
        to if PortByBrick::is(to) => match portmap::port(body) {
            Ok(Some(port)) => write!(line, ", port {port}"),
            Ok(None) => write!(line, ", not running"),
            Err(error) => write!(line, ", {error}"),
        },
        to if handshake::GetVolumeInfo::is(to) || to.0 == programs::CLI.number && to.1 != 3 => {
            match super::cli::dict_reply(body) {
                Ok(dict) => write!(line, ", {} keys", dict.iter().count()),
                Err(error) => write!(line, ", {error}"),
            }
        }
        _ => Ok(()),
    };
    line
}

fn name(program: u32, procedure: u32, len: usize) -> String {
    let (program_name, procedure_name) = programs::name(program, procedure);
    let program = program_name.map_or_else(|| format!("program {program}"), str::to_owned);
    let procedure = procedure_name.map_or_else(|| format!("procedure {procedure}"), str::to_owned);
    format!("{program} {procedure}, {len} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_getspec_is_told_without_its_volfile() {
        let request = xdr::encode(&handshake::getspec("vol", &OpVersions::ANY.to_dict())).unwrap();
        assert_eq!(
            call(programs::HANDSHAKE.number, 2, &request),
            "Gluster Handshake GETSPEC, 76 bytes, flags 0, key \"vol\", op-versions 1:999999"
        );
        let body = xdr::encode(&GetspecReply::success(b"option password secret", &[]).unwrap()).unwrap();
        let line = reply(programs::HANDSHAKE.number, 2, &Ok(body.into()));
        assert_eq!(line, "Gluster Handshake GETSPEC, 40 bytes, op_ret 22, op_errno 0, volfile 22 bytes");
    }

    #[test]
    fn what_is_not_known_is_told_by_number() {
        assert_eq!(call(5, 6, &[]), "program 5 procedure 6, 0 bytes");
    }
}
