//! `storage-config.yaml`: kadalu's KadaluStorage, in every spelling that is in use, and what follows from it.

mod fault;
mod kubectl;
mod marks;
mod node;
mod output;
mod reader;
mod spec;
mod words;

use serde_json::Value;

pub use self::{fault::Fault, output::class_names};
use self::{fault::Place, node::Node, reader::Reader};
use super::parameters::Parameters;

/// The group and version of the kind KadaluStorage.
pub const API_VERSION: &str = "kadalu-operator.storage/v1alpha1";

/// The kind.
pub const KIND: &str = "KadaluStorage";

/// Bytes of a file.
pub const MAX_FILE: usize = 1 << 20;

/// Bytes of `metadata.name`: the name of a class is this behind `kadalu.external.`, that of an event is longer by two more,
/// and either may have 253.
pub const MAX_NAME: usize = 235;

/// One external storage, in normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageConfig {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, where it has one.
    pub namespace: Option<String>,
    /// kadalu's own `volume_id`, where it has one: a name of its making, not the id of the Gluster volume.
    pub volume_id: Option<String>,
    /// What it says of servers, volume, options and policies.
    pub parameters: Parameters,
}

/// What an object of the kind KadaluStorage is.
#[derive(Debug, Clone, PartialEq)]
pub enum Storage {
    /// A volume that somebody else runs.
    External(Box<StorageConfig>),
    /// One of the kinds of which kadalu runs the bricks itself (`Replica3`, …): none of ours, and no fault.
    Foreign {
        /// `metadata.name`.
        name: String,
        /// `spec.type`.
        kind: String,
    },
}

/// Reads the documents of a file: YAML, or JSON as kubectl prints it, also in a list. Those of other kinds that commonly
/// stand beside a KadaluStorage, such as a StorageClass, are left out.
///
/// # Errors
/// Everything that is wrong with it, in its order; a file without a KadaluStorage is too.
pub fn read(text: &[u8]) -> Result<Vec<Storage>, Vec<Fault>> {
    read_with_notes(text).map(|(storages, _)| storages)
}

/// As [`read`], with what is no fault but has no effect, each with the reason.
///
/// # Errors
/// As [`read`].
pub fn read_with_notes(text: &[u8]) -> Result<(Vec<Storage>, Vec<Fault>), Vec<Fault>> {
    let begin = Some(Place::new(1, 0));
    if text.len() > MAX_FILE {
        let message = format!("the file has more than {} MiB: this is no configuration", MAX_FILE >> 20);
        return Err(vec![Fault::new(begin, "", message)]);
    }
    let text = str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let at = Place::new(lines + 1, String::from_utf8_lossy(line).chars().count());
        vec![Fault::new(Some(at), "", "this is not UTF-8: is it a configuration?")]
    })?;
    let (documents, faults) = node::documents(text);
    let mut reader = Reader::new(faults);
    for document in documents {
        reader.document(&document, "");
    }
    reader.end(begin)
}

/// Reads an object as the API of Kubernetes has it.
///
/// # Errors
/// As [`read`], without lines.
pub fn read_object(object: &Value) -> Result<Storage, Vec<Fault>> {
    let node = Node::of_value(object).map_err(|fault| vec![fault])?;
    let mut reader = Reader::new(Vec::new());
    reader.document(&node, "");
    let (mut storages, _) = reader.end(None)?;
    match (storages.pop(), storages.is_empty()) {
        (Some(storage), true) => Ok(storage),
        _ => Err(vec![Fault::new(None, "items", "one KadaluStorage is wanted, not a list of them")]),
    }
}

/// How a storage class tells where its PVs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassStyle {
    /// All parameters, so that it needs nothing else.
    Whole,
    /// By `storage_name`, and the rest from kadalu's list of storages: so that edits of it take effect.
    ByName,
}

#[cfg(test)]
mod tests;
