//! Gluster's programs.
