//! PVs on Gluster volumes of somebody else: where they lie, what is known of them, how they come and go.
//!
//! A *pool* is a volume used as the home of PVs. A PV is a directory of it, in kadalu's layout ([`layout`]) with a record
//! beside it ([`record`]), or the whole volume, claimed by an attribute of its root. What is true stands on the volume; no
//! database is kept beside it. [`pool::Pool`] does what is done to PVs.

pub mod check;
pub mod config;
pub mod context;
pub mod enforced;
pub mod error;
pub mod handle;
pub mod known;
pub mod layout;
pub mod parameters;
pub mod pool;
pub mod quota;
pub mod record;

pub use error::{Error, Reason};
