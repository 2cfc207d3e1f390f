//! What the files of pools say: kadalu's, and our own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::KnownPool;
use crate::storage::{
    Error,
    handle::PoolId,
    parameters::{Parameters, PvKind},
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
        }
    }
}

/// A file as kadalu's operator writes it; `None` for a storage of another kind.
pub(super) fn storage(name: &str, bytes: &[u8]) -> Result<Option<KnownPool>, String> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let external = |value: &Value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case("external"));
    if !object.get("type").is_none_or(external) {
        return Ok(None);
    }
    let known = object.iter().filter(|(key, _)| Parameters::knows(key));
    let pairs: Vec<_> = known.filter_map(|(key, value)| Some((key.as_str(), text(value)?))).collect();
    let read = Parameters::parse(pairs.iter().map(|(key, value)| (*key, value.as_str())));
    let parameters = read.map_err(|error| error.to_string())?;
    if parameters.volume.is_none() {
        return Err("gluster_volname is missing".to_owned());
    }
    Ok(Some(KnownPool { id: None, name: Some(name.to_owned()), parameters }))
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
pub(super) fn learned(name: &str, bytes: &[u8]) -> Result<Option<KnownPool>, String> {
    let Learned { uuid, volume, servers, options, whole, overcommit } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if uuid != name {
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
    Ok(Some(KnownPool { id: Some(id), name: None, parameters }))
}
