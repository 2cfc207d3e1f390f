//! KadaluStorage of `kadalu-operator.storage/v1alpha1`: what stands in the API, and its definition for the API server.
//!
//! It takes the place of kadalu's own definition: same names, and a schema that refuses and cuts away nothing that kadalu's
//! keeps. Rules in CEL are few, and only of what is certain: the API server gives them no field without a type, as `details`
//! has to be, and whatever is a matter of spelling the operator explains better, in a condition.

#[cfg(test)]
mod tests;
mod words;

use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A storage: a Gluster volume that somebody else runs, where `type` is `External`.
///
/// The words of the spec are read by [`storage::config`](crate::storage::config), in every spelling that is in use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "kadalu-operator.storage",
    version = "v1alpha1",
    kind = "KadaluStorage",
    namespaced,
    status = "KadaluStorageStatus",
    shortname = "kadalu",
    shortname = "kds",
    doc = "A storage: a Gluster volume that somebody else runs, for PVs of the driver kadalu, where its type is External.",
    validation = Rule::new(NAME_FITS).message("the name has more than 235 characters: those of its storage class, kadalu.external.NAME, and of its events would have more than 253"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Volume", type_ = "string", json_path = ".status.volume"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reachable", type_ = "string", json_path = r#".status.conditions[?(@.type=="Reachable")].status"#),
    printcolumn(name = "Quota", type_ = "string", json_path = r#".status.conditions[?(@.type=="QuotaEnforced")].status"#),
    printcolumn(name = "Why", type_ = "string", priority = 1, json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(
    description = "What the storage is, in the documented spelling. Others that are in use are read too; what cannot be read stands in the condition Ready.",
    extend("x-kubernetes-preserve-unknown-fields" = true)
)]
pub struct KadaluStorageSpec {
    /// As it was written.
    #[serde(flatten)]
    #[schemars(with = "words::Words")]
    pub words: Map<String, Value>,
}

/// In CEL, of the whole object.
const NAME_FITS: &str =
    "!has(self.spec.type) || self.spec.type.lowerAscii() != 'external' || self.metadata.name.size() <= 235";

/// What `kadalu crd` prints and `deploy/kubernetes/crd.yaml` is.
///
/// # Errors
/// It cannot be written as YAML: a defect of ours.
pub fn manifest() -> Result<String, serde_saphyr::SerializeError> {
    Ok(format!(
        "# The kind KadaluStorage, as `kadalu crd` prints it: made of src/operator/crd, and held fresh by a test.\n{}",
        serde_saphyr::to_string(&KadaluStorage::crd())?
    ))
}

/// What the operator has found and made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KadaluStorageStatus {
    /// The generation of the object that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reachable`, `AssumptionsMet`, `QuotaEnforced` and `Drifted`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The volume's name in its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The volume's id in its cluster. Another one under the same name is another volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_id: Option<String>,
    /// The kind of the volume, such as `replicate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Servers that are known: those of the spec, then those that were learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// How much there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// The storage classes that were made of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The spec that is in force, in its one spelling: what the ConfigMap `kadalu-info` and the storage classes are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "words::entry")]
    pub in_force: Option<Map<String, Value>>,
    /// What was found of the volume that is not as it should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<StatusFinding>,
    /// Of which volume the bricks have told their state: `SERVERS:/VOLUME`, and what for. It takes a lock, so once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bricks_checked: Option<String>,
    /// What was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Change>,
}

/// A condition, as everywhere in Kubernetes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it holds.
    pub status: Truth,
    /// Why, in one word for scripts.
    pub reason: String,
    /// Why, in sentences.
    pub message: String,
    /// Since when `status` is so, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the object that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody could tell.
    Unknown,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// What the volume can hold, by the state of its bricks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub total: Option<u64>,
    /// What was free of it when the bricks were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub free: Option<u64>,
    /// What the driver would promise to further PVs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"))]
    pub available: Option<u64>,
}

/// A finding of [`storage::check`](crate::storage::check).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "As `kadalu check` shows it.")]
pub struct StatusFinding {
    /// Which check.
    pub code: String,
    /// `unknown`, `warning` or `failed`.
    pub outcome: String,
    /// The server, brick or translator that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// When, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// What.
    pub what: String,
}
