//! GETSPEC replies, and GETSPEC requests as a server reads them: what is read is written back as it was.
#![no_main]

use glusterd_client::{
    glusterd::handshake::{self, GetspecReply, GetspecRequest},
    xdr,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(reply) = xdr::decode::<GetspecReply<'_>>(input) {
        assert_eq!(xdr::encode(&reply).as_deref(), Ok(input));
    }
    if let Ok(request) = xdr::decode::<GetspecRequest<'_>>(input) {
        assert_eq!(xdr::encode(&request).as_deref(), Ok(input));
        let _ = handshake::announced(&request);
    }
    match handshake::spec(input) {
        Ok(Ok(spec)) => assert!(!spec.text.is_empty() && spec.text.len() < input.len()),
        Ok(Err(refusal)) => assert!(!refusal.to_string().is_empty()),
        Err(error) => assert!(error.to_string().contains("malformed reply")),
    }
});
