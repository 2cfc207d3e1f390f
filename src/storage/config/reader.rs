//! Reads trees as objects of Kubernetes.

use std::rc::Rc;

use super::{
    API_VERSION, KIND, Storage, StorageConfig,
    fault::{Fault, Place},
    node::{Content, Key, Node},
};
use crate::{
    mount::{
        options::{MountOptions, nearest_of},
        source::shortened,
    },
    storage::parameters::{Parameters, Problem, Wrong, plain},
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

/// The types of kadalu's own volumes (facts §1.1; `VALID_HOSTING_VOLUME_TYPES` of its operator).
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

/// What may stand in `spec` and in `spec.details`, as it is documented.
const DETAILS: &[&str] = &[
    "gluster_hosts",
    "gluster_host",
    "gluster_node",
    "backup_nodes",
    "gluster_port",
    "gluster_volname",
    "gluster_options",
    "single_pv_per_pool",
    "kadalu_format",
    "pvReclaimPolicy",
    "quota",
    "soft_limit",
    "inodes",
    "overcommit",
    "allow",
];

/// What may stand in `spec` only.
const SPEC: &[&str] = &["type", "details", "volume_id", "tolerations"];

/// Of volumes of which kadalu runs the bricks.
const KADALU: &[&str] = &["storage", "tiebreaker", "disperse"];

/// Bytes of `metadata.name`: the name of a class is this behind `kadalu.external.`, and may have 253.
const MAX_NAME: usize = 253 - "kadalu.external.".len();

/// Bytes of kadalu's `volume_id`, which is a UUID unless somebody has chosen another.
const MAX_VOLUME_ID: usize = 128;

/// What was read so far.
pub(super) struct Reader {
    storages: Vec<Storage>,
    /// Their names, and where those stand.
    names: Vec<(String, Option<Place>)>,
    faults: Vec<Fault>,
}

/// One value of a storage, which may be an item of a list.
struct Pair<'n> {
    key: &'n str,
    value: &'n str,
    path: String,
    at: Option<Place>,
}

type Fields = [(Key, Rc<Node>)];

