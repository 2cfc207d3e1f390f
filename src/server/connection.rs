use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::{sync::broadcast::error::RecvError, time::timeout};
use tracing::{debug, trace};

use super::{
    Limits,
    answer::{Answer, Fetch, answer},
    volumes::Volumes,
};
use crate::{
    glusterd::{OpVersions, describe, programs},
    rpc::{self, Event, Incoming, Peer},
    transport::{PeerInfo, Stream, Wire},
};

/// Volumes that one connection is remembered to have asked for; a client that asks for more is told of every change.
const REMEMBERED: usize = 64;

/// A connection of a [`Server`](super::Server), as its owner may want to know it.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Who it is.
    pub peer: PeerInfo,
    /// The key of its last GETSPEC, found or not.
    pub key: Option<String>,
    /// What it announced with it.
    pub op_versions: Option<OpVersions>,
    /// `sha256:…` of the volfile that it was given last.
    pub digest: Option<Arc<str>>,
    /// GETSPECs that gave it a volfile.
    pub fetches: u64,
    /// FETCHSPECs sent to it.
    pub notifications: u64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// An entry of the table of connections, for as long as it lives.
struct Entry<'v> {
    id: u64,
    volumes: &'v Volumes,
}

impl<'v> Entry<'v> {
    fn new(peer: PeerInfo, volumes: &'v Volumes) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let info =
            ConnectionInfo { peer, key: None, op_versions: None, digest: None, fetches: 0, notifications: 0 };
        volumes.table().insert(id, info);
        Self { id, volumes }
    }

    fn update(&self, change: impl FnOnce(&mut ConnectionInfo)) {
        if let Some(info) = self.volumes.table().get_mut(&self.id) {
            change(info);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.volumes.table().remove(&self.id);
    }
}

/// What is to be told to a connection.
struct Interest {
    volumes: BTreeSet<String>,
    /// It has asked for more volumes than are remembered.
    all: bool,
}

impl Interest {
    /// glusterd tells everybody of everything; we tell who has asked for the volume, and who has asked for none yet.
    fn covers(&self, volume: &str) -> bool {
        self.all || self.volumes.is_empty() || self.volumes.contains(volume)
    }

    fn add(&mut self, volume: String) {
        if self.volumes.len() < REMEMBERED {
            self.volumes.insert(volume);
        } else {
            self.all |= !self.volumes.contains(&volume);
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(stream: Stream, peer: PeerInfo, volumes: Arc<Volumes>, limits: Limits) {
    let mut changes = volumes.subscribe();
    let entry = Entry::new(peer, &volumes);
    let rpc_limits = rpc::Limits { record: limits.call, in_flight: 0 };
    let mut wire = Wire::<_, ()>::new(stream, Peer::new(rpc_limits));
    let mut interest = Interest { volumes: BTreeSet::new(), all: false };
    let began = Instant::now();
    debug!(?peer, "connected");
    let end = loop {
        // One that does not read what waits for it is not read either, and after a time it is closed.
        let waiting = wire.peer().waiting();
        if waiting > limits.waiting {
            match timeout(limits.stalled, wire.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(end)) => break end.to_string(),
                // Slow, but it reads.
                Err(_) if wire.peer().waiting() < waiting => {}
                Err(_) => break format!("left {waiting} bytes unread for {:?}", limits.stalled),
            }
            continue;
        }
        tokio::select! {
            event = wire.event() => match event {
                Ok(Event::Call(call)) => reply(&mut wire, &call, &entry, &mut interest),
                // We make no calls that have replies.
                Ok(Event::Reply { .. }) => {}
                Err(end) => break end.to_string(),
            },
            change = changes.recv() => {
                let concerned = match &change {
                    Ok(volume) => interest.covers(volume),
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => break "the server is gone".to_owned(),
                };
                if concerned {
                    notify(&mut wire, &entry);
                }
            }
        }
    };
    debug!(?peer, reason = %end, seconds = began.elapsed().as_secs(), "disconnected");
}

fn reply(wire: &mut Wire<Stream, ()>, call: &Incoming, entry: &Entry<'_>, interest: &mut Interest) {
    trace!(target: "kadalu::frame", "← call  {}", describe::call(call.program, call.procedure, &call.body));
    let Answer { status, body, fetched } = answer(call, entry.volumes);
    if let Some(Fetch { key, volume, digest, op_versions }) = fetched {
        debug!(%key, ?op_versions, ?digest, "GETSPEC");
        entry.update(|info| {
            info.key = Some(key);
            info.op_versions = op_versions;
            info.fetches += u64::from(digest.is_some());
            info.digest = digest.or(info.digest.take());
        });
        interest.add(volume);
    }
    trace!(target: "kadalu::frame", "→ reply {}", describe::reply(call.program, call.procedure, &Ok(body.clone())));
    if let Err(error) = wire.peer().reply(call, status, &body) {
        debug!(%error, "a reply that cannot be encoded");
    }
}

fn notify(wire: &mut Wire<Stream, ()>, entry: &Entry<'_>) {
    trace!(target: "kadalu::frame", "→ call  {}", describe::call(programs::CALLBACK.number, programs::FETCHSPEC, &[]));
    match wire.peer().notify((programs::CALLBACK, programs::FETCHSPEC), &()) {
        Ok(_) => entry.update(|info| info.notifications += 1),
        Err(error) => debug!(%error, "a notification that cannot be encoded"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        time::sleep,
    };

    use super::*;
    use crate::{
        glusterd::{
            Procedure,
            handshake::{self, Getspec},
        },
        volfile::example::Example,
    };
    use bytes::Buf;

    /// Whether a client gets a large volfile three times that reads a little of it after each pause.
    async fn served(pause: Duration) -> bool {
        let volumes = Arc::new(Volumes::default());
        let volfile = Example::with_bricks("vol", 3, 1500).volfile().render().unwrap();
        volumes.publish("vol", &volfile).unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        let limits = Limits { stalled: Duration::from_secs(60), ..Limits::default() };
        let peer = PeerInfo::Unix { pid: None, uid: 0 };
        tokio::spawn(serve(Stream::Unix(far), peer, volumes, limits));

        let mut calls = Peer::<()>::new(rpc::Limits::default());
        let (to, xdata) = ((Getspec::PROGRAM, Getspec::NUMBER), OpVersions::ANY.to_dict());
        for _ in 0..3 {
            calls.call(Instant::now(), pause, to, &handshake::getspec("vol", &xdata), ()).unwrap();
        }
        let len = calls.waiting();
        near.write_all(&calls.transmit().copy_to_bytes(len)).await.unwrap();
        let (mut total, mut buffer) = (0, vec![0; 128 << 10]);
        while total < 3 * volfile.len() {
            sleep(pause).await;
            match near.read(&mut buffer).await.unwrap() {
                0 => return false,
                read => total += read,
            }
        }
        true
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_and_one_that_stalls_is_not() {
        // More than a minute for all of it, and less for each part; the clock leaps.
        assert!(served(Duration::from_secs(20)).await);
        assert!(!served(Duration::from_secs(600)).await);
    }
}
