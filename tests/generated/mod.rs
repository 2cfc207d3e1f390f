//! The codec that `xdrgen` makes of `xdr/*.x`: the oracle of `tests/xdr_oracle.rs` and the named peer of `benches/xdr.rs`.
//!
//! Not for use: it believes every length a peer claims. `include!` keeps rustfmt off it.
#![allow(
    clippy::all,
    clippy::disallowed_methods,
    clippy::use_self,
    dead_code,
    deprecated,
    invalid_value,
    missing_docs,
    non_camel_case_types,
    trivial_casts,
    unreachable_pub,
    unsafe_code,
    unused_parens,
    unused_qualifications
)]

/// RFC 5531.
pub mod rpc {
    include!("rpc.rs");
}
/// Credentials.
pub mod auth {
    include!("auth.rs");
}
/// GF-DUMP.
pub mod dump {
    include!("dump.rs");
}
/// Volfiles.
pub mod handshake {
    include!("handshake.rs");
}
/// What a server calls on its clients.
pub mod callback {
    include!("callback.rs");
}
/// Ports of bricks.
pub mod portmap {
    include!("portmap.rs");
}
/// The read-only CLI program.
pub mod cli {
    include!("cli.rs");
}
