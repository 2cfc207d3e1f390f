//! Volumes of kadalu, and our own in another cluster.

use std::collections::BTreeMap;

use glusterd_client::{
    mount::{options::MountOptions, source::Source},
    transport::{ServerAddress, parse_servers},
};

use super::{
    convert::{Converter, MAX_HANDLE, hosts},
    kubernetes::Csi,
    report::shown,
};

/// What the provisioner of the cluster that it comes from has noted.
const PROVISIONER: &str = "storage.kubernetes.io/csiProvisionerIdentity";

/// The same volume for our driver, which reads its handle and attributes as they are.
pub(super) fn convert(converter: &mut Converter<'_>, mut csi: Csi) -> Result<Csi, String> {
    let attributes = &mut csi.volume_attributes;
    check(attributes, &csi.volume_handle, converter.servers)?;
    attributes.remove(PROVISIONER);
    if let Some(servers) = converter.servers {
        attributes.remove("gserver");
        attributes.insert("gluster_hosts".to_owned(), hosts(servers));
    }
    let handle = &csi.volume_handle;
    if handle.is_empty() || handle.len() > MAX_HANDLE {
        return Err(format!("its handle has {} bytes; 1 to {MAX_HANDLE} are possible", handle.len()));
    }
    if !converter.take(handle) {
        return Err(format!("another PersistentVolume has the handle {} too", shown(handle)));
    }
    Ok(Csi { driver: converter.driver.to_owned(), ..csi })
}

/// Whether it is a directory or the whole of a volume that the driver can find.
fn check(
    attributes: &BTreeMap<String, String>,
    handle: &str,
    servers: Option<&[ServerAddress]>,
) -> Result<(), String> {
    let of = |key: &str| attributes.get(key).map(String::as_str);
    if let Some(kind) = of("type").filter(|kind| !kind.eq_ignore_ascii_case("External")) {
        return Err(format!(
            "its storage, of type {}, is run by kadalu's operator; only External ones are possible",
            shown(kind)
        ));
    }
    if let Some(kind) = of("pvtype").filter(|kind| *kind != "subvol") {
        return Err(format!("it is a file that serves as a device, of type {}", shown(kind)));
    }
    MountOptions::parse(of("options")).map_err(|error| error.to_string())?;
    let Some(volume) = of("gluster_volname").or(of("gvolname")) else {
        // A static one may have it all in its handle.
        return Source::parse(handle).map(drop).map_err(|_| "its attributes name no volume".to_owned());
    };
    let whole = of("single_pv_per_pool").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if of("path").is_none() && of("volume_uuid").is_none() && of("gvolname").is_some() && !whole {
        return Err("its attributes name no directory".to_owned());
    }
    let servers = match (servers, of("gluster_hosts").or(of("gserver"))) {
        (Some(servers), _) => servers.to_vec(),
        (None, Some(list)) => parse_servers(list).map_err(|error| error.to_string())?,
        (None, None) => return Err("its attributes name no server: give --servers".to_owned()),
    };
    Source::new(servers, volume, of("path").unwrap_or_default()).map(drop).map_err(|error| error.to_string())
}
