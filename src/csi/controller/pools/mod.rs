//! The pools of a controller: which are known, what they are, and their mounted roots.

pub(super) mod entry;
mod examine;
pub(super) mod flight;
mod replaced;

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Status};
use tracing::warn;

use self::{
    entry::{Entry, is_mounted},
    examine::{Examination, examine},
    flight::Flight,
    replaced::replaced,
};
use super::{Config, lock};
use crate::{
    csi::status::failed,
    mount::control::Mounts,
    storage::{
        Error,
        check::{self, Outcome},
        handle::PoolId,
        known::{Known, KnownPool},
        parameters::{Parameters, PvKind},
        pool::Pool,
        record::{QuotaPolicy, Reclaim},
    },
    transport::ServerAddress,
    volfile::Kind,
};

/// How long what a cluster has told of a volume is believed.
const BELIEVED: Duration = Duration::from_secs(60);

/// For the mount host to say which glusterfs it has.
const LIST: Duration = Duration::from_secs(5);

/// Volumes of which it is kept.
const MAX_CLUSTERS: usize = 1000;

/// The pools, by the ids of their volumes. One that does not answer keeps nobody from another. Clones share them.
#[derive(Debug)]
pub(super) struct Pools<M>(Arc<Inner<M>>);

#[derive(Debug)]
struct Inner<M> {
    mounts: M,
    client: crate::client::Options,
    /// Where their roots are mounted.
    mnt: PathBuf,
    is_visible: fn(&Path) -> bool,
    known: Arc<Known>,
    examined: Mutex<HashMap<Cluster, Arc<Flight<Arc<Examination>>>>>,
    entries: Mutex<HashMap<PoolId, Arc<Entry>>>,
    /// Of storages that nobody has made a PV in yet.
    identified: Mutex<HashMap<PoolId, Parameters>>,
}

/// A volume's name and the servers by which it is asked for.
type Cluster = (String, Vec<ServerAddress>);

/// The pool that a StorageClass means.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) id: PoolId,
    /// With what its storage says where the class says nothing.
    pub(super) parameters: Parameters,
    /// None where no server answers and the pool is known from before.
    examined: Option<Arc<Examination>>,
}

/// What one of all pools has answered.
#[derive(Debug)]
pub(super) struct Answer<T> {
    /// What it is called in messages.
    pub(super) name: String,
    /// The volume's id, where it is known, whether or not it has answered.
    pub(super) id: Option<PoolId>,
    /// What is known of it.
    pub(super) parameters: Arc<Parameters>,
    pub(super) outcome: Result<(PoolId, T), Status>,
}

