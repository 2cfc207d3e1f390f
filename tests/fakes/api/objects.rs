//! The objects, and what may be done to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::path::Place;

/// A code and a sentence.
#[derive(Debug)]
pub(super) struct Refused(pub(super) u16, pub(super) String);

/// What has become of an object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// `ADDED`, `MODIFIED`, `DELETED`, or `NOTHING`.
    pub(super) what: &'static str,
    pub(super) place: Place,
    pub(super) object: Value,
}

/// Fields of a manager, as pointers.
type Fields = BTreeSet<String>;

/// All objects.
#[derive(Default)]
pub(super) struct Objects {
    objects: BTreeMap<Place, Value>,
    managers: BTreeMap<Place, BTreeMap<String, Fields>>,
    version: u64,
    changes: Vec<(u64, Change)>,
    compacted: u64,
}

/// What nobody can change in a storage class (`ValidateStorageClassUpdate`).
const IMMUTABLE: [&str; 4] = ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"];

impl Objects {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Value> {
        self.objects.get(&place.object())
    }

    pub(super) fn list(&self, place: &Place, name: Option<&str>) -> Vec<Value> {
        let within = self.objects.iter().filter(|(one, _)| one.is_within(place));
        let named = within.filter(|(one, _)| name.is_none() || one.name.as_deref() == name);
        named.map(|(_, object)| object.clone()).collect()
    }

    /// A page of a list, with what the list says of itself; `limit` 0 is all. A token is the version of the first page, which
    /// may be too old, and the last object that was told.
    pub(super) fn page(
        &self,
        place: &Place,
        name: Option<&str>,
        token: Option<&str>,
        limit: usize,
    ) -> Result<(Value, Vec<Value>), Refused> {
        let (version, last) = match token.map(|token| token.split_once('/')) {
            None => (self.version, ""),
            Some(token) => {
                let token = token.and_then(|(version, last)| Some((version.parse().ok()?, last)));
                token.ok_or_else(|| Refused(400, "continue key is not valid".to_owned()))?
            }
        };
        if version < self.compacted {
            return Err(Refused(410, "the provided continue parameter is too old".to_owned()));
        }
        let key = |object: &Value| {
            let word = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", word("namespace"), word("name"))
        };
        let mut items = self.list(place, name);
        items.retain(|object| key(object).as_str() > last);
        items.sort_by_key(key);
        let rest = if limit == 0 { 0 } else { items.len().saturating_sub(limit) };
        items.truncate(items.len() - rest);
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if let Some(last) = items.last().filter(|_| rest > 0) {
            metadata["continue"] = json!(format!("{version}/{}", key(last)));
            metadata["remainingItemCount"] = json!(rest);
        }
        Ok((metadata, items))
    }

