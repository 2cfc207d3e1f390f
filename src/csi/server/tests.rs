use std::{fs, os::unix::fs::MetadataExt, path::Path};

use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, Request, Response, Status, transport::Channel};

use super::*;
use crate::csi::generated::{
    CreateVolumeRequest, GetPluginInfoRequest, NodeGetCapabilitiesRequest, NodeGetInfoRequest,
    NodeGetInfoResponse, NodeStageVolumeRequest, NodeStageVolumeResponse, ProbeRequest, ProbeResponse,
    controller_client::ControllerClient, identity_client::IdentityClient, node_client::NodeClient,
};

/// Answers nothing but what stands here; staging takes for ever.
struct Fake;

#[tonic::async_trait]
impl Identity for Fake {
    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        Ok(Response::new(ProbeResponse { ready: Some(true) }))
    }
}

#[tonic::async_trait]
impl Controller for Fake {}

#[tonic::async_trait]
impl Node for Fake {
    async fn node_get_info(
        &self,
        request: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        let left = Deadline::of(&request).left().as_millis();
        Ok(Response::new(NodeGetInfoResponse { max_volumes_per_node: left as i64, ..Default::default() }))
    }

    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        about(&request.get_ref().volume_id);
        std::future::pending().await
    }
}

struct Behind {
    directory: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Behind {
    /// All but the controller.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = endpoint(&directory.path().join("made/csi.sock"));
        let services = Services { identity: Fake, controller: None::<Fake>, node: Some(Fake) };
        let listener = endpoint.listen().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(services, listener, async { drop(stopped.await) }));
        Self { directory, stop, serving }
    }

    async fn connect(&self) -> Channel {
        let path = format!("unix:{}", self.directory.path().join("made/csi.sock").display());
        tonic::transport::Endpoint::from_shared(path).unwrap().connect().await.unwrap()
    }
}

fn endpoint(path: &Path) -> Endpoint {
    path.to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_call_comes_to_its_service_on_a_private_socket() {
    let behind = Behind::start();
    let made = behind.directory.path().join("made");
    assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(made.join("csi.sock")).unwrap().mode() & 0o7777, 0o600);
    let channel = behind.connect().await;
    let ready = IdentityClient::new(channel.clone()).probe(ProbeRequest {}).await.unwrap();
    assert_eq!(ready.into_inner().ready, Some(true));
    // One that is not written, and one of a service that is not here.
    let mut identity = IdentityClient::new(channel.clone());
    let absent = identity.get_plugin_info(GetPluginInfoRequest {}).await.unwrap_err();
    assert_eq!(absent.code(), Code::Unimplemented);
    let create = CreateVolumeRequest::default();
    let absent = ControllerClient::new(channel.clone()).create_volume(create).await.unwrap_err();
    assert_eq!(absent.code(), Code::Unimplemented);
    assert!(absent.message().contains("\"csi.v1.Controller\""), "{absent}");
    let mut node = NodeClient::new(channel);
    let absent = node.node_get_capabilities(NodeGetCapabilitiesRequest {}).await.unwrap_err();
    assert_eq!(absent.code(), Code::Unimplemented);
    behind.stop.send(()).unwrap();
    behind.serving.await.unwrap().unwrap();
    assert_eq!(fs::read_dir(&made).unwrap().count(), 0, "the socket is gone");
}

#[tokio::test]
async fn a_call_is_answered_before_its_deadline() {
    let behind = Behind::start();
    let mut node = NodeClient::new(behind.connect().await);
    let mut request = Request::new(NodeStageVolumeRequest { volume_id: "v".into(), ..Default::default() });
    request.set_timeout(Duration::from_millis(500));
    let overdue = node.node_stage_volume(request).await.unwrap_err();
    assert_eq!(overdue.code(), Code::DeadlineExceeded);
    assert!(overdue.message().starts_with("NodeStageVolume has not ended within the 0."), "ours: {overdue}");
    // The handler knows how long it has.
    for (said, expected) in [(Some(20), 10_000..20_000), (None, 200_000..300_001)] {
        let mut request = Request::new(NodeGetInfoRequest {});
        said.inspect(|said| request.set_timeout(Duration::from_secs(*said)));
        let left = node.node_get_info(request).await.unwrap().into_inner().max_volumes_per_node;
        assert!(expected.contains(&left), "{said:?}: {left}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_rest_goes_on() {
    let behind = Behind::start();
    let mut node = NodeClient::new(behind.connect().await);
    let volume_id = "x".repeat(10_000_000);
    let refused = node.node_stage_volume(NodeStageVolumeRequest { volume_id, ..Default::default() }).await;
    assert_eq!(refused.unwrap_err().code(), Code::OutOfRange);
    assert!(node.node_get_info(NodeGetInfoRequest {}).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_does_not_hold_up_the_end() {
    let behind = Behind::start();
    let mut node = NodeClient::new(behind.connect().await);
    let mut probed = node.clone();
    let staging =
        tokio::spawn(async move { node.node_stage_volume(NodeStageVolumeRequest::default()).await });
    // The stage was sent first.
    probed.node_get_info(NodeGetInfoRequest {}).await.unwrap();
    behind.stop.send(()).unwrap();
    behind.serving.await.unwrap().unwrap();
    assert!(staging.await.unwrap().is_err());
}

#[tokio::test]
async fn only_a_socket_that_nobody_answers_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("csi.sock");
    // One that its process has left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listening = endpoint(&path).listen().unwrap();
    assert!(endpoint(&path).listen().unwrap_err().to_string().contains("another process listens there"));
    drop(listening);
    fs::write(&path, "not a socket").unwrap();
    assert!(endpoint(&path).listen().unwrap_err().to_string().contains("is not a socket"));
    assert_eq!(fs::read(&path).unwrap(), b"not a socket");
}
