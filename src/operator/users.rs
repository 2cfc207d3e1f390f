//! Which PVs are of which storage.

use std::{
    collections::{BTreeMap, HashMap},
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

/// All PVs, by what they can belong to a storage.
#[derive(Debug, Default)]
pub struct Volumes {
    volumes: Vec<Volume>,
    by_class: HashMap<String, Vec<usize>>,
    by_pool: HashMap<PoolId, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
}

#[derive(Debug)]
struct Volume {
    name: String,
    class: String,
    handle: Option<String>,
    by_hand: bool,
    servers: Vec<ServerAddress>,
}

impl Volumes {
    /// Reads them; `driver` is the name of the CSI driver whose attributes are understood.
    pub fn read(volumes: &[Arc<PersistentVolume>], driver: &str) -> Self {
        let mut all = Self::default();
        for volume in volumes {
            all.add(volume, driver);
        }
        all
    }

    fn add(&mut self, volume: &PersistentVolume, driver: &str) {
        let Some(spec) = &volume.spec else { return };
        let number = self.volumes.len();
        let class = spec.storage_class_name.clone().unwrap_or_default();
        self.by_class.entry(class.clone()).or_default().push(number);
        let csi = spec.csi.as_ref().filter(|csi| csi.driver == driver);
        let place = csi.map(place).unwrap_or_default();
        if let Some(pool) = place.pool {
            self.by_pool.entry(pool).or_default().push(number);
        }
        if let Some(name) = place.volume {
            self.by_name.entry(name).or_default().push(number);
        }
        let handle = csi.map(|csi| csi.volume_handle.clone());
        let by_hand = handle.as_deref().is_some_and(|id| matches!(Handle::parse(id), Ok(Handle::Static(_))));
        self.volumes.push(Volume { name: volume.name_any(), class, handle, by_hand, servers: place.servers });
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
            self.by_class
                .get(&class)
                .into_iter()
                .flatten()
                .for_each(|number| self.count(*number, &mut users));
        }
        let elsewhere =
            |number: &&usize| others.get(&self.volumes[**number].class).is_some_and(|other| other != storage);
        let pool = volume_id.and_then(|id| id.parse::<PoolId>().ok());
        let of_pool = pool.and_then(|pool| self.by_pool.get(&pool)).into_iter().flatten();
        let parameters = in_force.map(|config| &config.parameters);
        let of_name = parameters.and_then(|parameters| self.by_name.get(parameters.volume.as_ref()?));
        let shares = |number: &&usize| {
            let servers = &self.volumes[**number].servers;
            parameters
                .is_some_and(|parameters| servers.iter().any(|server| parameters.servers.contains(server)))
        };
        let of_name = of_name.into_iter().flatten().filter(shares);
        of_pool
            .chain(of_name)
            .filter(|number| !elsewhere(number))
            .for_each(|number| self.count(*number, &mut users));
        users
    }

    fn count(&self, number: usize, users: &mut Users) {
        let volume = &self.volumes[number];
        users.names.insert(volume.name.clone());
        users.classes.insert(volume.class.clone());
        let handles = if volume.by_hand { &mut users.by_hand } else { &mut users.handles };
        handles.extend(volume.handle.clone());
    }
}

/// Where a PV is, by its own words.
#[derive(Debug, Default)]
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

    fn volume(
        name: &str,
        class: &str,
        driver: &str,
        handle: &str,
        attributes: Value,
    ) -> Arc<PersistentVolume> {
        let csi = json!({ "driver": driver, "volumeHandle": handle, "volumeAttributes": attributes });
        let spec = json!({ "storageClassName": class, "csi": csi });
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap())
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
        let volumes = Volumes::read(
            &[
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
            ],
            "kadalu",
        );
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
}
