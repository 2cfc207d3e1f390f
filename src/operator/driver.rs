//! What the CSI driver says of its PVs.

use std::{collections::BTreeMap, error::Error as _, path::Path, time::Duration};

use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::world::Limit;
use crate::csi::{
    generated::{
        ControllerListVolumeHealthRequest, GetCapacityRequest, ListVolumesRequest, VolumeCondition,
        controller_client::ControllerClient, volume_health::VolumeHealthEntry,
    },
    health::{QUOTA_NOT_ENFORCED, QUOTA_OFF, QUOTA_UNKNOWN},
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
    /// PVs that it knows, by its ids, and how they are limited. An error is a sentence.
    fn limits(&self) -> impl Future<Output = Result<BTreeMap<String, Limit>, String>> + Send;

    /// Bytes that a further PV of a storage class with these parameters could have.
    fn available(&self, class: BTreeMap<String, String>)
    -> impl Future<Output = Result<u64, Refusal>> + Send;
}

/// Why a driver does not tell what a PV could have; with its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not know the storage, or as another one: by `FAILED_PRECONDITION` and `INVALID_ARGUMENT`.
    NotKnown(String),
    /// It knows the storage, and something else is wrong.
    Trouble(String),
    /// It was not reached.
    Silent(String),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        match status.code() {
            // What was not said by the driver has a cause here.
            _ if status.source().is_some() => Self::Silent(sentence(&status)),
            Code::FailedPrecondition | Code::InvalidArgument => Self::NotKnown(sentence(&status)),
            _ => Self::Trouble(sentence(&status)),
        }
    }
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
    async fn limits(&self) -> Result<BTreeMap<String, Limit>, String> {
        let mut limits = self.listed().await?;
        limits.append(&mut self.ill().await?);
        Ok(limits)
    }

    async fn available(&self, class: BTreeMap<String, String>) -> Result<u64, Refusal> {
        let request = GetCapacityRequest { parameters: class, ..Default::default() };
        let reply = self.grpc.clone().get_capacity(request).await?;
        u64::try_from(reply.into_inner().available_capacity)
            .map_err(|_| Refusal::Trouble("the driver tells a negative capacity".to_owned()))
    }
}

impl Csi {
    /// All PVs, as if those with a limit were limited.
    async fn listed(&self) -> Result<BTreeMap<String, Limit>, String> {
        let mut found = BTreeMap::new();
        let mut request = ListVolumesRequest { max_entries: PAGE, ..Default::default() };
        for _ in 0..MAX_PAGES {
            let page = self.grpc.clone().list_volumes(request.clone()).await;
            let page = page.map_err(|status| sentence(&status))?.into_inner();
            found.extend(page.entries.into_iter().filter_map(|entry| {
                let condition = entry.status.and_then(|status| status.volume_condition);
                let is_off = |condition: VolumeCondition| condition.message.starts_with(QUOTA_OFF);
                let limit = if condition.is_some_and(is_off) { Limit::Off } else { Limit::Enforced };
                Some((entry.volume?.volume_id, limit))
            }));
            if page.next_token.is_empty() {
                return Ok(found);
            }
            request.starting_token = page.next_token;
        }
        Err(endless())
    }

    /// Those that are not limited, or of which nobody tells.
    async fn ill(&self) -> Result<BTreeMap<String, Limit>, String> {
        let limit = |VolumeHealthEntry { reason, message, .. }| match reason.as_str() {
            QUOTA_NOT_ENFORCED => Some(Limit::NotEnforced(message)),
            QUOTA_UNKNOWN => Some(Limit::Unknown(message)),
            _ => None,
        };
        let mut found = BTreeMap::new();
        let mut request = ControllerListVolumeHealthRequest { max_entries: PAGE, ..Default::default() };
        for _ in 0..MAX_PAGES {
            let page = self.grpc.clone().controller_list_volume_health(request.clone()).await;
            let page = page.map_err(|status| sentence(&status))?.into_inner();
            for volume in page.entries {
                let quota = volume.health_statuses.into_iter().find_map(limit);
                found.extend(quota.map(|limit| (volume.volume_id, limit)));
            }
            if page.next_token.is_empty() {
                return Ok(found);
            }
            request.starting_token = page.next_token;
        }
        Err(endless())
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
        list_volumes_response::{Entry, VolumeStatus},
    };

    /// Two pages, of which the second has PVs with troubles of all kinds.
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
                "2" => (vec![volume("b", QUOTA_NOT_ENFORCED), volume("c", QUOTA_UNKNOWN)], ""),
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
            let (ids, next_token) = match request.into_inner().starting_token.as_str() {
                "" => (["a", "b"], "2"),
                "2" => (["c", "off"], ""),
                token => return Err(Status::aborted(token)),
            };
            let entry = |id: &str| {
                let message = if id == "off" { QUOTA_OFF } else { "healthy" }.to_owned();
                let volume_condition = Some(VolumeCondition { abnormal: false, message });
                let volume = Volume { volume_id: id.to_owned(), ..Default::default() };
                let status = VolumeStatus { volume_condition, ..Default::default() };
                Entry { volume: Some(volume), status: Some(status) }
            };
            let entries = ids.map(entry).into();
            Ok(Response::new(ListVolumesResponse { entries, next_token: next_token.to_owned() }))
        }

        async fn get_capacity(
            &self,
            request: Request<GetCapacityRequest>,
        ) -> Result<Response<GetCapacityResponse>, Status> {
            let available_capacity = match request.into_inner().parameters["storage_name"].as_str() {
                "s" => 5,
                "negative" => -1,
                "new" => return Err(Status::failed_precondition("there is no storage \"new\"")),
                "of another volume" => return Err(Status::invalid_argument("not its volume")),
                _ => return Err(Status::unavailable("its volume does not answer")),
            };
            Ok(Response::new(GetCapacityResponse { available_capacity, ..Default::default() }))
        }
    }

    #[tokio::test]
    async fn a_driver_is_asked_over_its_socket_page_by_page() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("csi.sock");
        let driver = Csi::at(&socket).unwrap();
        let error = driver.limits().await.unwrap_err();
        assert!(error.starts_with("the driver says"), "{error}");
        let available = async |storage: &str| {
            driver.available(BTreeMap::from([("storage_name".to_owned(), storage.to_owned())])).await
        };
        let silent = available("s").await;
        assert!(matches!(silent, Err(Refusal::Silent(_))), "{silent:?}");

        let incoming = stream::unfold(UnixListener::bind(&socket).unwrap(), async |listener| {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        let server = Server::builder().serve_with_incoming(ControllerServer::new(Paged), incoming);
        let server = tokio::spawn(server);
        let expected = [
            ("a", Limit::Enforced),
            ("b", Limit::NotEnforced("why of b".to_owned())),
            ("c", Limit::Unknown("why of c".to_owned())),
            ("off", Limit::Off),
        ];
        let expected = expected.map(|(id, limit)| (id.to_owned(), limit)).into();
        assert_eq!(driver.limits().await, Ok(expected));
        assert_eq!(available("s").await, Ok(5));
        for (storage, is) in [
            ("negative", Refusal::Trouble as fn(String) -> Refusal),
            ("new", Refusal::NotKnown),
            ("of another volume", Refusal::NotKnown),
            ("other", Refusal::Trouble),
        ] {
            let refusal = available(storage).await.unwrap_err();
            let (Refusal::Trouble(said) | Refusal::NotKnown(said) | Refusal::Silent(said)) = refusal.clone();
            assert_eq!(refusal, is(said), "{storage}");
        }
        server.abort();
    }
}