impl<M> Clone for Pools<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Mounts> Pools<M> {
    /// Those that are known from before, and those to come.
    pub(super) fn open(config: Config, known: Arc<Known>, mounts: M) -> Result<Self, Error> {
        let Config { state_dir, client, is_visible, .. } = config;
        let failed = |error| Error::other(format_args!("state directory {}", state_dir.display()), error);
        let mnt = state_dir.join("mnt");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&mnt).map_err(failed)?;
        // As the mount host and the kernel write it.
        let mnt = mnt.canonicalize().map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            mounts,
            client,
            mnt,
            is_visible: is_visible.unwrap_or(is_mounted),
            known,
            examined: Mutex::default(),
            entries: Mutex::default(),
            identified: Mutex::default(),
        })))
    }

    /// What mounts their volumes.
    pub(super) fn mounts(&self) -> &M {
        &self.0.mounts
    }

    /// What is known without asking anybody.
    pub(super) fn known(&self) -> &Known {
        &self.0.known
    }

    /// Mounts the pools that were used before, so that what was left in their trash goes.
    pub(super) fn warm_up(&self) {
        for id in self.known().all().into_iter().filter_map(|pool| pool.id) {
            let pools = self.clone();
            tokio::spawn(async move {
                if let Err(status) = pools.run(&id, |_| Ok(())).await {
                    warn!(target: "kadalu", pool = %id, error = status.message(), "a pool cannot be mounted; it is tried again when it is needed");
                }
            });
        }
    }

    /// The pool that a StorageClass means, whether or not it can hold PVs.
    ///
    /// # Errors
    /// `UNAVAILABLE` where no server answers and it was never used; `FAILED_PRECONDITION` where its storage is of a volume
    /// whose name another one has taken.
    pub(super) async fn home(&self, parameters: Parameters) -> Result<Home, Status> {
        let parameters = self.known().complete(parameters)?;
        match self.examination(&parameters).await {
            Ok(examination) => {
                let id = examination.id.clone();
                Ok(Home { id, parameters, examined: Some(examination) })
            }
            Err(status) if status.code() == Code::Unavailable => {
                let same = |pool: &KnownPool| pool.parameters.is_same_volume(&parameters);
                let mut known = self.known().all().into_iter().filter(same).filter_map(|pool| pool.id);
                let settled = parameters.volume_id.as_ref();
                let id = known.find(|id| settled.is_none_or(|settled| settled == id)).ok_or(status)?;
                Ok(Home { id, parameters, examined: None })
            }
            Err(status) => Err(status),
        }
    }

    /// What a cluster tells of a volume, which must be the one that is settled.
    async fn examination(&self, parameters: &Parameters) -> Result<Arc<Examination>, Status> {
        match &parameters.volume_id {
            Some(id) => self.examination_as(id, parameters, BELIEVED).await,
            None => self.examination_of(parameters, BELIEVED).await,
        }
    }

    /// As it was told no longer ago than that.
    async fn examination_of(
        &self,
        parameters: &Parameters,
        ago: Duration,
    ) -> Result<Arc<Examination>, Status> {
        let volume = parameters.volume.clone().unwrap_or_default();
        let key = (volume.clone(), parameters.servers.clone());
        let flight = {
            let mut examined = lock(&self.0.examined);
            // Whoever makes up ever new ones does not fill the memory.
            if examined.len() >= MAX_CLUSTERS {
                examined.clear();
            }
            examined.entry(key).or_default().clone()
        };
        let believed = |examination: &Arc<Examination>| examination.at.elapsed() < ago;
        let ask =
            |_| async move { examine(&self.0.client, &parameters.servers, &volume).await.map(Arc::new) };
        flight.get(believed, ask).await
    }

    /// What kind of volume a pool is, as its cluster has told no longer ago than that.
    ///
    /// # Errors
    /// `UNAVAILABLE` where no server tells it; `FAILED_PRECONDITION` where another volume has taken its name.
    pub(super) async fn volume(&self, id: &PoolId, ago: Duration) -> Result<Kind, Status> {
        let examination = self.examination_as(id, &self.parameters(id).await?, ago).await?;
        Ok(examination.examined.kind().clone())
    }

    /// Remembers a pool that a class means, beyond a restart.
    pub(super) fn learn(&self, home: &Home) -> Result<(), Status> {
        let mut parameters = home.parameters.clone();
        if let Some(examination) = &home.examined {
            parameters.add_servers(&examination.servers);
        }
        Ok(self.known().learn(&home.id, &parameters)?)
    }

    /// Looks at a pool once, when the first PV is made in it, as `kadalu check` does, and says in the log what an admin should
    /// know. Nobody waits for it.
    pub(super) fn check_new(&self, home: &Home, quota: QuotaPolicy) -> Result<(), Status> {
        // While no server answers there is nothing to look at.
        if home.examined.is_none() || !self.known().looks_at(&home.id)? {
            return Ok(());
        }
        let (id, parameters) = (home.id.clone(), home.parameters.clone());
        let (client, kind, allow) = (self.0.client.clone(), home.kind(), parameters.allow);
        let pools = self.clone();
        tokio::spawn(async move {
            // Of the host that mounts it: ours may have none.
            let list = timeout(LIST, pools.mounts().list()).await;
            let installed =
                list.ok().and_then(Result::ok).and_then(|list| list.glusterfs_version.parse().ok());
            let options = check::Options { client, installed, kind, allow, quota, status: true };
            let volume = parameters.volume.unwrap_or_default();
            let report = check::check(&parameters.servers, &volume, &options).await;
            for finding in report.findings.iter().filter(|finding| finding.outcome >= Outcome::Warning) {
                warn!(target: "kadalu", pool = %id, code = finding.code, "a new pool: {}", finding.sentence());
            }
        });
        Ok(())
    }

    /// Remembers a pool that holds somebody else's directories, in this run.
    pub(super) fn remember(&self, home: &Home) {
        lock(&self.0.identified).insert(home.id.clone(), home.parameters.clone());
    }

    /// What is known of a pool.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` for one that nothing is known of: its PVs may exist all the same.
    pub(super) async fn parameters(&self, id: &PoolId) -> Result<Parameters, Status> {
        let known = || {
            let learned = self.known().get(id).map(|pool| pool.parameters);
            learned.or_else(|| lock(&self.0.identified).get(id).cloned())
        };
        if let Some(parameters) = known() {
            return Ok(parameters);
        }
        let strangers = self.known().all().into_iter().filter(|pool| pool.id.is_none());
        let mut asked: JoinSet<_> = strangers.map(|pool| self.clone().identify(pool)).collect();
        while asked.join_next().await.is_some() {}
        known().ok_or_else(|| {
            let sentence = format!(
                "no pool is known here whose volume has the id {id}: name its servers in a storage of --storages, \
                 or ask for a PV of its StorageClass first"
            );
            failed(Code::FailedPrecondition, sentence)
        })
    }

    /// What becomes of a PV of kadalu's in this pool, whose record does not say it: what its storage says.
    ///
    /// # Errors
    /// `UNAVAILABLE` where no storage can be told to be of this pool: to guess would be to delete what is to be kept.
    pub(super) async fn reclaim(&self, id: &PoolId) -> Result<Reclaim, Status> {
        let learned = self.known().get(id);
        let mut asked = JoinSet::new();
        for storage in self.known().storages() {
            let pools = self.clone();
            asked.spawn(async move {
                let told =
                    pools.examination(&storage.parameters).await.map(|examination| examination.id.clone());
                (storage, told)
            });
        }
        let (mut policies, mut silent) = (Vec::new(), Vec::new());
        for (storage, told) in asked.join_all().await {
            let same = |pool: &KnownPool| pool.parameters.is_same_volume(&storage.parameters);
            match told {
                Ok(told) if told == *id => policies.push(storage.parameters.reclaim.unwrap_or_default()),
                Ok(_) => {}
                Err(_) if learned.as_ref().is_some_and(same) => {
                    policies.push(storage.parameters.reclaim.unwrap_or_default());
                }
                Err(status) => silent.push(format!("{}: {}", shown(&storage), status.message())),
            }
        }
        silent.extend(self.known().incomplete());
        // Where two storages of one volume do not agree, by the one that keeps the data.
        let keeps = policies.iter().find(|policy| **policy != Reclaim::Delete);
        keeps.or(policies.first()).copied().ok_or_else(|| {
            let why = if silent.is_empty() { String::new() } else { format!(" ({})", silent.join("; ")) };
            let sentence = format!(
                "the PV is one of kadalu's, and no storage of --storages says whether it is to be deleted or archived: \
                 none is known to be of the volume {id}{why}; name that volume's servers in one"
            );
            failed(Code::Unavailable, sentence)
        })
    }

    async fn identify(self, pool: KnownPool) -> Result<PoolId, Status> {
        if let Some(id) = pool.id {
            return Ok(id);
        }
        let id = self.examination(&pool.parameters).await?.id.clone();
        lock(&self.0.identified).insert(id.clone(), pool.parameters);
        Ok(id)
    }

    /// Does something to the PVs of a pool, on a thread of its own. It is done to its end whoever waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        id: &PoolId,
        work: impl FnOnce(&Pool) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        let parameters = self.parameters(id).await?;
        if let Some(by) = self.successor(id, &parameters).await {
            return Err(replaced(id, &by, parameters.volume.as_deref()));
        }
        let first = self.make_room(id, &parameters);
        self.entry(id).run(&self.0.mounts, self.0.is_visible, &parameters, first, work).await
    }

    /// Does something to all pools that are known, side by side; whoever has not answered `within` has failed. One in whose
    /// place another volume is used is left out: its PVs are gone with it.
    pub(super) async fn each<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Fn(&Pool) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Vec<Answer<T>> {
        let asked = self.known().all().into_iter().map(|pool| {
            let (pools, work) = (self.clone(), work.clone());
            let name = shown(&pool);
            let parameters = Arc::new(pool.parameters.clone());
            async move {
                let mut known = pool.id.clone();
                let answer = async {
                    if let Some(id) = &known
                        && pools.successor(id, &pool.parameters).await.is_some()
                    {
                        return Ok(None);
                    }
                    let id = pools.clone().identify(pool).await?;
                    known = Some(id.clone());
                    let outcome = pools.run(&id, work).await?;
                    Ok(Some((id, outcome)))
                };
                let late = || failed(Code::Unavailable, format_args!("no answer within {within:.1?}"));
                let outcome = timeout(within, answer).await.unwrap_or_else(|_| Err(late())).transpose()?;
                Some(Answer { name, id: known, parameters, outcome })
            }
        });
        let asked = asked.collect::<JoinSet<_>>().join_all().await;
        let mut answers: Vec<_> = asked.into_iter().flatten().collect();
        // Two storages may be of one volume.
        let mut seen = std::collections::HashSet::new();
        answers.retain(|answer| answer.outcome.as_ref().map_or(true, |(id, _)| seen.insert(id.clone())));
        answers
    }

    /// Has the trash of a pool emptied.
    pub(super) async fn empty_trash(&self, id: &PoolId) {
        self.entry(id).empty_trash().await;
    }

    /// Where all are mounted.
    pub(super) fn mnt(&self) -> &Path {
        &self.0.mnt
    }

    /// Whether a path is mounted, as this process sees it.
    pub(super) fn is_visible(&self) -> fn(&Path) -> bool {
        self.0.is_visible
    }

    /// Where the volume of a pool is mounted.
    pub(super) fn root(&self, id: &PoolId) -> PathBuf {
        self.entry(id).root().to_owned()
    }

    fn entry(&self, id: &PoolId) -> Arc<Entry> {
        let make = || Arc::new(Entry::new(id.clone(), &self.0.mnt));
        lock(&self.0.entries).entry(id.clone()).or_insert_with(make).clone()
    }
}

impl Home {
    /// What its PVs are.
    pub(super) fn kind(&self) -> PvKind {
        self.parameters.kind.unwrap_or_default()
    }

    /// What kind of volume it is; none where no server answers.
    pub(super) fn volume(&self) -> Option<&Kind> {
        self.examined.as_ref().map(|examination| examination.examined.kind())
    }

    /// Refuses a volume that cannot hold the PVs that are asked for.
    pub(super) fn suits(&self) -> Result<(), Error> {
        match &self.examined {
            Some(examination) => examination.examined.suits(self.kind(), self.parameters.allow),
            None => {
                let volume = self.parameters.volume.as_deref().unwrap_or_default();
                warn!(target: "kadalu", volume, "no server answers: the volume is as it was when it was examined last");
                Ok(())
            }
        }
    }
}

/// What a pool is called in messages.
fn shown(pool: &KnownPool) -> String {
    match (&pool.name, &pool.parameters.volume) {
        (Some(name), Some(volume)) => format!("{name} (volume {volume})"),
        (_, volume) => format!("volume {}", volume.as_deref().unwrap_or_default()),
    }
}
