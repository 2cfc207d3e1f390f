//! Volumes of the driver that Kubernetes had in itself up to 1.25, those that heketi made for it too.

use glusterd_client::{
    mount::source,
    transport::{DEFAULT_PORT, ServerAddress},
};
use serde::Deserialize;

use super::{
    convert::Converter,
    kubernetes::{Claim, Csi, Endpoints},
    report::shown,
};

/// `spec.glusterfs` of a PersistentVolume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Source {
    endpoints: String,
    endpoints_namespace: Option<String>,
    path: String,
    read_only: bool,
}

/// The same volume for our driver; `name` is that of the new PV.
pub(super) fn convert(
    converter: &mut Converter<'_>,
    name: &str,
    from: &Source,
    claim: Option<&Claim>,
) -> Result<Csi, String> {
    let servers = match converter.servers {
        Some(servers) => servers.to_vec(),
        None => servers(converter, from, claim)?,
    };
    let path = from.path.trim_start_matches('/');
    let (volume, directory) = path.split_once('/').unwrap_or((path, ""));
    let source = source::Source::new(servers, volume, directory).map_err(|error| error.to_string())?;
    Ok(Csi { read_only: from.read_only, ..converter.csi(name, &source) })
}

/// The addresses of its Endpoints; their ports mean nothing, as the API demands one.
fn servers(
    converter: &Converter<'_>,
    from: &Source,
    claim: Option<&Claim>,
) -> Result<Vec<ServerAddress>, String> {
    // In the namespace of the claim, where it names none.
    let namespace = from.endpoints_namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.or(claim.map(|claim| claim.namespace.as_str()));
    let called = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default() + &from.endpoints;
    let called = shown(&called);
    let mut meant = converter.endpoints.iter().filter(|Endpoints { metadata, .. }| {
        metadata.name == from.endpoints && namespace.is_none_or(|namespace| metadata.namespace == namespace)
    });
    let Some(endpoints) = meant.next() else {
        return Err(format!(
            "its Endpoints {called} are not in the files: export those of all namespaces too, or give --servers"
        ));
    };
    if meant.any(|other| other.metadata.namespace != endpoints.metadata.namespace) {
        return Err(format!("several namespaces have Endpoints {called}: give --servers"));
    }
    let mut servers = Vec::new();
    let addresses = endpoints.subsets.iter().flatten().flat_map(|subset| subset.addresses.iter().flatten());
    for address in addresses {
        let server = ServerAddress::tcp(&address.ip, DEFAULT_PORT);
        let server = server.map_err(|error| format!("Endpoints {called}: {error}"))?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        return Err(format!("the Endpoints {called} have no address: give --servers"));
    }
    Ok(servers)
}
