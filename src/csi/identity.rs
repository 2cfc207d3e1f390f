//! Who this driver is, and whether it is ready.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, async_trait};

use super::{
    generated::{
        GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest,
        GetPluginInfoResponse, PluginCapability, ProbeRequest, ProbeResponse, identity_server,
        plugin_capability::{Service, Type, VolumeExpansion, service, volume_expansion},
    },
    server::Deadline,
    status::failed,
};
use crate::mount::control::Mounts;

/// For the mount host's answer; it is asked often, and asked again.
const PROBE: Duration = Duration::from_secs(5);

/// The longest name of a driver, in characters.
const MAX_NAME: usize = 63;

/// The name of a driver, which each PV carries for ever: like a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverName(String);

/// The name of kadalu's driver: its PVs are taken over.
impl Default for DriverName {
    fn default() -> Self {
        Self("kadalu".to_owned())
    }
}

impl FromStr for DriverName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        let allowed = |byte: u8| plain(byte) || byte == b'-' || byte == b'.';
        let ends = [text.bytes().next(), text.bytes().next_back()];
        let is_name = text.len() <= MAX_NAME
            && text.bytes().all(allowed)
            && ends.into_iter().all(|end| end.is_some_and(plain));
        if !is_name || text.contains("..") {
            let shown: String = text.chars().take(MAX_NAME).collect();
            return Err(format!(
                "{shown:?} is no name of a driver: up to {MAX_NAME} letters, digits, '-' and '.', a letter or digit at \
                 both ends, such as kadalu or gluster.example.net"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity service: the same in every instance of the driver.
#[derive(Debug)]
pub struct Identity<M> {
    name: DriverName,
    mounts: M,
}

impl<M: Mounts> Identity<M> {
    /// Of a driver that mounts through `mounts`.
    pub fn new(name: DriverName, mounts: M) -> Self {
        Self { name, mounts }
    }

    /// What is missing, in a sentence.
    async fn missing(&self, within: Duration) -> Option<String> {
        match timeout(within, self.mounts.list()).await {
            Ok(Ok(list)) if list.glusterfs_version.is_empty() => Some(
                "glusterfs is not installed where the mount host runs: install glusterfs-client there"
                    .to_owned(),
            ),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the mount host has not answered within {within:.1?}: see its log")),
        }
    }
}

#[async_trait]
impl<M: Mounts> identity_server::Identity for Identity<M> {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(GetPluginInfoResponse {
            name: self.name.to_string(),
            vendor_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        let controller = Service { r#type: service::Type::ControllerService.into() };
        let online = VolumeExpansion { r#type: volume_expansion::Type::Online.into() };
        let capabilities = [Type::Service(controller), Type::VolumeExpansion(online)];
        let capabilities = capabilities.map(|capability| PluginCapability { r#type: Some(capability) });
        Ok(Response::new(GetPluginCapabilitiesResponse { capabilities: capabilities.into() }))
    }

    async fn probe(&self, request: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        match self.missing(PROBE.min(Deadline::of(&request).left())).await {
            None => Ok(Response::new(ProbeResponse { ready: Some(true) })),
            Some(missing) => Err(failed(Code::FailedPrecondition, missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        csi::generated::identity_server::Identity as _,
        mount::{fake::Fake, generated::ListReply},
    };

    fn identity(list: ListReply) -> Identity<Fake> {
        Identity::new(DriverName::default(), Fake::new(list))
    }

    #[test]
    fn names_of_drivers() {
        let long = "x".repeat(63);
        for name in ["kadalu", "gluster.example.net", "a", "A-1.b", &long] {
            assert_eq!(name.parse::<DriverName>().unwrap().to_string(), name);
        }
        let longer = "x".repeat(10_000_000);
        for name in ["", "-a", "a-", ".a", "a.", "a..b", "a b", "a/b", "ä", "a\0", &longer] {
            let sentence = name.parse::<DriverName>().unwrap_err();
            assert!(sentence.contains("letter or digit") && sentence.len() < 300, "{sentence}");
        }
    }

    #[tokio::test]
    async fn every_instance_says_the_same_of_itself() {
        let identity = identity(ListReply::default());
        let info =
            identity.get_plugin_info(Request::new(GetPluginInfoRequest {})).await.unwrap().into_inner();
        assert_eq!((info.name.as_str(), info.vendor_version.as_str()), ("kadalu", env!("CARGO_PKG_VERSION")));
        let reply = identity.get_plugin_capabilities(Request::new(GetPluginCapabilitiesRequest {})).await;
        let capabilities = reply.unwrap().into_inner().capabilities;
        assert!(
            matches!(capabilities[0].r#type, Some(Type::Service(Service { r#type: 1 }))),
            "CONTROLLER_SERVICE"
        );
        assert!(
            matches!(capabilities[1].r#type, Some(Type::VolumeExpansion(VolumeExpansion { r#type: 1 }))),
            "ONLINE"
        );
    }

    #[tokio::test]
    async fn it_is_ready_when_the_mount_host_is() {
        let installed = ListReply { glusterfs_version: "10.3".into(), ..Default::default() };
        let ready = identity(installed).probe(Request::new(ProbeRequest {})).await.unwrap();
        assert_eq!(ready.into_inner().ready, Some(true));
        let missing = identity(ListReply::default()).probe(Request::new(ProbeRequest {})).await.unwrap_err();
        assert_eq!(missing.code(), Code::FailedPrecondition);
        assert!(missing.message().contains("glusterfs is not installed"), "{missing}");
    }
}
