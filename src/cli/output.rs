//! Where data goes.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::ValueEnum;
use glusterd_client::{mount::file, volfile::printable};
use serde::Serialize;

use super::Failure;

/// What a subcommand that shows a list prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For a script
    Json,
}

impl Format {
    /// Prints an object as JSON, or the text that says the same.
    pub(crate) fn print(self, object: &impl Serialize, text: &str) -> Result<(), Failure> {
        match self {
            Self::Table => print(text.as_bytes()),
            Self::Json => {
                let json = serde_json::to_string_pretty(object)
                    .map_err(|error| Failure::other("cannot write JSON", error))?;
                print(format!("{json}\n").as_bytes())
            }
        }
    }
}

/// A line for each row, in columns that are as wide as they must be.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> impl Iterator<Item = String> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    rows.iter().map(move |row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    })
}

/// Writes to standard output and flushes it. Nobody reading any more is the end, and no error.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome.map_err(|error| Failure::other("cannot write to standard output", error)),
    }
}

/// Replaces a file by another content at one moment, readable by its owner only.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    file::replace(path, bytes)
        .map_err(|error| Failure::other(format_args!("cannot write {}", path.display()), error))
}

/// On one line, without what a terminal would obey or show otherwise: names come from the network.
pub(crate) fn shown(text: &str) -> String {
    printable(text).collect()
}
