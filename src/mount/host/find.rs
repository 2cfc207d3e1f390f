//! The volume that a mount is of.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::{Host, short_hash};
use crate::{
    client::{self, Cluster, Kind, NoVolfile},
    glusterd::cli::VolumeStatus,
    mount::{
        Error, Reason,
        lock::lock,
        source::Source,
        store::StoredVolume,
        volume::{Accepted, Volume, ask},
    },
    transport::{ServerAddress, parse_servers},
    volfile,
};

/// For the first volfile of a mount; then what is on disk has to do.
pub(super) const FETCH: Duration = Duration::from_secs(15);

impl Host {
    /// The volume that is meant, followed already or from now on.
    pub(super) async fn find(
        &self,
        source: &Source,
        progress: &UnboundedSender<String>,
    ) -> Result<Arc<Volume>, Error> {
        let turn = lock(&self.0.finding).entry(source.volume.clone()).or_default().clone();
        let _turn = turn.lock().await;
        let known = |servers: &[ServerAddress]| source.servers.iter().any(|server| servers.contains(server));
        if let Some(volume) =
            self.volume(|v| v.stored().name == source.volume && known(&v.cluster().servers()))
        {
            volume.cluster().learn(source.servers.iter().cloned());
            return Ok(volume);
        }
        // By what is installed now a volfile is asked for, and judged. Where a process runs for it already, nothing is asked.
        self.0.context.glusterfs.look().await?;
        let servers: Vec<_> = source.servers.iter().map(ToString::to_string).collect();
        // Whoever asked may have gone.
        let _ =
            progress.send(format!("fetching the volfile of {} from {}", source.volume, servers.join(",")));
        let cluster = self.cluster(source.servers.clone(), std::iter::empty());
        match cluster.fetch(&source.volume).await {
            Ok(fetched) => self.found(source, cluster, fetched).await,
            Err(error) if error.kind() == Kind::Unreachable => self.recall(source, cluster, &error),
            Err(error) => Err(no_volfile(&error)),
        }
    }

    async fn found(
        &self,
        source: &Source,
        cluster: Cluster,
        fetched: client::Fetched,
    ) -> Result<Arc<Volume>, Error> {
        let name = &source.volume;
        let info = ask(&fetched.server, &cluster, name).await;
        let why = match info.as_ref().map(|info| info.status) {
            Some(VolumeStatus::Created) => Some("was never started"),
            Some(VolumeStatus::Stopped) => Some("is stopped"),
            _ => None,
        };
        if let Some(why) = why {
            let sentence = format!("volume {name} {why}: start it with `gluster volume start {name}`");
            return Err(Error::new(Reason::Stopped, sentence));
        }
        let id = info.and_then(|info| info.id);
        let same = |known: &StoredVolume| known.name == *name && id.is_some() && known.id == id;
        // Known by other names of its servers.
        if let Some(volume) = self.volume(|volume| same(&volume.stored())) {
            volume.cluster().learn(cluster.servers());
            return Ok(volume);
        }
        let glusterfs = &self.0.context.glusterfs;
        let mut faults = volfile::faults(&fetched.text);
        faults.extend(glusterfs.unknown(&fetched.text));
        if !faults.is_empty() {
            let sentence = format!(
                "{}: the volfile of {name} is not one that glusterfs {} may load: {}",
                fetched.server,
                glusterfs.version(),
                faults.join("; ")
            );
            return Err(Error::new(Reason::InvalidVolfile, sentence));
        }
        let mut volumes = self.0.context.store.volumes().into_iter();
        let stored = volumes.find(same).unwrap_or_else(|| {
            let what = id.clone().unwrap_or_else(|| format!("{:?}", source.servers));
            let key = format!("{name}-{}", short_hash(what.as_bytes(), 8));
            StoredVolume { key, name: name.clone(), id: id.clone(), servers: Vec::new(), bricks: Vec::new() }
        });
        // A copy: what arrived is a slice of a read buffer.
        let accepted = Accepted::new(fetched.text.to_vec().into(), id);
        Ok(self.follow(cluster, stored, accepted))
    }

    /// All glusterds are down: what was last known of the volume.
    fn recall(&self, source: &Source, cluster: Cluster, error: &NoVolfile) -> Result<Arc<Volume>, Error> {
        let store = &self.0.context.store;
        let asked: Vec<_> = source.servers.iter().map(ToString::to_string).collect();
        let known = store.volumes().into_iter().find(|known| {
            known.name == source.volume && known.servers.iter().any(|server| asked.contains(server))
        });
        let text = known.as_ref().and_then(|known| store.volfile(&known.key));
        let (Some(stored), Some(text)) = (known, text) else { return Err(no_volfile(error)) };
        // Known by another of its servers, it may be followed already.
        if let Some(volume) = self.volume(|volume| volume.stored().key == stored.key) {
            return Ok(volume);
        }
        warn!(target: "kadalu", volume = stored.key, "no server answers: the last good volfile is used");
        cluster.learn(parse_servers(&stored.servers.join(",")).unwrap_or_default());
        let accepted = Accepted::new(text.into(), stored.id.clone());
        Ok(self.follow(cluster, stored, accepted))
    }
}

fn no_volfile(error: &NoVolfile) -> Error {
    let reason = match error.kind() {
        Kind::Unreachable => Reason::Unreachable,
        Kind::Access => Reason::Access,
        Kind::NoSuchVolume => Reason::NoSuchVolume,
        Kind::OpVersion => Reason::OpVersion,
        Kind::Other => Reason::Other,
    };
    Error::new(reason, error)
}
