//! Bounded, borrowing XDR.
