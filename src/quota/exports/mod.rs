//! Which bricks of this host are looked after: by glusterd's own files, and what its admin exports.
//!
//! | exported are | by |
//! |---|---|
//! | volumes | their option [`EXPORT`], and the list `kadalustorage.info` |
//! | bricks | kadalu's list `kadalu.info` |
//!
//! The lists lie in glusterd's directory too. What cannot be understood in any of the files spoils itself alone.

mod file;
mod lists;
mod volume;

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use self::{
    file::{Pairs, uuid},
    lists::{List, is_path, is_volume, read_list},
    volume::Volume,
};
use super::LocalBrick;

pub use volume::EXPORT;

/// Where glusterd keeps its state.
pub const GLUSTERD: &str = "/var/lib/glusterd";

/// The list of volumes, in glusterd's directory.
const VOLUMES: &str = "kadalustorage.info";

/// The list of bricks, there too.
const BRICKS: &str = "kadalu.info";

/// The bricks of this host that are to be looked after.
#[derive(Debug)]
pub struct Exports {
    /// By name.
    pub bricks: Vec<LocalBrick>,
    /// What could not be followed, a sentence each.
    pub faults: Vec<String>,
    /// Of what was read, by which a change is seen.
    stamps: Vec<(PathBuf, Stamp)>,
}

/// Inode, change time and size of a file; none where there is none. glusterd replaces its files by rename.
type Stamp = Option<(u64, i64, i64, u64)>;

impl Exports {
    /// Reads what glusterd and the lists in its directory say now.
    ///
    /// # Errors
    /// A sentence where this host is no node of a cluster: what was exported before, if anything, is then not known to have
    /// changed.
    pub fn read(glusterd: &Path) -> Result<Self, String> {
        let mut exports = Self { bricks: Vec::new(), faults: Vec::new(), stamps: Vec::new() };
        let node = exports.stamped(glusterd.join("glusterd.info"));
        let node = node_uuid(&node).map_err(|why| {
            format!("{}: {why}; it is written at glusterd's first start on this host", node.display())
        })?;
        let peers = exports.stamped(glusterd.join("peers"));
        let peers = exports.peers(&peers);
        let path = exports.stamped(glusterd.join(VOLUMES));
        let mut volumes = read_list(&path, "volumes", is_volume, &mut exports.faults);
        let path = exports.stamped(glusterd.join(BRICKS));
        let mut bricks = read_list(&path, "bricks", is_path, &mut exports.faults);

        let directory = exports.stamped(glusterd.join("vols"));
        for name in exports.names(&directory) {
            let directory = exports.stamped(directory.join(&name));
            exports.stamped(directory.join("info"));
            exports.stamped(directory.join("bricks"));
            let listed = volumes.find(|entry| entry == name);
            match Volume::read(&directory, &name) {
                Ok(Some(volume)) => {
                    let marked = volume.is_exported().unwrap_or_else(|why| {
                        exports.faults.push(format!("the volume {name}: {why}; it counts as off"));
                        false
                    });
                    let of = Of { name: &name, directory: &directory, node, peers: &peers };
                    exports.volume(&of, &volume, marked || listed, &mut bricks);
                }
                Ok(None) => {}
                Err(why) => {
                    let info = directory.join("info");
                    exports
                        .faults
                        .push(format!("{}: {why}; bricks of it are not looked after", info.display()));
                }
            }
        }
        exports.bricks.sort_by(|one, other| one.name.cmp(&other.name));
        exports.faults.extend(volumes.left().map(|entry| {
            format!("{}: there is no volume {:?} in this cluster; the rest is used", entry.place, entry.name)
        }));
        exports.faults.extend(bricks.left().map(|entry| {
            format!(
                "{}: {:?} is no brick of a volume on this host; the rest is used",
                entry.place, entry.name
            )
        }));
        Ok(exports)
    }

    /// Whether one of the files that were read may say something else by now.
    pub fn changed(&self) -> bool {
        self.stamps.iter().any(|(path, seen)| stamp(path) != *seen)
    }

    /// Takes up the bricks of a volume that are here and exported.
    fn volume(&mut self, of: &Of<'_>, volume: &Volume, exported: bool, listed: &mut List) {
        if !exported && listed.is_empty() {
            return;
        }
        for brick in volume.bricks(of.directory) {
            let brick = match brick {
                Ok(brick) if brick.is_on(of.node, of.peers) => brick,
                Ok(_) => continue,
                Err(why) => {
                    self.faults
                        .push(format!("the volume {}: {why}; this brick is not looked after", of.name));
                    continue;
                }
            };
            let listed = listed.find(|entry| Path::new(entry) == brick.path);
            if exported || listed {
                self.bricks.push(LocalBrick {
                    name: format!("{}:{}", brick.host, brick.path.display()),
                    path: brick.path,
                    volume: of.name.to_owned(),
                    volume_id: volume.id,
                    share: volume.share,
                    problem: volume.problem.clone(),
                });
            }
        }
    }

    /// The names by which glusterd knows the other nodes.
    fn peers(&mut self, directory: &Path) -> HashSet<String> {
        let mut names = HashSet::new();
        for file in self.names(directory) {
            match Pairs::read(&directory.join(&file)) {
                Ok(peer) => names.extend(
                    peer.iter()
                        .filter(|(key, _)| key.starts_with("hostname"))
                        .map(|(_, name)| name.to_owned()),
                ),
                Err(error) => self.faults.push(format!("{}: {error}", directory.join(file).display())),
            }
        }
        names
    }

    /// The names in a directory, in order; none where it is not there, as on a node without volumes or peers.
    fn names(&mut self, directory: &Path) -> Vec<String> {
        let read =
            || fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
        let names = match read() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.faults.push(format!("{}: {error}", directory.display()));
                Vec::new()
            }
        };
        let mut names = names.into_iter().filter_map(|name| name.into_string().ok()).collect::<Vec<_>>();
        names.sort();
        names
    }

    /// Notes how a file is before it is read.
    fn stamped(&mut self, path: PathBuf) -> PathBuf {
        self.stamps.push((path.clone(), stamp(&path)));
        path
    }
}

/// The volume that is being read.
struct Of<'a> {
    name: &'a str,
    directory: &'a Path,
    /// The UUID of this node.
    node: [u8; 16],
    peers: &'a HashSet<String>,
}

fn node_uuid(info: &Path) -> Result<[u8; 16], String> {
    let info = Pairs::read(info).map_err(|error| error.to_string())?;
    uuid(info.need("UUID")?)
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.size()))
}

#[cfg(test)]
mod tests;
