//! What the files of pools say: kadalu's, and our own.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KnownPool, folder::MAX_FILE, twins::Told};
use crate::{
    mount::file::{read_bounded, replace},
    storage::{
        Error,
        config::{self, Storage},
        handle::PoolId,
        parameters::{Parameters, PvKind},
    },
};

/// A pool that was used once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Learned {
    uuid: String,
    volume: String,
    servers: Vec<String>,
    options: String,
    whole: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overcommit: Option<f64>,
    /// It was looked at as a new home of PVs.
    #[serde(default)]
    pub(super) looked: bool,
}

impl Learned {
    /// What of these parameters concerns the volume as a whole.
    pub(super) fn of(id: &PoolId, parameters: Parameters) -> Self {
        Self {
            uuid: id.to_string(),
            volume: parameters.volume.unwrap_or_default(),
            servers: parameters.servers.iter().map(ToString::to_string).collect(),
            options: parameters.options.canonical(),
            whole: parameters.kind == Some(PvKind::Whole),
            overcommit: parameters.overcommit,
            looked: false,
        }
    }

    /// What a file says, if it says anything.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&read_bounded(path, MAX_FILE).ok()?).ok()
    }

    /// Writes it, unless it stands there.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::other(format_args!("cannot write {}", path.display()), error)
        };
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| failed(&error))?;
        if read_bounded(path, MAX_FILE).is_ok_and(|before| before == bytes) {
            return Ok(());
        }
        replace(path, &bytes).map_err(|error| failed(&error))
    }
}

/// The endings of files that say what storages there are.
pub(super) const STORAGES: &[&str] = &[".info", ".yaml", ".yml"];

/// The external storages of a file: of one as kadalu's operator writes it, or of objects of the kind KadaluStorage.
pub(super) fn storages(path: &Path, bytes: &[u8]) -> Result<Vec<Told>, String> {
    let told = |pool| Told { file: path.to_owned(), pool };
    Ok(pools(path, bytes)?.into_iter().map(told).collect())
}

fn pools(path: &Path, bytes: &[u8]) -> Result<Vec<KnownPool>, String> {
    if path.extension().is_some_and(|ending| ending == "info") {
        return info(&stem(path), bytes);
    }
    let all = config::read(bytes).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        let others = faults.len().saturating_sub(1);
        if others == 0 {
            first
        } else {
            format!("{first} (and {others} more: kadalu config {})", path.display())
        }
    })?;
    let pool = |storage| match storage {
        Storage::External(config) => {
            Some(KnownPool { id: None, name: Some(config.name), parameters: config.parameters })
        }
        Storage::Foreign { .. } => None,
    };
    Ok(all.into_iter().filter_map(pool).collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file as kadalu's operator writes it; nothing for a storage of another kind.
fn info(name: &str, bytes: &[u8]) -> Result<Vec<KnownPool>, String> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let external = |value: &Value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case("external"));
    if !object.get("type").is_none_or(external) {
        return Ok(Vec::new());
    }
    let known = object.iter().filter(|(key, _)| Parameters::knows(key));
    let pairs: Vec<_> = known.filter_map(|(key, value)| Some((key.as_str(), text(value)?))).collect();
    let read = Parameters::parse(pairs.iter().map(|(key, value)| (*key, value.as_str())));
    let parameters = read.map_err(|error| error.to_string())?;
    if parameters.volume.is_none() {
        return Err("gluster_volname is missing".to_owned());
    }
    Ok(vec![KnownPool { id: None, name: Some(name.to_owned()), parameters }])
}

/// A value as one of a StorageClass would be written.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Object(_) => None,
    }
}

/// A file of [`Known::learn`](super::Known::learn).
pub(super) fn learned(path: &Path, bytes: &[u8]) -> Result<Vec<KnownPool>, String> {
    let Learned { uuid, volume, servers, options, whole, overcommit, .. } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if uuid != stem(path) {
        return Err(format!("it is about {uuid:?}"));
    }
    let id = uuid.parse().map_err(|error: Error| error.to_string())?;
    let servers = servers.join(",");
    let whole = whole.to_string();
    let pairs = [
        ("volume", volume.as_str()),
        ("servers", &servers),
        ("options", &options),
        ("single_pv_per_pool", &whole),
    ];
    let mut parameters = Parameters::parse(pairs).map_err(|error| error.to_string())?;
    parameters.overcommit = overcommit;
    Ok(vec![KnownPool { id: Some(id), name: None, parameters }])
}
