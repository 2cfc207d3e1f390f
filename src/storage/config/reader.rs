//! Reads trees as objects of Kubernetes.

use super::{
    API_VERSION, KIND, MAX_NAME, Storage, StorageConfig,
    fault::{Fault, Place},
    marks::Marks,
    node::{Content, Key, Node},
    words::{Fields, by, field, in_quotes, is_name, join, nearest, shown},
};
use crate::{
    mount::{options::MountOptions, source::shortened},
    storage::parameters::plain,
};

/// What commonly stands beside a KadaluStorage.
const COMPANIONS: &[&str] = &[
    "ConfigMap",
    "DaemonSet",
    "Deployment",
    "Job",
    "Namespace",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "Secret",
    "Service",
    "StatefulSet",
    "StorageClass",
];

/// The types of volumes of which kadalu runs the bricks. Others are told by their `storage`, the list of bricks.
const FOREIGN: &[&str] = &["Replica1", "Replica2", "Replica3", "Disperse", "Arbiter"];

const OBJECT: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

const METADATA: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A name, and the namespace where one is given.
type Named = (String, Option<String>);

/// What was read so far.
pub(super) struct Reader {
    storages: Vec<Storage>,
    /// Their names and namespaces, and where the names stand.
    names: Vec<(Named, Option<Place>)>,
    pub(super) faults: Vec<Fault>,
    /// What has no effect.
    pub(super) notes: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { storages: Vec::new(), names: Vec::new(), faults, notes: Vec::new() }
    }

    /// Reads a document, or an item of a list.
    pub(super) fn document(&mut self, node: &Node, path: &str) {
        // What is not told needs no reading.
        if matches!(node.content, Content::Null) || self.faults.len() >= Fault::MAX {
            return;
        }
        let Some(fields) = self.object(node, path) else { return };
        let kind = self.word(fields, path, "kind").map(|(text, at)| (text.to_owned(), at));
        match kind {
            Some((kind, _)) if kind == KIND => self.storage(node, fields, path),
            Some((kind, _)) if path.is_empty() && (kind == "List" || kind == format!("{KIND}List")) => {
                match field(fields, "items").map(|(_, node)| (node.at, &node.content)) {
                    Some((_, Content::List(items))) => {
                        for (n, item) in items.iter().enumerate() {
                            self.document(item, &format!("items[{n}]"));
                        }
                    }
                    None | Some((_, Content::Null)) => {}
                    Some((at, _)) => self.fault(at, "items", "a list is wanted here: lines of - VALUE"),
                }
            }
            Some((kind, _)) if COMPANIONS.contains(&kind.as_str()) => {}
            Some((kind, at)) => {
                let meant = if nearest(&kind, &[KIND]).is_some() {
                    format!(", do you mean {KIND}?")
                } else {
                    format!(": {KIND} is wanted")
                };
                let message = format!("this is an object of the kind {}{meant}", shown(&kind));
                self.fault(at, &join(path, "kind"), message);
            }
            None if field(fields, "kind").is_some() => {}
            None => self.fault(node.at, &join(path, "kind"), format!("it is missing: write kind: {KIND}")),
        }
    }

    /// Everything that was read, with what of it has no effect, unless something is wrong with it. `begin`: of the text, if
    /// it is one.
    pub(super) fn end(mut self, begin: Option<Place>) -> Result<(Vec<Storage>, Vec<Fault>), Vec<Fault>> {
        if self.storages.is_empty() && self.faults.is_empty() {
            self.fault(
                begin,
                "",
                format!("there is no {KIND} in it: kind: {KIND} with spec.type: External makes one"),
            );
        }
        if self.faults.is_empty() {
            return Ok((self.storages, self.notes));
        }
        self.faults.sort_by_key(Fault::place);
        Err(self.faults)
    }

    pub(super) fn fault(&mut self, at: Option<Place>, path: &str, message: impl std::fmt::Display) {
        if self.faults.len() < Fault::MAX {
            self.faults.push(Fault::new(at, path, message));
        }
    }

    pub(super) fn note(&mut self, at: Option<Place>, path: &str, message: impl std::fmt::Display) {
        if self.notes.len() < Fault::MAX {
            self.notes.push(Fault::new(at, path, message));
        }
    }

    fn storage(&mut self, node: &Node, fields: &Fields, path: &str) {
        let before = self.faults.len();
        self.known(fields, path, OBJECT);
        match self.word(fields, path, "apiVersion") {
            Some((version, at)) if version != API_VERSION => {
                let message = format!("{API_VERSION} is wanted, not {}", shown(version));
                self.fault(at, &join(path, "apiVersion"), message);
            }
            None if field(fields, "apiVersion").is_none() => {
                let message = format!("it is missing: write apiVersion: {API_VERSION}");
                self.fault(node.at, &join(path, "apiVersion"), message);
            }
            _ => {}
        }
        let (name, namespace) = self.metadata(node, fields, path);
        let spec_path = join(path, "spec");
        let Some((_, spec)) = field(fields, "spec") else {
            return self.fault(
                node.at,
                &spec_path,
                "it is missing: it says what volume it is, and on which servers",
            );
        };
        let Some(spec_fields) = self.object(spec, &spec_path) else { return };
        for word in ["type", "details"] {
            self.single(spec_fields, &spec_path, word);
        }
        if field(spec_fields, "type").is_none()
            && let Some((key, _)) = spec_fields.iter().find(|(key, _)| plain(&key.text) == "type")
        {
            let message = "write type: Kubernetes wants it in this spelling";
            self.fault(key.at, &join(&spec_path, &key.text), message);
        }
        let Some((kind, at)) = self.any_word(spec_fields, &spec_path, "type") else {
            if !spec_fields.iter().any(|(key, _)| plain(&key.text) == "type") {
                let path = join(&spec_path, "type");
                self.fault(
                    spec.at,
                    &path,
                    "it is missing: write type: External for a volume that somebody else runs",
                );
            }
            return;
        };
        let has_bricks = spec_fields.iter().any(|(key, node)| key.text == "storage" && !node.is_empty());
        if kind.eq_ignore_ascii_case("external") {
            let Some((volume_id, parameters)) = self.spec(spec, spec_fields, &spec_path, &Marks::of(fields))
            else {
                return;
            };
            if self.faults.len() == before {
                let config = StorageConfig { name, namespace, volume_id, parameters };
                self.storages.push(Storage::External(Box::new(config)));
            }
        } else if has_bricks || FOREIGN.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            self.storages.push(Storage::Foreign { name, kind: shortened(kind) });
        } else {
            let message = match nearest(kind, &["External"]) {
                Some(meant) => format!("there is no type {}, do you mean {meant}?", shown(kind)),
                None => format!(
                    "there is no type {}: External is for volumes that somebody else runs",
                    shown(kind)
                ),
            };
            self.fault(at, &join(&spec_path, "type"), message);
        }
    }

    fn metadata(&mut self, node: &Node, fields: &Fields, path: &str) -> (String, Option<String>) {
        let path = join(path, "metadata");
        let missing = "it is missing: the storage class is called kadalu.external.NAME";
        let Some((_, metadata)) = field(fields, "metadata") else {
            self.fault(node.at, &join(&path, "name"), missing);
            return Default::default();
        };
        let Some(fields) = self.object(metadata, &path) else { return Default::default() };
        self.known(fields, &path, METADATA);
        let name = self.word(fields, &path, "name").map(|(name, at)| (name.to_owned(), at));
        let namespace = self.word(fields, &path, "namespace").map(|(name, at)| (name.to_owned(), at));
        if let Some((namespace, at)) =
            namespace.as_ref().filter(|(name, _)| !is_name(name, 63) || name.contains('.'))
        {
            let message = format!(
                "{} is no namespace: at most 63 lower-case letters, digits and '-'",
                shown(namespace)
            );
            self.fault(*at, &join(&path, "namespace"), message);
        }
        let path = join(&path, "name");
        match &name {
            None if field(fields, "name").is_none() => self.fault(metadata.at, &path, missing),
            None => {}
            Some((name, at)) if !is_name(name, MAX_NAME) => {
                let message = format!(
                    "{} is no name: at most {MAX_NAME} lower-case letters, digits, '-' and '.' make one, with a letter or \
                     digit at its ends",
                    shown(name)
                );
                self.fault(*at, &path, message);
            }
            Some((name, at)) => {
                // Those of two namespaces are two; which of them has the name's class is for the cluster to say.
                let own = (name.clone(), namespace.as_ref().map(|(namespace, _)| namespace.clone()));
                let before = self.names.iter().find(|(before, _)| *before == own).map(|(_, at)| *at);
                match before {
                    Some(before) => {
                        let message =
                            format!("another storage has this name{}: rename one of them", by(before));
                        self.fault(*at, &path, message);
                    }
                    None => self.names.push((own, *at)),
                }
            }
        }
        (name.map(|(name, _)| name).unwrap_or_default(), namespace.map(|(name, _)| name))
    }

    /// The fields of an object, of which none may stand twice.
    pub(super) fn object<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n Fields> {
        let Content::Object(fields) = &node.content else {
            self.fault(node.at, path, "an object is wanted here: lines of KEY: VALUE");
            return None;
        };
        let mut seen = std::collections::HashMap::new();
        for (key, _) in fields {
            if let Some(before) = seen.insert(key.text.as_str(), key.at) {
                let message = format!("it stands twice, also{}: leave one of them out", by(before));
                self.fault(key.at, &join(path, &key.text), message);
            }
        }
        Some(fields)
    }

    pub(super) fn known(&mut self, fields: &Fields, path: &str, known: &[&'static str]) {
        for (key, _) in fields {
            if !known.contains(&key.text.as_str()) {
                self.unknown(key, path, known);
            }
        }
    }

    pub(super) fn unknown(&mut self, key: &Key, path: &str, known: &[&'static str]) {
        // Looking for the right word takes its time.
        if self.faults.len() >= Fault::MAX {
            return;
        }
        let of_mounts = known.contains(&"gluster_options") && MountOptions::takes(&key.text);
        let message = match nearest(&key.text, known) {
            _ if of_mounts => {
                let option = key.text.to_ascii_lowercase().replace('_', "-");
                format!("this is an option of mounts: write {option} in gluster_options")
            }
            _ if key.text == "<<" => "merge keys are not read: write the fields themselves".to_owned(),
            Some(meant) => format!("there is no such field, do you mean {meant}?"),
            None => "there is no such field: leave it out".to_owned(),
        };
        self.fault(key.at, &join(path, &key.text), message);
    }

    /// The value of a field that is a word, and where it stands.
    pub(super) fn word<'n>(
        &mut self,
        fields: &'n Fields,
        path: &str,
        key: &str,
    ) -> Option<(&'n str, Option<Place>)> {
        let (key, node) = field(fields, key)?;
        self.text(key, node, path)
    }

    /// As [`Self::word`], in any spelling of the key.
    fn any_word<'n>(
        &mut self,
        fields: &'n Fields,
        path: &str,
        word: &str,
    ) -> Option<(&'n str, Option<Place>)> {
        let (key, node) = fields.iter().find(|(key, _)| plain(&key.text) == word)?;
        self.text(key, node, path)
    }

    /// What may be said once, in any spelling of the key.
    pub(super) fn single(&mut self, fields: &Fields, path: &str, word: &str) {
        let mut keys = fields.iter().map(|(key, _)| key).filter(|key| plain(&key.text) == word);
        let Some(first) = keys.next() else { return };
        // The same spelling twice is told of every key.
        for key in keys.filter(|key| key.text != first.text) {
            let message =
                format!("it stands twice, also as {}{}: leave one of them out", first.text, by(first.at));
            self.fault(key.at, &join(path, &key.text), message);
        }
    }

    fn text<'n>(&mut self, key: &Key, node: &'n Node, path: &str) -> Option<(&'n str, Option<Place>)> {
        match &node.content {
            Content::Scalar(text) => match &node.taken_for {
                None => Some((text, node.at)),
                Some(other) => {
                    self.fault(node.at, &join(path, &key.text), in_quotes(text, other));
                    None
                }
            },
            _ => {
                self.fault(key.at, &join(path, &key.text), "a word is wanted here");
                None
            }
        }
    }
}
