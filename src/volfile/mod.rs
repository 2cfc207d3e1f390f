//! The volfile language.
