//! `kadalu import`.

mod convert;
mod heketi;
mod in_tree;
mod input;
mod kadalu;
mod kubernetes;
mod report;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glusterd_client::{
    csi::identity::DriverName,
    transport::{ServerAddress, parse_servers},
};
use serde::Serialize;

use convert::{Converter, Refused};
use input::Objects;
use kubernetes::Volume;
use report::Report;

use super::{Exit, Failure, output};

/// Print PersistentVolumes of our driver for Gluster volumes that Kubernetes has by other drivers
///
/// Reads what kubectl get -o json has written, and asks nobody. In-tree glusterfs volumes, those of kadalu, and the volumes of
/// a heketi become PVs that are kept for the same claims, with the same size and options, and never deleted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Import {
    /// Files with PersistentVolumes and Endpoints, - for standard input
    #[arg(
        value_name = "FILE",
        env = "KADALU_FILES",
        value_delimiter = ',',
        required_unless_present = "heketi"
    )]
    files: Vec<PathBuf>,
    /// A comma list of servers in place of those that the objects name
    #[arg(long, env = "KADALU_SERVERS", value_name = "SERVERS", value_parser = servers)]
    servers: Option<Servers>,
    /// The servers of a heketi cluster, to import the whole of each volume of --volumes
    #[arg(long, env = "KADALU_HEKETI", value_name = "SERVERS", value_parser = servers, requires = "volumes")]
    heketi: Option<Servers>,
    /// Which: a list of names, heketi's topology as JSON, or a directory with an entry for each
    #[arg(long, env = "KADALU_VOLUMES", value_name = "FILE", requires = "heketi")]
    volumes: Option<PathBuf>,
    /// The size of those whose size is not told
    #[arg(long, env = "KADALU_SIZE", value_name = "QUANTITY", value_parser = quantity)]
    size: Option<String>,
    /// What the new ones are called: this and the name of the old one. Empty where that is in another cluster
    #[arg(long, env = "KADALU_PREFIX", value_name = "PREFIX", default_value = "kadalu-")]
    prefix: String,
    /// The name of our driver
    #[arg(long, env = "KADALU_DRIVER_NAME", value_name = "NAME", default_value_t)]
    driver_name: DriverName,
    /// How they are printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "yaml")]
    format: Format,
}

const EXAMPLES: &str = "Examples:\n  \
    kubectl get pv,endpoints,svc --all-namespaces -o json > old.json\n  \
    kadalu import old.json > new.yaml              then read it, and kubectl create -f new.yaml\n  \
    kadalu import --servers g1,g2,g3 old.json      by names, in place of the addresses of Endpoints\n  \
    kadalu import --prefix '' old.json             for another cluster\n  \
    gluster volume list > volumes                  on a server\n  \
    kadalu import --heketi g1,g2,g3 --volumes volumes --size 100Gi\n  \
    kadalu import --heketi g1,g2,g3 --volumes topology.json old.json\n\n\
    Objects that are not printed are named on standard error. Exit codes: 0 all that are Gluster's are printed, \
    1 some cannot be, or a file cannot be read, 2 usage.";

/// A list of servers, as an argument.
#[derive(Debug, Clone)]
struct Servers(Vec<ServerAddress>);

fn servers(list: &str) -> Result<Servers, String> {
    parse_servers(list).map(Servers).map_err(|error| error.to_string())
}

/// A size as Kubernetes writes it.
fn quantity(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let known = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "k", "M", "G", "T", "P"].contains(&&text[digits.len()..]);
    match digits.parse::<u64>() {
        Ok(1..) if known && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.to_owned()),
        _ => Err("a size such as 100Gi is wanted".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A document for each
    Yaml,
    /// One list
    Json,
}

/// Several objects as one.
#[derive(Serialize)]
struct List<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    items: &'a [Volume],
}

impl Import {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (mut objects, mut report) = (Objects::default(), Report::default());
        for file in &self.files {
            objects.read(file, &mut report)?;
        }
        if objects.volumes.is_empty() && self.heketi.is_none() {
            return report.outcome(0).and(Err(Failure::new(
                Exit::Other,
                "there is no PersistentVolume in the files: kubectl get pv,endpoints --all-namespaces -o json",
            )));
        }
        let servers = self.servers.as_ref().map(|Servers(servers)| servers.as_slice());
        let Objects { volumes, endpoints } = objects;
        let driver = self.driver_name.to_string();
        let mut converter = Converter::new(&driver, &self.prefix, servers, &endpoints);
        let mut made = Vec::new();
        for volume in volumes {
            let name = volume.metadata.name.clone();
            match converter.convert(volume) {
                Ok((volume, words)) => {
                    words.iter().for_each(|word| report.warn(&name, word));
                    made.push(volume);
                }
                Err(Refused::Foreign(why)) => report.left_out("PersistentVolume", &name, why),
                Err(Refused::Failed(why)) => report.failed("PersistentVolume", &name, why),
            }
        }
        if let (Some(Servers(servers)), Some(path)) = (&self.heketi, &self.volumes) {
            made.extend(heketi::volumes(&mut converter, servers, path, self.size.as_deref(), &mut report)?);
        }
        output::print(&self.format.text(&made)?)?;
        report.outcome(made.len())
    }
}

impl Format {
    fn text(self, volumes: &[Volume]) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Yaml => {
                let documents =
                    volumes.iter().map(|volume| Ok(format!("---\n{}", serde_saphyr::to_string(volume)?)));
                let documents: Result<Vec<_>, serde_saphyr::ser::Error> = documents.collect();
                let documents = documents.map_err(|error| Failure::other("cannot write YAML", error))?;
                Ok(documents.concat().into_bytes())
            }
            Self::Json => {
                let list = List { api_version: "v1", kind: "List", items: volumes };
                let mut text = serde_json::to_vec_pretty(&list)
                    .map_err(|error| Failure::other("cannot write JSON", error))?;
                text.push(b'\n');
                Ok(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn sizes() {
        for sound in ["1", "100Gi", "5T", "1024k"] {
            assert_eq!(quantity(sound).as_deref(), Ok(sound));
        }
        for unsound in ["", "0", "Gi", "-1", "1.5Gi", "1gi", "1 Gi", "99999999999999999999", "１Gi", "1€"]
        {
            assert!(quantity(unsound).is_err(), "{unsound}");
        }
    }
}
