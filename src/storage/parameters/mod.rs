//! What a StorageClass asks for, in every spelling that is in use.

mod reader;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use self::reader::Reader;
use super::{
    error::{Error, Reason},
    handle::PoolId,
    record::{QuotaPolicy, Reclaim},
};
use crate::{
    mount::{
        options::{MountOptions, nearest_of},
        source::shortened,
    },
    transport::{DEFAULT_PORT, MAX_SERVERS, ServerAddress},
};

/// More than any StorageClass has.
const MAX_PARAMETERS: usize = 64;

/// Bytes of a key with its value: what the specification allows for all of them.
const MAX_LENGTH: usize = 4096;

/// Keys that the provisioner adds, or that are meant for it.
const OF_KUBERNETES: &str = "csi.storage.k8s.io/";

/// What a StorageClass says, or a kadalu storage's `.info` file. What is not said is `None`, or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// The storage that is meant, by its name among those of `--storages`.
    pub storage: Option<String>,
    /// Servers of the cluster, each once, in order. Hints: no identity.
    pub servers: Vec<ServerAddress>,
    /// The volume's name.
    pub volume: Option<String>,
    /// The volume's id in its cluster, where it is settled: one that has another id has only taken the name.
    pub volume_id: Option<PoolId>,
    /// Of the mounts of its PVs.
    pub options: MountOptions,
    /// What a PV is.
    pub kind: Option<PvKind>,
    /// What becomes of a PV's data when it is deleted.
    pub reclaim: Option<Reclaim>,
    /// What a PV's size is worth.
    pub quota: Option<QuotaPolicy>,
    /// Percent of a PV's size from which on a grace period is counted.
    pub soft_limit: Option<u8>,
    /// Files, directories and links that a PV may have.
    pub inodes: Option<u64>,
    /// How often the volume's size may be promised.
    pub overcommit: Option<f64>,
    /// Kinds of volumes that may be used although they defeat the limits of sub-directories.
    pub allow: Allow,
}

/// What a PV is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PvKind {
    /// A directory of a volume, in kadalu's layout.
    #[default]
    Subdirectory,
    /// A volume as a whole, for one PV alone.
    Whole,
}

/// The kinds of volumes that defeat the limits of sub-directories, and whether they may be used all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allow {
    /// Files lie on one of several sets of bricks.
    pub distribute: bool,
    /// Pieces of files lie outside of their directory.
    pub shard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Type,
    Servers,
    Volume,
    VolumeId,
    Port,
    Options,
    Single,
    Format,
    Storage,
    Reclaim,
    Quota,
    SoftLimit,
    Inodes,
    Overcommit,
    Allow,
}

/// Every word, in the order in which the values are read: the first server that is named is the first to be tried.
const WORDS: &[(&str, Meaning)] = &[
    ("hostvol_type", Meaning::Type),
    ("gluster_port", Meaning::Port),
    ("port", Meaning::Port),
    ("gluster_node", Meaning::Servers),
    ("gluster_host", Meaning::Servers),
    ("gluster_hosts", Meaning::Servers),
    ("servers", Meaning::Servers),
    ("backup_nodes", Meaning::Servers),
    ("gluster_volname", Meaning::Volume),
    ("volume", Meaning::Volume),
    ("gvolname", Meaning::Volume),
    ("gluster_volume_id", Meaning::VolumeId),
    ("gluster_options", Meaning::Options),
    ("options", Meaning::Options),
    ("single_pv_per_pool", Meaning::Single),
    ("kadalu_format", Meaning::Format),
    ("storage_name", Meaning::Storage),
    ("reclaim", Meaning::Reclaim),
    ("pv_reclaim_policy", Meaning::Reclaim),
    ("quota", Meaning::Quota),
    ("soft_limit", Meaning::SoftLimit),
    ("inodes", Meaning::Inodes),
    ("overcommit", Meaning::Overcommit),
    ("allow", Meaning::Allow),
];

impl Parameters {
    /// Reads keys and values. Case, `-` and `_` of a key do not matter, keys of Kubernetes itself are left out, and a
    /// value that is empty counts as not given.
    ///
    /// # Errors
    /// `Invalid` for unknown keys, with the nearest right one, for values that make no sense, and for what
    /// contradicts itself.
    pub fn parse<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, Error> {
        let pairs: Vec<_> = pairs.into_iter().take(MAX_PARAMETERS + 1).collect();
        if pairs.len() > MAX_PARAMETERS {
            return Err(invalid(format_args!("there are more than {MAX_PARAMETERS} parameters")));
        }
        Self::read(&pairs).map_err(|problems| match problems.first() {
            Some(problem) => invalid(problem.sentence(&pairs)),
            None => invalid("the parameters make no sense"),
        })
    }

