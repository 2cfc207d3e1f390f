//! Reads the values of parameters.

use std::fmt;

use super::{Meaning, Parameters, PvKind};
use crate::{
    mount::{
        options::MountOptions,
        source::{Source, shortened},
    },
    storage::{
        Error, Reason,
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
}

impl Reader {
    pub(super) fn take(&mut self, meaning: Meaning, key: &str, value: &str) -> Result<(), Error> {
        let read = &mut self.read;
        match meaning {
            Meaning::Type if value.eq_ignore_ascii_case("external") => Ok(()),
            Meaning::Type => Err(refused(key, value, "External: this driver serves external volumes only")),
            Meaning::Port => {
                let port = value.parse().ok().filter(|port| *port > 0);
                let port = port.ok_or_else(|| refused(key, value, "a number from 1 to 65535"))?;
                once(&mut self.port, port, key, value)
            }
            Meaning::Servers => self.servers(key, value),
            Meaning::Volume => self.volume(key, value),
            Meaning::Options => {
                self.options.push(value.to_owned());
                Ok(())
            }
            Meaning::Single => {
                let single = switch(value).ok_or_else(|| refused(key, value, "true or false"))?;
                once(&mut read.kind, kind_if(single), key, value)
            }
            Meaning::Format => {
                let native = match value.to_ascii_lowercase().as_str() {
                    "native" => Some(true),
                    "non-native" | "non_native" => Some(false),
                    other => switch(other),
                };
                let native =
                    native.ok_or_else(|| refused(key, value, "native, non-native, true or false"))?;
                once(&mut read.kind, kind_if(!native), key, value)
            }
            Meaning::Storage => once(&mut read.storage, value.to_owned(), key, value),
            Meaning::Reclaim => {
                let reclaim = value.to_ascii_lowercase().parse::<Reclaim>();
                let reclaim = reclaim.map_err(|_| refused(key, value, "delete, archive or retain"))?;
                once(&mut read.reclaim, reclaim, key, value)
            }
            Meaning::Quota => {
                let quota = value.to_ascii_lowercase().parse::<QuotaPolicy>();
                let quota = quota.map_err(|_| refused(key, value, "required, best-effort or off"))?;
                once(&mut read.quota, quota, key, value)
            }
            Meaning::SoftLimit => {
                let percent = value.strip_suffix('%').unwrap_or(value).trim_end().parse().ok();
                let percent = percent.filter(|percent| (1..=99).contains(percent));
                let percent =
                    percent.ok_or_else(|| refused(key, value, "a percentage such as 80, from 1 to 99"))?;
                once(&mut read.soft_limit, percent, key, value)
            }
            Meaning::Inodes => {
                let inodes = value.parse().ok().filter(|inodes| (1..=MAX_SIZE).contains(inodes));
                let inodes = inodes.ok_or_else(|| refused(key, value, "a number of files above 0"))?;
                once(&mut read.inodes, inodes, key, value)
            }
            Meaning::Overcommit => {
                let ratio = value.parse().ok().filter(|ratio| (0.01..=1000.0).contains(ratio));
                let ratio =
                    ratio.ok_or_else(|| refused(key, value, "a ratio such as 1.5, from 0.01 to 1000"))?;
                once(&mut read.overcommit, ratio, key, value)
            }
            Meaning::Allow => {
                for word in words(value) {
                    match word.to_ascii_lowercase().as_str() {
                        "distribute" => read.allow.distribute = true,
                        "shard" => read.allow.shard = true,
                        _ => return Err(refused(key, word, "distribute or shard")),
                    }
                }
                Ok(())
            }
        }
    }

    fn servers(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let list = match split(value) {
            Some((list, volume)) => {
                once(&mut self.read.volume, volume.to_owned(), key, value)?;
                list
            }
            None => value,
        };
        for word in words(list) {
            let mut server: ServerAddress = word.parse().map_err(|error| of(key, error))?;
            // Whoever wrote a port behind a server means it.
            if let (ServerAddress::Tcp { port, .. }, Some(other)) = (&mut server, self.port)
                && *port == DEFAULT_PORT
                && !word.ends_with(&format!(":{DEFAULT_PORT}"))
            {
                *port = other;
            }
            if !self.read.servers.contains(&server) {
                self.read.servers.push(server);
            }
        }
        if self.read.servers.len() > MAX_SERVERS {
            return Err(of(key, format_args!("there are more than {MAX_SERVERS} servers")));
        }
        Ok(())
    }

    fn volume(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match split(value) {
            Some(_) => self.servers(key, value),
            None => once(&mut self.read.volume, value.trim_matches('/').to_owned(), key, value),
        }
    }

    pub(super) fn end(self) -> Result<Parameters, Error> {
        let mut read = self.read;
        read.options = MountOptions::parse(&self.options).map_err(|error| of("options", error))?;
        if read.options.read_only() {
            return Err(of("options", "ro makes no PV: let the pods mount it read-only"));
        }
        for server in read.options.servers() {
            if !read.servers.contains(server) {
                read.servers.push(server.clone());
            }
        }
        let missing = match (&read.volume, read.servers.is_empty()) {
            (Some(volume), false) => {
                Source::new(read.servers.clone(), volume, "").map_err(invalid)?;
                None
            }
            _ if read.storage.is_some() => None,
            (Some(_), true) => Some("gluster_hosts, the servers of the cluster"),
            (None, _) => Some("gluster_volname, the volume that holds the PVs"),
        };
        match missing {
            Some(missing) => Err(invalid(format_args!("a parameter is missing: {missing}"))),
            None if read.kind == Some(PvKind::Whole) && read.overcommit.is_some() => {
                Err(invalid("overcommit is of no use where a volume is one PV (single_pv_per_pool)"))
            }
            None => Ok(read),
        }
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
        value.match_indices(":/").find(|(at, _)| value[..*at].rsplit([',', ' ']).next() != Some("unix"))?;
    Some((&value[..at], value[at + colon.len()..].trim_matches('/')))
}

/// Sets what may be said twice, but not in two ways.
fn once<T: PartialEq>(slot: &mut Option<T>, said: T, key: &str, value: &str) -> Result<(), Error> {
    match slot {
        Some(before) if *before != said => Err(invalid(format_args!(
            "parameter {key}={:?} contradicts another parameter: leave one of them out",
            shortened(value)
        ))),
        _ => {
            *slot = Some(said);
            Ok(())
        }
    }
}

fn refused(key: &str, value: &str, allowed: &str) -> Error {
    invalid(format_args!("parameter {key}={:?}: {allowed} is wanted", shortened(value)))
}

fn of(key: &str, error: impl fmt::Display) -> Error {
    invalid(format_args!("parameter {key}: {error}"))
}

pub(super) fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Reason::Invalid, message)
}
