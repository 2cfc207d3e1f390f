//! Actions, done in the API.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{ConfigMap, ObjectReference},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    crd::{KadaluStorage, KadaluStorageStatus},
    plan::{Action, Told},
    world::{CONFIG_MAP, FINALIZER, MANAGER, Object},
};
use crate::storage::config::{API_VERSION, KIND};

/// Bytes of an event's note: the API allows 1024.
const MAX_NOTE: usize = 1000;

/// An object that was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Its version then; none where it was deleted.
    pub(super) version: Option<String>,
}

/// What kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Storage,
    Class,
    Map,
}

/// Who does what was planned.
pub(super) struct Hands {
    client: Client,
    namespace: String,
    recorder: Recorder,
    /// For one call: others wait for it.
    within: Duration,
}

impl Hands {
    pub(super) fn new(client: Client, namespace: &str, identity: &str, within: Duration) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { recorder, client, namespace: namespace.to_owned(), within }
    }

    /// Does them one after the other; the first that fails is the last. What was written is told in any case.
    pub(super) async fn act(
        &self,
        object: &Object,
        actions: Vec<Action>,
    ) -> (Vec<Written>, Result<(), kube::Error>) {
        // What is written of the object itself is refused where it has changed meanwhile.
        let mut version = object.resource_version.clone();
        let mut written = Vec::new();
        for action in actions {
            let one = timeout(self.within, self.one(object, &mut version, action)).await;
            match one.unwrap_or_else(|_| Err(self.silent())) {
                Ok(one) => written.extend(one.map(|(kind, name, version)| Written { kind, name, version })),
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// An API that takes a call and does not answer, as behind a connection of which one end is gone.
    fn silent(&self) -> kube::Error {
        kube::Error::Service(format!("the API does not answer within {:?}", self.within).into())
    }

    async fn one(
        &self,
        object: &Object,
        version: &mut String,
        action: Action,
    ) -> Result<Option<(Kind, String, Option<String>)>, kube::Error> {
        let classes = || Api::<StorageClass>::all(self.client.clone());
        Ok(Some(match action {
            Action::Hold => {
                let finalizers = object.finalizers.iter().cloned().chain([FINALIZER.to_owned()]);
                *version = self.finalizers(object, version, finalizers.collect()).await?;
                (Kind::Storage, object.name.clone(), Some(version.clone()))
            }
            Action::Release => {
                let finalizers =
                    object.finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
                gone(self.finalizers(object, version, finalizers.collect()).await)?;
                info!(target: "kadalu", storage = object.key(), "deleted, with all that was made of it");
                (Kind::Storage, object.name.clone(), None)
            }
            Action::WriteEntry(text) => {
                (Kind::Map, CONFIG_MAP.to_owned(), self.entry(&object.name, Some(text)).await?)
            }
            Action::RemoveEntry => (Kind::Map, CONFIG_MAP.to_owned(), self.entry(&object.name, None).await?),
            Action::ApplyClass { class, force } => {
                let name = class["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let parameters = PatchParams { force, ..PatchParams::apply(MANAGER) };
                let patched = classes().patch(&name, &parameters, &Patch::Apply(&class)).await?;
                info!(target: "kadalu", storage = object.key(), class = name, "storage class applied");
                (Kind::Class, name, patched.resource_version())
            }
            Action::DeleteClass { name, uid } => {
                let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
                let parameters = DeleteParams { preconditions, ..Default::default() };
                gone(classes().delete(&name, &parameters).await)?;
                info!(target: "kadalu", storage = object.key(), class = name, "storage class deleted");
                (Kind::Class, name, None)
            }
            Action::WriteStatus(status) => {
                *version = self.status(object, version, &status).await?;
                (Kind::Storage, object.name.clone(), Some(version.clone()))
            }
            Action::Tell(told) => {
                self.tell(object, told).await;
                return Ok(None);
            }
        }))
    }

    fn storages(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<KadaluStorage>(&()))
    }

    async fn finalizers(
        &self,
        object: &Object,
        version: &str,
        finalizers: Vec<String>,
    ) -> Result<String, kube::Error> {
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patched =
            self.storages(&object.namespace).patch(&object.name, &parameters, &Patch::Merge(patch)).await?;
        Ok(patched.resource_version().unwrap_or_default())
    }

    async fn status(
        &self,
        object: &Object,
        version: &str,
        status: &KadaluStorageStatus,
    ) -> Result<String, kube::Error> {
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": { "name": object.name, "namespace": object.namespace, "resourceVersion": version },
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let storages = self.storages(&object.namespace);
        let patched = storages.patch_status(&object.name, &parameters, &Patch::Apply(patch)).await?;
        Ok(patched.resource_version().unwrap_or_default())
    }

    /// Writes one key of the ConfigMap, or takes it out; the others are not touched.
    async fn entry(&self, storage: &str, text: Option<String>) -> Result<Option<String>, kube::Error> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let key = format!("{storage}.info");
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patch = json!({ "data": { &key: text } });
        let written = match (maps.patch(CONFIG_MAP, &parameters, &Patch::Merge(patch)).await, text) {
            (Err(kube::Error::Api(status)), None) if status.code == 404 => return Ok(None),
            (Err(kube::Error::Api(status)), Some(text)) if status.code == 404 => {
                let map = json!({ "metadata": { "name": CONFIG_MAP }, "data": { key: text } });
                let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
                maps.create(&parameters, &read(map)?).await?
            }
            (patched, _) => patched?,
        };
        Ok(written.resource_version())
    }

    /// The status says it too: an event that is lost is no reason to do anything again.
    async fn tell(&self, object: &Object, Told { warning, condition, reason, message }: Told) {
        info!(target: "kadalu", storage = object.key(), condition, reason, message, "condition");
        let note = message[..message.floor_char_boundary(MAX_NOTE)].to_owned();
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let event = Event { type_, reason, note: Some(note), action: condition, secondary: None };
        if let Err(error) = self.recorder.publish(&event, &reference(object)).await {
            warn!(target: "kadalu", storage = object.key(), %error, "an event is lost");
        }
    }
}

fn reference(object: &Object) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(KIND.to_owned()),
        name: Some(object.name.clone()),
        namespace: Some(object.namespace.clone()),
        uid: Some(object.uid.clone()),
        ..Default::default()
    }
}

fn read(map: Value) -> Result<ConfigMap, kube::Error> {
    serde_json::from_value(map).map_err(kube::Error::SerdeError)
}

/// What was deleted is deleted.
fn gone<T>(done: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done.map(drop),
    }
}
