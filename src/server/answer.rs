//! What is answered to a call: the programs of glusterd that a `glusterfs` uses, and glusterd's answers to all others
//! (facts §1.3).

use std::sync::Arc;

use bytes::Bytes;

use super::volumes::Volumes;
use crate::{
    glusterd::{
        OpVersions, Procedure,
        dump::{Dump, DumpProgram, DumpReply, DumpRequest, Ping, PingReply},
        handshake::{self, Getspec, GetspecReply, GetspecRequest},
        portmap::{PortByBrick, PortByBrickReply, PortByBrickRequest},
        programs::{DUMP, HANDSHAKE, PORTMAP},
    },
    rpc::{Incoming, Program, message::Accepted},
    xdr::{self, Chain, Opaque, Pack, Text},
};

/// In the order of glusterd's own answer to DUMP.
const PROGRAMS: [Program; 3] = [DUMP, PORTMAP, HANDSHAKE];

/// The answer to a call, and what is to be kept about the connection.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Accepted,
    pub(super) body: Bytes,
    /// For a GETSPEC.
    pub(super) fetched: Option<Fetch>,
}

/// What a GETSPEC tells about its sender.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) key: String,
    /// The volume that it means, served or not.
    pub(super) volume: String,
    /// Of the volfile that it is given; none where there is no such volume.
    pub(super) digest: Option<Arc<str>>,
    pub(super) op_versions: Option<OpVersions>,
}

pub(super) fn answer(call: &Incoming, volumes: &Volumes) -> Answer {
    let Some(program) = PROGRAMS.iter().find(|program| program.number == call.program) else {
        return refuse(Accepted::ProgramUnavailable);
    };
    if call.version != program.version {
        // glusterd reports 0 to 0 whatever it has; ours is of use to who asks.
        return refuse(Accepted::ProgramMismatch { low: program.version, high: program.version });
    }
    match (call.program, call.procedure) {
        to if Getspec::is(to) => getspec(call, volumes),
        to if Ping::is(to) => success(&PingReply { op_ret: 0, op_errno: 0, xdata: Opaque(&[]) }),
        to if Dump::is(to) => match xdr::decode::<DumpRequest>(&call.body) {
            Ok(_) => success(&dump()),
            Err(_) => refuse(Accepted::GarbageArguments),
        },
        // Bricks are found through the glusterd of their own host; we know none.
        to if PortByBrick::is(to) => match xdr::decode::<PortByBrickRequest<'_>>(&call.body) {
            Ok(_) => success(&PortByBrickReply::NOT_FOUND),
            Err(_) => refuse(Accepted::GarbageArguments),
        },
        _ => refuse(Accepted::ProcedureUnavailable),
    }
}

fn getspec(call: &Incoming, volumes: &Volumes) -> Answer {
    let Ok(request) = xdr::decode::<GetspecRequest<'_>>(&call.body) else {
        return refuse(Accepted::GarbageArguments);
    };
    let op_versions = match handshake::announced(&request) {
        Ok(op_versions) => op_versions,
        Err(reply) => return success(&reply),
    };
    let key = request.key.as_bstr().to_string();
    let (volume, served) = volumes.find(&key);
    let digest = served.as_ref().map(|served| served.digest.clone());
    let fetched = Some(Fetch { key, volume, digest, op_versions });
    match served {
        Some(served) => Answer { status: Accepted::Success, body: served.reply, fetched },
        None => Answer { fetched, ..success(&GetspecReply::NOT_FOUND) },
    }
}

fn dump() -> DumpReply<'static> {
    let program = |program: &Program| DumpProgram {
        name: Text::from(program.name),
        number: program.number.into(),
        version: program.version.into(),
    };
    DumpReply { gfs_id: 0, op_ret: 0, op_errno: 0, programs: Chain(PROGRAMS.iter().map(program).collect()) }
}

fn refuse(status: Accepted) -> Answer {
    Answer { status, body: Bytes::new(), fetched: None }
}

