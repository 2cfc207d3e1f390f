//! Where data goes.

use std::{
    io::{self, Write},
    path::Path,
};

use glusterd_client::mount::file;

use super::Failure;

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

/// On one line, without what a terminal would obey: names come from the network.
pub(crate) fn shown(text: &str) -> String {
    let shown = |char: char| {
        if char.is_control() { char.escape_default().to_string() } else { char.to_string() }
    };
    text.chars().map(shown).collect()
}
