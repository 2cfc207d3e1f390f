//! Sockets: TCP, TLS and unix, both ends.
//!
//! [`ServerAddress`] says where, [`connect()`] goes there, [`Listener`] is what they reach, and
//! [`Stream`] is what both give: bytes in order, whatever carries them. What the bytes mean is no business of this
//! module; of TLS it knows Gluster's way ([`TlsClient`]): a list of trusted certificates and no host names.

pub mod address;
mod certificate;
pub mod connect;
pub mod listen;
mod race;
mod socket;
pub mod stream;
pub mod tls;
pub mod trust;
mod wire;

#[cfg(test)]
mod test_peer;

pub use address::{
    AddressError, DEFAULT_PORT, MAX_SERVERS, ServerAddress, parse_brick_vol_servers, parse_servers,
};
pub use connect::{
    AttemptError, ConnectError, ConnectOptions, Connected, FailedAttempt, Family, SourcePort, connect,
};
pub use listen::{Listener, PeerInfo};
pub use stream::Stream;
pub use tls::{Pem, TlsClient, TlsConfigError, TlsError, TlsOptions, explain_early_close};
pub use trust::Untrusted;
pub use wire::{End, Wire};
