//! The volfile language.
mod error;
mod graph;
mod lex;
mod parse;
mod problem;
mod shown;
mod text;

pub use error::{Error, MAX_SIZE, SyntaxError};
pub use graph::{Graph, Xlator};
pub use problem::{Fault, Problem, Severity};
pub use text::{Section, Volfile, VolumeBuilder, VolumeOption};