impl Reader {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { storages: Vec::new(), names: Vec::new(), faults }
    }

    /// Reads a document, or an item of a list.
    pub(super) fn document(&mut self, node: &Node, path: &str) {
        if matches!(node.content, Content::Null) {
            return;
        }
        let Some(fields) = self.object(node, path) else { return };
        let kind = self.word(fields, path, "kind").map(|(text, at)| (text.to_owned(), at));
        match kind {
            Some((kind, _)) if kind == KIND => self.storage(node, fields, path),
            Some((kind, _)) if path.is_empty() && (kind == "List" || kind == format!("{KIND}List")) => {
                if let Some(Content::List(items)) = field(fields, "items").map(|(_, node)| &node.content) {
                    for (n, item) in items.iter().enumerate() {
                        self.document(item, &format!("items[{n}]"));
                    }
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

    /// Everything that was read, unless something is wrong with it. `begin`: of the text, if it is one.
    pub(super) fn end(mut self, begin: Option<Place>) -> Result<Vec<Storage>, Vec<Fault>> {
        if self.storages.is_empty() && self.faults.is_empty() {
            self.fault(
                begin,
                "",
                format!("there is no {KIND} in it: kind: {KIND} with spec.type: External makes one"),
            );
        }
        if self.faults.is_empty() {
            return Ok(self.storages);
        }
        self.faults.sort_by_key(Fault::place);
        Err(self.faults)
    }

    fn fault(&mut self, at: Option<Place>, path: &str, message: impl std::fmt::Display) {
        if self.faults.len() < Fault::MAX {
            self.faults.push(Fault::new(at, path, message));
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
            let Some((volume_id, parameters)) = self.spec(spec, spec_fields, &spec_path, before) else {
                return;
            };
            if self.faults.len() == before {
                let config = StorageConfig { name, namespace, volume_id, parameters };
                self.storages.push(Storage::External(Box::new(config)));
            }
        } else if has_bricks || FOREIGN.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            self.storages.push(Storage::Foreign { name, kind: shortened(kind) });
        } else {
            let meant = nearest(kind, &["External"])
                .map_or("is wanted for a volume that somebody else runs", |_| "is meant?");
            let message = format!("there is no type {}: External {meant}", shown(kind));
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
                let before = self.names.iter().find(|(before, _)| before == name).map(|(_, at)| *at);
                match before {
                    Some(before) => {
                        let message =
                            format!("another storage has this name{}: rename one of them", by(before));
                        self.fault(*at, &path, message);
                    }
                    None => self.names.push((name.clone(), *at)),
                }
            }
        }
        (name.map(|(name, _)| name).unwrap_or_default(), namespace.map(|(name, _)| name))
    }

    /// What an external storage says: kadalu's `volume_id`, and the rest. `before`: how many faults there were before it.
    fn spec(
        &mut self,
        node: &Node,
        fields: &Fields,
        path: &str,
        before: usize,
    ) -> Option<(Option<String>, Parameters)> {
        let (mut pairs, mut volume_id, mut details) = (Vec::new(), None, None);
        for (key, value) in fields {
            let own = join(path, &key.text);
            match &*plain(&key.text) {
                "type" | "tolerations" => {}
                "details" => {
                    details = Some((value.at, own.clone()));
                    self.details(value, &own, &mut pairs);
                }
                "volumeid" => volume_id = self.volume_id(value, &own),
                word if KADALU.contains(&word) => {
                    if !value.is_empty() {
                        self.fault(
                            key.at,
                            &own,
                            "this is for volumes of which kadalu runs the bricks (Replica3, …): leave it out",
                        );
                    }
                }
                "options" if value.is_list_of_objects() => {
                    let message = "these are set by whoever runs the volume (gluster volume set): leave them out. Options of \
                        its mounts are gluster_options";
                    self.fault(key.at, &own, message);
                }
                _ if Parameters::describes(&key.text) => self.values(key, value, own, &mut pairs),
                _ => self.unknown(key, path, &[SPEC, DETAILS].concat()),
            }
        }
        let said: Vec<_> = pairs.iter().map(|pair| (pair.key, pair.value)).collect();
        match Parameters::read(&said) {
            Ok(mut parameters) => {
                // In one spelling, and servers among them are with the others now.
                parameters.options =
                    MountOptions::parse([parameters.options.canonical()]).unwrap_or_default();
                parameters.kind = Some(parameters.kind.unwrap_or_default());
                Some((volume_id, parameters))
            }
            Err(problems) => {
                let lacking = details.unwrap_or((node.at, join(path, "details")));
                // What is missing may be what is misspelt.
                let spelt = self.faults.len() == before;
                for problem in problems.iter().filter(|problem| spelt || problem.pair.is_some()) {
                    self.problem(problem, &pairs, &lacking);
                }
                None
            }
        }
    }

    fn details<'n>(&mut self, node: &'n Node, path: &str, pairs: &mut Vec<Pair<'n>>) {
        match &node.content {
            Content::Null => {}
            Content::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    let path = format!("{path}[{n}]");
                    match n {
                        0 => self.detail(item, &path, pairs),
                        1 => {
                            let message =
                                format!("one volume is one storage: write another {KIND} for a second one");
                            self.fault(item.at, &path, message);
                        }
                        _ => {}
                    }
                }
            }
            _ => self.detail(node, path, pairs),
        }
    }

    fn detail<'n>(&mut self, node: &'n Node, path: &str, pairs: &mut Vec<Pair<'n>>) {
        let Some(fields) = self.object(node, path) else { return };
        for (key, value) in fields {
            if Parameters::describes(&key.text) {
                self.values(key, value, join(path, &key.text), pairs);
            } else {
                self.unknown(key, path, DETAILS);
            }
        }
    }

    /// The value of a key, or each item of a list.
    fn values<'n>(&mut self, key: &'n Key, node: &'n Node, path: String, pairs: &mut Vec<Pair<'n>>) {
        let key = key.text.as_str();
        match &node.content {
            Content::Null => {}
            Content::Scalar(value) => pairs.push(Pair { key, value, path, at: node.at }),
            Content::List(items) if Parameters::takes_list(key) => {
                for (n, item) in items.iter().enumerate() {
                    let path = format!("{path}[{n}]");
                    match &item.content {
                        Content::Null => {}
                        Content::Scalar(value) => pairs.push(Pair { key, value, path, at: item.at }),
                        _ => self.fault(item.at, &path, "a word is wanted, not a list or an object"),
                    }
                }
            }
            _ if Parameters::takes_list(key) => {
                self.fault(node.at, &path, "a word or a list of words is wanted, not an object");
            }
            _ => self.fault(node.at, &path, "one word is wanted, not a list or an object"),
        }
    }

    fn volume_id(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.content {
            Content::Null => None,
            Content::Scalar(id) if id.is_empty() => None,
            Content::Scalar(id)
                if id.len() <= MAX_VOLUME_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Some(id.clone())
            }
            _ => {
                let message =
                    format!("a UUID, or another word of at most {MAX_VOLUME_ID} letters, is wanted");
                self.fault(node.at, path, message);
                None
            }
        }
    }

    fn problem(&mut self, problem: &Problem, pairs: &[Pair<'_>], lacking: &(Option<Place>, String)) {
        let pair = problem.pair.and_then(|pair| pairs.get(pair));
        let (at, path) = pair.map_or((lacking.0, lacking.1.as_str()), |pair| (pair.at, pair.path.as_str()));
        match &problem.what {
            Wrong::Says(what) if pair.is_none() => self.fault(at, path, format_args!("it lacks {what}")),
            Wrong::Says(message) => self.fault(at, path, message),
            Wrong::Contradicts(other) => {
                let value = shown(pair.map_or("", |pair| pair.value));
                let (other, said) =
                    pairs.get(*other).map_or(("", ""), |other| (other.path.as_str(), other.value));
                let place = by(pairs.iter().find(|pair| pair.path == other).and_then(|pair| pair.at));
                let said = shown(said);
                let message = format!("{value} contradicts {said} of {other}{place}: leave one of them out");
                self.fault(at, path, message);
            }
        }
    }

    /// The fields of an object, of which none may stand twice.
    fn object<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n Fields> {
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

    fn known(&mut self, fields: &Fields, path: &str, known: &[&'static str]) {
        for (key, _) in fields {
            if !known.contains(&key.text.as_str()) {
                self.unknown(key, path, known);
            }
        }
    }

    fn unknown(&mut self, key: &Key, path: &str, known: &[&'static str]) {
        let message = match nearest(&key.text, known) {
            _ if key.text == "<<" => "merge keys are not read: write the fields themselves".to_owned(),
            Some(meant) => format!("there is no such field, do you mean {meant}?"),
            None => "there is no such field: leave it out".to_owned(),
        };
        self.fault(key.at, &join(path, &key.text), message);
    }

    /// The value of a field that is a word, and where it stands.
    fn word<'n>(&mut self, fields: &'n Fields, path: &str, key: &str) -> Option<(&'n str, Option<Place>)> {
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

    fn text<'n>(&mut self, key: &Key, node: &'n Node, path: &str) -> Option<(&'n str, Option<Place>)> {
        match &node.content {
            Content::Scalar(text) => Some((text, node.at)),
            _ => {
                self.fault(key.at, &join(path, &key.text), "a word is wanted here");
                None
            }
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Null => true,
            Content::Scalar(text) => text.is_empty(),
            Content::List(items) => items.is_empty(),
            Content::Object(fields) => fields.is_empty(),
        }
    }

    fn is_list_of_objects(&self) -> bool {
        let object = |item: &Rc<Self>| matches!(item.content, Content::Object(_));
        matches!(&self.content, Content::List(items) if items.first().is_some_and(object))
    }
}

fn field<'n>(fields: &'n Fields, name: &str) -> Option<&'n (Key, Rc<Node>)> {
    fields.iter().find(|(key, _)| key.text == name)
}

fn join(path: &str, key: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let key = if plain && !key.is_empty() { shortened(key) } else { shown(key) };
    format!("{path}{dot}{key}")
}

/// ` in line 3, column 5`, where there is a text.
fn by(at: Option<Place>) -> String {
    at.map(|at| format!(" in {at}")).unwrap_or_default()
}

/// What somebody wrote, in quotes, without what a terminal would obey.
fn shown(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// The word that is meant by this one, if one is.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let spelt: Vec<_> = known.iter().map(|known| plain(known)).collect();
    let near = nearest_of(&plain(&shortened(word)), spelt.iter().map(String::as_str))?;
    spelt.iter().position(|spelt| spelt == near).map(|at| known[at])
}

/// As Kubernetes names objects (RFC 1123).
fn is_name(name: &str, most: usize) -> bool {
    let label = |label: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends(label.bytes().next()) && ends(label.bytes().last()) && label.bytes().all(letter)
    };
    name.len() <= most && name.split('.').all(label)
}
