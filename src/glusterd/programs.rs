//! Program and procedure numbers (facts §3): the same in Gluster 6 to 11.

use crate::{
    rpc::Program,
    xdr::{Pack, Reader, Unpack},
};

/// Which programs a server has, and PING.
pub const DUMP: Program = Program { name: "GF-DUMP", number: 123_451_501, version: 1 };
/// Volfiles.
pub const HANDSHAKE: Program = Program { name: "Gluster Handshake", number: 14_398_633, version: 2 };
/// Ports of bricks.
pub const PORTMAP: Program = Program { name: "Gluster Portmap", number: 34_123_456, version: 1 };
/// What the `gluster` command may ask over TCP.
pub const CLI: Program = Program { name: "GlusterD svc cli read-only", number: 1_238_463, version: 2 };
/// What a server calls on its clients.
pub const CALLBACK: Program = Program { name: "GlusterFS Callback", number: 52_743_234, version: 1 };

/// FETCHSPEC of [`CALLBACK`]: some volume changed, fetch yours again. No arguments, and never to be answered.
pub const FETCHSPEC: u32 = 1;

/// A procedure with the types of its arguments and results.
pub trait Procedure {
    /// The program it belongs to.
    const PROGRAM: Program;
    /// Its number there.
    const NUMBER: u32;
    /// Arguments.
    type Request<'a>: Pack<Vec<u8>> + Unpack<Reader<'a>>;
    /// Results.
    type Reply<'a>: Pack<Vec<u8>> + Unpack<Reader<'a>>;

    /// Whether a call to this program and procedure number is one of it.
    fn is((program, procedure): (u32, u32)) -> bool {
        (program, procedure) == (Self::PROGRAM.number, Self::NUMBER)
    }
}

/// Declares marker types for procedures.
macro_rules! procedures {
    ($($(#[$meta:meta])* $name:ident = $program:ident $number:literal ($request:ty) -> $reply:ty;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl $crate::glusterd::Procedure for $name {
            const PROGRAM: $crate::rpc::Program = $crate::glusterd::programs::$program;
            const NUMBER: u32 = $number;
            type Request<'a> = $request;
            type Reply<'a> = $reply;
        }
    )*};
}
pub(super) use procedures;

/// Names of a program and a procedure, for people; `None` for what this crate does not know.
pub fn name(program: u32, procedure: u32) -> (Option<&'static str>, Option<&'static str>) {
    let (known, names): (&Program, &[&str]) = match program {
        n if n == DUMP.number => (&DUMP, &["NULL", "DUMP", "PING"]),
        n if n == HANDSHAKE.number => (
            &HANDSHAKE,
            &[
                "NULL",
                "SETVOLUME",
                "GETSPEC",
                "PING",
                "SET_LK_VER",
                "EVENT_NOTIFY",
                "GET_VOLUME_INFO",
                "GET_SNAPSHOT_INFO",
            ],
        ),
        n if n == PORTMAP.number => {
            (&PORTMAP, &["NULL", "PORTBYBRICK", "BRICKBYPORT", "SIGNUP", "SIGNIN", "SIGNOUT"])
        }
        n if n == CALLBACK.number => (
            &CALLBACK,
            &[
                "NULL",
                "FETCHSPEC",
                "INO_FLUSH",
                "EVENT_NOTIFY",
                "GET_SNAPS",
                "CACHE_INVALIDATION",
                "CHILD_UP",
                "CHILD_DOWN",
                "RECALL_LEASE",
                "STATEDUMP",
                "INODELK_CONTENTION",
                "ENTRYLK_CONTENTION",
            ],
        ),
        n if n == CLI.number => {
            let procedure = match procedure {
                3 => Some("LIST_FRIENDS"),
                5 => Some("GET_VOLUME"),
                26 => Some("GETWD"),
                27 => Some("STATUS_VOLUME"),
                29 => Some("MOUNT"),
                30 => Some("UMOUNT"),
                33 => Some("LIST_VOLUME"),
                36 => Some("UUID_GET"),
                _ => None,
            };
            return (Some(CLI.name), procedure);
        }
        _ => return (None, None),
    };
    (Some(known.name), names.get(procedure as usize).copied())
}
