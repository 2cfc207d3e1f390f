//! The Container Storage Interface: what Kubernetes asks of a storage driver, over gRPC on a private unix socket.

mod capability;
pub mod controller;
#[rustfmt::skip]
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    unused_variables,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod generated;
pub(crate) mod health;
pub mod identity;
pub mod node;
pub mod operations;
pub mod server;
mod status;

#[cfg(test)]
mod tests {
    use tonic::Request;

    use super::generated::{CreateVolumeRequest, NodeStageVolumeRequest};

    #[test]
    fn a_request_shows_itself_without_its_secrets() {
        let secrets = [("key".to_owned(), "hunter2".to_owned())];
        let create = CreateVolumeRequest {
            name: "pvc-1".into(),
            secrets: secrets.clone().into(),
            ..Default::default()
        };
        let stage = NodeStageVolumeRequest {
            volume_id: "u/pvc-1".into(),
            secrets: secrets.into(),
            ..Default::default()
        };
        for shown in [format!("{:?}", Request::new(create)), format!("{stage:#?}")] {
            assert!(shown.contains("pvc-1") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
