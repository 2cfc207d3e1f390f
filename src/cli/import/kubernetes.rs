//! As much of Kubernetes' objects as an import reads and writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::in_tree;

/// A PersistentVolume: read, turned into one of another driver, and written. What has no field here is left behind: who
/// made it, when, and how it is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Volume {
    #[serde(rename = "apiVersion", default)]
    pub(super) api_version: String,
    #[serde(default)]
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing)]
    pub(super) deletion_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) storage_class_name: String,
    pub(super) persistent_volume_reclaim_policy: String,
    pub(super) capacity: BTreeMap<String, String>,
    pub(super) access_modes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volume_mode: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mount_options: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_affinity: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claim_ref: Option<Claim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) csi: Option<Csi>,
    #[serde(skip_serializing)]
    pub(super) glusterfs: Option<in_tree::Source>,
    /// Among them what kind of volume it is, where it is none of these.
    #[serde(flatten, skip_serializing)]
    pub(super) other: BTreeMap<String, IgnoredAny>,
}

/// For which claim it is kept. Without the uid of the one that it is bound to now, so that another of its name gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Claim {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Csi {
    pub(super) driver: String,
    pub(super) volume_handle: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) volume_attributes: BTreeMap<String, String>,
}

/// Where in-tree volumes have their servers from.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Endpoints {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) subsets: Option<Vec<Subset>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Subset {
    #[serde(default)]
    pub(super) addresses: Option<Vec<Address>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    pub(super) ip: String,
}