    /// What has changed since a version; none where that is forgotten.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Change>> {
        let after = self.changes.iter().filter(|(at, _)| *at > version);
        (version >= self.compacted).then(|| after.map(|(_, change)| change.clone()).collect())
    }

    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
        self.changes.clear();
    }

    pub(super) fn create(
        &mut self,
        place: &Place,
        mut object: Value,
        manager: &str,
    ) -> Result<Change, Refused> {
        if self.objects.contains_key(place) {
            return Err(Refused(409, "it is there already".to_owned()));
        }
        let fields = fields(&object);
        object["apiVersion"] = json!(place.api_version());
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(place.name);
        if let Some(namespace) = &place.namespace {
            metadata["namespace"] = json!(namespace);
        }
        metadata["uid"] = json!(format!("uid-{}", self.version + 1));
        metadata["generation"] = json!(1);
        if metadata.get("creationTimestamp").is_none_or(Value::is_null) {
            metadata["creationTimestamp"] = json!(format!("2026-01-01T00:00:{:02}Z", self.version % 60));
        }
        self.managers.entry(place.clone()).or_default().insert(manager.to_owned(), fields);
        Ok(self.set(place, object, "ADDED"))
    }

    pub(super) fn replace(&mut self, place: &Place, object: Value, manager: &str) -> Result<Change, Refused> {
        let before = self.there(place, &object)?;
        self.write(place, before, object, manager)
    }

    pub(super) fn merge(&mut self, place: &Place, patch: &Value, manager: &str) -> Result<Change, Refused> {
        let before = self.there(place, patch)?;
        let mut object = before.clone();
        merge(&mut object, patch);
        self.write(place, before, object, manager)
    }

    /// Server-side apply, with lists as one value each.
    pub(super) fn apply(
        &mut self,
        place: &Place,
        patch: Value,
        manager: &str,
        force: bool,
    ) -> Result<Change, Refused> {
        let whole = place.object();
        if !self.objects.contains_key(&whole) && !place.status {
            return self.create(place, patch, manager);
        }
        let before = self.there(place, &patch)?;
        let wanted = fields(&patch);
        let managers = self.managers.entry(whole).or_default();
        // The fields of a subresource are managed apart.
        let manager = if place.status { format!("{manager}/status") } else { manager.to_owned() };
        for (other, fields) in managers.iter_mut().filter(|(other, _)| **other != manager) {
            let differing =
                |field: &&String| wanted.contains(*field) && patch.pointer(field) != before.pointer(field);
            let conflicts = fields.iter().filter(differing).cloned().collect::<Vec<_>>();
            if !conflicts.is_empty() && !force {
                return Err(Refused(409, format!("{conflicts:?} are of {other}")));
            }
            fields.retain(|field| !conflicts.contains(field));
        }
        let others = managers.iter().filter(|(other, _)| **other != manager);
        let others = others.flat_map(|(_, fields)| fields.clone()).collect::<Fields>();
        let mine = managers.insert(manager, wanted.clone()).unwrap_or_default();
        let mut object = before.clone();
        for field in mine.iter().filter(|field| !wanted.contains(*field) && !others.contains(*field)) {
            remove(&mut object, field);
        }
        merge(&mut object, &patch);
        self.checked(place, before, object)
    }

    pub(super) fn delete(&mut self, place: &Place, options: &Value) -> Result<Change, Refused> {
        let before = self.there(place, &Value::Null)?;
        let uid = &options["preconditions"]["uid"];
        if !uid.is_null() && *uid != before["metadata"]["uid"] {
            return Err(Refused(409, "it is another one".to_owned()));
        }
        let mut object = before.clone();
        if before["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
            return self.checked(place, before, object);
        }
        Ok(self.gone(place, object))
    }

    /// What is there, where a version that is given is its.
    fn there(&self, place: &Place, wanted: &Value) -> Result<Value, Refused> {
        let there = self.get(place).ok_or_else(|| Refused(404, "it is not there".to_owned()))?;
        let version = wanted.pointer("/metadata/resourceVersion").filter(|version| !version.is_null());
        match version {
            Some(version) if *version != there["metadata"]["resourceVersion"] => {
                Err(Refused(409, "the object has been modified".to_owned()))
            }
            _ => Ok(there.clone()),
        }
    }

    /// What a manager has changed is the manager's, and nobody else's.
    fn write(
        &mut self,
        place: &Place,
        before: Value,
        object: Value,
        manager: &str,
    ) -> Result<Change, Refused> {
        let changed =
            fields(&object).into_iter().filter(|field| object.pointer(field) != before.pointer(field));
        let changed = changed.collect::<Fields>();
        let managers = self.managers.entry(place.object()).or_default();
        managers.values_mut().for_each(|fields| fields.retain(|field| !changed.contains(field)));
        managers.entry(manager.to_owned()).or_default().extend(changed);
        self.checked(place, before, object)
    }

    fn checked(&mut self, place: &Place, before: Value, mut object: Value) -> Result<Change, Refused> {
        if place.plural == "storageclasses" {
            for field in IMMUTABLE {
                if object.get(field) != before.get(field) {
                    return Err(Refused(422, format!("{field} is immutable")));
                }
            }
        }
        // A status is written by its subresource, and nothing else is.
        if place.plural == "kadalustorages" {
            let of = |object: &Value| object.get("status").cloned();
            let (mut whole, status) =
                if place.status { (before.clone(), of(&object)) } else { (object.clone(), of(&before)) };
            match status {
                Some(status) => whole["status"] = status,
                None => drop(whole.as_object_mut().unwrap().remove("status")),
            }
            object = whole;
        }
        if object["spec"] != before["spec"] {
            object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_u64().unwrap() + 1);
        }
        for kept in ["resourceVersion", "uid", "creationTimestamp"] {
            object["metadata"][kept] = before["metadata"][kept].clone();
        }
        if object == before {
            return Ok(Change { what: "NOTHING", place: place.object(), object });
        }
        let held =
            object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if object["metadata"].get("deletionTimestamp").is_some() && !held {
            return Ok(self.gone(place, object));
        }
        Ok(self.set(&place.object(), object, "MODIFIED"))
    }

    fn set(&mut self, place: &Place, mut object: Value, what: &'static str) -> Change {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place.clone(), object.clone());
        self.changed(Change { what, place: place.clone(), object })
    }

    fn gone(&mut self, place: &Place, mut object: Value) -> Change {
        let place = place.object();
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.remove(&place);
        self.managers.remove(&place);
        self.changed(Change { what: "DELETED", place, object })
    }

    fn changed(&mut self, change: Change) -> Change {
        self.changes.push((self.version, change.clone()));
        change
    }
}

/// RFC 7396.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let object = object.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The leaves of an object, but for what names it.
fn fields(object: &Value) -> Fields {
    fn walk(value: &Value, at: &str, found: &mut Fields) {
        match value {
            Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| {
                walk(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found)
            }),
            _ => drop(found.insert(at.to_owned())),
        }
    }
    let mut found = Fields::new();
    walk(object, "", &mut found);
    let naming =
        ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace", "/metadata/resourceVersion"];
    found.retain(|field| !naming.contains(&field.as_str()));
    found
}

fn remove(object: &mut Value, field: &str) {
    let Some((parent, key)) = field.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(&key);
    }
}
