//! What follows from a configuration: its normal form, its storage class, and its entry in kadalu's list.

use serde_json::{Map, Value, json};

use super::{API_VERSION, ClassStyle, KIND, StorageConfig};
use crate::storage::parameters::{Parameters, PvKind};

/// The storage driver by its usual name, which kadalu's PVs carry too.
const PROVISIONER: &str = "kadalu";

/// Every name that a class of this storage may have: the RFC's, and kadalu's.
pub fn class_names(storage: &str) -> [String; 2] {
    [format!("kadalu.external.{storage}"), format!("kadalu.{storage}")]
}

impl StorageConfig {
    /// As an object of the kind KadaluStorage, in its one spelling: [`read_object`](super::read_object) of it is the same
    /// storage.
    pub fn normal(&self) -> Value {
        let Self { name, namespace, volume_id, parameters } = self;
        let details = object([
            ("gluster_hosts", Some(json!(parameters.hosts()))),
            ("gluster_volname", parameters.volume.as_ref().map(|volume| json!(volume))),
            ("gluster_options", options(parameters)),
        ]);
        let allow = parameters.allow.words();
        let allow = (!allow.is_empty()).then(|| json!(allow));
        let own = [
            ("type", Some(json!("External"))),
            ("details", Some(details)),
            ("allow", allow),
            ("volume_id", volume_id.as_ref().map(|id| json!(id))),
        ];
        let metadata =
            [("name", Some(json!(name))), ("namespace", namespace.as_ref().map(|name| json!(name)))];
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": object(metadata),
            "spec": object(own.into_iter().chain(policies(parameters))),
        })
    }

    /// The storage class of this name (`kadalu.external.NAME`, or kadalu's `kadalu.NAME`).
    pub fn storage_class(&self, name: &str, style: ClassStyle) -> Value {
        let named = Parameters { storage: Some(self.name.clone()), ..Parameters::default() };
        let parameters = match style {
            ClassStyle::Whole => self.parameters.write(),
            ClassStyle::ByName => named.write(),
        };
        let whole = self.is_whole();
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": { "name": name },
            "provisioner": PROVISIONER,
            "parameters": parameters,
            "allowVolumeExpansion": !whole,
            // The data of a whole volume is older than its PV.
            "reclaimPolicy": if whole { "Retain" } else { "Delete" },
            "volumeBindingMode": "Immediate",
        })
    }

    /// `kadalu.external.NAME`: the RFC's name of its storage class.
    pub fn class_name(&self) -> String {
        let [rfc, _] = class_names(&self.name);
        rfc
    }

    /// `kadalu.NAME`: the name that kadalu has given it since 0.8.3 (facts §1.2).
    pub fn kadalu_class_name(&self) -> String {
        let [_, kadalu] = class_names(&self.name);
        kadalu
    }

    /// Its entry `NAME.info` in kadalu's ConfigMap `kadalu-info`: kadalu's own keys, and ours beside them. `accepted`: the id
    /// that the Gluster volume has in its cluster, once that is settled; the driver uses no other one of the name.
    pub fn info(&self, accepted: Option<&str>) -> Value {
        let Self { name, volume_id, parameters, .. } = self;
        let allow = parameters.allow.words().join(",");
        let own = [
            ("type", Some(json!("External"))),
            ("volname", Some(json!(name))),
            ("volume_id", volume_id.as_ref().map(|id| json!(id))),
            ("gluster_hosts", Some(json!(parameters.hosts().join(",")))),
            ("gluster_volname", parameters.volume.as_ref().map(|volume| json!(volume))),
            ("gluster_volume_id", accepted.map(|id| json!(id))),
            ("gluster_options", options(parameters)),
            ("allow", (!allow.is_empty()).then(|| json!(allow))),
        ];
        object(own.into_iter().chain(policies(parameters)))
    }

    /// Whether the volume is one PV.
    pub fn is_whole(&self) -> bool {
        self.parameters.kind == Some(PvKind::Whole)
    }
}

fn options(parameters: &Parameters) -> Option<Value> {
    let options = parameters.options.canonical();
    (!options.is_empty()).then(|| json!(options))
}

/// What is written the same way wherever it stands.
fn policies(parameters: &Parameters) -> [(&'static str, Option<Value>); 6] {
    [
        ("single_pv_per_pool", parameters.kind.map(|kind| json!(kind == PvKind::Whole))),
        ("pvReclaimPolicy", parameters.reclaim.map(|reclaim| json!(reclaim))),
        ("quota", parameters.quota.map(|quota| json!(quota))),
        ("soft_limit", parameters.soft_limit.map(|percent| json!(percent))),
        ("inodes", parameters.inodes.map(|inodes| json!(inodes))),
        ("overcommit", parameters.overcommit.map(|ratio| json!(ratio))),
    ]
}

fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let said = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}