/// Encodes results; ours are far below their bounds, and one that were not would be our own fault.
fn success(results: &impl Pack<Vec<u8>>) -> Answer {
    match xdr::encode(results) {
        Ok(body) => Answer { status: Accepted::Success, body: body.into(), fetched: None },
        Err(_) => refuse(Accepted::SystemError),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::{Buf, BytesMut};

    use super::*;
    use crate::rpc::{CallError, Event, Limits, Peer};

    /// One call through two peers, as over a wire.
    fn ask(volumes: &Volumes, to: (Program, u32), body: &impl Pack<Vec<u8>>) -> Result<Bytes, CallError> {
        let (mut client, mut server) =
            (Peer::<()>::new(Limits::default()), Peer::<()>::new(Limits::default()));
        client.call(Instant::now(), Duration::from_secs(1), to, body, ()).unwrap();
        let mut bytes = carry(&mut client);
        let Some(Event::Call(call)) = server.poll_event(&mut bytes).unwrap() else { panic!("no call") };
        let answer = answer(&call, volumes);
        server.reply(&call, answer.status, &answer.body).unwrap();
        let mut bytes = carry(&mut server);
        match client.poll_event(&mut bytes).unwrap() {
            Some(Event::Reply { result, .. }) => result,
            other => panic!("{other:?}"),
        }
    }

    fn carry(peer: &mut Peer<()>) -> BytesMut {
        let len = peer.waiting();
        let out = peer.transmit().copy_to_bytes(len);
        BytesMut::from(&out[..])
    }

    const VOLFILE: &str = "volume v\n type debug/io-stats\n option log-level INFO\nend-volume\n";

    #[test]
    fn keys_are_found_as_glusterd_finds_them() {
        let volumes = Volumes::default();
        volumes.publish("vol", VOLFILE.as_bytes()).unwrap();
        let xdata = OpVersions::ANY.to_dict();
        for (key, found) in [
            ("vol", true),
            ("/vol", true),
            ("vol.tcp", true),
            ("/vol.tcp-fuse", true),
            ("//vol", false),
            ("vol/sub", false),
            ("vol.rdma", false),
            ("", false),
        ] {
            let body = ask(&volumes, (HANDSHAKE, 2), &handshake::getspec(key, &xdata)).unwrap();
            let spec = handshake::spec(&body).unwrap();
            assert_eq!(spec.is_ok(), found, "{key:?}");
        }
    }

    #[test]
    fn what_there_is_not_is_refused_as_glusterd_refuses_it() {
        let volumes = Volumes::default();
        let refused = |program, procedure| ask(&volumes, (program, procedure), &()).unwrap_err();
        let unavailable = CallError::Refused(Accepted::ProcedureUnavailable);
        assert_eq!(
            refused(Program { number: 5, ..DUMP }, 1),
            CallError::Refused(Accepted::ProgramUnavailable)
        );
        assert_eq!(
            refused(crate::glusterd::programs::CLI, 33),
            CallError::Refused(Accepted::ProgramUnavailable)
        );
        assert_eq!(refused(HANDSHAKE, 0), unavailable);
        assert_eq!(refused(HANDSHAKE, 3), unavailable);
        assert_eq!(refused(PORTMAP, 4), unavailable);
        let mismatch = Accepted::ProgramMismatch { low: 2, high: 2 };
        assert_eq!(refused(Program { version: 9, ..HANDSHAKE }, 2), CallError::Refused(mismatch));
        assert_eq!(refused(HANDSHAKE, 2), CallError::Refused(Accepted::GarbageArguments));
    }

    #[test]
    fn a_brick_is_not_found_and_a_ping_is_answered() {
        let volumes = Volumes::default();
        let body = ask(&volumes, (PORTMAP, 1), &PortByBrickRequest { brick: Text::from("/b") }).unwrap();
        assert_eq!(crate::glusterd::portmap::port(&body), Ok(None));
        let body = ask(&volumes, (DUMP, 2), &()).unwrap();
        // Twelve zero bytes, as glusterd answers (facts §3.2).
        assert_eq!(body, [0; 12][..]);
        let body = ask(&volumes, (DUMP, 1), &DumpRequest { gfs_id: 0xcaed }).unwrap();
        let programs = crate::glusterd::dump::programs(&body).unwrap();
        assert_eq!(programs.iter().map(|p| p.number).collect::<Vec<_>>(), [123451501, 34123456, 14398633]);
    }

    #[test]
    fn a_faulty_volfile_is_refused_and_the_last_one_stays() {
        let volumes = Volumes::default();
        assert_eq!(volumes.publish("vol", VOLFILE.as_bytes()), Ok(true));
        assert_eq!(volumes.publish("vol", VOLFILE.as_bytes()), Ok(false));
        let refused = volumes.publish("vol", b"volume v\n option a `id`\nend-volume\n").unwrap_err();
        assert!(refused.to_string().starts_with("volfile of \"vol\" refused: "), "{refused}");
        let (_, served) = volumes.find("vol");
        assert_eq!(handshake::spec(&served.unwrap().reply).unwrap().unwrap().text, VOLFILE.as_bytes());
    }
}
