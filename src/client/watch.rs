use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Cluster, NoVolfile, cluster::digest, session::Session};
use crate::{transport::ServerAddress, volfile::Change};

/// Events that a slow subscriber may lag behind; beyond it, it gets the current volfile instead of each step to it.
const LAG: usize = 32;

/// A volfile that was accepted: valid, and different from the one before in more than its bytes.
pub struct Generation {
    /// Counts from 1 in this process; 0 for one that was known before.
    pub number: u64,
    /// The volfile, byte for byte.
    pub text: Bytes,
    /// `sha256:…` of the text.
    pub digest: String,
    /// Who served it.
    pub server: ServerAddress,
}

/// Leaves the text out: volfiles can hold credentials.
impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Generation({}, {} bytes, {}, from {})",
            self.number,
            self.text.len(),
            self.digest,
            self.server
        )
    }
}

impl Generation {
    pub(crate) fn new(number: u64, text: &[u8], server: ServerAddress) -> Self {
        // A copy: what arrived is a slice of a read buffer, and this may live for days.
        Self { number, text: Bytes::copy_from_slice(text), digest: digest(text), server }
    }
}

/// A volfile that was not accepted; the last good one stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Who served it.
    pub server: ServerAddress,
    /// `sha256:…` of it.
    pub digest: String,
    /// What is wrong with it, a sentence each.
    pub reasons: Vec<String>,
}

/// What happens to a volume that is watched.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first volfile, or for a late subscriber the current one.
    Initial(Arc<Generation>),
    /// A real change. What is equal, or differs by credentials or spelling only, is never announced as one.
    Changed {
        /// The new volfile.
        generation: Arc<Generation>,
        /// How it differs from the one before.
        change: Arc<Change>,
    },
    /// A look that found no change: upon a notification or a reconnect, or after the volume was gone or rejected.
    Unchanged(Arc<Generation>),
    /// A connection to a server, for this volume.
    Connected(ServerAddress),
    /// The end of that connection; the next server is on its way.
    Disconnected {
        /// The server.
        server: ServerAddress,
        /// Why.
        reason: Arc<str>,
    },
    /// No server gives a volfile at the moment; tried again and again.
    Unavailable(Arc<NoVolfile>),
    /// The servers say that there is no such volume any more. It is looked for further on.
    Gone(ServerAddress),
    /// The servers have a volfile that must not be loaded.
    Rejected(Arc<Rejection>),
}

/// The current volfile of a volume as a stream of events.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    events: broadcast::Receiver<Event>,
    /// How things stood when this subscriber came, until it has been told.
    first: Now,
    seen: Option<Arc<Generation>>,
}

/// What the subscribers of one volume hold together; the connection ends with the last of them.
#[derive(Debug)]
pub(super) struct Shared {
    topic: Arc<Topic>,
    _stop: DropGuard,
}

/// Where the session of a volume publishes.
#[derive(Debug)]
pub(super) struct Topic {
    now: Mutex<Now>,
    events: broadcast::Sender<Event>,
}

/// How things stand.
#[derive(Debug, Clone, Default)]
struct Now {
    generation: Option<Arc<Generation>>,
    /// That the volume is gone, or its volfile rejected.
    trouble: Option<Event>,
}

impl Topic {
    pub(super) fn publish(&self, event: Event) {
        // One lock over state and event, so that a subscriber never misses a generation between the two.
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::Initial(generation) | Event::Changed { generation, .. } | Event::Unchanged(generation) => {
                *now = Now { generation: Some(generation.clone()), trouble: None };
            }
            Event::Gone(_) | Event::Rejected(_) => now.trouble = Some(event.clone()),
            Event::Connected(_) | Event::Disconnected { .. } | Event::Unavailable(_) => {}
        }
        // An error means that nobody listens, which ends the session soon.
        let _ = self.events.send(event);
    }

    fn subscribe(&self) -> (broadcast::Receiver<Event>, Now) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (self.events.subscribe(), now.clone())
    }
}

impl Watch {
    pub(super) fn start(cluster: Cluster, key: &str, known: Option<Bytes>) -> Self {
        let (events, _) = broadcast::channel(LAG);
        let topic = Arc::new(Topic { now: Mutex::default(), events });
        let stop = CancellationToken::new();
        let watch = Self::join(Arc::new(Shared { topic: topic.clone(), _stop: stop.clone().drop_guard() }));
        let session = Session::new(cluster, key, topic, known);
        tokio::spawn(async move { stop.run_until_cancelled(session.run()).await });
        watch
    }

    pub(super) fn join(shared: Arc<Shared>) -> Self {
        let (events, first) = shared.topic.subscribe();
        Self { shared, events, first, seen: None }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The next event; never ends. Cancel safe.
    pub async fn next(&mut self) -> Event {
        if let Some(generation) = self.first.generation.take() {
            self.seen = Some(generation.clone());
            return Event::Initial(generation);
        }
        if let Some(trouble) = self.first.trouble.take() {
            return trouble;
        }
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    if let Event::Initial(generation) | Event::Changed { generation, .. } = &event {
                        self.seen = Some(generation.clone());
                    }
                    return event;
                }
                Err(RecvError::Lagged(_)) => {
                    if let Some(event) = self.catch_up() {
                        return event;
                    }
                }
                // The session lives as long as `shared`, so this is the shutdown of the runtime.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The volfile in force.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.shared.topic.subscribe().1.generation
    }

    /// Instead of the events that were missed: the way from the last generation seen to the current one.
    fn catch_up(&mut self) -> Option<Event> {
        let (events, now) = self.shared.topic.subscribe();
        self.events = events;
        self.first.trouble = now.trouble;
        let generation = now.generation?;
        let event = match &self.seen {
            Some(seen) if seen.number == generation.number => return None,
            Some(seen) => {
                let change = super::session::change(&seen.text, &generation.text);
                Event::Changed { generation: generation.clone(), change: Arc::new(change) }
            }
            None => Event::Initial(generation.clone()),
        };
        self.seen = Some(generation);
        Some(event)
    }
}
