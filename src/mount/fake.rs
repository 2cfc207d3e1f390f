//! A host without glusterfs: what it answers depends on the volume's name.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::{Notify, mpsc::UnboundedSender, watch};

use super::{
    Error, Reason,
    control::Mounts,
    generated::{
        Amount, Change, ListReply, MountRequest, Mounted, Pool, Process, Rejection, Target, Usage, Volume,
    },
};

/// A host whose mounts of `slow` wait for `release`.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(super) list: ListReply,
    pub(super) release: Arc<Notify>,
    /// How many slow mounts were begun, and how many ended.
    pub(super) slow: watch::Sender<(usize, usize)>,
}

impl Fake {
    pub(crate) fn new(list: ListReply) -> Self {
        Self { list, release: Arc::default(), slow: watch::channel((0, 0)).0 }
    }
}

impl Mounts for Fake {
    async fn mount(
        &self,
        request: MountRequest,
        progress: UnboundedSender<String>,
    ) -> Result<Mounted, Error> {
        let MountRequest { volume, target, .. } = request;
        match volume.as_str() {
            "vol" => (1..=3).for_each(|step| drop(progress.send(format!("step {step}")))),
            "chatty" => (0..1000).for_each(|line| drop(progress.send(format!("line {line}")))),
            "slow" => {
                self.slow.send_modify(|(begun, _)| *begun += 1);
                self.release.notified().await;
                self.slow.send_modify(|(_, ended)| *ended += 1);
            }
            "verbose" => return Err(Error::new(Reason::Bricks, "brick\n".repeat(10_000))),
            _ => return Err(Error::new(Reason::NoSuchVolume, format_args!("{volume}: no such volume"))),
        }
        Ok(Mounted {
            target,
            kind: "replicate 3".into(),
            warnings: vec!["it is old".into()],
            ..Mounted::default()
        })
    }

    async fn unmount(&self, target: &Path, lazy: bool) -> Result<(), Error> {
        if lazy {
            Ok(())
        } else {
            Err(Error::new(Reason::Busy, format_args!("{}: files are open", target.display())))
        }
    }

    async fn list(&self) -> Result<ListReply, Error> {
        Ok(self.list.clone())
    }

    async fn usage(&self, target: &Path, within: Duration) -> Result<Usage, Error> {
        let volume = example().volumes.into_iter().next();
        if target != Path::new("/a") {
            let trouble = format!("no answer within {within:?}");
            return Ok(Usage { trouble, volume, ..Usage::default() });
        }
        let amount = |total| Some(Amount { total, available: 1, used: 2 });
        Ok(Usage { bytes: amount(100), inodes: amount(10), volume, ..Usage::default() })
    }

    async fn replace(&self, target: &Path) -> Result<i32, Error> {
        if target == Path::new("/mnt") {
            Ok(4711)
        } else {
            Err(Error::new(Reason::NotMounted, "not mounted"))
        }
    }

    async fn accept_replaced(&self, volume: &str) -> Result<String, Error> {
        Ok(format!("id of {volume}"))
    }
}

/// A volume with a pool that is well and one that is not, and another that was replaced.
pub(super) fn example() -> ListReply {
    let process = |pid| Process { pid, version: "10.3".into(), rss_bytes: 50_000_000, ..Process::default() };
    let target = |path: &str| Target { path: path.into(), ..Target::default() };
    let well = Pool {
        id: "vol-1".into(),
        state: "healthy".into(),
        process: Some(process(10)),
        targets: vec![target("/a"), target("/b")],
        graphs: 2,
        draining: vec![process(9)],
        restarts: [("died".to_owned(), 2), ("planned".to_owned(), 1)].into(),
        last_heal_seconds: 1.5,
        rebinds: 4,
        ..Pool::default()
    };
    let hung = Pool {
        id: "vol-2".into(),
        state: "hung".into(),
        targets: vec![target("/c")],
        offline: true,
        drift: "the new graph is not connected".into(),
        bricks_down: vec!["g1:/b".into(), "g2:/b".into()],
        last_error: "2026-01-01T00:00:00Z no answer\nwithin 5 s".into(),
        ..Pool::default()
    };
    let volume = Volume {
        name: "vol".into(),
        key: "vol-1".into(),
        connected: "g1:24007".into(),
        generation: 3,
        digest: "sha256:abc".into(),
        last_change: Some(Change { class: "options".into(), ..Change::default() }),
        pools: vec![well, hung],
        changes_options: 2,
        changes_topology: 1,
        connects: 3,
        ..Volume::default()
    };
    let replaced = Volume {
        name: "vol".into(),
        key: "vol-2".into(),
        rejected: Some(Rejection { replaced_by: "an id".into(), ..Rejection::default() }),
        ..Volume::default()
    };
    ListReply { volumes: vec![volume, replaced], glusterfs_version: "10.3".into(), rss_bytes: 12_000_000 }
}
