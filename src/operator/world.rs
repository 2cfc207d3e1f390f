//! What the operator decides by: one storage, and all that concerns it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use k8s_openapi::api::storage::v1::StorageClass;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::crd::{KadaluStorageStatus, StatusFinding};
use crate::{
    storage::{
        check::{Finding, Outcome, Report},
        config::{API_VERSION, Fault, KIND, Storage, StorageConfig, class_names, read_object},
        parameters::{Allow, PvKind},
        record::QuotaPolicy,
    },
    transport::ServerAddress,
    volfile::printable,
};

/// Who the operator is to the API, as the manager of fields and in labels.
pub const MANAGER: &str = "kadalu-operator";

/// Holds a storage back until nothing of it is used any more.
pub const FINALIZER: &str = "kadalu-operator.storage/pvs";

/// On a storage class of ours: `NAMESPACE/NAME` of the storage that it was made of.
pub const STORAGE: &str = "kadalu-operator.storage/storage";

/// On a storage: the id of the volume that may take the place of the one that it was.
pub const ACCEPT: &str = "kadalu-operator.storage/accept-volume-id";

/// On a storage: another value has the state of the bricks asked for again.
pub const CHECK: &str = "kadalu-operator.storage/check";

/// kadalu's ConfigMap of storages, which the driver reads.
pub const CONFIG_MAP: &str = "kadalu-info";

/// Letters of [`CHECK`] that count.
const MAX_CHECK: usize = 64;

/// Bytes of each text of a finding: there may be many, and some are a server's words.
const MAX_FINDING: usize = 512;

/// Which storage classes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClassNames {
    /// `kadalu.external.NAME`, as the RFC has it.
    Rfc,
    /// `kadalu.NAME`, as kadalu has it since 0.8.3.
    Kadalu,
    /// Both.
    #[default]
    Both,
}

impl ClassNames {
    /// The names for a storage; the first is the one to be shown.
    pub fn of(self, storage: &str) -> Vec<String> {
        let [rfc, kadalu] = class_names(storage);
        match self {
            Self::Rfc => vec![rfc],
            Self::Kadalu => vec![kadalu],
            Self::Both => vec![rfc, kadalu],
        }
    }
}

/// What is the same for all storages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the ConfigMap and the lease are: the operator's own namespace.
    pub namespace: String,
    /// The name of the CSI driver: the provisioner of the classes, and the driver of the PVs.
    pub driver: String,
    /// Which classes are made.
    pub class_names: ClassNames,
}

/// A storage as it stands in the API.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Counts the edits of its spec.
    pub generation: Option<i64>,
    /// When it was made, in RFC 3339: the older of two has the name.
    pub created: String,
    /// Its version; what is written on the ground of an older one is refused.
    pub resource_version: String,
    /// Somebody has deleted it.
    pub deleting: bool,
    /// Who holds it back.
    pub finalizers: Vec<String>,
    /// The id of [`ACCEPT`].
    pub accept: Option<String>,
    /// The value of [`CHECK`].
    pub check: Option<String>,
    /// What its spec means.
    pub config: Result<Storage, Vec<Fault>>,
    /// What was written of it before.
    pub status: KadaluStorageStatus,
}

