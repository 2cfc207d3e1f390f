//! Volumes of kadalu, and our own in another cluster.

use std::collections::BTreeMap;

use glusterd_client::{
    storage::{context::Context, handle::Handle},
    transport::ServerAddress,
};

use super::{
    convert::{Converter, hosts},
    kubernetes::Csi,
    report::shown,
};

/// What the provisioner of the cluster that it comes from has noted.
const PROVISIONER: &str = "storage.kubernetes.io/csiProvisionerIdentity";

/// The same volume for our driver, which reads its handle and attributes as they are.
pub(super) fn convert(converter: &mut Converter<'_>, mut csi: Csi) -> Result<Csi, String> {
    let attributes = &mut csi.volume_attributes;
    let handle = Handle::parse(&csi.volume_handle).map_err(|error| error.to_string())?;
    check(attributes, &handle, converter.servers)?;
    attributes.remove(PROVISIONER);
    if let Some(servers) = converter.servers {
        attributes.remove("gserver");
        attributes.insert("gluster_hosts".to_owned(), hosts(servers));
    }
    if !converter.take(&csi.volume_handle) {
        return Err(format!("another PersistentVolume has the handle {} too", shown(&csi.volume_handle)));
    }
    Ok(Csi { driver: converter.driver.to_owned(), ..csi })
}

/// Whether it is a directory or the whole of a volume that the driver can find.
fn check(
    attributes: &BTreeMap<String, String>,
    handle: &Handle,
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
    let context = Context::read(attributes).map_err(|error| error.to_string())?;
    let Some(context) = context else {
        // A static one has it all in its handle.
        return match handle {
            Handle::Static(_) => Ok(()),
            _ => Err("its attributes name no volume".to_owned()),
        };
    };
    let whole = of("single_pv_per_pool").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if context.path.is_empty() && of("gvolname").is_some() && !whole {
        return Err("its attributes name no directory".to_owned());
    }
    if context.servers.is_empty() && servers.is_none() {
        return Err("its attributes name no server: give --servers".to_owned());
    }
    Ok(())
}
