//! The volume, and each of its bricks alone, mounted while somebody looks.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use glusterd_client::{
    mount::{
        Reason,
        control::{Client, Mounts},
        generated::MountRequest,
        options::MountOptions,
        source::Source,
    },
    storage::{
        enforced::DataBrick,
        pool::{OneBrick, Seen},
    },
};
use tokio::{
    sync::mpsc::unbounded_channel,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::Failure;

/// For a brick to be mounted.
const MOUNT: Duration = Duration::from_secs(15);

/// For all PVs of a brick to be looked at.
const LOOK: Duration = Duration::from_secs(120);

/// What is mounted by this run.
pub(crate) struct Mounted {
    host: Client,
    source: Source,
    targets: Vec<PathBuf>,
}

impl Mounted {
    pub(crate) fn new(host: Client, source: Source) -> Self {
        Self { host, source, targets: Vec::new() }
    }

    /// Mounts the volume; returns where.
    pub(crate) async fn volume(&mut self) -> Result<PathBuf, Failure> {
        let request = self.request(String::new())?;
        let root = PathBuf::from(&request.target);
        self.host.mount(request, unbounded_channel().0).await?;
        Ok(root)
    }

    /// Looks at each brick, side by side: what was seen of these PVs, or why it could not be looked at.
    pub(crate) async fn bricks(
        &mut self,
        bricks: &[DataBrick],
        paths: Arc<[String]>,
    ) -> Result<Vec<Result<Seen, String>>, Failure> {
        let mut looks = JoinSet::new();
        for (n, brick) in bricks.iter().enumerate() {
            let options = MountOptions::default().of_brick(brick.address.clone()).canonical();
            let request = MountRequest { timeout_seconds: MOUNT.as_secs() as u32, ..self.request(options)? };
            let (host, paths) = (self.host.clone(), paths.clone());
            looks.spawn(async move { (n, look(host, request, paths).await) });
        }
        let mut seen = looks.join_all().await;
        seen.sort_unstable_by_key(|(n, _)| *n);
        Ok(seen.into_iter().map(|(_, seen)| seen).collect())
    }

    /// A mount at a directory of its own.
    fn request(&mut self, options: String) -> Result<MountRequest, Failure> {
        let target = tempfile::Builder::new().prefix("kadalu-mnt-").tempdir();
        // Never to be removed with what is in it: that is the volume.
        let target =
            target.map_err(|error| Failure::other("cannot make a directory to mount at", error))?.keep();
        self.targets.push(target.clone());
        Ok(MountRequest {
            servers: self.source.servers.iter().map(ToString::to_string).collect(),
            volume: self.source.volume.clone(),
            target: target.display().to_string(),
            options: vec![options],
            ..MountRequest::default()
        })
    }

    /// Unmounts all that was mounted, or was about to be.
    ///
    /// # Errors
    /// Something stays mounted: it keeps its directory, and `kadalu mounts` shows it.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        let mut ends = JoinSet::new();
        for target in self.targets {
            let host = self.host.clone();
            ends.spawn(async move {
                match host.unmount(&target, true).await {
                    // What could not be mounted is not.
                    Err(error) if error.reason() != Reason::NotMounted => return Err(error.into()),
                    _ => fs::remove_dir(&target),
                }
                .map_err(|error| Failure::other(format_args!("cannot remove {}", target.display()), error))
            });
        }
        ends.join_all().await.into_iter().collect()
    }
}

async fn look(host: Client, request: MountRequest, paths: Arc<[String]>) -> Result<Seen, String> {
    let root = PathBuf::from(&request.target);
    host.mount(request, unbounded_channel().0).await.map_err(|error| error.to_string())?;
    let looked = spawn_blocking(move || OneBrick::open(&root)?.look(&paths));
    match timeout(LOOK, looked).await {
        Ok(Ok(seen)) => seen.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(format!("this is a defect of kadalu, please report it: {error}")),
        Err(_) => Err(format!("it has not answered within {LOOK:?}")),
    }
}