    /// Reads pairs as [`Self::parse`] does, any number of them; a list may be several pairs of one key.
    ///
    /// # Errors
    /// All that is wrong: first the keys, in their order, then the values.
    pub(super) fn read(pairs: &[(&str, &str)]) -> Result<Self, Vec<Problem>> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (pair, &(key, value)) in pairs.iter().enumerate() {
            if let Err(message) = check_text(key, value) {
                problems.push(Problem::wrong(pair, message));
            } else if key.starts_with(OF_KUBERNETES) || value.trim().is_empty() {
                // For the provisioner, or not given.
            } else if let Some(place) = place(key) {
                found.push((place, key, pair, value.trim()));
            } else {
                problems.push(Problem::wrong(pair, unknown(key)));
            }
        }
        found.sort_unstable();
        let mut reader = Reader::default();
        for (place, _, pair, value) in found {
            problems.extend(reader.take(WORDS[place].1, pair, value).err());
        }
        reader.end(problems)
    }

    /// As those of a StorageClass that needs nothing else: read again, they are the same. Of options only those that
    /// have an effect are written.
    pub fn write(&self) -> BTreeMap<&'static str, String> {
        let said = |value: &Option<String>| value.clone().unwrap_or_default();
        let kind = self.kind.map(|kind| if kind == PvKind::Whole { "True" } else { "False" });
        let pairs = [
            ("hostvol_type", "External".to_owned()),
            ("storage_name", said(&self.storage)),
            ("gluster_hosts", self.hosts().join(",")),
            ("gluster_volname", said(&self.volume)),
            ("gluster_volume_id", said(&self.volume_id.as_ref().map(PoolId::to_string))),
            ("gluster_options", self.options.canonical()),
            ("single_pv_per_pool", said(&kind.map(str::to_owned))),
            ("pvReclaimPolicy", said(&self.reclaim.map(|reclaim| reclaim.to_string()))),
            ("quota", said(&self.quota.map(|quota| quota.to_string()))),
            ("soft_limit", said(&self.soft_limit.map(|percent| percent.to_string()))),
            ("inodes", said(&self.inodes.map(|inodes| inodes.to_string()))),
            ("overcommit", said(&self.overcommit.map(|ratio| ratio.to_string()))),
            ("allow", self.allow.words().join(",")),
        ];
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The servers as kadalu writes them: without the port that is everybody's.
    pub(super) fn hosts(&self) -> Vec<String> {
        let host = |server: &ServerAddress| match server {
            ServerAddress::Tcp { host, port: DEFAULT_PORT } if host.contains(':') => format!("[{host}]"),
            ServerAddress::Tcp { host, port: DEFAULT_PORT } => host.clone(),
            server => server.to_string(),
        };
        self.servers.iter().map(host).collect()
    }

    /// Whether the name is the same, and a server: two clusters may have a volume of one name.
    pub fn is_same_volume(&self, other: &Self) -> bool {
        self.volume.is_some()
            && self.volume == other.volume
            && self.servers.iter().any(|server| other.servers.contains(server))
    }

    /// Adds servers that are not there yet, as long as there is room.
    pub fn add_servers(&mut self, more: &[ServerAddress]) {
        for server in more {
            if self.servers.len() < MAX_SERVERS && !self.servers.contains(server) {
                self.servers.push(server.clone());
            }
        }
    }

    /// These, with what others say where these say nothing. The servers of the others come first.
    pub(super) fn or(self, others: Self) -> Self {
        let mut both = others;
        both.add_servers(&self.servers);
        Self {
            storage: self.storage.or(both.storage),
            servers: both.servers,
            volume: self.volume.or(both.volume),
            volume_id: self.volume_id.or(both.volume_id),
            options: if self.options == MountOptions::default() { both.options } else { self.options },
            kind: self.kind.or(both.kind),
            reclaim: self.reclaim.or(both.reclaim),
            quota: self.quota.or(both.quota),
            soft_limit: self.soft_limit.or(both.soft_limit),
            inodes: self.inodes.or(both.inodes),
            overcommit: self.overcommit.or(both.overcommit),
            allow: Allow {
                distribute: self.allow.distribute || both.allow.distribute,
                shard: self.allow.shard || both.allow.shard,
            },
        }
    }

    /// Whether a key has a meaning here.
    pub(super) fn knows(key: &str) -> bool {
        place(key).is_some()
    }

    /// Whether it does so in what describes a storage, and not only in a StorageClass or in kadalu's list.
    pub(super) fn describes(key: &str) -> bool {
        let only_there =
            |place: usize| matches!(WORDS[place].1, Meaning::Type | Meaning::Storage | Meaning::VolumeId);
        place(key).is_some_and(|place| !only_there(place))
    }

    /// Whether a key is of options of mounts.
    pub(super) fn is_options(key: &str) -> bool {
        place(key).is_some_and(|place| matches!(WORDS[place].1, Meaning::Options))
    }

    /// Whether a key says what this word says.
    pub(super) fn means(key: &str, word: &str) -> bool {
        let meaning = |key| place(key).map(|place| WORDS[place].1);
        meaning(key).is_some() && meaning(key) == meaning(word)
    }

    /// Whether the value of a key may be a list.
    pub(super) fn takes_list(key: &str) -> bool {
        let list =
            |place: usize| matches!(WORDS[place].1, Meaning::Servers | Meaning::Options | Meaning::Allow);
        place(key).is_some_and(list)
    }
}

