//! The API at one moment: what all storages share, and the world of each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;

use super::{
    stores::Stores,
    users::{CLASSES, Volumes},
    world::{CONFIG_MAP, Class, DriverView, Object, STORAGE, Settings, World},
};
use crate::storage::{check::Report, config::class_names};

/// What all storages share.
pub(super) struct Seen {
    volumes: Arc<Volumes>,
    classes: BTreeMap<String, Class>,
    entries: BTreeMap<String, String>,
    /// Storages by the names of their classes.
    owners: BTreeMap<String, String>,
    /// The oldest storage of each name, by its place.
    oldest: HashMap<String, usize>,
}

impl Seen {
    pub(super) fn new(stores: &Stores, objects: &[Object]) -> Self {
        let classes = stores.classes.state();
        let classes = classes.iter().filter(|class| can_be_of_a_storage(class));
        let classes = classes.map(|class| (class.name_any(), Class::read(class))).collect();
        let map =
            stores.maps.state().into_iter().find(|map| map.metadata.name.as_deref() == Some(CONFIG_MAP));
        let entries = map.and_then(|map| map.data.clone()).unwrap_or_default();
        let mut oldest = HashMap::<String, usize>::new();
        for (place, object) in objects.iter().enumerate().filter(|(_, object)| !object.is_foreign()) {
            let first = oldest.entry(object.name.clone()).or_insert(place);
            if object.is_before(&objects[*first]) {
                *first = place;
            }
        }
        Self { volumes: stores.volumes(), classes, entries, owners: owners(objects), oldest }
    }

    /// One storage, and all that concerns it.
    pub(super) fn world<'w>(
        &self,
        settings: &'w Settings,
        objects: &[Object],
        object: &'w Object,
        reports: &'w BTreeMap<String, Arc<Report>>,
        driver: DriverView,
        now: &'w str,
    ) -> World<'w> {
        let oldest = self.oldest.get(&object.name).map(|place| objects[*place].key());
        let key = object.key();
        let names = class_names(&object.name);
        let classes = self.classes.iter();
        let classes =
            classes.filter(|(name, class)| names.contains(name) || class.storage.as_ref() == Some(&key));
        World {
            settings,
            object,
            rival: oldest.filter(|oldest| *oldest != key),
            classes: classes.map(|(name, class)| (name.clone(), class.clone())).collect(),
            entry: self.entries.get(&format!("{}.info", object.name)).cloned(),
            users: self.volumes.of(
                &object.name,
                object.status.volume_id.as_deref(),
                object.in_force().as_ref(),
                &self.owners,
            ),
            reports,
            driver,
            may_put_back: true,
            now,
        }
    }
}

/// A cluster may have many that are of none.
fn can_be_of_a_storage(class: &StorageClass) -> bool {
    class.annotations().contains_key(STORAGE) || class.name_any().starts_with(CLASSES)
}

/// Storages by the names of their classes. One that makes no sense now has its PVs all the same.
fn owners(objects: &[Object]) -> BTreeMap<String, String> {
    let ours = objects.iter().filter(|object| !object.is_foreign());
    ours.flat_map(|object| class_names(&object.name).map(|class| (class, object.name.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn classes_are_of_interest_by_name_or_by_who_made_them() {
        for (name, annotation, can_be) in [
            ("kadalu.s", "other", true),
            ("kadalu.external.s", "other", true),
            ("renamed", STORAGE, true),
            ("fast", "other", false),
        ] {
            let metadata = json!({ "name": name, "annotations": { annotation: "ns/s" } });
            let class = json!({ "metadata": metadata, "provisioner": "p" });
            let class = serde_json::from_value::<StorageClass>(class).unwrap();
            assert_eq!(can_be_of_a_storage(&class), can_be, "{name}");
        }
    }

    #[test]
    fn a_storage_with_a_fault_keeps_its_pvs() {
        let object = |name: &str, spec: Value| {
            let object = json!({ "apiVersion": "v", "kind": "k", "metadata": { "name": name, "namespace": "ns" }, "spec": spec });
            Object::read(&serde_json::from_value(object).unwrap())
        };
        let details = json!({ "gluster_hosts": "g1", "gluster_volname": "vol" });
        let owners = owners(&[
            object("good", json!({ "type": "External", "details": details })),
            object("bad", json!({ "type": "External", "details": { "gluster_hots": "g1" } })),
            object("kadalus", json!({ "type": "Replica3", "storage": [] })),
        ]);
        let expected = [
            ("kadalu.bad", "bad"),
            ("kadalu.external.bad", "bad"),
            ("kadalu.external.good", "good"),
            ("kadalu.good", "good"),
        ];
        assert_eq!(owners, expected.map(|(class, of)| (class.to_owned(), of.to_owned())).into());
    }
}
