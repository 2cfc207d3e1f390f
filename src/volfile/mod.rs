//! The volfile language.
mod brick;
mod diff;
mod error;
pub mod example;
mod faults;
mod graph;
mod item;
mod lex;
mod parse;
mod problem;
mod render;
mod secret;
mod shown;
mod text;
mod tree;

pub use brick::Address;
pub use diff::diff;
pub use error::{Error, MAX_SIZE, SyntaxError};
pub use faults::faults;
pub use graph::{Graph, Xlator};
pub use item::{Change, Class, Item};
pub use problem::{Fault, Problem, Severity};
pub use render::RenderError;
pub use text::{Section, Volfile, VolumeBuilder, VolumeOption};
