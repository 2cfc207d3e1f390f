//! A volume, by the files that glusterd keeps of it: `vols/VOLUME/info` and `vols/VOLUME/bricks/*`.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use bstr::BStr;

use super::file::{Pairs, quoted, uuid};
use crate::{
    storage::quota::{Code, Problem, Share},
    volfile::is_true,
};

/// The option by which an admin has the bricks of a volume looked after. glusterd takes any key that begins with `user.`.
pub const EXPORT: &str = "user.kadalu.export";

/// What its `info` says.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) id: [u8; 16],
    pub(super) share: Share,
    /// Why limits of directories mean nothing there.
    pub(super) problem: Option<Problem>,
    /// The value of [`EXPORT`].
    export: Option<String>,
    /// The names of the files of its bricks.
    bricks: Vec<String>,
}

/// What a file in `bricks` says.
#[derive(Debug)]
pub(super) struct Brick {
    /// Of the node that it is on; files of old glusterds have none.
    pub(super) node: Option<[u8; 16]>,
    pub(super) host: String,
    pub(super) path: PathBuf,
}

impl Volume {
    /// Reads it; none where there is no `info`, as in the moment when a volume is made.
    pub(super) fn read(directory: &Path, name: &str) -> Result<Option<Self>, String> {
        let info = match Pairs::read(&directory.join("info")) {
            Ok(info) => info,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let (copies, parts) = (info.number("replica_count")?, info.number("disperse_count")?);
        let data = parts.saturating_sub(info.number("redundancy_count")?).max(1);
        let width = copies.max(parts).max(1);
        let sets = info.number("count")?.div_ceil(width);
        let on = |key| info.get(key).is_some_and(|value| is_true(BStr::new(value)));
        let problem = if on("features.shard") {
            Some(Problem::new(Code::Sharded, sharded(name)))
        } else if sets > 1 || info.number("tier-enabled")? > 0 {
            Some(Problem::new(Code::Distributed, distributed(name, sets)))
        } else {
            None
        };
        let bricks = info.iter().filter(|(key, _)| {
            key.strip_prefix("brick-").is_some_and(|number| number.parse::<u32>().is_ok())
        });
        Ok(Some(Self {
            id: uuid(info.need("volume-id")?)?,
            share: Share { data, arbiter: info.number("arbiter_count")? > 0 },
            problem,
            export: info.get(EXPORT).map(str::to_owned),
            bricks: bricks.map(|(_, file)| file.to_owned()).collect(),
        }))
    }

    /// Whether [`EXPORT`] is on.
    pub(super) fn is_exported(&self) -> Result<bool, String> {
        let Some(value) = &self.export else { return Ok(false) };
        let off = ["0", "off", "no", "false", "disable"].iter().any(|word| value.eq_ignore_ascii_case(word));
        match is_true(BStr::new(value)) {
            false if !off => Err(format!("{EXPORT} is {}, and neither on nor off", quoted(value))),
            on => Ok(on),
        }
    }

    /// Reads the files of its bricks, each on its own.
    pub(super) fn bricks(&self, directory: &Path) -> impl Iterator<Item = Result<Brick, String>> {
        self.bricks.iter().map(move |file| {
            // A file of the directory, as glusterd names it: HOST:-PATH.
            if file.contains('/') || file.starts_with('.') {
                return Err(format!("its info names a brick {}", quoted(file)));
            }
            let path = directory.join("bricks").join(file);
            let brick = Pairs::read(&path).map_err(|error| error.to_string());
            brick.and_then(|pairs| Brick::of(&pairs)).map_err(|why| format!("{}: {why}", path.display()))
        })
    }
}

impl Brick {
    fn of(pairs: &Pairs) -> Result<Self, String> {
        let (host, path) = (pairs.need("hostname")?, pairs.need("path")?);
        if host.is_empty() || !path.starts_with('/') {
            return Err(format!("{} is no place of a brick", quoted(&format!("{host}:{path}"))));
        }
        let node = pairs.get("uuid").map(uuid).transpose()?;
        Ok(Self { node, host: host.to_owned(), path: PathBuf::from(path) })
    }

    /// Whether it is on the node of this UUID, among peers of these names.
    pub(super) fn is_on(&self, node: [u8; 16], peers: &HashSet<String>) -> bool {
        self.node.map_or_else(|| !peers.contains(&self.host), |on| on == node)
    }
}

fn sharded(name: &str) -> String {
    format!(
        "the volume {name} is sharded: pieces of files lie in /.shard, where no limit of a directory counts them; \
         use a volume without features.shard"
    )
}

fn distributed(name: &str, sets: u64) -> String {
    format!(
        "the volume {name} distributes files over {sets} sets of bricks, and on each of them a PV may have its full \
         size; use a volume with one set of bricks"
    )
}
