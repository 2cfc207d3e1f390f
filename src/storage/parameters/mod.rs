//! What a StorageClass asks for, in every spelling that is in use.

mod reader;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use self::reader::Reader;
use super::{
    error::{Error, Reason},
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

    /// Whether it does so in what describes a storage, and not only in a StorageClass.
    pub(super) fn describes(key: &str) -> bool {
        place(key).is_some_and(|place| !matches!(WORDS[place].1, Meaning::Type | Meaning::Storage))
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
    let meant = meant.map(|word| format!(", do you mean {word:?}?")).unwrap_or_default();
    format!("there is no parameter {:?}{meant}", shortened(key))
}

fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Reason::Invalid, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::Reason;

    fn parse(pairs: &[(&str, &str)]) -> Parameters {
        Parameters::parse(pairs.iter().copied()).unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        let error = Parameters::parse(pairs.iter().copied()).expect_err(&format!("{pairs:?}"));
        assert_eq!(error.reason(), Reason::Invalid);
        assert!(error.to_string().len() < 500, "{error}");
        error.to_string()
    }

    fn servers(parameters: &Parameters) -> String {
        parameters.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_class_as_the_operator_of_kadalu_writes_it() {
        let read = parse(&[
            ("hostvol_type", "External"),
            ("gluster_hosts", "g1.example.net,g2"),
            ("gluster_volname", "vol"),
            ("gluster_options", "log_level=DEBUG,ro=false"),
            ("single_pv_per_pool", "False"),
            ("csi.storage.k8s.io/pvc/name", "claim"),
        ]);
        assert_eq!(servers(&read), "g1.example.net:24007 g2:24007");
        assert_eq!((read.volume.as_deref(), read.kind), (Some("vol"), Some(PvKind::Subdirectory)));
        assert_eq!(read.options.canonical(), "log-level=DEBUG");
    }

    #[test]
    fn every_spelling_means_the_same() {
        let expected = parse(&[("gluster_hosts", "g1,g2"), ("gluster_volname", "vol")]);
        for pairs in [
            &[("gluster_node", "g1"), ("backup_nodes", "g2"), ("gluster_volname", "vol")][..],
            &[("backup-nodes", "g2 "), ("Gluster_host", "g1"), ("volume", "vol")],
            &[("servers", "g1 g2"), ("gvolname", "/vol/")],
            &[("SERVERS", "g1,\n g2,g1"), ("GlusterVolname", "vol")],
            &[("gluster_hosts", "g1,g2:/vol")],
            &[("volume", "g1,g2:/vol")],
            &[("volume", "vol"), ("gluster-hosts", "g1:24007, g2:/vol"), ("port", "24007")],
            &[("hostvol_type", "EXTERNAL"), ("gluster_hosts", "g1,g2"), ("volume", "vol"), ("options", " ")],
        ] {
            assert_eq!(parse(pairs), expected, "{pairs:?}");
        }
        let by_name = parse(&[("storage_name", "pool-1")]);
        assert_eq!((by_name.storage.as_deref(), by_name.volume), (Some("pool-1"), None));
    }

    #[test]
    fn a_port_is_that_of_the_servers_without_one() {
        let port = |hosts, port| {
            servers(&parse(&[("gluster_hosts", hosts), ("gluster_port", port), ("volume", "v")]))
        };
        assert_eq!(
            port("g1,g2:24007,g3:1,[::1],fe80::1", "24008"),
            "g1:24008 g2:24007 g3:1 [::1]:24008 [fe80::1]:24008"
        );
        assert_eq!(port("unix:/run/g.sock", "24008"), "unix:/run/g.sock");
        let unix = parse(&[("gluster_hosts", "unix:/run/g.sock:/vol")]);
        assert_eq!((servers(&unix).as_str(), unix.volume.as_deref()), ("unix:/run/g.sock", Some("vol")));
        let more = parse(&[("gluster_hosts", "g1:/v"), ("options", "backup-volfile-servers=g2:g3")]);
        assert_eq!(servers(&more), "g1:24007 g2:24007 g3:24007");
    }

    #[test]
    fn kinds_and_policies() {
        let with = |pairs: &[(&str, &str)]| parse(&[&[("gluster_hosts", "g:/v")], pairs].concat());
        for (key, value, kind) in [
            ("kadalu_format", "native", PvKind::Subdirectory),
            ("kadalu-format", "true", PvKind::Subdirectory),
            ("kadalu_format", "non-native", PvKind::Whole),
            ("kadalu_format", "False", PvKind::Whole),
            ("single_pv_per_pool", "True", PvKind::Whole),
            ("single_pv_per_pool", "false", PvKind::Subdirectory),
        ] {
            assert_eq!(with(&[(key, value)]).kind, Some(kind), "{key}={value}");
        }
        assert_eq!(with(&[]).kind, None);
        assert_eq!(
            with(&[("single_pv_per_pool", "true"), ("kadalu_format", "false")]).kind,
            Some(PvKind::Whole)
        );
        for key in ["reclaim", "pvReclaimPolicy", "pv_reclaim_policy"] {
            assert_eq!(with(&[(key, "Archive")]).reclaim, Some(Reclaim::Archive));
        }
        assert_eq!(with(&[("quota", "best-effort")]).quota, Some(QuotaPolicy::BestEffort));
        for (key, value) in [("soft_limit", "80"), ("softLimit", "80%"), ("SOFT-LIMIT", "080 %")] {
            assert_eq!(with(&[(key, value)]).soft_limit, Some(80), "{key}={value}");
        }
        assert_eq!(with(&[("Inodes", "100000")]).inodes, Some(100_000));
        assert_eq!(with(&[("overcommit", "1.5")]).overcommit, Some(1.5));
        let allow = with(&[("allow", "shard, Distribute")]).allow;
        assert!(allow.distribute && allow.shard);
    }

    #[test]
    fn what_makes_no_sense_is_told_in_a_sentence() {
        let long = "x".repeat(10_000_000);
        for (pairs, expected) in [
            (&[][..], "gluster_volname"),
            (&[("gluster_hosts", "g1")], "gluster_volname"),
            (&[("volume", "v")], "gluster_hosts"),
            (&[("hostvol_type", "Replica3"), ("gluster_hosts", "g:/v")], "External"),
            (&[("gluster_hots", "g1")], "do you mean \"gluster_hosts\"?"),
            (&[("frobnicate", "g1")], "there is no parameter \"frobnicate\""),
            (&[("gluster_hosts", "g1:/v"), ("volume", "w")], "contradicts"),
            (&[("gluster_hosts", "g1:/v"), ("volname", "w")], "do you mean"),
            (&[("single_pv_per_pool", "true"), ("kadalu_format", "native")], "contradicts"),
            (&[("single_pv_per_pool", "maybe")], "true or false"),
            (&[("kadalu_format", "heketi")], "native"),
            (&[("reclaim", "keep")], "archive"),
            (&[("reclaim", "delete"), ("pvReclaimPolicy", "retain")], "contradicts"),
            (&[("quota", "hard")], "best-effort"),
            (&[("soft_limit", "100")], "a percentage such as 80"),
            (&[("inodes", "0")], "a number of files above 0"),
            (&[("inodes", "10k")], "a number of files above 0"),
            (&[("overcommit", "NaN")], "ratio"),
            (&[("overcommit", "-1")], "ratio"),
            (&[("single_pv_per_pool", "true"), ("overcommit", "2"), ("servers", "g:/v")], "overcommit"),
            (&[("allow", "everything")], "distribute or shard"),
            (&[("port", "0")], "65535"),
            (&[("servers", "g1:/v/dir")], "is not a volume's name"),
            (&[("servers", "g,-x:/v")], "not a host name"),
            (&[("servers", "g:/.."), ("quota", "off")], "is not a volume's name"),
            (&[("servers", "g:/v"), ("options", "log-levle=DEBUG")], "do you mean \"log-level\"?"),
            (&[("servers", "g:/v"), ("options", "ro")], "ro makes no PV"),
            (&[("servers", "g\0:/v")], "control character"),
            (&[(long.as_str(), "")], "more than 4096"),
            (&[("servers", long.as_str())], "more than 4096"),
        ] {
            let sentence = refused(pairs);
            assert!(sentence.contains(expected), "{expected}: {sentence}");
        }
        let many: Vec<_> = (0..100).map(|n| format!("key{n}")).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert!(refused(&many).contains("there are more than"));
        let many: Vec<_> = (0..300).map(|n| format!("g{n}")).collect();
        assert!(refused(&[("servers", &many.join(",")), ("volume", "v")]).contains("more than 256"));
    }

    proptest! {
        #[test]
        fn nothing_panics(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
            known in prop::collection::vec((0..WORDS.len(), any::<String>()), 0..5)) {
            let known = known.iter().map(|(n, value)| (WORDS[*n].0, value.as_str()));
            let _ = Parameters::parse(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(known));
        }
    }
}
