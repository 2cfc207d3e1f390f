//! SunRPC.
