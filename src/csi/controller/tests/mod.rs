//! Every call, on real pools: directories of this machine in the place of mounted volumes, whose volfiles are served by
//! the embedded server.

mod bed;
mod calls;
mod concurrent;
mod create;
mod delete;
mod expand;
mod find;
mod list;
mod quota;
mod whole;
