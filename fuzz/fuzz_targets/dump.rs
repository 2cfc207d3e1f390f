//! The replies that are lists and dicts of a peer's own length: DUMP, and the CLI's.
#![no_main]

use glusterd_client::{
    glusterd::{cli, dump, handshake, portmap},
    xdr,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(reply) = xdr::decode::<dump::DumpReply<'_>>(input) {
        assert_eq!(xdr::encode(&reply).as_deref(), Ok(input));
    }
    let _ = dump::programs(input);
    let _ = cli::volumes(input);
    let _ = cli::volume(input);
    let _ = cli::friends(input);
    let _ = cli::uuid(input);
    let _ = handshake::volume_id(input);
    let _ = handshake::snapshots(input);
    let _ = portmap::port(input);
});
