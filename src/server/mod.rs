//! The volfile server.
