//! One glusterfs process and the targets that it serves: an actor, so that what is done to it is done one after the other.
//!
//! * `start`: a new process, until I/O works;
//! * `follow`: a change of the volfile, until it is active;
//! * `health`: is it alive, and does I/O work;
//! * `heal`: another process in place of one that is dead, hung, or to be replaced;
//! * `containers`: copies of its targets in other mount namespaces.

mod adopt;
mod containers;
mod follow;
mod heal;
mod health;
mod start;
mod targets;

use std::{
    collections::{HashMap, HashSet},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{self, UnboundedSender},
        oneshot, watch,
    },
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

pub(super) use adopt::adopt;

use self::{follow::Following, health::Health};
use super::{
    Error,
    containers::Outcome,
    generated::{self, Mounted},
    glusterfs::Glusterfs,
    helper::Helper,
    host::Config,
    lock::lock,
    options::MountOptions,
    process::Process,
    store::{Store, StoredFileSystem, StoredPool, StoredProcess, StoredTarget},
    volume::{Accepted, Volume, Wanted},
};
use crate::server::Server;

/// What all pools of a host have in common.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) store: Arc<Store>,
    pub(super) server: Server,
    pub(super) helper: Helper,
    pub(super) glusterfs: Arc<Glusterfs>,
}

/// A pool that is there until it has no more targets.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<generated::Pool>>,
    pub(super) volume: Arc<Volume>,
}

enum Command {
    Mount(StoredTarget, Duration, UnboundedSender<String>, oneshot::Sender<Result<Mounted, Error>>),
    Unmount(PathBuf, bool, oneshot::Sender<Result<(), Error>>),
    Replace(oneshot::Sender<Result<i32, Error>>),
    /// Ends the actor; with the mounts, or leaving them as they are.
    Stop(bool, oneshot::Sender<()>),
}

/// The pool has come to its end meanwhile; a new one may take its place.
#[derive(Debug)]
pub(super) struct Ended;

impl Pool {
    /// A pool without a process; the first mount starts one.
    pub(super) fn new(
        context: Arc<Context>,
        volume: Arc<Volume>,
        id: String,
        options: MountOptions,
        ended: impl FnOnce() + Send + 'static,
    ) -> Self {
        Runner::new(context, volume, id, options).spawn(ended)
    }

    pub(super) fn status(&self) -> generated::Pool {
        lock(&self.status).clone()
    }

    pub(super) fn has(&self, target: &Path) -> bool {
        lock(&self.status).targets.iter().any(|known| Path::new(&known.path) == target)
    }

    pub(super) async fn mount(
        &self,
        target: StoredTarget,
        within: Duration,
        progress: UnboundedSender<String>,
    ) -> Result<Result<Mounted, Error>, Ended> {
        self.ask(|answer| Command::Mount(target, within, progress, answer)).await
    }

    pub(super) async fn unmount(&self, target: &Path, lazy: bool) -> Result<Result<(), Error>, Ended> {
        self.ask(|answer| Command::Unmount(target.to_owned(), lazy, answer)).await
    }

    pub(super) async fn replace(&self) -> Result<Result<i32, Error>, Ended> {
        self.ask(Command::Replace).await
    }

