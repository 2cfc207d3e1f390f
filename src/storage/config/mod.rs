//! `storage-config.yaml`: kadalu's KadaluStorage, in every spelling that is in use, and what follows from it.

use serde::Serialize;
use serde_json::Value;

use super::parameters::Parameters;

/// The group and version of the kind KadaluStorage.
pub const API_VERSION: &str = "kadalu-operator.storage/v1alpha1";

/// The kind.
pub const KIND: &str = "KadaluStorage";

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

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From 1; none where it was no text (an object of the API).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Where in the object: `spec.details[0].gluster_node`; empty for the whole.
    pub path: String,
    /// A sentence that says what is wrong and what to do.
    pub message: String,
}

/// Reads the documents of a file.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn read(_text: &[u8]) -> Result<Vec<Storage>, Vec<Fault>> {
    unimplemented!()
}

/// Reads an object as the API of Kubernetes has it.
///
/// # Errors
/// As [`read`], without lines.
pub fn read_object(_object: &Value) -> Result<Storage, Vec<Fault>> {
    unimplemented!()
}

/// How a storage class tells where its PVs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassStyle {
    /// All parameters, so that it needs nothing else.
    Whole,
    /// By `storage_name`, and the rest from kadalu's list of storages: so that edits of it take effect.
    ByName,
}

impl StorageConfig {
    /// As an object of the kind KadaluStorage, in its one spelling: [`read_object`] of it is the same storage.
    pub fn normal(&self) -> Value {
        unimplemented!()
    }

    /// The storage class of this name (`kadalu.external.NAME`, or kadalu's `kadalu.NAME`).
    pub fn storage_class(&self, _name: &str, _style: ClassStyle) -> Value {
        unimplemented!()
    }

    /// `kadalu.external.NAME`: the RFC's name of its storage class.
    pub fn class_name(&self) -> String {
        format!("kadalu.external.{}", self.name)
    }

    /// Its entry `NAME.info` in kadalu's ConfigMap `kadalu-info`: kadalu's own keys, and ours beside them.
    pub fn info(&self) -> Value {
        unimplemented!()
    }
}
