use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::debug;

use super::{
    Client, Error, Kind, NoVolfile,
    watch::{Shared, Watch},
};
use crate::{
    glusterd::{
        OpVersions,
        cli::{self, Friend, ListFriends, UuidGet},
        handshake::{self, DictRequest, Getspec},
    },
    transport::{ConnectOptions, ServerAddress, SourcePort, connect, parse_brick_vol_servers},
    xdr::Opaque,
};

/// The most servers that are kept, configured and learned; the largest clusters have fewer.
const MAX_SERVERS: usize = 256;

/// How a cluster is spoken to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sockets, TLS, and the time that one connection may take.
    pub connect: ConnectOptions,
    /// What is announced with each GETSPEC: the versions of the `glusterfs` that will load the volfile.
    pub op_versions: OpVersions,
    /// The time for the whole of one [`Cluster::fetch`], over all servers.
    pub fetch: Duration,
    /// The time for one reply. A GETSPEC waits for volume operations of the cluster to end (facts §1.3).
    pub reply: Duration,
    /// After so long without a connection to one server, the next is tried beside it.
    pub stagger: Duration,
    /// After so long without a reply from a connected server, the next is tried beside it.
    pub patience: Duration,
    /// Between looks at a volume that is watched, give or take a quarter: starts, stops, deletions and lost
    /// notifications are never announced (facts §6.3).
    pub poll: Duration,
    /// Between the two looks at a volfile that has changed while there was no connection (facts §6.5).
    pub second_look: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect: ConnectOptions::default(),
            op_versions: OpVersions::ANY,
            fetch: Duration::from_secs(45),
            reply: Duration::from_secs(45),
            stagger: Duration::from_millis(300),
            patience: Duration::from_secs(3),
            poll: Duration::from_secs(60),
            second_look: Duration::from_secs(5),
        }
    }
}

/// A trusted storage pool, known by some of its servers; the others are learned. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    /// Those given first, then those learned.
    servers: Mutex<Vec<ServerAddress>>,
    watches: Mutex<HashMap<String, Weak<Shared>>>,
}

/// A volfile as it was fetched.
#[derive(Clone)]
pub struct Fetched {
    /// The volfile, byte for byte.
    pub text: Bytes,
    /// Who served it.
    pub server: ServerAddress,
    /// The other servers of the cluster, as that one knows them.
    pub others: Vec<ServerAddress>,
}

/// Shows sizes only: volfiles can hold credentials.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched({} bytes from {}, others {:?})", self.text.len(), self.server, self.others)
    }
}

/// `sha256:` and the digest of a volfile's bytes, as `sha256sum` of the file on the server would have it.
pub fn digest(text: &[u8]) -> String {
    let mut out = String::with_capacity(71);
    out.push_str("sha256:");
    for byte in Sha256::digest(text) {
        let _ = fmt::Write::write_fmt(&mut out, format_args!("{byte:02x}"));
    }
    out
}

impl Client {
    /// Connects to one server.
    pub async fn connect(server: &ServerAddress, options: &ConnectOptions) -> Result<Self, Error> {
        let connected = connect(server, options).await.map_err(|error| Error::Connect(Arc::new(error)))?;
        debug!(%server, local = ?connected.local, "connected");
        let tls = connected.stream.is_tls();
        Ok(Self::spawn(server.clone(), connected.stream, tls))
    }

    /// Fetches a volfile. `key` is a volume's name, or another of the keys that glusterd knows (facts §5.1).
    pub async fn getspec(
        &self,
        key: &str,
        op_versions: OpVersions,
        timeout: Duration,
    ) -> Result<Fetched, Error> {
        let xdata = op_versions.to_dict();
        let body = self.call::<Getspec>(&handshake::getspec(key, &xdata), timeout).await?;
        let server = self.server().clone();
        match handshake::spec(&body) {
            Ok(Ok(spec)) => Ok(Fetched {
                text: body.slice_ref(spec.text),
                others: parse_brick_vol_servers(spec.servers),
                server,
            }),
            Ok(Err(refusal)) => Err(Error::Refused { server, refusal }),
            Err(error) => Err(Error::Reply { server, error }),
        }
    }

    /// The id of the server; `None` where it has none to tell.
    pub async fn uuid(&self, timeout: Duration) -> Result<Option<String>, Error> {
        let body = self.call::<UuidGet>(&DictRequest { dict: Opaque(&[]) }, timeout).await?;
        cli::uuid(&body).map_err(|error| Error::Reply { server: self.server().clone(), error })
    }

    /// The servers of the pool as this one sees them, itself as `localhost`.
    pub async fn friends(&self, timeout: Duration) -> Result<Vec<Friend>, Error> {
        let body = self.call::<ListFriends>(&cli::POOL, timeout).await?;
        cli::friends(&body).map_err(|error| Error::Reply { server: self.server().clone(), error })
    }
}