    pub(super) async fn stop(&self, unmount: bool) {
        // One that has ended is where it should be.
        let _ = self.ask(|answer| Command::Stop(unmount, answer)).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}

/// What a process was given.
#[derive(Debug, Clone)]
struct Given {
    accepted: Arc<Accepted>,
    /// As it is served: dressed.
    text: Bytes,
    /// `sha256:…` of it.
    digest: String,
    /// Counts the graphs that were forced by another name of the top.
    graph: u32,
    /// Bricks by address and port: no glusterd could be asked.
    offline: bool,
}

/// A process and what is known of it.
#[derive(Debug)]
struct Live {
    process: Process,
    /// Of its FUSE file system, by which its binds are told from others.
    device: (u32, u32),
    given: Given,
}

/// A process that has ended, by its number and what it has left in mountinfo.
#[derive(Debug, Clone, Copy)]
struct Dead {
    number: u32,
    device: Option<(u32, u32)>,
}

impl Live {
    fn stored(&self) -> StoredProcess {
        self.process.stored(self.given.accepted.id.clone())
    }
}

struct Runner {
    context: Arc<Context>,
    volume: Arc<Volume>,
    wanted: watch::Receiver<Wanted>,
    id: String,
    options: MountOptions,
    status: Arc<Mutex<generated::Pool>>,
    targets: Vec<StoredTarget>,
    live: Option<Live>,
    /// Replaced, and kept by open files.
    draining: Vec<Live>,
    /// Ended processes that have something left.
    dead: Vec<Dead>,
    /// Targets that are not on the process that there is.
    unbound: Vec<PathBuf>,
    /// Of its processes, as long as they may be mounted in containers; only where those are cared for.
    file_systems: Vec<StoredFileSystem>,
    /// Of those, the ones that have lost their process, by its number. What is open stays a file system, if a dead one, so that
    /// no other gets its number.
    held: HashMap<u32, OwnedFd>,
    /// The directories of targets that are gone, the last ones; only where containers are cared for.
    former: Vec<String>,
    /// A round through the containers, with the number of the process that it is about.
    rebinding: JoinSet<(u32, Outcome)>,
    /// What the last round has left as it was, a sentence each.
    left: HashSet<String>,
    last_number: u32,
    following: Option<Following>,
    health: Health,
    /// Since when it serves nothing, and why: `died`, `hung`.
    down: Option<(Instant, &'static str)>,
    /// When to try again to start a process for targets that have none, and how often that has failed.
    retry: Option<(Instant, u32)>,
    /// What is on disk.
    saved: Mutex<Option<StoredPool>>,
    /// The last replacement that nobody had asked for.
    replaced_at: Option<Instant>,
}

impl Runner {
    fn new(context: Arc<Context>, volume: Arc<Volume>, id: String, options: MountOptions) -> Self {
        let status = generated::Pool {
            id: id.clone(),
            options: options.canonical(),
            state: "starting".to_owned(),
            ..Default::default()
        };
        Self {
            wanted: volume.wanted(),
            health: Health::new(context.config.probe_interval),
            status: Arc::new(Mutex::new(status)),
            targets: Vec::new(),
            live: None,
            draining: Vec::new(),
            dead: Vec::new(),
            unbound: Vec::new(),
            file_systems: Vec::new(),
            held: HashMap::new(),
            former: Vec::new(),
            rebinding: JoinSet::new(),
            left: HashSet::new(),
            saved: Mutex::default(),
            last_number: 0,
            following: None,
            down: None,
            retry: None,
            replaced_at: None,
            context,
            volume,
            id,
            options,
        }
    }

