//! What touches a mount, in a process that can be left behind.
//!
//! A system call on a FUSE mount waits for its glusterfs, for ever if need be. So the mount host makes none itself: a
//! child of its own program, `mount-helper`, gets one request on its standard input, writes what it finds to its
//! standard output and ends. At the deadline it is killed and forgotten. It shares the host's mount namespace, so it
//! also does the binds.

mod bind;
mod container;
mod copies;
mod failed;
mod group;
mod inside;
mod probe;
mod run;
mod serve;
mod space;
mod stage;
mod unmount;

use std::path::PathBuf;

use rustix::fs::ResolveFlags;
use serde::{Deserialize, Serialize};

pub use bind::{Bind, open_mount};
pub(in crate::mount) use container::MAX_TABLE;
pub use container::{Earlier, Placed, Rebind, Rebound};
pub use failed::Failed;
pub use probe::{Answer, Brick, Graph, Probe};
pub use run::Helper;
pub use serve::serve;
pub use space::{Amount, Space};
pub use unmount::remove_mount_point;

/// For paths below a directory of a volume: whoever can write there has made the links, and what is mounted there is not it.
pub(crate) const BELOW: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The first argument of a program that is to call [`serve`] at once.
pub const SUBCOMMAND: &str = "mount-helper";

/// What the child is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// How is this mount?
    Probe { mount: PathBuf, graph: bool },
    /// Show a directory of a mount at a target; with `look`, only where bricks answer on the mount.
    Bind { bind: Bind, look: bool },
    /// Replace what another mount namespace has of earlier processes.
    Rebind(Rebind),
    /// Take away the top mount at a path.
    Unmount { path: PathBuf, lazy: bool },
    /// How full is it here?
    Space { path: PathBuf },
    /// Let a group use a directory.
    Group { path: PathBuf, gid: u32 },
}

/// A line of the child's answer: what it found so far, and at the end how it went.
#[derive(Debug, Serialize, Deserialize)]
enum Reply<F> {
    Found(F),
    Done(Result<(), failed::Failure>),
}
