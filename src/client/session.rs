use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::{
    Backoff, Client, Cluster, Error, Event, Fetched, Generation, Kind, Rejection,
    backoff::jittered,
    cluster::{digest, gone},
    watch::Topic,
};
use crate::{
    glusterd::handshake::Refusal,
    rpc::CallError,
    transport::ServerAddress,
    volfile::{self, Change, Class, Graph, Volfile},
};

/// How long other servers may take to say what they have.
const SURVEY: Duration = Duration::from_secs(2);

/// A volfile that was caught half-written is looked at again after this.
const TORN: Duration = Duration::from_millis(200);

/// Follows one volume: keeps a connection to some server, and publishes what changes.
#[derive(Debug)]
pub(super) struct Session {
    cluster: Cluster,
    key: String,
    topic: Arc<Topic>,
    good: Option<Arc<Generation>>,
    /// Digest of the volfile that was last refused, to say so once.
    rejected: Option<String>,
    gone: bool,
}

/// What made us look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A fresh connection.
    Connected,
    /// FETCHSPEC.
    Notified,
    /// The slow poll.
    Polled,
    /// A volfile that is not trusted yet.
    Suspicion,
}

/// A volfile that came with a reconnect and differs from the last good one: it may be what a glusterd that has just
/// restarted had on its disk (facts §6.5).
#[derive(Debug)]
struct Suspect {
    text: Bytes,
    /// When the server has had the time to learn better.
    look_at: Instant,
}

/// How two volfiles differ; all of it where one cannot be read.
pub(crate) fn change(old: &[u8], new: &[u8]) -> Change {
    let all = Change { class: Class::Topology, items: Vec::new() };
    let (Ok(old), Ok(new)) = (Volfile::parse(old), Volfile::parse(new)) else { return all };
    match (Graph::new(&old), Graph::new(&new)) {
        (Some(old), Some(new)) => volfile::diff(&old, &new),
        _ => all,
    }
}

/// Whether glusterfs would do the same with both.
fn same(old: &[u8], new: &[u8]) -> bool {
    old == new || volfile::faults(new).is_empty() && change(old, new).class == Class::None
}

/// Whether a server is connected to half of its pool or more, itself counted: one that is not may serve what is long
/// replaced, and does not say so (facts §6.5). One that knows of no pools, such as our own server, is.
async fn in_contact(client: &Client) -> bool {
    match client.friends(SURVEY).await {
        Ok(pool) => pool.iter().filter(|server| server.connected).count() * 2 >= pool.len(),
        Err(error) => matches!(error, Error::Call { error: CallError::Refused(_), .. }),
    }
}

impl Session {
    pub(super) fn new(cluster: Cluster, key: &str, topic: Arc<Topic>, known: Option<Bytes>) -> Self {
        let good = known.zip(cluster.servers().into_iter().next());
        let good = good.map(|(text, server)| Arc::new(Generation::new(0, &text, server)));
        Self { cluster, key: key.to_owned(), topic, good, rejected: None, gone: false }
    }

