//! Reads the values of parameters.

use super::{Meaning, Parameters, Problem, PvKind, Wrong};
use crate::{
    mount::{
        options::MountOptions,
        source::{check, shortened},
    },
    storage::{
        handle::PoolId,
        record::{MAX_SIZE, QuotaPolicy, Reclaim},
    },
    transport::{DEFAULT_PORT, MAX_SERVERS, ServerAddress},
};

/// What was read so far, with what is complete only at the end.
#[derive(Default)]
pub(super) struct Reader {
    read: Parameters,
    port: Option<u16>,
    options: Vec<String>,
    /// More servers were named than there may be: told once.
    too_many: bool,
    /// Which pair was the first to say what can be said in one way only.
    said: Vec<(Meaning, usize)>,
}

impl Reader {
    /// Reads the value of a pair.
    pub(super) fn take(&mut self, meaning: Meaning, pair: usize, value: &str) -> Result<(), Problem> {
        let Self { read, port, said, .. } = self;
        let refused = |allowed: &str| {
            Problem::wrong(pair, format_args!("{allowed} is wanted, not {:?}", shortened(value)))
        };
        match meaning {
            Meaning::Type if value.eq_ignore_ascii_case("external") => Ok(()),
            Meaning::Type => Err(refused("External, the one type of this driver,")),
            Meaning::Port => {
                let number = value.parse().ok().filter(|port| *port > 0);
                let number = number.ok_or_else(|| refused("a number from 1 to 65535"))?;
                once(port, number, said, (meaning, pair))
            }
            Meaning::Servers => self.servers(pair, value),
            Meaning::Volume => match split(value) {
                Some(_) => self.servers(pair, value),
                None => self.volume(pair, value.trim_matches('/')),
            },
            Meaning::VolumeId => {
                let id = value.to_ascii_lowercase().parse::<PoolId>();
                let id = id.map_err(|_| refused("the volume's id, a UUID,"))?;
                once(&mut read.volume_id, id, said, (meaning, pair))
            }
            Meaning::Options => {
                // With those before it: together they can be too many.
                let all = self.options.iter().map(String::as_str).chain([value]).flat_map(str::lines);
                let options = MountOptions::parse(all).map_err(|error| Problem::wrong(pair, error))?;
                if options.read_only() {
                    return Err(Problem::wrong(pair, "ro makes no PV: let the pods mount it read-only"));
                }
                self.options.push(value.to_owned());
                read.options = options;
                Ok(())
            }
            Meaning::Single => {
                let single = switch(value).ok_or_else(|| refused("true or false"))?;
                once(&mut read.kind, kind_if(single), said, (Meaning::Single, pair))
            }
            Meaning::Format => {
                let native = match value.to_ascii_lowercase().as_str() {
                    "native" => Some(true),
                    "non-native" | "non_native" => Some(false),
                    other => switch(other),
                };
                let native = native.ok_or_else(|| refused("native, non-native, true or false"))?;
                once(&mut read.kind, kind_if(!native), said, (Meaning::Single, pair))
            }
            Meaning::Storage => once(&mut read.storage, value.to_owned(), said, (meaning, pair)),
            Meaning::Reclaim => {
                let reclaim = value.parse::<Reclaim>().map_err(|_| refused("delete, archive or retain"))?;
                once(&mut read.reclaim, reclaim, said, (meaning, pair))
            }
            Meaning::Quota => {
                // YAML 1.1, and so kubectl, takes `off` for a boolean.
                let quota = if value == "false" { Ok(QuotaPolicy::Off) } else { value.parse() };
                let quota = quota.map_err(|_| refused("required, best-effort or off"))?;
                once(&mut read.quota, quota, said, (meaning, pair))
            }
            Meaning::SoftLimit => {
                let percent = value.strip_suffix('%').unwrap_or(value).trim_end().parse().ok();
                let percent = percent.filter(|percent| (1..=99).contains(percent));
                let percent = percent.ok_or_else(|| refused("a percentage such as 80, from 1 to 99,"))?;
                once(&mut read.soft_limit, percent, said, (meaning, pair))
            }
            Meaning::Inodes => {
                let inodes = value.parse().ok().filter(|inodes| (1..=MAX_SIZE).contains(inodes));
                let inodes = inodes.ok_or_else(|| refused("a number of files above 0"))?;
                once(&mut read.inodes, inodes, said, (meaning, pair))
            }
            Meaning::Overcommit => {
                let ratio = value.parse().ok().filter(|ratio| (0.01..=1000.0).contains(ratio));
                let ratio = ratio.ok_or_else(|| refused("a ratio such as 1.5, from 0.01 to 1000,"))?;
                once(&mut read.overcommit, ratio, said, (meaning, pair))
            }
            Meaning::Allow => {
                for word in words(value) {
                    match word.to_ascii_lowercase().as_str() {
                        "distribute" => read.allow.distribute = true,
                        "shard" => read.allow.shard = true,
                        _ => return Err(refused("distribute or shard")),
                    }
                }
                Ok(())
            }
        }
    }

