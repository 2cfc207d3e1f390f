//! Fetch, validate and watch the volfiles of a Gluster cluster, natively.
//!
//! A module imports only from those above it in this list:
//!
//! | module | what it is |
//! |---|---|
//! | [`xdr`] | bounded, borrowing XDR |
//! | [`rpc`] | SunRPC: records, messages, one connection as a state machine |
//! | [`glusterd`] | Gluster's programs on top of it |
//! | [`volfile`] | the volfile language: parse, validate, compare, classify, render |
//! | [`transport`] | sockets: TCP, TLS, unix |
//! | [`client`] | a client that survives servers, and `Watch` |
//! | [`server`] | the volfile server |
//! | [`mount`] | the mount host: glusterfs processes, their mounts, and who follows a volume for them |
//! | [`storage`] | PVs on a volume: layout, records, provisioning |
//! | [`csi`] | the storage driver of Kubernetes |
//! | [`quota`] | project quota on bricks: what `kadalu quotad` does |
//! | [`operator`] | KadaluStorage objects of Kubernetes into storage classes and a status (feature `operator`) |
//!
//! The first four take bytes and time as arguments and return values: no tokio, no clock, no files.
#![cfg_attr(not(feature = "operator"), doc = "\n[`operator`]: self")]

pub mod client;
pub mod csi;
pub mod glusterd;
pub mod mount;
#[cfg(feature = "operator")]
pub mod operator;
pub mod quota;
pub mod rpc;
pub mod server;
pub mod storage;
pub mod transport;
pub mod volfile;
pub mod xdr;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
