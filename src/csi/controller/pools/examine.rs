//! Asks a cluster what its volume is.

use std::{error::Error as _, sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::Status;

use crate::{
    client::{self, Cluster, Kind, NoVolfile},
    glusterd::cli::VolumeInfo,
    mount::ask_around,
    storage::{Error, Reason, check::Examined, handle::PoolId},
    transport::ServerAddress,
    volfile::{Graph, Volfile},
};

/// For the volfile.
const FETCH: Duration = Duration::from_secs(15);

/// A volume, as its cluster describes it.
#[derive(Debug)]
pub(super) struct Examination {
    /// The volume's id in its cluster.
    pub(super) id: PoolId,
    /// All servers that are known by now, those that were named first.
    pub(super) servers: Vec<ServerAddress>,
    /// Whether it can hold PVs.
    pub(super) examined: Examined,
    /// When it was asked.
    pub(super) at: Instant,
}

/// Asks the cluster that these servers are of.
pub(super) async fn examine(
    options: &client::Options,
    servers: &[ServerAddress],
    volume: &str,
) -> Result<Examination, Status> {
    let options = client::Options { fetch: FETCH.min(options.fetch), ..options.clone() };
    let cluster = Cluster::new(servers.iter().cloned(), options);
    let fetched = cluster.fetch(volume).await.map_err(no_volfile)?;
    let unreadable = |why: &dyn std::fmt::Display| {
        let sentence = format!("{}: the volfile of {volume} cannot be read: {why}", fetched.server);
        Error::new(Reason::Precondition, sentence)
    };
    // It borrows from the text, and is not sent between threads.
    let look = |info: Option<&VolumeInfo>| {
        let volfile = Volfile::parse(&fetched.text).map_err(|error| unreadable(&error))?;
        let graph = Graph::new(&volfile).ok_or_else(|| unreadable(&"it is empty"))?;
        Ok::<_, Error>((graph.kind().volume_id, Examined::new(&graph, info)))
    };
    let info = ask_around(&cluster, &fetched.server, volume, Some).await;
    let (told, examined) = look(info.as_ref())?;
    let id = info.and_then(|info| info.id).or(told).map(|id| id.to_ascii_lowercase());
    let Some(id) = id else {
        let sentence = format!(
            "volume {volume}: none of its servers tells the volume's id, which its PVs are known by: let this host \
             ask glusterd (port 24007, auth.allow), or raise the cluster's op-version to 90000"
        );
        return Err(Error::new(Reason::Precondition, sentence).into());
    };
    Ok(Examination { id: id.parse::<PoolId>()?, servers: cluster.servers(), examined, at: Instant::now() })
}

/// Whether servers have said that there is no such volume.
pub(super) fn is_of_no_volume(status: &Status) -> bool {
    let error = status.source().and_then(|source| source.downcast_ref::<NoVolfile>());
    error.is_some_and(|error| error.kind() == Kind::NoSuchVolume)
}

fn no_volfile(error: NoVolfile) -> Status {
    let reason = match error.kind() {
        Kind::Unreachable | Kind::Other => Reason::Unavailable,
        // Until an admin has done something.
        Kind::NoSuchVolume | Kind::Access | Kind::OpVersion => Reason::Precondition,
    };
    // A server a line.
    let mut status = Status::from(Error::new(reason, error.to_string().replace("\n  ", "; ")));
    status.set_source(Arc::new(error));
    status
}