impl Object {
    /// Reads an object of the API. Whatever somebody has written as its status, one that makes no sense counts as none.
    pub fn read(object: &DynamicObject) -> Self {
        // By its marks the words of its user are told from the defaults of kadalu's definition of the kind.
        let metadata = json!({
            "name": object.name_any(), "namespace": object.namespace(), "uid": object.uid(), "annotations": object.annotations(),
        });
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let whole = json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec });
        let status = object.data.get("status").cloned().unwrap_or_default();
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation,
            created: object.creation_timestamp().map(|time| time.0.to_string()).unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            finalizers: object.finalizers().to_vec(),
            accept: object.annotations().get(ACCEPT).map(|id| id.trim().to_owned()),
            check: object.annotations().get(CHECK).map(|value| value.chars().take(MAX_CHECK).collect()),
            config: read_object(&whole),
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }

    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether [`FINALIZER`] is on it.
    pub fn is_held(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }

    /// Whether kadalu runs its bricks itself, and we have never had to do with it.
    pub fn is_foreign(&self) -> bool {
        matches!(self.config, Ok(Storage::Foreign { .. })) && !self.is_held()
    }

    /// What is in force of it.
    pub fn in_force(&self) -> Option<StorageConfig> {
        let spec = Value::Object(self.status.in_force.clone()?);
        let metadata = json!({ "name": self.name, "namespace": self.namespace });
        let whole = json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec });
        match read_object(&whole) {
            Ok(Storage::External(config)) => Some(*config),
            // Of a later version, or edited by hand: as if it were seen for the first time.
            Ok(Storage::Foreign { .. }) | Err(_) => None,
        }
    }

    /// As what the driver is to know it; none where nothing is in force.
    pub fn identity(&self) -> Option<Identity> {
        let KadaluStorageStatus { volume, volume_id, in_force, .. } = &self.status;
        in_force.as_ref().map(|_| Identity { volume: volume.clone(), id: volume_id.clone() })
    }

    /// Whether it has the name before another storage of the same name.
    pub fn is_before(&self, other: &Self) -> bool {
        (&self.created, &self.namespace) < (&other.created, &other.namespace)
    }
}

/// A storage class that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Of which storage it was made, where it is of our making: `NAMESPACE/NAME`.
    pub storage: Option<String>,
    /// Its uid: what is deleted is this one, and no later one of the same name.
    pub uid: String,
    /// All of it.
    pub value: Value,
}

impl Class {
    /// As the API has it.
    pub fn read(class: &StorageClass) -> Self {
        let storage = class.annotations().get(STORAGE).cloned();
        let uid = class.uid().unwrap_or_default();
        Self { storage, uid, value: serde_json::to_value(class).unwrap_or_default() }
    }
}

/// What is looked at: a volume, and what is wanted of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where its cluster is asked.
    pub servers: Vec<ServerAddress>,
    /// Its name.
    pub volume: String,
    /// What its PVs will be.
    pub kind: PvKind,
    /// What it may be although sizes mean nothing there.
    pub allow: Allow,
    /// What sizes are to be worth.
    pub quota: QuotaPolicy,
    /// Why it is looked at anew: [`Object::check`].
    pub check: Option<String>,
}

impl Target {
    /// Of a storage with this configuration.
    pub fn of(object: &Object, config: &StorageConfig) -> Self {
        let parameters = &config.parameters;
        Self {
            servers: parameters.servers.clone(),
            volume: parameters.volume.clone().unwrap_or_default(),
            kind: parameters.kind.unwrap_or_default(),
            allow: parameters.allow,
            quota: parameters.quota.unwrap_or_default(),
            check: object.check.clone(),
        }
    }
}

/// `SERVERS:/VOLUME`, with what it is looked at for where that is not the usual.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.servers.iter().map(ToString::to_string).collect::<Vec<_>>();
        write!(f, "{}:/{}", servers.join(","), self.volume)?;
        if self.kind == PvKind::Whole {
            f.write_str(" whole")?;
        }
        if self.quota != QuotaPolicy::default() {
            write!(f, " quota={}", self.quota)?;
        }
        let allowed = [("distribute", self.allow.distribute), ("shard", self.allow.shard)];
        allowed.iter().filter(|(_, allowed)| *allowed).try_for_each(|(what, _)| write!(f, " {what}"))?;
        self.check.iter().try_for_each(|check| write!(f, " check={check:?}"))
    }
}

/// How a PV is kept to its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// By every brick.
    Enforced,
    /// Not at all: no limit was asked for.
    Off,
    /// Some brick does not enforce it, and why.
    NotEnforced(String),
    /// Nobody tells, and why.
    Unknown(String),
}