/// A server that was tried: not reached, or reached and what it answered.
type Attempt = Result<(Client, Result<Fetched, Error>), Error>;

impl Cluster {
    /// A cluster known by these servers, in order of preference.
    pub fn new(servers: impl IntoIterator<Item = ServerAddress>, options: Options) -> Self {
        let mut list = Vec::new();
        for server in servers.into_iter().take(MAX_SERVERS) {
            if !list.contains(&server) {
                list.push(server);
            }
        }
        Self(Arc::new(Inner { options, servers: Mutex::new(list), watches: Mutex::default() }))
    }

    /// How it is spoken to.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The servers known by now: those given, then those learned.
    pub fn servers(&self) -> Vec<ServerAddress> {
        lock(&self.0.servers).clone()
    }

    /// Adds servers to those known, behind the others.
    pub fn learn(&self, servers: impl IntoIterator<Item = ServerAddress>) {
        let mut known = lock(&self.0.servers);
        for server in servers {
            if known.len() < MAX_SERVERS && !known.contains(&server) {
                debug!(%server, "learned a server");
                known.push(server);
            }
        }
    }

    /// Fetches a volfile once, from whichever server serves it, within [`Options::fetch`].
    pub async fn fetch(&self, key: &str) -> Result<Fetched, NoVolfile> {
        self.open(key, &self.servers(), self.0.options.fetch).await.map(|(_, fetched)| fetched)
    }

    /// The pool as the first server that answers sees it, and which that was; each is given
    /// [`ConnectOptions::timeout`] for its answer.
    pub async fn pool(&self) -> Result<(ServerAddress, Vec<Friend>), Vec<Error>> {
        let connect = &self.0.options.connect;
        let mut failures = Vec::new();
        for server in self.servers() {
            let friends = |client: Client| async move { client.friends(connect.timeout).await };
            match ask(&server, connect, friends, || {}).await {
                Ok((_, Ok(friends))) => return Ok((server, friends)),
                Ok((_, Err(error))) | Err(error) => failures.push(error),
            }
        }
        Err(failures)
    }

    /// Follows a volume. However often it is watched in a process, there is one connection for it and one fetch for each
    /// change; another volume has its own connection, because glusterd guards admins' changes by the last volume that a
    /// connection asked for (facts §6.6).
    pub fn watch(&self, key: &str) -> Watch {
        self.follow(key, None)
    }

    /// The same for who has a volfile of the volume already, in live mounts for instance: one that differs is a change, and is
    /// believed like any other that was made while there was no connection. Where nothing differs, the first event is
    /// [`Event::Unchanged`](super::Event::Unchanged) with a generation 0, which holds `known`.
    pub fn watch_since(&self, key: &str, known: Bytes) -> Watch {
        self.follow(key, Some(known))
    }

    fn follow(&self, key: &str, known: Option<Bytes>) -> Watch {
        let mut watches = lock(&self.0.watches);
        watches.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = watches.get(key).and_then(Weak::upgrade) {
            return Watch::join(shared);
        }
        let watch = Watch::start(self.clone(), key, known);
        watches.insert(key.to_owned(), Arc::downgrade(watch.shared()));
        watch
    }

    /// Asks `servers` for a volfile until one gives it, and keeps the connection on which it came.
    ///
    /// A server is given `stagger` to connect and `patience` to answer; then the next is tried beside it, and at once
    /// when it fails. Every kind of failure moves on, an error reply too.
    pub(super) async fn open(
        &self,
        key: &str,
        servers: &[ServerAddress],
        within: Duration,
    ) -> Result<(Client, Fetched), NoVolfile> {
        let mut race = Race {
            options: &self.0.options,
            key,
            queue: servers.iter().cloned().collect(),
            running: JoinSet::new(),
            asked: Vec::new(),
            failures: Vec::new(),
        };
        let won = match timeout(within, race.run()).await {
            Ok(won) => won,
            Err(_) => {
                race.out_of_time(within);
                None
            }
        };
        match won {
            Some((client, fetched)) => {
                self.learn(fetched.others.iter().cloned());
                Ok((client, fetched))
            }
            None => Err(NoVolfile { key: key.to_owned(), failures: race.failures }),
        }
    }

    /// What each of `servers` answers, and its id where it has one; all asked at once, and those that are not heard
    /// `within` are left out.
    pub(super) async fn survey(
        &self,
        key: &str,
        servers: Vec<ServerAddress>,
        within: Duration,
    ) -> Vec<(Option<String>, Result<Fetched, Error>)> {
        let mut running = JoinSet::new();
        for server in servers {
            let (options, key, progress) = (self.0.options.clone(), key.to_owned(), watch::channel(false).0);
            running.spawn(async move {
                match attempt(&server, &options, &key, &progress).await {
                    Ok((client, answer)) => (client.uuid(within).await.ok().flatten(), answer),
                    Err(error) => (None, Err(error)),
                }
            });
        }
        let mut answers = Vec::new();
        let end = sleep(within);
        tokio::pin!(end);
        loop {
            tokio::select! {
                done = running.join_next() => match done {
                    Some(Ok(answer)) => answers.push(answer),
                    Some(Err(error)) => debug!(%error, "an attempt was cut short"),
                    None => return answers,
                },
                () = &mut end => return answers,
            }
        }
    }
}