impl Allow {
    /// By their words.
    pub(super) fn words(self) -> Vec<&'static str> {
        let words = [(self.distribute, "distribute"), (self.shard, "shard")];
        words.into_iter().filter_map(|(on, word)| on.then_some(word)).collect()
    }
}

/// What is wrong with pairs of keys and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// With which, by its number; none where one is missing.
    pub(super) pair: Option<usize>,
    pub(super) what: Wrong,
}

/// What it is, without the pair's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// In words.
    Says(String),
    /// Another pair, by its number, says something else.
    Contradicts(usize),
}

impl Problem {
    fn wrong(pair: usize, message: impl fmt::Display) -> Self {
        Self { pair: Some(pair), what: Wrong::Says(message.to_string()) }
    }

    /// For somebody who sees no more than the parameters.
    fn sentence(&self, pairs: &[(&str, &str)]) -> String {
        let pair = |number: usize| pairs.get(number).copied().unwrap_or_default();
        let (key, value) = self.pair.map(pair).unwrap_or_default();
        let (key, value) = (shortened(key), shortened(value));
        match &self.what {
            Wrong::Says(message) if self.pair.is_none() => format!("a parameter is missing: {message}"),
            Wrong::Says(message) if !Parameters::knows(&key) => message.clone(),
            Wrong::Says(message) => format!("parameter {key}: {message}"),
            Wrong::Contradicts(other) => {
                let (other, said) = pair(*other);
                let (other, said) = (shortened(other), shortened(said));
                format!("parameter {key}={value:?} contradicts {other}={said:?}: leave one of them out")
            }
        }
    }
}

fn place(key: &str) -> Option<usize> {
    let plain = plain(key);
    WORDS.iter().position(|(word, _)| word.bytes().filter(|byte| *byte != b'_').eq(plain.bytes()))
}

/// Without what does not matter in a key.
pub(super) fn plain(key: &str) -> String {
    key.chars().filter(|letter| !"-_".contains(*letter)).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn check_text(key: &str, value: &str) -> Result<(), Cow<'static, str>> {
    let shown = shortened(key);
    if key.len() + value.len() > MAX_LENGTH {
        return Err(format!("{shown:?} with its value has more than {MAX_LENGTH} bytes").into());
    }
    // Lists may be written over several lines.
    if key.contains(char::is_control) || value.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return Err(format!("{shown:?} or its value has a control character").into());
    }
    Ok(())
}

fn unknown(key: &str) -> String {
    let word = key.to_ascii_lowercase().replace('-', "_");
    let meant = nearest_of(&word, WORDS.iter().map(|(word, _)| *word));
    let meant = match meant {
        _ if MountOptions::takes(key) => ": it is an option of mounts, for gluster_options".to_owned(),
        Some(word) => format!(", do you mean {word:?}?"),
        None => String::new(),
    };
    format!("there is no parameter {:?}{meant}", shortened(key))
}

fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Reason::Invalid, message)
}

#[cfg(test)]
mod tests;
