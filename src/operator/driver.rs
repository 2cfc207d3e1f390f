//! What the CSI driver says of its PVs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::csi::{
    generated::{
        ControllerListVolumeHealthRequest, GetCapacityRequest, ListVolumesRequest,
        controller_client::ControllerClient,
    },
    health::QUOTA_NOT_ENFORCED,
};

/// For a call: with many PVs the driver looks at many files.
const CALL: Duration = Duration::from_secs(60);

/// PVs of one page, and pages of a list: more PVs than a cluster of Kubernetes can have.
const PAGE: i32 = 1000;
const MAX_PAGES: usize = 1000;

/// Bytes of a page.
const MAX_REPLY: usize = 16 * 1024 * 1024;

/// Asks a driver; a script in tests.
pub trait Driver: Send + Sync + 'static {
    /// PVs that it knows, by its ids. An error is a sentence.
    fn listed(&self) -> impl Future<Output = Result<BTreeSet<String>, String>> + Send;

    /// PVs whose sizes some brick does not enforce, by the driver's ids, and why. An error is a sentence.
    fn not_enforced(&self) -> impl Future<Output = Result<BTreeMap<String, String>, String>> + Send;

    /// Bytes that a further PV of a storage class with these parameters could have.
    fn available(&self, class: BTreeMap<String, String>) -> impl Future<Output = Result<u64, String>> + Send;
}

/// The controller of a CSI driver behind its socket. Connects when it is first asked, and again by itself.
#[derive(Debug, Clone)]
pub struct Csi {
    grpc: ControllerClient<Channel>,
}

impl Csi {
    /// The one that listens at this socket.
    ///
    /// # Errors
    /// A path that cannot stand in a URI.
    pub fn at(socket: &Path) -> Result<Self, String> {
        let uri = format!("unix://{}", socket.display());
        let endpoint =
            Endpoint::from_shared(uri).map_err(|error| format!("{}: {error}", socket.display()))?;
        let channel = endpoint.timeout(CALL).connect_timeout(CALL).connect_lazy();
        Ok(Self { grpc: ControllerClient::new(channel).max_decoding_message_size(MAX_REPLY) })
    }
}

impl Driver for Csi {
    async fn listed(&self) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        let mut request = ListVolumesRequest { max_entries: PAGE, ..Default::default() };
        for _ in 0..MAX_PAGES {
            let page = self.grpc.clone().list_volumes(request.clone()).await;
            let page = page.map_err(|status| sentence(&status))?.into_inner();
            found.extend(page.entries.into_iter().filter_map(|entry| Some(entry.volume?.volume_id)));
            if page.next_token.is_empty() {
                return Ok(found);
            }
            request.starting_token = page.next_token;
        }
        Err(endless())
    }

    async fn not_enforced(&self) -> Result<BTreeMap<String, String>, String> {
        let mut found = BTreeMap::new();
        let mut request = ControllerListVolumeHealthRequest { max_entries: PAGE, ..Default::default() };
        for _ in 0..MAX_PAGES {
            let page = self.grpc.clone().controller_list_volume_health(request.clone()).await;
            let page = page.map_err(|status| sentence(&status))?.into_inner();
            for volume in page.entries {
                let quota =
                    volume.health_statuses.into_iter().find(|entry| entry.reason == QUOTA_NOT_ENFORCED);
                found.extend(quota.map(|entry| (volume.volume_id, entry.message)));
            }
            if page.next_token.is_empty() {
                return Ok(found);
            }
            request.starting_token = page.next_token;
        }
        Err(endless())
    }

    async fn available(&self, class: BTreeMap<String, String>) -> Result<u64, String> {
        let request = GetCapacityRequest { parameters: class, ..Default::default() };
        let reply = self.grpc.clone().get_capacity(request).await.map_err(|status| sentence(&status))?;
        u64::try_from(reply.into_inner().available_capacity)
            .map_err(|_| "the driver tells a negative capacity".to_owned())
    }
}

fn endless() -> String {
    format!("the driver's list of volumes does not end after {MAX_PAGES} pages")
}

fn sentence(status: &Status) -> String {
    format!("the driver says {:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::net::UnixListener;
    use tonic::{Request, Response, Status, async_trait, transport::Server};

    use super::*;
    use crate::csi::generated::{
        ControllerListVolumeHealthResponse, GetCapacityResponse, ListVolumesResponse, Volume, VolumeHealth,
        controller_server::{Controller, ControllerServer},
        list_volumes_response::Entry,
        volume_health::VolumeHealthEntry,
    };

    /// Two pages, of which the second has a PV without a limit and one with another trouble.
    struct Paged;

    #[async_trait]
    impl Controller for Paged {
        async fn controller_list_volume_health(
            &self,
            request: Request<ControllerListVolumeHealthRequest>,
        ) -> Result<Response<ControllerListVolumeHealthResponse>, Status> {
            let volume = |id: &str, reason: &str| {
                let entry = VolumeHealthEntry {
                    status: 1,
                    reason: reason.to_owned(),
                    message: format!("why of {id}"),
                };
                VolumeHealth { volume_id: id.to_owned(), health_statuses: vec![entry] }
            };
            let (entries, next_token) = match request.into_inner().starting_token.as_str() {
                "" => (vec![volume("a", "ReplicaDown")], "2"),
                "2" => (vec![volume("b", QUOTA_NOT_ENFORCED), volume("c", "ReplicaDown")], ""),
                token => return Err(Status::aborted(token)),
            };
            Ok(Response::new(ControllerListVolumeHealthResponse {
                entries,
                next_token: next_token.to_owned(),
            }))
        }

        async fn list_volumes(
            &self,
            request: Request<ListVolumesRequest>,
        ) -> Result<Response<ListVolumesResponse>, Status> {
            let (volume_id, next_token) = match request.into_inner().starting_token.as_str() {
                "" => ("a", "2"),
                "2" => ("b", ""),
                token => return Err(Status::aborted(token)),
            };
            let volume = Volume { volume_id: volume_id.to_owned(), ..Default::default() };
            let entries = vec![Entry { volume: Some(volume), status: None }];
            Ok(Response::new(ListVolumesResponse { entries, next_token: next_token.to_owned() }))
        }

        async fn get_capacity(
            &self,
            request: Request<GetCapacityRequest>,
        ) -> Result<Response<GetCapacityResponse>, Status> {
            let known = request.into_inner().parameters.contains_key("storage_name");
            Ok(Response::new(GetCapacityResponse {
                available_capacity: if known { 5 } else { -1 },
                ..Default::default()
            }))
        }
    }

    #[tokio::test]
    async fn a_driver_is_asked_over_its_socket_page_by_page() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("csi.sock");
        let driver = Csi::at(&socket).unwrap();
        let error = driver.not_enforced().await.unwrap_err();
        assert!(error.starts_with("the driver says"), "{error}");

        let incoming = stream::unfold(UnixListener::bind(&socket).unwrap(), async |listener| {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        let server = Server::builder().serve_with_incoming(ControllerServer::new(Paged), incoming);
        let server = tokio::spawn(server);
        let expected = BTreeMap::from([("b".to_owned(), "why of b".to_owned())]);
        assert_eq!(driver.not_enforced().await, Ok(expected));
        assert_eq!(driver.listed().await, Ok(BTreeSet::from(["a".to_owned(), "b".to_owned()])));
        let class = BTreeMap::from([("storage_name".to_owned(), "s".to_owned())]);
        assert_eq!(driver.available(class).await, Ok(5));
        assert!(driver.available(BTreeMap::new()).await.unwrap_err().contains("negative"));
        server.abort();
    }
}