/// Servers that are asked one beside the other, until one gives the volfile.
struct Race<'c> {
    options: &'c Options,
    key: &'c str,
    queue: VecDeque<ServerAddress>,
    running: JoinSet<Attempt>,
    /// In the order of their start, with whether they are connected.
    asked: Vec<(ServerAddress, watch::Receiver<bool>)>,
    failures: Vec<Error>,
}

impl Race<'_> {
    /// The winner; none when every server has failed.
    async fn run(&mut self) -> Option<(Client, Fetched)> {
        let mut started = Instant::now();
        loop {
            if self.running.is_empty() && !self.start() {
                return None;
            }
            let waits = !self.queue.is_empty();
            let (_, connected) = self.asked.last_mut()?;
            // Of the one that was started last.
            let wait =
                if *connected.borrow_and_update() { self.options.patience } else { self.options.stagger };
            tokio::select! {
                Some(done) = self.running.join_next() => match done {
                    Ok(Ok((client, Ok(fetched)))) => return Some((client, fetched)),
                    Ok(Ok((_, Err(error))) | Err(error)) => {
                        debug!(%error, "next server");
                        self.failures.push(error);
                        started = Instant::now();
                        self.start();
                    }
                    Err(error) => debug!(%error, "an attempt was cut short"),
                },
                // Connected: it has more time from now on.
                Ok(()) = connected.changed() => {}
                () = sleep_until(started + wait), if waits => {
                    started = Instant::now();
                    self.start();
                }
            }
        }
    }

    /// Asks the next server; whether there was one.
    fn start(&mut self) -> bool {
        let Some(server) = self.queue.pop_front() else { return false };
        let (progress, connected) = watch::channel(false);
        self.asked.push((server.clone(), connected));
        let (options, key) = (self.options.clone(), self.key.to_owned());
        self.running.spawn(async move { attempt(&server, &options, &key, &progress).await });
        true
    }

    /// Gives each server that has not failed by itself its reason.
    fn out_of_time(&mut self, after: Duration) {
        for (server, connected) in &self.asked {
            if self.failures.iter().all(|failure| failure.server() != Some(server)) {
                let reason = if *connected.borrow() { "connected, but no reply" } else { "no connection" };
                self.failures.push(Error::OutOfTime { server: server.clone(), reason, after });
            }
        }
        let left = self.queue.drain(..);
        self.failures.extend(left.map(|server| Error::OutOfTime { server, reason: "not tried yet", after }));
    }
}

/// Connects and fetches.
async fn attempt(
    server: &ServerAddress,
    options: &Options,
    key: &str,
    connected: &watch::Sender<bool>,
) -> Attempt {
    let fetch = |client: Client| async move { client.getspec(key, options.op_versions, options.reply).await };
    // Nobody may be waiting for this any more.
    let progress = || _ = connected.send(true);
    ask(server, &options.connect, fetch, progress).await
}

/// Connects and makes a first call; once more from a privileged port where the server demands one.
async fn ask<T, F: Future<Output = Result<T, Error>>>(
    server: &ServerAddress,
    connect: &ConnectOptions,
    call: impl Fn(Client) -> F,
    connected: impl Fn(),
) -> Result<(Client, Result<T, Error>), Error> {
    let mut connect = connect.clone();
    let mut denied = None;
    loop {
        let client = match (Client::connect(server, &connect).await, denied) {
            // The denial says what is wanted.
            (Err(error), Some(denied)) if error.lacks_privilege() => return Err(denied),
            (outcome, _) => outcome?,
        };
        connected();
        match call(client.clone()).await {
            Err(error) if error.wants_privileged_port() && connect.source_port == SourcePort::Any => {
                connect.source_port = SourcePort::Privileged;
                denied = Some(error);
            }
            outcome => return Ok((client, outcome)),
        }
    }
}

/// A poisoned lock is still a list of servers.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether servers agree that there is no such volume.
pub(super) fn gone(answers: &[Result<Fetched, Error>]) -> bool {
    let failures = answers.iter().filter_map(|answer| answer.as_ref().err().cloned()).collect::<Vec<_>>();
    let found = answers.len() - failures.len();
    let not_found = failures.iter().filter(|error| error.kind() == Kind::NoSuchVolume).count();
    not_found > found
}