    /// For ever: a connection, until it ends; then the next server.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut failed: Option<ServerAddress> = None;
        loop {
            // Bounded: a silent server must not hold up those that refused us and are back.
            // The first volfile has all the time of a fetch: a lone server may be in a long volume operation.
            let options = self.cluster.options();
            let within = if self.good.is_some() { options.patience * 5 } else { options.fetch };
            match self.cluster.open(&self.key, &self.order(failed.as_ref()), within).await {
                Ok((client, fetched)) => {
                    let server = client.server().clone();
                    self.topic.publish(Event::Connected(server.clone()));
                    let began = Instant::now();
                    let error = self.follow(client, fetched).await;
                    let reason = error.to_string().into();
                    self.topic.publish(Event::Disconnected { server: server.clone(), reason });
                    failed = Some(server);
                    // A server that serves and hangs up at once must not be asked in a tight loop.
                    if began.elapsed() > Duration::from_secs(10) {
                        backoff.reset();
                    }
                }
                Err(error) if error.kind() == Kind::NoSuchVolume && self.good.is_some() => {
                    let says_so = |failure: &Error| match failure {
                        Error::Refused { server, refusal: Refusal::NotFound { .. } } => Some(server.clone()),
                        _ => None,
                    };
                    if let Some(server) = error.failures.iter().find_map(says_so) {
                        self.vanish(server);
                    }
                }
                Err(error) => self.topic.publish(Event::Unavailable(Arc::new(error))),
            }
            sleep(backoff.next(fastrand::f64())).await;
        }
    }

    /// The servers, the one that has just failed last.
    fn order(&self, failed: Option<&ServerAddress>) -> Vec<ServerAddress> {
        let mut servers = self.cluster.servers();
        if let Some(at) = servers.iter().position(|server| Some(server) == failed) {
            servers.rotate_left(at + 1);
        }
        servers
    }

    /// One connection: looks at each notification, at a slow period, and where there is a suspicion. At most one fetch is
    /// in flight; notifications that come meanwhile cause one more.
    async fn follow(&mut self, mut client: Client, fetched: Fetched) -> Error {
        let mut seen = 0;
        let mut suspect = None;
        let mut torn = 0;
        if let Err(error) = self.consider(&client, fetched, Why::Connected, &mut suspect).await {
            return error;
        }
        // Dropped with this connection, which it would keep open.
        let _friends = self.meet_friends(&client);
        let options = self.cluster.options().clone();
        let mut poll_at = Instant::now() + jittered(options.poll, fastrand::f64());
        loop {
            let suspicion = suspect.as_ref().map(|suspect: &Suspect| suspect.look_at);
            let why = tokio::select! {
                biased;
                notified = client.notified(seen) => match notified {
                    Ok(notifications) => {
                        seen = notifications;
                        Why::Notified
                    }
                    Err(error) => return error,
                },
                () = sleep_until(suspicion.unwrap_or(poll_at)), if suspicion.is_some() => Why::Suspicion,
                () = sleep_until(poll_at) => Why::Polled,
            };
            poll_at = Instant::now() + jittered(options.poll, fastrand::f64());
            match client.getspec(&self.key, options.op_versions, options.reply).await {
                Ok(fetched) => {
                    torn = 0;
                    if let Err(error) = self.consider(&client, fetched, why, &mut suspect).await {
                        return error;
                    }
                }
                Err(Error::Refused { refusal: Refusal::NotFound { op_errno }, server }) => {
                    suspect = None;
                    let mine = Err(Error::Refused {
                        refusal: Refusal::NotFound { op_errno },
                        server: server.clone(),
                    });
                    let mut answers = self.ask_others(&client).await;
                    answers.push(mine);
                    if gone(&answers) {
                        self.vanish(server);
                    } else {
                        let reason = "it does not know the volume, which other servers have".into();
                        return Error::Closed { server, reason, early: false };
                    }
                }
                // Written in two steps by a filter script (facts §5.6): whole in a moment, or the server has a problem.
                Err(Error::Refused { refusal: Refusal::Torn { .. } | Refusal::Empty, .. }) if torn < 5 => {
                    torn += 1;
                    poll_at = Instant::now() + TORN;
                }
                Err(error) => return error,
            }
        }
    }

    /// What a volfile means for the last good one.
    async fn consider(
        &mut self,
        client: &Client,
        fetched: Fetched,
        why: Why,
        suspect: &mut Option<Suspect>,
    ) -> Result<(), Error> {
        self.cluster.learn(fetched.others.iter().cloned());
        let Some(good) = self.good.clone() else {
            self.accept(&fetched, None);
            return Ok(());
        };
        if same(&good.text, &fetched.text) {
            *suspect = None;
            // It is news that all is well again, however it was found.
            let healed = self.rejected.take().is_some() | std::mem::take(&mut self.gone);
            if healed || matches!(why, Why::Connected | Why::Notified) {
                self.topic.publish(Event::Unchanged(good));
            }
            return Ok(());
        }
        let known = suspect.take().filter(|suspect| suspect.text == fetched.text);
        let trusted = match &known {
            // Not what the reconnect brought: a change that this server has made or heard of since.
            None if why != Why::Connected => true,
            Some(known) if known.look_at > Instant::now() => {
                *suspect = Some(Suspect { text: fetched.text, look_at: known.look_at });
                return Ok(());
            }
            known => self.confirm(client, &fetched, known.is_some()).await?,
        };
        if trusted {
            self.accept(&fetched, Some(&good));
        } else {
            debug!(server = %fetched.server, "a volfile that changed while there was no connection waits for a second look");
            let look_at = Instant::now() + self.cluster.options().second_look;
            *suspect = Some(Suspect { text: fetched.text, look_at });
        }
        Ok(())
    }

    /// Whether a volfile that came with a reconnect is to be believed: by agreement of the servers that can be asked, or,
    /// where there is no other, because the server has had the time to learn better and `repeated` it.
    async fn confirm(&self, client: &Client, fetched: &Fetched, repeated: bool) -> Result<bool, Error> {
        let answers = self.ask_others(client).await;
        let others = answers.into_iter().filter_map(Result::ok).collect::<Vec<_>>();
        let votes = |text: &[u8]| others.iter().filter(|other| same(&other.text, text)).count();
        let most = others.iter().max_by_key(|other| votes(&other.text));
        match most {
            None => Ok(repeated && in_contact(client).await),
            // The server's own vote with them.
            Some(_) if (votes(&fetched.text) + 1) * 2 > others.len() + 1 => Ok(true),
            Some(other) if votes(&other.text) * 2 > others.len() + 1 => Err(Error::Closed {
                server: fetched.server.clone(),
                reason: format!("it serves another volfile than most servers, such as {}", other.server)
                    .into(),
                early: false,
            }),
            Some(other) => {
                if repeated {
                    warn!(server = %fetched.server, other = %other.server, "the servers disagree about the volfile: \
                        the last good one stays in force until they agree");
                }
                Ok(false)
            }
        }
    }

    /// What the other servers have. One that is known by several names is asked once, and the one at the other end of
    /// `client` not at all, whatever it is called: servers are told apart by their ids.
    async fn ask_others(&self, client: &Client) -> Vec<Result<Fetched, Error>> {
        let mut ids = Vec::from_iter(client.uuid(SURVEY).await.ok().flatten());
        let others = self.cluster.servers().into_iter().filter(|other| other != client.server()).collect();
        let answers = self.cluster.survey(&self.key, others, SURVEY).await;
        let mut distinct = |id: Option<String>| match id {
            Some(id) if ids.contains(&id) => false,
            id => {
                ids.extend(id);
                true
            }
        };
        answers.into_iter().filter(|(id, _)| distinct(id.clone())).map(|(_, answer)| answer).collect()
    }

    /// Publishes a volfile, if glusterfs may be given it.
    fn accept(&mut self, fetched: &Fetched, good: Option<&Generation>) {
        let reasons = volfile::faults(&fetched.text);
        if !reasons.is_empty() {
            let digest = digest(&fetched.text);
            if self.rejected.as_ref() != Some(&digest) {
                self.rejected = Some(digest.clone());
                let rejection = Rejection { server: fetched.server.clone(), digest, reasons };
                self.topic.publish(Event::Rejected(Arc::new(rejection)));
            }
            return;
        }
        self.rejected = None;
        self.gone = false;
        let number = good.map_or(0, |good| good.number) + 1;
        let generation = Arc::new(Generation::new(number, &fetched.text, fetched.server.clone()));
        self.good = Some(generation.clone());
        self.topic.publish(match good {
            None => Event::Initial(generation),
            Some(good) => {
                let change = Arc::new(change(&good.text, &generation.text));
                Event::Changed { generation, change }
            }
        });
    }

    fn vanish(&mut self, server: ServerAddress) {
        if !std::mem::replace(&mut self.gone, true) {
            self.topic.publish(Event::Gone(server));
        }
    }

    /// Learns the servers of clusters that do not name them with GETSPEC (Gluster 6 and 7), beside the watching.
    fn meet_friends(&self, client: &Client) -> AbortOnDropHandle<()> {
        let (cluster, client) = (self.cluster.clone(), client.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let reply = cluster.options().reply;
            match client.friends(reply).await {
                Ok(friends) => cluster.learn(
                    friends.iter().filter(|friend| friend.hostname != "localhost").filter_map(|friend| {
                        let port =
                            if friend.port == 0 { crate::transport::DEFAULT_PORT } else { friend.port };
                        ServerAddress::tcp(&friend.hostname, port).ok()
                    }),
                ),
                Err(error) => debug!(%error, "no list of peers"),
            }
        }))
    }
}
