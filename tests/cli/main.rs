//! The command line of `kadalu`, as scripts depend on it: exit codes, messages, outputs. Everything but a real glusterd.

mod check;
mod config;
mod csi;
mod env;
mod failures;
mod fetch;
mod import;
mod manifests;
mod mounts;
mod output;
mod programs;
mod pvs;
mod quotad;
mod serve;
mod support;
mod units;
mod watch;
