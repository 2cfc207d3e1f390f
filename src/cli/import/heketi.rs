//! Volumes that heketi has made, from a list of them.

use std::{collections::BTreeMap, fs, path::Path};

use glusterd_client::{mount::source::Source, transport::ServerAddress};
use serde::Deserialize;

use super::{
    convert::Converter,
    input,
    kubernetes::{Metadata, Spec, Volume},
    report::Report,
};
use crate::cli::Failure;

/// In the words of the report.
const KIND: &str = "volume";

/// Heketi's own.
const DATABASE: &str = "heketidbstorage";

/// `heketi-cli topology info --json`, as far as it says which volumes there are.
#[derive(Deserialize)]
struct Topology {
    clusters: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(default)]
    volumes: Option<Vec<Listed>>,
}

/// A volume of a list.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Listed {
    name: String,
    /// In GiB, where it is known.
    #[serde(default)]
    size: Option<u64>,
    /// It holds the files of gluster-block.
    #[serde(default)]
    block: bool,
    /// Heketi itself says that it is one of its volumes.
    #[serde(skip)]
    told: bool,
}

/// A PV for each volume of the list at `path`; `size` for those whose size is not told.
pub(super) fn volumes(
    converter: &mut Converter<'_>,
    servers: &[ServerAddress],
    path: &Path,
    size: Option<&str>,
    report: &mut Report,
) -> Result<Vec<Volume>, Failure> {
    let mut made = Vec::new();
    for listed in list(path)? {
        if listed.name == DATABASE {
            report.left_out(KIND, &listed.name, "it is heketi's database");
        } else if listed.block {
            report.left_out(KIND, &listed.name, "it holds block devices");
        } else if !listed.told && !is_heketi(&listed.name) {
            report.left_out(KIND, &listed.name, "it is not heketi's, whose names are vol_ and 32 digits");
        } else if let Some(pv) = converter.whole(&listed.name) {
            report.left_out(KIND, &listed.name, format_args!("the PersistentVolume {pv:?} is it"));
        } else {
            match volume(converter, servers, &listed, size) {
                Ok(volume) => made.push(volume),
                Err(why) => report.failed(KIND, &listed.name, why),
            }
        }
    }
    Ok(made)
}

fn volume(
    converter: &mut Converter<'_>,
    servers: &[ServerAddress],
    listed: &Listed,
    size: Option<&str>,
) -> Result<Volume, String> {
    let size = listed.size.map(|size| format!("{size}Gi")).or(size.map(str::to_owned));
    let size = size.ok_or("its size is not told: give --size, or heketi's topology as the list")?;
    let source = Source::new(servers.to_vec(), &listed.name, "").map_err(|error| error.to_string())?;
    let name = converter.name(&listed.name.to_ascii_lowercase().replace('_', "-"))?;
    let csi = converter.csi(&name, &source);
    let from = (format!("{}/imported-from", converter.driver), listed.name.clone());
    Ok(Volume {
        api_version: "v1".to_owned(),
        kind: "PersistentVolume".to_owned(),
        metadata: Metadata { name, annotations: BTreeMap::from([from]), ..Metadata::default() },
        spec: Spec {
            persistent_volume_reclaim_policy: "Retain".to_owned(),
            capacity: BTreeMap::from([("storage".to_owned(), size)]),
            access_modes: vec!["ReadWriteMany".to_owned()],
            csi: Some(csi),
            ..Spec::default()
        },
    })
}

/// Heketi's topology, the lines of `gluster volume list` or `heketi-cli volume list`, or a directory with an entry for each
/// volume, such as glusterd's `vols`.
fn list(path: &Path) -> Result<Vec<Listed>, Failure> {
    if path.is_dir() {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries =
            entries.map_err(|error| Failure::other(format_args!("cannot read {}", path.display()), error))?;
        let mut names: Vec<_> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        return Ok(names.iter().map(|name| line(name)).collect());
    }
    let text = input::read(path)?;
    if text.trim_ascii_start().starts_with(b"{") {
        let topology: Topology = serde_json::from_slice(&text).map_err(|error| {
            Failure::other(format_args!("{} is no topology of heketi", path.display()), error)
        })?;
        let volumes = topology.clusters.into_iter().flat_map(|cluster| cluster.volumes.unwrap_or_default());
        return Ok(volumes.map(|volume| Listed { told: true, ..volume }).collect());
    }
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(line).collect())
}

/// `NAME`, or `Id:… Cluster:… Name:NAME [block]`.
fn line(text: &str) -> Listed {
    let named = text.split_whitespace().find_map(|word| word.strip_prefix("Name:"));
    Listed {
        name: named.unwrap_or(text).to_owned(),
        size: None,
        block: text.ends_with("[block]"),
        told: named.is_some(),
    }
}

fn is_heketi(name: &str) -> bool {
    let id = name.strip_prefix("vol_");
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_list() {
        let id = "0123456789abcdef0123456789abcdef";
        for (text, name, block, told) in [
            (format!("vol_{id}"), format!("vol_{id}"), false, false),
            (format!("Id:{id}    Cluster:1    Name:ns_claim_1"), "ns_claim_1".to_owned(), false, true),
            (format!("Id:{id}    Cluster:1    Name:vol_{id} [block]"), format!("vol_{id}"), true, true),
            (
                "No volumes present in cluster".to_owned(),
                "No volumes present in cluster".to_owned(),
                false,
                false,
            ),
        ] {
            assert_eq!(line(&text), Listed { name, size: None, block, told }, "{text}");
        }
        assert!(is_heketi(&format!("vol_{id}")) && !is_heketi("vol_1") && !is_heketi(&format!("vol-{id}")));
    }
}
