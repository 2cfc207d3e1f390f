//! Every wire type against `xdrgen`'s codec of the same interface: the same bytes, the same values, the same bounds.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod generated;

use std::fmt::Debug;

use generated as theirs;
use glusterd_client::{
    glusterd::{
        Procedure,
        cli::{self, ListFriendsReply, ListFriendsRequest},
        dump::{DumpProgram, DumpReply, DumpRequest, PingReply},
        handshake::{
            self, DictReply, DictRequest, EventNotifyReply, EventNotifyRequest, GetspecReply, GetspecRequest,
        },
        portmap::{self, PortByBrickReply, PortByBrickRequest},
        programs,
    },
    rpc::{
        auth::{self, Auth, AuthGlusterfs, AuthGlusterfsV2, AuthGlusterfsV3},
        message::{Accepted, Call, Denied, Header, Kind, Message, Reply},
    },
    xdr::{self, Array, Chain, List, Opaque, Pack, Reader, Text, Unpack},
};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseResult};

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,24}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn pack(theirs: &impl Pack<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    theirs.pack(&mut out).unwrap();
    out
}

/// `wire` is the oracle's encoding of `theirs`, which has the value of `ours`.
fn agree<'a, T, O>(wire: &'a [u8], ours: &T, _: &O) -> TestCaseResult
where
    T: Pack<Vec<u8>> + Unpack<Reader<'a>> + PartialEq + Debug,
    O: for<'w> Unpack<&'w [u8]> + Pack<Vec<u8>>,
{
    let encoded = xdr::encode(ours).unwrap();
    prop_assert_eq!(&encoded, wire);
    prop_assert_eq!(&xdr::decode::<T>(wire).unwrap(), ours);
    let (decoded, size) = O::unpack(&mut &encoded[..]).unwrap();
    // xdrgen derives no `PartialEq` for lists: its values are compared as it encodes them.
    prop_assert_eq!((&*pack(&decoded), size), (wire, wire.len()));
    for cut in 0..wire.len() {
        prop_assert!(xdr::decode::<T>(&wire[..cut]).is_err(), "cut at {cut} of {}", wire.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn getspec_request(flags: u32, key in text(), xdata in bytes()) {
        let theirs = theirs::handshake::GetspecRequest { flags, key, xdata };
        let ours = GetspecRequest { flags, key: Text::from(&*theirs.key), xdata: Opaque(&theirs.xdata) };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn getspec_reply(op_ret: i32, op_errno: i32, spec in text(), xdata in bytes()) {
        let theirs = theirs::handshake::GetspecReply { op_ret, op_errno, spec, xdata };
        let ours =
            GetspecReply { op_ret, op_errno, spec: Text::from(&*theirs.spec), xdata: Opaque(&theirs.xdata) };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn event_notify(op: i32, op_errno: i32, dict in bytes()) {
        let theirs = theirs::handshake::EventNotifyRequest { op, dict: dict.clone() };
        agree(&pack(&theirs), &EventNotifyRequest { op, dict: Opaque(&dict) }, &theirs)?;
        let theirs = theirs::handshake::EventNotifyReply { op_ret: op, op_errno, dict: dict.clone() };
        agree(&pack(&theirs), &EventNotifyReply { op_ret: op, op_errno, dict: Opaque(&dict) }, &theirs)?;
    }

    #[test]
    fn dicts_of_the_handshake_and_of_the_cli(op_ret: i32, op_errno: i32, op_errstr in text(), dict in bytes()) {
        let theirs = theirs::handshake::DictRequest { dict: dict.clone() };
        agree(&pack(&theirs), &DictRequest { dict: Opaque(&dict) }, &theirs)?;
        let theirs = theirs::cli::CliRequest { dict: dict.clone() };
        agree(&pack(&theirs), &DictRequest { dict: Opaque(&dict) }, &theirs)?;

        let ours = DictReply { op_ret, op_errno, op_errstr: Text::from(&*op_errstr), dict: Opaque(&dict) };
        let (op_errstr, dict) = (op_errstr.clone(), dict.clone());
        let theirs =
            theirs::handshake::DictReply { op_ret, op_errno, op_errstr: op_errstr.clone(), dict: dict.clone() };
        agree(&pack(&theirs), &ours, &theirs)?;
        let theirs = theirs::cli::CliReply { op_ret, op_errno, op_errstr, dict };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn list_friends(flags: i32, op_errno: i32, dict in bytes()) {
        let theirs = theirs::cli::ListFriendsRequest { flags, dict: dict.clone() };
        agree(&pack(&theirs), &ListFriendsRequest { flags, dict: Opaque(&dict) }, &theirs)?;
        let theirs = theirs::cli::ListFriendsReply { op_ret: flags, op_errno, friends: dict.clone() };
        agree(&pack(&theirs), &ListFriendsReply { op_ret: flags, op_errno, friends: Opaque(&dict) }, &theirs)?;
    }

    #[test]
    fn dump(gfs_id: u64, op_ret: i32, op_errno: i32, list in vec((text(), any::<u64>(), any::<u64>()), 0..6)) {
        let theirs = theirs::dump::DumpRequest { gfs_id };
        agree(&pack(&theirs), &DumpRequest { gfs_id }, &theirs)?;

        let chained = list.iter().rev().fold(None, |next, (name, number, version)| {
            let (name, number, version) = (name.clone(), *number, *version);
            Some(Box::new(theirs::dump::DumpProgram { name, number, version, next }))
        });
        let theirs = theirs::dump::DumpReply { gfs_id, op_ret, op_errno, programs: chained };
        let programs = list.iter().map(|(name, number, version)| DumpProgram {
            name: Text::from(&**name),
            number: *number,
            version: *version,
        });
        agree(
            &pack(&theirs),
            &DumpReply { gfs_id, op_ret, op_errno, programs: Chain(programs.collect()) },
            &theirs,
        )?;
    }

    #[test]
    fn ping(op_ret: i32, op_errno: i32, xdata in bytes()) {
        let theirs = theirs::dump::PingReply { op_ret, op_errno, xdata: xdata.clone() };
        agree(&pack(&theirs), &PingReply { op_ret, op_errno, xdata: Opaque(&xdata) }, &theirs)?;
    }

    #[test]
    fn port_by_brick(brick in text(), op_ret: i32, op_errno: i32, status: i32, port: i32) {
        let theirs = theirs::portmap::PortByBrickRequest { brick: brick.clone() };
        agree(&pack(&theirs), &PortByBrickRequest { brick: Text::from(&*brick) }, &theirs)?;
        let theirs = theirs::portmap::PortByBrickReply { op_ret, op_errno, status, port };
        agree(&pack(&theirs), &PortByBrickReply { op_ret, op_errno, status, port }, &theirs)?;
    }

    #[test]
    fn auth_glusterfs(lk_owner: u64, pid: u32, uid: u32, gid: u32, ngroups: u32, groups: [u32; 16]) {
        let theirs = theirs::auth::AuthGlusterfs { lk_owner, pid, uid, gid, ngroups, groups };
        let ours = AuthGlusterfs { lk_owner, pid, uid, gid, ngroups, groups: Array(groups) };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn auth_glusterfs_v2(pid: i32, uid: u32, gid: u32, groups in vec(any::<u32>(), 0..=95), lk_owner in bytes()) {
        let theirs =
            theirs::auth::AuthGlusterfsV2 { pid, uid, gid, groups: groups.clone(), lk_owner: lk_owner.clone() };
        let ours = AuthGlusterfsV2 { pid, uid, gid, groups: List(groups), lk_owner: Opaque(&lk_owner) };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn auth_glusterfs_v3(
        (pid, uid, gid, flags, ctime_nsec) in any::<(i32, u32, u32, u32, u32)>(),
        ctime_sec: u64,
        groups in vec(any::<u32>(), 0..=91),
        lk_owner in bytes(),
    ) {
        let theirs = theirs::auth::AuthGlusterfsV3 {
            pid, uid, gid, flags, ctime_nsec, ctime_sec, groups: groups.clone(), lk_owner: lk_owner.clone(),
        };
        let lk_owner = Opaque(&lk_owner);
        let ours =
            AuthGlusterfsV3 { pid, uid, gid, flags, ctime_nsec, ctime_sec, groups: List(groups), lk_owner };
        agree(&pack(&theirs), &ours, &theirs)?;
    }

    #[test]
    fn messages(theirs in message(), body in bytes()) {
        let wire = pack(&theirs);
        let ours = header(&theirs);
        agree(&wire, &ours, &theirs)?;
        let record = [&wire[..], &body].concat();
        let whole = Message::decode(&record).unwrap();
        prop_assert_eq!((whole.xid, whole.kind, whole.body), (ours.xid, ours.kind, &body[..]));
    }
}

fn credential() -> impl Strategy<Value = theirs::rpc::Auth> {
    (any::<u32>(), bytes()).prop_map(|(flavor, body)| theirs::rpc::Auth { flavor, body })
}

fn message() -> impl Strategy<Value = theirs::rpc::Message> {
    use theirs::rpc::{self, AcceptBody};

    let versions = (any::<u32>(), any::<u32>()).prop_map(|(low, high)| rpc::Versions { low, high });
    let call = (any::<[u32; 4]>(), credential(), credential()).prop_map(|(words, credential, verifier)| {
        let [rpc_version, program, version, procedure] = words;
        rpc::MessageBody::CALL(rpc::Call { rpc_version, program, version, procedure, credential, verifier })
    });
    let accepted = prop_oneof![
        Just(AcceptBody::SUCCESS),
        Just(AcceptBody::PROG_UNAVAIL),
        versions.clone().prop_map(AcceptBody::PROG_MISMATCH),
        Just(AcceptBody::PROC_UNAVAIL),
        Just(AcceptBody::GARBAGE_ARGS),
        Just(AcceptBody::SYSTEM_ERR),
    ];
    let denied = prop_oneof![
        versions.prop_map(rpc::Denied::RPC_MISMATCH),
        any::<u32>().prop_map(rpc::Denied::AUTH_ERROR)
    ];
    let reply = prop_oneof![
        (credential(), accepted)
            .prop_map(|(verifier, body)| rpc::Reply::MSG_ACCEPTED(rpc::Accepted { verifier, body })),
        denied.prop_map(rpc::Reply::MSG_DENIED),
    ];
    (any::<u32>(), prop_oneof![call, reply.prop_map(rpc::MessageBody::REPLY)])
        .prop_map(|(xid, body)| rpc::Message { xid, body })
}

fn header(message: &theirs::rpc::Message) -> Header<'_> {
    use theirs::rpc::{self, AcceptBody};

    fn auth(auth: &rpc::Auth) -> Auth<'_> {
        Auth { flavor: auth.flavor, body: Opaque(&auth.body) }
    }
    let kind = match &message.body {
        rpc::MessageBody::CALL(call) => Kind::Call(Call {
            rpc_version: call.rpc_version,
            program: call.program,
            version: call.version,
            procedure: call.procedure,
            credential: auth(&call.credential),
            verifier: auth(&call.verifier),
        }),
        rpc::MessageBody::REPLY(rpc::Reply::MSG_ACCEPTED(accepted)) => Kind::Reply(Reply::Accepted {
            verifier: auth(&accepted.verifier),
            status: match accepted.body {
                AcceptBody::SUCCESS => Accepted::Success,
                AcceptBody::PROG_UNAVAIL => Accepted::ProgramUnavailable,
                AcceptBody::PROG_MISMATCH(rpc::Versions { low, high }) => {
                    Accepted::ProgramMismatch { low, high }
                }
                AcceptBody::PROC_UNAVAIL => Accepted::ProcedureUnavailable,
                AcceptBody::GARBAGE_ARGS => Accepted::GarbageArguments,
                AcceptBody::SYSTEM_ERR => Accepted::SystemError,
            },
        }),
        rpc::MessageBody::REPLY(rpc::Reply::MSG_DENIED(denied)) => {
            Kind::Reply(Reply::Denied(match *denied {
                rpc::Denied::RPC_MISMATCH(rpc::Versions { low, high }) => Denied::RpcMismatch { low, high },
                rpc::Denied::AUTH_ERROR(status) => Denied::Authentication(status),
            }))
        }
    };
    Header { xid: message.xid, kind }
}

/// Whether both codecs take a value, which they must at its bound and must not above it.
fn both_take<T: Pack<Vec<u8>>, O: Pack<Vec<u8>>>(ours: &T, theirs: &O) -> [bool; 2] {
    [xdr::encode(ours).is_ok(), theirs.pack(&mut Vec::new()).is_ok()]
}

#[test]
fn the_bounds_of_the_code_are_those_of_the_interface() {
    const DICT: usize = glusterd_client::glusterd::MAX_DICT;
    const SPEC: usize = glusterd_client::glusterd::MAX_SPEC;

    type Case = (&'static str, usize, fn(usize) -> [bool; 2]);
    let cases: [Case; 10] = [
        ("GetspecRequest.key", 1024, |n| {
            let theirs = theirs::handshake::GetspecRequest { flags: 0, key: "k".repeat(n), xdata: vec![] };
            let ours = GetspecRequest { flags: 0, key: Text::from(&*theirs.key), xdata: Opaque(&[]) };
            both_take(&ours, &theirs)
        }),
        ("GetspecReply.spec", SPEC, |n| {
            let spec = "s".repeat(n);
            let theirs =
                theirs::handshake::GetspecReply { op_ret: 0, op_errno: 0, spec: spec.clone(), xdata: vec![] };
            let ours = GetspecReply { op_ret: 0, op_errno: 0, spec: Text::from(&*spec), xdata: Opaque(&[]) };
            both_take(&ours, &theirs)
        }),
        ("DictRequest.dict", DICT, |n| {
            let theirs = theirs::handshake::DictRequest { dict: vec![0; n] };
            both_take(&DictRequest { dict: Opaque(&theirs.dict) }, &theirs)
        }),
        ("DictReply.op_errstr", 65_536, |n| {
            let op_errstr = "e".repeat(n);
            let theirs =
                theirs::cli::CliReply { op_ret: 0, op_errno: 0, op_errstr: op_errstr.clone(), dict: vec![] };
            let op_errstr = Text::from(&*op_errstr);
            both_take(&DictReply { op_ret: 0, op_errno: 0, op_errstr, dict: Opaque(&[]) }, &theirs)
        }),
        ("PingReply.xdata", 65_536, |n| {
            let theirs = theirs::dump::PingReply { op_ret: 0, op_errno: 0, xdata: vec![0; n] };
            both_take(&PingReply { op_ret: 0, op_errno: 0, xdata: Opaque(&theirs.xdata) }, &theirs)
        }),
        ("DumpProgram.name", 255, |n| {
            let name = "n".repeat(n);
            let theirs = theirs::dump::DumpProgram { name: name.clone(), number: 0, version: 0, next: None };
            both_take(&DumpProgram { name: Text::from(&*name), number: 0, version: 0 }, &theirs)
        }),
        ("PortByBrickRequest.brick", 4096, |n| {
            let theirs = theirs::portmap::PortByBrickRequest { brick: "b".repeat(n) };
            both_take(&PortByBrickRequest { brick: Text::from(&*theirs.brick) }, &theirs)
        }),
        ("Auth.body", auth::MAX_AUTH, |n| {
            let theirs = theirs::rpc::Auth { flavor: 0, body: vec![0; n] };
            both_take(&Auth { flavor: 0, body: Opaque(&theirs.body) }, &theirs)
        }),
        ("AuthGlusterfsV2.groups", 95, |n| {
            let groups = vec![0; n];
            let theirs =
                theirs::auth::AuthGlusterfsV2 { pid: 0, uid: 0, gid: 0, groups, lk_owner: vec![0; 380] };
            let (groups, lk_owner) = (List(theirs.groups.clone()), Opaque(&theirs.lk_owner));
            both_take(&AuthGlusterfsV2 { pid: 0, uid: 0, gid: 0, groups, lk_owner }, &theirs)
        }),
        ("AuthGlusterfsV3.groups", 91, |n| {
            let theirs = theirs::auth::AuthGlusterfsV3 {
                pid: 0,
                uid: 0,
                gid: 0,
                flags: 0,
                ctime_nsec: 0,
                ctime_sec: 0,
                groups: vec![0; n],
                lk_owner: vec![0; 364],
            };
            let (groups, lk_owner) = (List(theirs.groups.clone()), Opaque(&theirs.lk_owner));
            let ours = AuthGlusterfsV3 {
                pid: 0,
                uid: 0,
                gid: 0,
                flags: 0,
                ctime_nsec: 0,
                ctime_sec: 0,
                groups,
                lk_owner,
            };
            both_take(&ours, &theirs)
        }),
    ];
    for (field, bound, takes) in cases {
        assert_eq!(takes(bound), [true; 2], "{field} at its bound of {bound}: [ours, theirs]");
        assert_eq!(takes(bound + 1), [false; 2], "{field} above its bound of {bound}: [ours, theirs]");
    }
}

/// The `const`s of an interface whose names begin with `prefix`: what follows it, and the number.
fn consts<'a>(interface: &'a str, prefix: &str) -> Vec<(&'a str, u32)> {
    let lines = interface.lines().filter_map(|line| line.strip_prefix("const ")?.strip_prefix(prefix));
    let pairs = lines.filter_map(|line| line.split_once(';')?.0.split_once(" = "));
    pairs.map(|(name, number)| (name, number.parse().unwrap())).collect()
}

#[test]
fn programs_and_procedures_have_the_numbers_of_the_interface() {
    for (interface, prefix, program) in [
        (include_str!("../xdr/dump.x"), "DUMP", programs::DUMP),
        (include_str!("../xdr/handshake.x"), "HANDSHAKE", programs::HANDSHAKE),
        (include_str!("../xdr/callback.x"), "CALLBACK", programs::CALLBACK),
        (include_str!("../xdr/portmap.x"), "PORTMAP", programs::PORTMAP),
        (include_str!("../xdr/cli.x"), "CLI", programs::CLI),
    ] {
        assert_eq!(consts(interface, &format!("{prefix}_PROGRAM")), [("", program.number)], "{prefix}");
        assert_eq!(consts(interface, &format!("{prefix}_VERSION")), [("", program.version)], "{prefix}");
        let declared = consts(interface, &format!("{prefix}_PROC_"));
        let named = (0..256).filter_map(|n| Some((programs::name(program.number, n).1?, n)));
        assert_eq!(declared, named.collect::<Vec<_>>(), "{prefix}: (declared, named)");
    }
}

#[test]
fn procedures_of_the_code_are_those_of_the_interface() {
    fn check<P: Procedure>(name: &str) {
        assert_eq!(programs::name(P::PROGRAM.number, P::NUMBER).1, Some(name));
    }
    check::<handshake::Getspec>("GETSPEC");
    check::<handshake::EventNotify>("EVENT_NOTIFY");
    check::<handshake::GetVolumeInfo>("GET_VOLUME_INFO");
    check::<handshake::GetSnapshotInfo>("GET_SNAPSHOT_INFO");
    check::<glusterd_client::glusterd::dump::Dump>("DUMP");
    check::<glusterd_client::glusterd::dump::Ping>("PING");
    check::<portmap::PortByBrick>("PORTBYBRICK");
    check::<cli::ListFriends>("LIST_FRIENDS");
    check::<cli::GetVolume>("GET_VOLUME");
    check::<cli::ListVolume>("LIST_VOLUME");
    check::<cli::UuidGet>("UUID_GET");
    assert_eq!(programs::name(programs::CALLBACK.number, programs::FETCHSPEC).1, Some("FETCHSPEC"));

    let flavors = consts(include_str!("../xdr/auth.x"), "AUTH_");
    let ours = [
        ("NONE", auth::NONE),
        ("SYS", auth::SYS),
        ("GLUSTERFS", auth::GLUSTERFS),
        ("GLUSTERFS_V2", auth::GLUSTERFS_V2),
        ("GLUSTERFS_V3", auth::GLUSTERFS_V3),
    ];
    assert_eq!(flavors, ours);
}
