//! Where data goes.

use std::{
    io::{self, Write},
    path::Path,
};

use super::Failure;

/// Writes to standard output and flushes it. Nobody reading any more is the end, and no error.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome.map_err(|error| Failure::other("cannot write to standard output", error)),
    }
}

/// Replaces a file by another content at one moment, readable by its owner only: volfiles can hold credentials.
///
/// Only a plain file is replaced: a rename would turn `/dev/null` into one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("it is there and not a plain file; give another name"));
        }
        // Made with mode 0600.
        let mut file = tempfile::Builder::new().prefix(".kadalu-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| Failure::other(format_args!("cannot write {}", path.display()), error))
}