    fn servers(&mut self, pair: usize, value: &str) -> Result<(), Problem> {
        if let Some(url) = words(value).find(|word| word.contains("://") && !word.starts_with("unix:")) {
            let message = format!("{:?} is no server: write host or host:port", shortened(url));
            return Err(Problem::wrong(pair, message));
        }
        let list = match split(value) {
            Some((list, volume)) => {
                self.volume(pair, volume)?;
                list
            }
            None => value,
        };
        for word in words(list) {
            let mut server: ServerAddress = word.parse().map_err(|error| Problem::wrong(pair, error))?;
            // Whoever wrote a port behind a server means it.
            if let (ServerAddress::Tcp { port, .. }, Some(other)) = (&mut server, self.port)
                && *port == DEFAULT_PORT
                && !word.ends_with(&format!(":{DEFAULT_PORT}"))
            {
                *port = other;
            }
            if self.read.servers.contains(&server) {
                continue;
            }
            if self.read.servers.len() == MAX_SERVERS {
                if std::mem::replace(&mut self.too_many, true) {
                    return Ok(());
                }
                return Err(Problem::wrong(pair, format_args!("there are more than {MAX_SERVERS} servers")));
            }
            self.read.servers.push(server);
        }
        Ok(())
    }

    fn volume(&mut self, pair: usize, name: &str) -> Result<(), Problem> {
        check(name, "").map_err(|error| Problem::wrong(pair, error))?;
        once(&mut self.read.volume, name.to_owned(), &mut self.said, (Meaning::Volume, pair))
    }

    /// All that was read, unless something is wrong with it.
    pub(super) fn end(self, mut problems: Vec<Problem>) -> Result<Parameters, Vec<Problem>> {
        let Self { mut read, said, .. } = self;
        let servers = read.options.servers().to_vec();
        read.add_servers(&servers);
        if read.kind == Some(PvKind::Whole)
            && let Some((_, pair)) = said.iter().find(|(what, _)| *what == Meaning::Overcommit)
        {
            let message = "it is of no use where a volume is one PV (single_pv_per_pool): leave it out";
            problems.push(Problem::wrong(*pair, message));
        }
        // Where something else is wrong, it is what keeps it from being there.
        if read.storage.is_none() && problems.is_empty() {
            let missing = [
                (read.volume.is_none(), "gluster_volname, the volume that holds the PVs"),
                (read.servers.is_empty(), "gluster_hosts, the servers of the cluster"),
            ];
            let missing = missing.into_iter().filter(|(missing, _)| *missing);
            problems
                .extend(missing.map(|(_, what)| Problem { pair: None, what: Wrong::Says(what.to_owned()) }));
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }
}

fn kind_if(whole: bool) -> PvKind {
    if whole { PvKind::Whole } else { PvKind::Subdirectory }
}

/// As YAML, Python and people write booleans.
fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The words of a list with commas or white space between them.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(|letter: char| letter == ',' || letter.is_whitespace()).filter(|word| !word.is_empty())
}

/// Servers and volume of `g1,g2:/vol`; the path of a unix socket is no volume.
fn split(value: &str) -> Option<(&str, &str)> {
    let (at, colon) =
        value.match_indices(":/").find(|(at, _)| words(&value[..*at]).last() != Some("unix"))?;
    Some((&value[..at], value[at + colon.len()..].trim_matches('/')))
}

/// Sets what may be said twice, but not in two ways.
fn once<T: PartialEq>(
    slot: &mut Option<T>,
    value: T,
    said: &mut Vec<(Meaning, usize)>,
    (what, pair): (Meaning, usize),
) -> Result<(), Problem> {
    match said.iter().find(|(said, _)| *said == what) {
        Some(_) if slot.as_ref() == Some(&value) => Ok(()),
        Some((_, before)) => Err(Problem { pair: Some(pair), what: Wrong::Contradicts(*before) }),
        None => {
            *slot = Some(value);
            said.push((what, pair));
            Ok(())
        }
    }
}
