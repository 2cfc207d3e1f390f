//! A PersistentVolume of another driver, turned into one of ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use glusterd_client::{
    mount::{options::MountOptions, source::Source},
    transport::{DEFAULT_PORT, ServerAddress},
};

use super::{
    in_tree, kadalu,
    kubernetes::{Csi, Endpoints, Metadata, Volume},
    report::shown,
};

/// The longest name of an object.
const MAX_NAME: usize = 253;

/// Bytes of a volume handle that the driver accepts.
const MAX_HANDLE: usize = 1024;

/// The group that may write in a volume, which the kubelet gives to its pods; heketi's provisioner set it.
const GID: &str = "pv.beta.kubernetes.io/gid";

/// Mount options and class, from before they had fields.
const OLD_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Why a PV is not printed.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is none of Gluster's.
    Foreign(String),
    /// It is, and something is missing, or not possible.
    Failed(String),
}

/// How volumes become ours, and what has been given away already.
#[derive(Debug)]
pub(super) struct Converter<'a> {
    pub(super) driver: &'a str,
    /// Before the names of the new ones.
    pub(super) prefix: &'a str,
    /// In place of those that the objects name.
    pub(super) servers: Option<&'a [ServerAddress]>,
    pub(super) endpoints: &'a [Endpoints],
    names: HashSet<String>,
    /// To the kubelet, two PVs with one handle are one volume.
    handles: HashSet<String>,
    /// By the name of a volume, the PV that is the whole of it.
    whole: HashMap<String, String>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(
        driver: &'a str,
        prefix: &'a str,
        servers: Option<&'a [ServerAddress]>,
        endpoints: &'a [Endpoints],
    ) -> Self {
        let (names, handles, whole) = Default::default();
        Self { driver, prefix, servers, endpoints, names, handles, whole }
    }

    /// The PV of our driver, with what there is to say of it.
    pub(super) fn convert(&mut self, mut volume: Volume) -> Result<(Volume, Vec<String>), Refused> {
        let (glusterfs, csi) = (volume.spec.glusterfs.take(), volume.spec.csi.take());
        let foreign = |what: String| Err(Refused::Foreign(format!("it is a volume of {what}")));
        match (&glusterfs, &csi) {
            (None, Some(csi)) if csi.driver != "kadalu" && csi.driver != self.driver => {
                return foreign(format!("the driver {}", shown(&csi.driver)));
            }
            (None, None) => {
                let kind = volume.spec.other.keys().next().map(String::as_str);
                return foreign(format!("another kind, {}", shown(kind.unwrap_or("unknown"))));
            }
            _ => {}
        }
        let name = self.renewed(&mut volume, glusterfs, csi).map_err(Refused::Failed)?;
        let words = self.dress(&mut volume, name).map_err(Refused::Failed)?;
        Ok((volume, words))
    }

    /// Gives it our source in place of its own; returns its new name.
    fn renewed(
        &mut self,
        volume: &mut Volume,
        glusterfs: Option<in_tree::Source>,
        csi: Option<Csi>,
    ) -> Result<String, String> {
        if volume.metadata.deletion_timestamp.is_some() {
            return Err("it is being deleted".to_owned());
        }
        if volume.spec.volume_mode.as_deref() == Some("Block") {
            return Err("it is a block device".to_owned());
        }
        if !volume.spec.capacity.contains_key("storage") {
            return Err("it has no capacity".to_owned());
        }
        let name = self.name(&volume.metadata.name)?;
        volume.spec.csi = Some(match (glusterfs, csi) {
            (Some(glusterfs), _) => {
                in_tree::convert(self, &name, &glusterfs, volume.spec.claim_ref.as_ref())?
            }
            (None, csi) => kadalu::convert(self, csi.unwrap_or_default())?,
        });
        Ok(name)
    }

    /// Makes all else of it as a PV has it that is new and whose data are old.
    fn dress(&self, volume: &mut Volume, name: String) -> Result<Vec<String>, String> {
        let Metadata { name: old, labels, mut annotations, .. } = std::mem::take(&mut volume.metadata);
        let spec = &mut volume.spec;
        if let (true, Some(options)) = (spec.mount_options.is_empty(), annotations.get(OLD_OPTIONS)) {
            spec.mount_options = options.split(',').map(|option| option.trim().to_owned()).collect();
        }
        let options = MountOptions::parse(&spec.mount_options).map_err(|error| error.to_string())?;
        let mut words: Vec<_> = options.warnings().map(str::to_owned).collect();
        if let (true, Some(class)) = (spec.storage_class_name.is_empty(), annotations.get(OLD_CLASS)) {
            spec.storage_class_name.clone_from(class);
        }
        if spec.persistent_volume_reclaim_policy == "Delete" {
            words.push(format!(
                "it has the reclaim policy Delete, its import Retain. Before its claim is deleted: \
                 kubectl patch pv {old} --patch '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}', \
                 or its data go with it"
            ));
        }
        "Retain".clone_into(&mut spec.persistent_volume_reclaim_policy);
        if let Some(claim) = &mut spec.claim_ref {
            "v1".clone_into(&mut claim.api_version);
            "PersistentVolumeClaim".clone_into(&mut claim.kind);
        }
        annotations.retain(|key, _| key == GID);
        annotations.insert(format!("{}/imported-from", self.driver), old);
        volume.metadata = Metadata { name, labels, annotations, ..Metadata::default() };
        "v1".clone_into(&mut volume.api_version);
        "PersistentVolume".clone_into(&mut volume.kind);
        Ok(words)
    }

    /// A name for the import of an object, if none has it yet.
    pub(super) fn name(&mut self, old: &str) -> Result<String, String> {
        let name = format!("{}{old}", self.prefix);
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let edges = edge(name.bytes().next()) && edge(name.bytes().next_back());
        if old.is_empty() || name.len() > MAX_NAME || !edges || !name.bytes().all(allowed) {
            return Err(format!("{} is no name of a PersistentVolume: see --prefix", shown(&name)));
        }
        if !self.names.insert(name.clone()) {
            return Err(format!("another is imported as {name:?} already"));
        }
        Ok(name)
    }

    /// The whole of a volume, where a PV is that already.
    pub(super) fn whole(&self, volume: &str) -> Option<&str> {
        self.whole.get(volume).map(String::as_str)
    }

    /// Takes a handle; false where another has it.
    pub(super) fn take(&mut self, handle: &str) -> bool {
        self.handles.insert(handle.to_owned())
    }

    /// The source of the PV `name`: by its handle, or by its attributes where another PV has that handle.
    pub(super) fn csi(&mut self, name: &str, source: &Source) -> Csi {
        let (hosts, directory) = (hosts(&source.servers), &source.subdirectory);
        if directory.is_empty() {
            self.whole.entry(source.volume.clone()).or_insert_with(|| name.to_owned());
        }
        let csi = Csi { driver: self.driver.to_owned(), ..Csi::default() };
        let handle = format!("{hosts}:/{}/{directory}", source.volume);
        let handle = handle.trim_end_matches('/');
        if handle.len() <= MAX_HANDLE && self.take(handle) {
            return Csi { volume_handle: handle.to_owned(), ..csi };
        }
        let pairs = [("gluster_hosts", &hosts), ("gluster_volname", &source.volume), ("path", directory)];
        let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let attributes: BTreeMap<_, _> = said.map(|(key, value)| (key.to_owned(), value.clone())).collect();
        Csi { volume_handle: name.to_owned(), volume_attributes: attributes, ..csi }
    }
}

/// A comma list of servers, without the port that all have.
pub(super) fn hosts(servers: &[ServerAddress]) -> String {
    let short = |server: &ServerAddress| match server {
        ServerAddress::Tcp { host, port: DEFAULT_PORT } if host.contains(':') => format!("[{host}]"),
        ServerAddress::Tcp { host, port: DEFAULT_PORT } => host.clone(),
        other => other.to_string(),
    };
    servers.iter().map(short).collect::<Vec<_>>().join(",")
}
