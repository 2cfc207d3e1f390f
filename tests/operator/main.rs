//! The operator beside an API server in memory: what a cluster goes through with it.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

#[path = "../fakes/api/mod.rs"]
mod api;
mod bed;
mod binary;
mod drift;
mod faults;
mod leading;
mod life;
mod rights;
mod volume;
