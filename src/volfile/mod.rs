//! The volfile language: read, validate, compare, classify, draw and write volfiles.
//!
//! Text to [`Volfile`] (grammar) to [`Graph`] (names resolved). From a graph: [`Graph::problems`] (would
//! glusterfs take it?), [`diff`] (what would a mount do with it?), [`Graph::kind`] and [`checks`] (what volume
//! is it?), [`Graph::tree`] and [`Graph::dot`]. All of it reads bytes, borrows from them, and shows no secret.
//!
//! ```
//! use glusterd_client::volfile::{Class, Graph, Volfile, checks, diff, example::Example};
//!
//! // What glusterd serves; here made up.
//! let text = Example::with_bricks("vol", 3, 6).volfile().render()?;
//!
//! let volfile = Volfile::parse(&text)?;
//! let graph = Graph::new(&volfile).ok_or("no volume")?;
//! assert!(graph.problems().is_empty());
//! assert_eq!(graph.kind().to_string(), "distribute over 2 × replicate 3");
//! assert_eq!(graph.get("vol-client-0").unwrap().brick().unwrap().to_string(), "server-0.example.net:/bricks/vol/brick-0");
//! assert_eq!(checks(&graph)[0].code, "distributed");
//!
//! // An option is changed: applied in place.
//! let next = Example::with_bricks("vol", 3, 6).option("debug/io-stats", "log-level", "DEBUG").volfile();
//! let change = diff(&graph, &Graph::new(&next).ok_or("no volume")?);
//! assert_eq!(change.class, Class::Options);
//! assert_eq!(change.to_string(), "~ vol: log-level INFO → DEBUG\n");
//!
//! // A brick is replaced: a new graph.
//! let mut moved = Example::with_bricks("vol", 3, 6);
//! moved.bricks[0].0 = "server-9.example.net".to_owned();
//! let moved = moved.volfile();
//! let change = diff(&graph, &Graph::new(&moved).ok_or("no volume")?);
//! assert_eq!(change.class, Class::Topology);
//!
//! // What glusterfs would refuse is refused, with the place.
//! let error = Volfile::parse("volume v\n  type debug/io-stats\nend-volume").unwrap_err();
//! assert_eq!(error.to_string(), "line 3, column 1: expected `option` or `subvolumes`, found `end-volume` (in volume `v`)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod brick;
mod check;
mod diff;
mod error;
pub mod example;
mod faults;
mod graph;
mod item;
mod kind;
mod lex;
mod loaded;
mod parse;
mod problem;
#[cfg(test)]
mod properties;
mod render;
mod secret;
mod shown;
mod text;
mod tree;

pub use brick::Address;
pub use check::{Check, checks};
pub use diff::diff;
pub use error::{Error, MAX_SIZE, SyntaxError};
pub use faults::faults;
pub use graph::{Graph, Xlator};
pub use item::{Change, Class, Item};
pub(crate) use kind::is_true;
pub use kind::{Brick, Kind, Layout, Redundancy, Role, Set};
pub use problem::{Fault, Problem, Severity};
pub use render::RenderError;
pub(crate) use secret::shown_value;
pub use shown::printable;
pub use text::{Section, Volfile, VolumeBuilder, VolumeOption};