    fn spawn(self, ended: impl FnOnce() + Send + 'static) -> Pool {
        let (commands, receiver) = mpsc::channel(256);
        let pool = Pool { commands, status: self.status.clone(), volume: self.volume.clone() };
        let actor = tokio::spawn(self.run(receiver));
        tokio::spawn(async move {
            // However it ends, it is not asked any more.
            let _ = actor.await;
            ended();
        });
        pool
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let due = self.due();
            let draining = first_ended(&self.draining);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command @ Command::Stop(..)) => return self.command(command).await,
                    Some(command) => self.command(command).await,
                    // Nobody can ask for anything any more: the end of the host.
                    None => return,
                },
                () = ended(self.live.as_ref()) => self.died().await,
                at = draining => self.drained(at),
                Some(Ok((number, outcome))) = self.rebinding.join_next() => self.rebound(number, outcome),
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.give(),
                    // The volume is followed as long as we hold it: the end of the runtime.
                    Err(_) => return,
                },
                () = sleep_until(due) => self.tick().await,
            }
            if self.targets.is_empty() && self.end().await {
                return;
            }
        }
    }

    /// The next moment at which something is to be looked at.
    fn due(&self) -> Instant {
        let moments = [self.retry.map(|(at, _)| at), self.following.as_ref().map(|f| f.next)];
        let moments = moments.into_iter().flatten().chain(self.live.is_some().then_some(self.health.next));
        moments.min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.retry.is_some_and(|(at, _)| at <= now) {
            self.heal().await;
        } else if self.following.as_ref().is_some_and(|following| following.next <= now) {
            self.verify().await;
        } else if self.live.is_some() && self.health.next <= now {
            self.look().await;
        }
    }

    async fn command(&mut self, command: Command) {
        // Who asked may have gone.
        match command {
            Command::Mount(target, within, progress, answer) => {
                let _ = answer.send(self.mount(target, within, &progress).await);
            }
            Command::Unmount(target, lazy, answer) => {
                let unmounted = self.unmount(&target, lazy).await;
                // The answer waits for the end of the process: nothing is left behind then.
                if self.targets.is_empty() {
                    self.retire().await;
                }
                let _ = answer.send(unmounted);
            }
            Command::Replace(answer) => {
                let _ = answer.send(self.replace("by command").await);
            }
            Command::Stop(unmount, answer) => {
                self.stop(unmount).await;
                let _ = answer.send(());
            }
        }
    }

    fn status(&self) -> MutexGuard<'_, generated::Pool> {
        lock(&self.status)
    }

    /// Says what has gone wrong, once, in the log and in the status.
    fn error(&self, sentence: &str) {
        let mut status = self.status();
        let known = status.last_error.split_once(' ').is_some_and(|(_, known)| known == sentence);
        if !known {
            warn!(target: "kadalu", pool = self.id, error = sentence, "trouble with a mount");
        }
        status.last_error = format!("{} {sentence}", crate::mount::time::now());
    }

    /// One line for each change of the state.
    fn set_state(&self, state: &str) {
        let mut status = self.status();
        if status.state != state {
            info!(target: "kadalu", pool = self.id, before = status.state, state, "state");
            state.clone_into(&mut status.state);
        }
    }

    /// The name under which a process of ours is served its volfile: one of its own, so that a process that is replaced is
    /// not given what its successor is.
    fn key(&self, number: u32) -> String {
        format!("{}.{number}", self.id)
    }

    fn stored(&self) -> StoredPool {
        StoredPool {
            id: self.id.clone(),
            volume: self.volume.stored(),
            options: vec![self.options.canonical()],
            process: self.live.as_ref().map(Live::stored),
            targets: self.targets.clone(),
            draining: self.draining.iter().map(Live::stored).collect(),
            offline: self.live.as_ref().is_some_and(|live| live.given.offline),
            graph: self.live.as_ref().map_or(0, |live| live.given.graph),
            file_systems: self.file_systems.clone(),
            former: self.former.clone(),
            digest: self.live.as_ref().map(|live| live.given.accepted.digest.clone()).unwrap_or_default(),
        }
    }

    /// Brings state and status up to what is.
    fn save(&self) {
        let stored = self.stored();
        let known = lock(&self.saved).as_ref() == Some(&stored);
        if !known {
            match self.context.store.save_pool(&stored) {
                Ok(()) => *lock(&self.saved) = Some(stored.clone()),
                Err(error) => {
                    self.error(&format!(
                        "cannot save the state, which a restart would have to guess: {error}"
                    ));
                }
            }
        }
        let mut status = self.status();
        status.targets = stored.targets.iter().map(shown_target).collect();
        status.process = self.live.as_ref().map(|live| shown_process(&live.process));
        status.draining = self.draining.iter().map(|live| shown_process(&live.process)).collect();
        status.offline = stored.offline;
        if let Some(accepted) = &self.wanted.borrow().accepted {
            status.digest_wanted.clone_from(&accepted.digest);
        }
    }
}

fn shown_target(target: &StoredTarget) -> generated::Target {
    generated::Target {
        path: target.path.display().to_string(),
        subdirectory: target.subdirectory.clone(),
        read_only: target.read_only,
    }
}

fn shown_process(process: &Process) -> generated::Process {
    generated::Process {
        pid: process.pid,
        version: process.version.clone(),
        started: crate::mount::time::rfc3339(process.started()),
        rss_bytes: process.memory(),
        mount: process.mount.display().to_string(),
    }
}

/// Returns when the process has ended; never where there is none.
async fn ended(live: Option<&Live>) {
    match live {
        Some(live) => live.process.ended().await,
        None => std::future::pending().await,
    }
}

/// Which of the processes has ended first.
async fn first_ended(draining: &[Live]) -> usize {
    std::future::poll_fn(|context| {
        for (at, live) in draining.iter().enumerate() {
            if live.process.poll_ended(context).is_ready() {
                return std::task::Poll::Ready(at);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
