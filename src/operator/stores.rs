//! What is in the API, followed.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::{core::v1::ConfigMap, storage::v1::StorageClass};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt,
        reflector::{Lookup, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    crd::KadaluStorage,
    hands::{Kind, Written},
    troubles::Troubles,
    users::Volumes,
    volumes::{self, Keeper},
    world::{CONFIG_MAP, Settings},
};

/// What is in the API, as it was a moment ago. Following ends with it.
pub(super) struct Stores {
    pub(super) storages: Store<DynamicObject>,
    pub(super) classes: Store<StorageClass>,
    volumes: volumes::Seen,
    pub(super) maps: Store<ConfigMap>,
    changed: Arc<Notify>,
    following: Vec<AbortHandle>,
}

impl Stores {
    /// Begins to follow.
    pub(super) fn start(client: &Client, settings: &Settings, troubles: &Troubles) -> Self {
        let changed = Arc::new(Notify::new());
        let mut following = Vec::new();
        // Untyped: one that somebody has written wrongly must not hide the others.
        let kind = ApiResource::erase::<KadaluStorage>(&());
        let storages = Api::all_with(client.clone(), &kind);
        let maps = Api::namespaced(client.clone(), &settings.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={CONFIG_MAP}"));
        let all = watcher::Config::default;
        let mut follow = Follow { changed: &changed, troubles, following: &mut following };
        let storages = follow.store("storages", storages, kind, all());
        let classes = follow.store("storage classes", Api::all(client.clone()), (), all());
        let (mut keeper, volumes) = Keeper::new(&settings.driver);
        follow.start("persistent volumes", Api::all(client.clone()), all(), move |event| keeper.apply(event));
        let maps = follow.store("the ConfigMap", maps, (), only);
        Self { storages, classes, volumes, maps, changed, following }
    }

    /// All was seen once. What is not seen must not count as deleted.
    pub(super) async fn ready(&self) {
        // They fail where following has ended, which it does with us.
        let _ = self.storages.wait_until_ready().await;
        let _ = self.classes.wait_until_ready().await;
        let _ = self.volumes.clone().wait_for(Option::is_some).await;
        let _ = self.maps.wait_until_ready().await;
    }

    /// The PVs that can be of a storage.
    pub(super) fn volumes(&self) -> Arc<Volumes> {
        self.volumes.borrow().clone().unwrap_or_default()
    }

    /// The version in which something is seen that was written for a storage of this namespace.
    pub(super) fn version(&self, namespace: &str, written: &Written) -> Option<String> {
        let name = &written.name;
        match written.kind {
            Kind::Storage => {
                let is = |storage: &DynamicObject| {
                    storage.metadata.name.as_ref() == Some(name)
                        && storage.metadata.namespace.as_deref() == Some(namespace)
                };
                self.storages.find(is)?.metadata.resource_version.clone()
            }
            Kind::Class => self.classes.get(&ObjectRef::new(name))?.metadata.resource_version.clone(),
            Kind::Map => {
                let map = self.maps.find(|map| map.metadata.name.as_ref() == Some(name))?;
                map.metadata.resource_version.clone()
            }
        }
    }

    /// Something has changed since this was called last.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        self.following.iter().for_each(AbortHandle::abort);
    }
}

struct Follow<'f> {
    changed: &'f Arc<Notify>,
    troubles: &'f Troubles,
    following: &'f mut Vec<AbortHandle>,
}

impl Follow<'_> {
    /// Follows all of a kind, and keeps them.
    fn store<K>(
        &mut self,
        what: &'static str,
        api: Api<K>,
        kind: <K as Lookup>::DynamicType,
        config: watcher::Config,
    ) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
        <K as Lookup>::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync,
    {
        let mut writer = Writer::new(kind);
        let store = writer.as_reader();
        self.start(what, api, config, move |event| {
            writer.apply_watcher_event(&event.modify(|object| object.managed_fields_mut().clear()));
            true
        });
        store
    }

    /// Follows all of a kind; `keep` says whether something is of interest.
    fn start<K>(
        &mut self,
        what: &'static str,
        api: Api<K>,
        config: watcher::Config,
        mut keep: impl FnMut(watcher::Event<K>) -> bool + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    {
        let (changed, troubles) = (self.changed.clone(), self.troubles.clone());
        let following = async move {
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        troubles.set(what, None);
                        if keep(event) {
                            changed.notify_one();
                        }
                    }
                    // Seen all again from the start: no fault of anybody.
                    Err(watcher::Error::WatchError(status)) if status.code == 410 => {}
                    Err(error) => troubles.set(what, Some(sentence(&error))),
                }
            }
        };
        self.following.push(tokio::spawn(following).abort_handle());
    }
}

fn sentence(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => {
            let advice = match status.code {
                403 => "; the operator's ClusterRole lacks it: kubectl apply -k deploy/kubernetes",
                404 => "; the CRD is not installed: kubectl apply -k deploy/kubernetes",
                _ => "",
            };
            format!("{} ({}){advice}", status.message, status.code)
        }
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => error.to_string(),
        error => error.to_string(),
    }
}
