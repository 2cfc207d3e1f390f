//! Which PVs are of which storage.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume};
use kube::ResourceExt;

use super::world::Users;
use crate::{
    storage::{
        config::{StorageConfig, class_names},
        context::Context,
        handle::{Handle, PoolId},
    },
    transport::ServerAddress,
};

/// With what the names of all classes of storages begin, [`class_names`].
pub(super) const CLASSES: &str = "kadalu.";

/// The PVs that can be of a storage, by what they are of it. Of the others, which may be very many, nothing is kept.
#[derive(Debug, Clone, Default)]
pub struct Volumes {
    /// Whose attributes are understood.
    driver: String,
    volumes: HashMap<Arc<str>, Volume>,
    by_class: Index<String>,
    by_pool: Index<PoolId>,
    by_name: Index<String>,
}

/// The names of PVs by something that they share.
type Index<K> = HashMap<K, BTreeSet<Arc<str>>>;

#[derive(Debug, Clone, PartialEq)]
struct Volume {
    class: String,
    handle: Option<String>,
    by_hand: bool,
    place: Place,
}

impl Volumes {
    /// None yet; `driver` is the name of the CSI driver whose attributes are understood.
    pub fn new(driver: &str) -> Self {
        Self { driver: driver.to_owned(), ..Self::default() }
    }

    /// A PV as it is now; whether that is another thing than before.
    pub fn put(&mut self, volume: &PersistentVolume) -> bool {
        let name = volume.name_any();
        let Some(read) = self.read(volume) else { return self.remove(&name) };
        if self.volumes.get(name.as_str()) == Some(&read) {
            return false;
        }
        self.remove(&name);
        let name = Arc::<str>::from(name);
        add(&mut self.by_class, Some(&read.class), &name);
        add(&mut self.by_pool, read.place.pool.as_ref(), &name);
        add(&mut self.by_name, read.place.volume.as_ref(), &name);
        self.volumes.insert(name, read);
        true
    }

    /// A PV is gone; whether it was here.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(volume) = self.volumes.remove(name) else { return false };
        take(&mut self.by_class, Some(&volume.class), name);
        take(&mut self.by_pool, volume.place.pool.as_ref(), name);
        take(&mut self.by_name, volume.place.volume.as_ref(), name);
        true
    }

    /// What is kept of one: nothing where it can be of no storage.
    fn read(&self, volume: &PersistentVolume) -> Option<Volume> {
        let spec = volume.spec.as_ref()?;
        let csi = spec.csi.as_ref().filter(|csi| csi.driver == self.driver);
        let class = spec.storage_class_name.as_deref().unwrap_or_default();
        if csi.is_none() && !class.starts_with(CLASSES) {
            return None;
        }
        let handle = csi.map(|csi| csi.volume_handle.clone());
        let by_hand = handle.as_deref().is_some_and(|id| matches!(Handle::parse(id), Ok(Handle::Static(_))));
        let place = csi.map(place).unwrap_or_default();
        Some(Volume { class: class.to_owned(), handle, by_hand, place })
    }

    /// Those of a storage: of its classes, or on its volume, but for those of another storage's class. `others` are the
    /// storages by the names of their classes.
    pub fn of(
        &self,
        storage: &str,
        volume_id: Option<&str>,
        in_force: Option<&StorageConfig>,
        others: &BTreeMap<String, String>,
    ) -> Users {
        let mut users = Users::default();
        for class in class_names(storage) {
            self.by_class.get(&class).into_iter().flatten().for_each(|name| self.count(name, &mut users));
        }
        let elsewhere =
            |name: &&Arc<str>| others.get(&self.volumes[*name].class).is_some_and(|other| other != storage);
        let pool = volume_id.and_then(|id| id.parse::<PoolId>().ok());
        let of_pool = pool.and_then(|pool| self.by_pool.get(&pool)).into_iter().flatten();
        let parameters = in_force.map(|config| &config.parameters);
        let of_name = parameters.and_then(|parameters| self.by_name.get(parameters.volume.as_ref()?));
        let shares = |name: &&Arc<str>| {
            let servers = &self.volumes[*name].place.servers;
            parameters
                .is_some_and(|parameters| servers.iter().any(|server| parameters.servers.contains(server)))
        };
        let of_name = of_name.into_iter().flatten().filter(shares);
        of_pool.chain(of_name).filter(|name| !elsewhere(name)).for_each(|name| self.count(name, &mut users));
        users
    }

    fn count(&self, name: &Arc<str>, users: &mut Users) {
        let volume = &self.volumes[name];
        users.names.insert(name.to_string());
        users.classes.insert(volume.class.clone());
        let handles = if volume.by_hand { &mut users.by_hand } else { &mut users.handles };
        handles.extend(volume.handle.clone());
    }
}

