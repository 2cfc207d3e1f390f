//! Credentials: flavors (facts §2.1) and the bodies of Gluster's own.
//!
//! glusterd looks at none of them on the management port and takes an unknown flavor for AUTH_NONE (facts §2.3), so this
//! client sends [`Auth::NONE`]; the others are here for our server's trace and for what talks to bricks.

use crate::xdr::{Array, List, Opaque, xdr};

/// The most bytes of a credential or verifier (RFC 5531 §8.2).
pub const MAX_AUTH: usize = 400;

/// Flavor AUTH_NONE.
pub const NONE: u32 = 0;
/// Flavor AUTH_SYS.
pub const SYS: u32 = 1;
/// Flavor AUTH_GLUSTERFS, version 1.
pub const GLUSTERFS: u32 = 5;
/// Flavor AUTH_GLUSTERFS_v2: what a stock client sends to port 24007.
pub const GLUSTERFS_V2: u32 = 390_039;
/// Flavor AUTH_GLUSTERFS_v3: what a stock client sends to bricks.
pub const GLUSTERFS_V3: u32 = 390_040;

xdr! {
    /// A credential or a verifier: a flavor and its opaque body.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Auth<'a> {
        /// One of the flavors of this module, or any other.
        pub flavor: u32,
        /// The body, to be decoded by flavor.
        pub body: Opaque<'a, MAX_AUTH>,
    }
}

impl Auth<'_> {
    /// No credential.
    pub const NONE: Self = Self { flavor: NONE, body: Opaque(&[]) };

    /// The flavor by its usual name.
    pub fn name(&self) -> &'static str {
        match self.flavor {
            NONE => "AUTH_NONE",
            SYS => "AUTH_SYS",
            GLUSTERFS => "AUTH_GLUSTERFS",
            GLUSTERFS_V2 => "AUTH_GLUSTERFS_v2",
            GLUSTERFS_V3 => "AUTH_GLUSTERFS_v3",
            _ => "unknown flavor",
        }
    }
}

xdr! {
    /// Body of [`GLUSTERFS`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuthGlusterfs {
        /// Owner of locks.
        pub lk_owner: u64,
        /// Process of the caller.
        pub pid: u32,
        /// User of the caller.
        pub uid: u32,
        /// Group of the caller.
        pub gid: u32,
        /// How many of `groups` count.
        pub ngroups: u32,
        /// Further groups; the rest is zero.
        pub groups: Array<16>,
    }
}

xdr! {
    /// Body of [`GLUSTERFS_V2`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuthGlusterfsV2<'a> {
        /// Process of the caller.
        pub pid: i32,
        /// User of the caller.
        pub uid: u32,
        /// Group of the caller.
        pub gid: u32,
        /// Further groups.
        pub groups: List<u32, 95>,
        /// Owner of locks.
        pub lk_owner: Opaque<'a, 380>,
    }
}

xdr! {
    /// Body of [`GLUSTERFS_V3`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuthGlusterfsV3<'a> {
        /// Process of the caller.
        pub pid: i32,
        /// User of the caller.
        pub uid: u32,
        /// Group of the caller.
        pub gid: u32,
        /// Flags of the operation.
        pub flags: u32,
        /// Nanoseconds of the client's clock.
        pub ctime_nsec: u32,
        /// Seconds of the client's clock.
        pub ctime_sec: u64,
        /// Further groups.
        pub groups: List<u32, 91>,
        /// Owner of locks.
        pub lk_owner: Opaque<'a, 364>,
    }
}