/// Which volume a storage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub volume: Option<String>,
    /// Its id, where somebody has told it.
    pub id: Option<String>,
}

/// What the driver says of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Home {
    /// It was not asked of it yet, or has not answered.
    #[default]
    NotAsked,
    /// It knows it.
    Known {
        /// As what it was asked of it.
        of: Identity,
        /// Bytes that it would give to a further PV, where it can tell.
        available: Option<u64>,
    },
    /// It does not know it as it is, and why: it is shown new ones after a while.
    NotKnown(String),
}

/// What the driver has said.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum DriverView {
    /// There is none to ask.
    #[default]
    Absent,
    /// It was not asked yet.
    NotAsked,
    /// It does not tell of the PVs.
    Failed {
        /// Its sentence, or that it was not reached.
        why: String,
        /// What it says of this storage all the same.
        home: Home,
    },
    /// What it said.
    Seen {
        /// The PVs that it knows, by its id of each; those whose volume does not answer are missing.
        limits: Arc<BTreeMap<String, Limit>>,
        /// The PVs that were there when it was asked.
        asked: Arc<BTreeSet<String>>,
        /// What it says of this storage.
        home: Home,
    },
}

impl DriverView {
    /// What it says of the storage.
    pub fn home(&self) -> &Home {
        match self {
            Self::Absent | Self::NotAsked => &Home::NotAsked,
            Self::Failed { home, .. } | Self::Seen { home, .. } => home,
        }
    }
}

/// The PVs of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// Their names.
    pub names: BTreeSet<String>,
    /// What the driver knows those by that it has made.
    pub handles: BTreeSet<String>,
    /// Those that somebody has written by hand: directories of a volume, which have no limit.
    pub by_hand: BTreeSet<String>,
    /// The storage classes that they name.
    pub classes: BTreeSet<String>,
}

/// One storage, and all that concerns it.
#[derive(Debug)]
pub struct World<'w> {
    /// What is the same for all.
    pub settings: &'w Settings,
    /// The storage.
    pub object: &'w Object,
    /// An older storage of the same name, in another namespace.
    pub rival: Option<String>,
    /// Storage classes by name: those that have a name of ours, and those that were made of this storage.
    pub classes: BTreeMap<String, Class>,
    /// The entry in [`CONFIG_MAP`].
    pub entry: Option<String>,
    /// The PVs that are of this storage.
    pub users: Users,
    /// What was found of volumes since the operator has started, by [`Target`].
    pub reports: &'w BTreeMap<String, Arc<Report>>,
    /// What the driver has said.
    pub driver: DriverView,
    /// What others have changed may be put back: nothing was a short while ago.
    pub may_put_back: bool,
    /// In RFC 3339.
    pub now: &'w str,
}

impl From<&Finding> for StatusFinding {
    fn from(finding: &Finding) -> Self {
        let outcome = match finding.outcome {
            Outcome::Ok => "ok",
            Outcome::Unknown => "unknown",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
        };
        Self {
            code: finding.code.to_owned(),
            outcome: outcome.to_owned(),
            subject: finding.subject.as_deref().map(|subject| shown(subject, MAX_FINDING)),
            message: shown(&finding.message, MAX_FINDING),
            advice: finding.advice.as_deref().map(|advice| shown(advice, MAX_FINDING)),
        }
    }
}

/// As a sentence.
impl fmt::Display for StatusFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, message, advice, .. } = self;
        subject.iter().try_for_each(|subject| write!(f, "{subject}: "))?;
        f.write_str(message)?;
        advice.iter().try_for_each(|advice| write!(f, ": {advice}"))
    }
}

/// A text that can be shown, of at most so many bytes.
pub(super) fn shown(text: &str, most: usize) -> String {
    let text: String = printable(&text.replace('\n', " ")).collect();
    match text.len() > most {
        true => format!("{}…", &text[..text.floor_char_boundary(most)]),
        false => text,
    }
}