fn add<K: Hash + Eq + Clone>(index: &mut Index<K>, key: Option<&K>, name: &Arc<str>) {
    if let Some(key) = key {
        index.entry(key.clone()).or_default().insert(name.clone());
    }
}

fn take<K: Hash + Eq>(index: &mut Index<K>, key: Option<&K>, name: &str) {
    if let Some(key) = key
        && let Some(names) = index.get_mut(key)
    {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

/// Where a PV is, by its own words.
#[derive(Debug, Clone, Default, PartialEq)]
struct Place {
    pool: Option<PoolId>,
    volume: Option<String>,
    servers: Vec<ServerAddress>,
}

fn place(csi: &CSIPersistentVolumeSource) -> Place {
    let attributes = csi.volume_attributes.clone().unwrap_or_default();
    // What makes no sense is no PV that anybody can use: its class still counts.
    let context = Context::read(&attributes).ok().flatten();
    let (pool, volume, servers) = match context {
        Some(context) => (context.pool, Some(context.volume), context.servers),
        None => Default::default(),
    };
    match Handle::parse(&csi.volume_handle) {
        Ok(Handle::Pv { pool, .. } | Handle::Whole { pool, .. }) => {
            Place { pool: Some(pool), volume, servers }
        }
        Ok(Handle::Static(source)) => Place { pool, volume: Some(source.volume), servers: source.servers },
        Ok(Handle::Named(_) | Handle::Opaque(_)) | Err(_) => Place { pool, volume, servers },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::storage::parameters::Parameters;

    const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

    fn volume(name: &str, class: &str, driver: &str, handle: &str, attributes: Value) -> PersistentVolume {
        let csi = json!({ "driver": driver, "volumeHandle": handle, "volumeAttributes": attributes });
        let spec = json!({ "storageClassName": class, "csi": csi });
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    fn volumes(all: &[PersistentVolume]) -> Volumes {
        let mut volumes = Volumes::new("kadalu");
        for volume in all {
            volumes.put(volume);
        }
        volumes
    }

    fn config(pairs: &[(&str, &str)]) -> StorageConfig {
        let parameters = Parameters::parse(pairs.iter().copied()).unwrap();
        StorageConfig { name: "s".to_owned(), namespace: None, volume_id: None, parameters }
    }

    #[test]
    fn pvs_are_found_by_class_by_id_and_by_the_attributes_of_kadalu() {
        let kadalu = json!({ "gvolname": "vol", "gserver": "g1,g2", "path": "subvol/d3/d3/pvc-1" });
        let elsewhere = json!({ "gvolname": "vol", "gserver": "h1" });
        let nonsense = json!({ "gvolname": "../etc", "gserver": "g1" });
        let volumes = volumes(&[
            volume("by-class", "kadalu.external.s", "other", "x", json!({})),
            volume("by-old-class", "kadalu.s", "kadalu", "pvc-0", nonsense.clone()),
            volume("by-id", "manual", "kadalu", &format!("{ID}/pvc-1"), json!({})),
            volume("whole", "", "kadalu", &format!("{ID}:pvc-1"), json!({})),
            volume("by-attributes", "", "kadalu", "pvc-1", kadalu),
            volume("static", "", "kadalu", "g2:/vol/home", json!({})),
            volume("of-another-cluster", "", "kadalu", "pvc-2", elsewhere),
            volume("of-another-driver", "", "other", &format!("{ID}/pvc-1"), json!({})),
            volume("of-another-storage", "kadalu.t", "kadalu", &format!("{ID}/pvc-3"), json!({})),
            volume("nonsense", "", "kadalu", "pvc-4", nonsense),
        ]);
        let others = BTreeMap::from([("kadalu.t".to_owned(), "t".to_owned())]);
        let in_force = config(&[("servers", "g0,g2:/vol")]);
        let of = |id, in_force| {
            let users = volumes.of("s", id, in_force, &others);
            users.names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(None, None), "by-class by-old-class");
        assert_eq!(of(Some(ID), None), "by-class by-id by-old-class whole");
        assert_eq!(of(Some(ID), Some(&in_force)), "by-attributes by-class by-id by-old-class static whole");
        assert_eq!(of(Some("nonsense"), Some(&config(&[("servers", "g9:/other")]))), "by-class by-old-class");
        let users = volumes.of("s", None, None, &others);
        assert_eq!(users.handles.into_iter().collect::<Vec<_>>(), ["pvc-0"]);
        let users = volumes.of("s", Some(ID), Some(&in_force), &others);
        assert_eq!(users.by_hand.iter().collect::<Vec<_>>(), ["g2:/vol/home"]);
        assert!(users.handles.contains(&format!("{ID}/pvc-1")) && !users.handles.contains("g2:/vol/home"));
        // The storage that is gone holds nothing back.
        assert!(volumes.of("u", Some(ID), None, &BTreeMap::new()).names.contains("of-another-storage"));
    }
    #[test]
    fn of_pvs_that_are_of_no_storage_nothing_is_kept() {
        let mut all = Volumes::new("kadalu");
        for number in 0..20_000 {
            let attributes = json!({ "volume": "vol", "servers": "g1" });
            let other = volume(&format!("pvc-{number}"), "fast", "other", &format!("{ID}/x"), attributes);
            assert!(!all.put(&other));
        }
        assert_eq!((all.volumes.len(), all.volumes.capacity()), (0, 0));
        assert_eq!((all.by_class.capacity(), all.by_pool.capacity(), all.by_name.capacity()), (0, 0, 0));
    }

    #[test]
    fn what_is_kept_is_all_that_is_of_interest() {
        let attributes = |server: &str| json!({ "gvolname": "vol", "gserver": server });
        let of = |server: &str, class: &str| volume("pv", class, "kadalu", "pvc-1", attributes(server));
        let mut all = Volumes::new("kadalu");
        assert!(all.put(&of("g1", "")) && !all.put(&of("g1", "")));
        let mut bound = of("g1", "");
        bound.metadata.resource_version = Some("9".to_owned());
        bound.status = Some(Default::default());
        assert!(!all.put(&bound));
        let users = |all: &Volumes| {
            let in_force = config(&[("servers", "g2:/vol")]);
            all.of("s", None, Some(&in_force), &BTreeMap::new()).names.len()
        };
        assert_eq!(users(&all), 0);
        assert!(all.put(&of("g2", "")) && users(&all) == 1);
        assert!(all.put(&of("g1", "kadalu.s")) && users(&all) == 1);
        // Another driver's now, of another class: as if it were deleted.
        assert!(all.put(&volume("pv", "fast", "other", "x", json!({}))) && users(&all) == 0);
        assert!(all.put(&of("g2", "kadalu.s")) && all.remove("pv") && !all.remove("pv"));
        assert_eq!((all.by_class.len(), all.by_pool.len(), all.by_name.len()), (0, 0, 0));
    }

    #[test]
    fn classes_of_storages_are_known_by_how_they_begin() {
        assert!(class_names("s").iter().all(|class| class.starts_with(CLASSES)));
    }
}
