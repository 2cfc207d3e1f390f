//! `storage-config.yaml` as an argument.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use glusterd_client::storage::config::{MAX_FILE, Storage, StorageConfig, read_with_notes};

use super::{Exit, Failure, output::shown};

/// What stands in a file, `-` for standard input. What of it has no effect is told on standard error.
///
/// # Errors
/// With [`Exit::Usage`] where it cannot be read, and with all faults where it makes no sense.
pub(crate) fn storages(path: &Path) -> Result<Vec<Storage>, Failure> {
    let fails =
        |error: io::Error| Failure::new(Exit::Usage, format_args!("cannot read {}: {error}", path.display()));
    let mut text = Vec::new();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(fails)?),
    };
    // One more than it may have is told by whoever reads it.
    source.take(MAX_FILE as u64 + 1).read_to_end(&mut text).map_err(fails)?;
    let (storages, notes) = read_with_notes(&text).map_err(|faults| Failure::of_file(path, &faults))?;
    let file = shown(&path.display().to_string());
    for note in notes {
        // Nobody reading any more does not change what is done.
        let _ = writeln!(io::stderr(), "{file}:{note}");
    }
    Ok(storages)
}

/// What a storage is called among those of its file: its name, with the namespace before it where two have that name.
pub(crate) fn label(config: &StorageConfig, all: &[StorageConfig]) -> String {
    let twins = all.iter().filter(|other| other.name == config.name).count();
    match &config.namespace {
        Some(namespace) if twins > 1 => format!("{namespace}/{}", config.name),
        _ => config.name.clone(),
    }
}

/// Whether a storage is the one of this name, or of this namespace and name with a `/` between them.
pub(crate) fn is_called(config: &StorageConfig, name: &str) -> bool {
    match name.split_once('/') {
        Some((namespace, name)) => config.name == name && config.namespace.as_deref() == Some(namespace),
        None => config.name == name,
    }
}

/// The external ones.
pub(crate) fn external(storages: Vec<Storage>) -> Vec<StorageConfig> {
    let external = |storage| match storage {
        Storage::External(config) => Some(*config),
        Storage::Foreign { .. } => None,
    };
    storages.into_iter().filter_map(external).collect()
}

/// The one external storage of a file that is meant: by its name, which need not be given where there is but one, or by
/// its namespace and name.
///
/// # Errors
/// As [`storages`]; with [`Exit::Usage`] too where there is none of that name, or more than one is meant.
pub(crate) fn storage(path: &Path, name: Option<&str>) -> Result<StorageConfig, Failure> {
    let mut all = external(storages(path)?);
    let names: Vec<_> = all.iter().take(20).map(|config| label(config, &all)).collect();
    let names = names.join(", ");
    all.retain(|config| name.is_none_or(|name| is_called(config, name)));
    let file = path.display();
    match (all.pop(), name) {
        (Some(config), _) if all.is_empty() => Ok(config),
        (Some(_), _) => {
            let sentence = format_args!("{file} has more than one storage: say --storage, one of {names}");
            Err(Failure::new(Exit::Usage, sentence))
        }
        (None, Some(name)) if !names.is_empty() => {
            Err(Failure::new(Exit::Usage, format_args!("{file} has no storage {name:?}, but {names}")))
        }
        (None, _) => {
            Err(Failure::new(Exit::Usage, format_args!("{file} has no storage of the type External")))
        }
    }
}
