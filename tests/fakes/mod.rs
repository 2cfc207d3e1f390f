//! Servers that do what no real glusterd can be made to do, and what tests of the client share.

#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses some of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use glusterd_client::{
    client::{Event, Options, Watch},
    glusterd::{
        Procedure,
        cli::{ListFriends, ListFriendsReply, UuidGet},
        dict,
        handshake::{DictReply, Getspec, GetspecReply},
        programs::{CALLBACK, FETCHSPEC},
    },
    rpc::{self, Incoming, Limits, Peer, message::Accepted},
    transport::{ServerAddress, Wire},
    xdr::{self, Opaque, Text},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    sync::{broadcast, watch},
    time::timeout,
};

/// A guard against tests that hang; nothing is measured with it.
const HANG: Duration = Duration::from_secs(30);

pub const VOLUME: &str = "vol";

/// Waits are for ever, so that nothing happens because a machine is slow; a test shortens those that it is about.
pub fn options() -> Options {
    Options {
        reply: Duration::from_secs(10),
        stagger: Duration::from_secs(3600),
        patience: Duration::from_secs(3600),
        poll: Duration::from_secs(3600),
        second_look: Duration::from_secs(3600),
        ..Options::default()
    }
}

/// A good volfile, another one for each number.
pub fn volfile(number: u32) -> String {
    format!("volume v\n type debug/io-stats\n option threads {number}\nend-volume\n")
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.unwrap_or_else(|_| panic!("waited for {what} for ever"))
}

/// An event in a word or two.
pub fn word(event: &Event) -> String {
    match event {
        Event::Initial(generation) => format!("initial {}", generation.number),
        Event::Changed { generation, .. } => format!("changed {}", generation.number),
        Event::Unchanged(generation) => format!("unchanged {}", generation.number),
        Event::Connected(_) => "connected".into(),
        Event::Disconnected { .. } => "disconnected".into(),
        Event::Unavailable(_) => "unavailable".into(),
        Event::Gone(_) => "gone".into(),
        Event::Rejected(_) => "rejected".into(),
    }
}

/// The next events must be these; gives back the last.
pub async fn expect(watch: &mut Watch, words: &[&str]) -> Event {
    let mut last = None;
    for expected in words {
        let event = within(expected, watch.next()).await;
        assert_eq!(word(&event), *expected, "{event:?}");
        last = Some(event);
    }
    last.unwrap()
}

/// What a [`Glusterd`] answers to GETSPEC.
#[derive(Debug, Clone)]
pub enum Answer {
    Volfile(Bytes),
    /// More bytes are announced than there are.
    Torn(Bytes),
    /// op_ret and op_errno.
    Failure(i32, i32),
}

pub const NOT_FOUND: Answer = Answer::Failure(-1, 2);

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Volfile(text.into())
    }
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Notify,
    Release,
    HangUp,
}

#[derive(Debug)]
struct Script {
    answer: Answer,
    uuid: String,
    brick_vol_servers: String,
    /// `None` never answers.
    friends: Option<Vec<SocketAddr>>,
    /// Answers to GETSPEC wait for [`Glusterd::release`], with what was true when they were asked for.
    hold: bool,
}

/// A glusterd whose every answer the test decides.
#[derive(Debug)]
pub struct Glusterd {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    orders: broadcast::Sender<Order>,
    fetches: watch::Receiver<usize>,
    /// Connections that have ended.
    ended: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Glusterd {
    pub async fn start(answer: impl Into<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::accept(address, answer.into(), move |context| {
            listener.poll_accept(context).map_ok(|(stream, _)| stream)
        })
    }

    /// On a unix socket; its address means nothing.
    pub fn start_at(path: &Path, answer: impl Into<Answer>) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::accept(address, answer.into(), move |context| {
            listener.poll_accept(context).map_ok(|(stream, _)| stream)
        })
    }

    fn accept<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        address: SocketAddr,
        answer: Answer,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<io::Result<S>> + Send + 'static,
    ) -> Self {
        let script = Script {
            answer,
            uuid: format!("uuid-{}", address.port()),
            brick_vol_servers: String::new(),
            friends: Some(Vec::new()),
            hold: false,
        };
        let script = Arc::new(Mutex::new(script));
        let orders = broadcast::channel(1024).0;
        let ((fetches_in, fetches), (ended_in, ended)) = (watch::channel(0), watch::channel(0));
        let (fetches_in, ended_in) = (Arc::new(fetches_in), Arc::new(ended_in));
        let parts = (script.clone(), orders.clone());
        let task = tokio::spawn(async move {
            while let Ok(stream) = poll_fn(&mut next).await {
                let serving = serve(stream, parts.0.clone(), parts.1.subscribe(), fetches_in.clone());
                let ended = ended_in.clone();
                tokio::spawn(async move {
                    serving.await;
                    ended.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self { address, script, orders, fetches, ended, task }
    }

    /// By its address, or by another name for it.
    pub fn server(&self) -> ServerAddress {
        ServerAddress::tcp("127.0.0.1", self.address.port()).unwrap()
    }

    pub fn alias(&self) -> ServerAddress {
        ServerAddress::tcp("localhost", self.address.port()).unwrap()
    }

    pub fn set(&self, answer: impl Into<Answer>) {
        self.script().answer = answer.into();
    }

    pub fn set_brick_vol_servers(&self, servers: &[&Self]) {
        self.script().brick_vol_servers = servers.iter().map(|other| format!("{} ", other.address)).collect();
    }

    pub fn set_friends(&self, friends: &[&Self]) {
        self.script().friends = Some(friends.iter().map(|friend| friend.address).collect());
    }

    /// LIST_FRIENDS is not answered from now on.
    pub fn hide_friends(&self) {
        self.script().friends = None;
    }

    /// FETCHSPEC to every connection.
    pub fn notify(&self) {
        self.order(Order::Notify);
    }

    /// From now on answers to GETSPEC wait.
    pub fn hold(&self) {
        self.script().hold = true;
    }

    /// No longer.
    pub fn release(&self) {
        self.script().hold = false;
        self.order(Order::Release);
    }

    /// Closes every connection; new ones are welcome.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// Refuses connections from now on, and closes those there are.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.hang_up();
    }

    pub fn fetches(&self) -> usize {
        *self.fetches.borrow()
    }

    /// Waits until GETSPEC has come for the nth time.
    pub async fn fetched(&self, count: usize) {
        let mut fetches = self.fetches.clone();
        within("a fetch", fetches.wait_for(|&fetches| fetches >= count)).await.unwrap();
    }

    /// Waits until so many connections have ended.
    pub async fn ended(&self, count: usize) {
        let mut ended = self.ended.clone();
        within("the end of a connection", ended.wait_for(|&ended| ended >= count)).await.unwrap();
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn order(&self, order: Order) {
        // Nobody connected is as good.
        let _ = self.orders.send(order);
    }
}

impl Drop for Glusterd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    script: Arc<Mutex<Script>>,
    mut orders: broadcast::Receiver<Order>,
    fetches: Arc<watch::Sender<usize>>,
) {
    let mut wire = Wire::<_, ()>::new(stream, Peer::new(Limits::default()));
    let mut held: Vec<(Incoming, Bytes)> = Vec::new();
    loop {
        tokio::select! {
            event = wire.event() => match event {
                Ok(rpc::Event::Call(call)) => {
                    let script = script.lock().unwrap();
                    let getspec = is::<Getspec>(&call);
                    if getspec {
                        fetches.send_modify(|fetches| *fetches += 1);
                    }
                    match answer(&call, &script) {
                        _ if is::<ListFriends>(&call) && script.friends.is_none() => {}
                        Some(body) if getspec && script.hold => held.push((call, body)),
                        Some(body) => wire.peer().reply(&call, Accepted::Success, &body).unwrap(),
                        None => wire.peer().reply(&call, Accepted::ProgramUnavailable, &Bytes::new()).unwrap(),
                    }
                }
                Ok(rpc::Event::Reply { .. }) => unreachable!("it makes no calls"),
                Err(_) => return,
            },
            order = orders.recv() => match order {
                Ok(Order::Notify) => drop(wire.peer().notify((CALLBACK, FETCHSPEC), &()).unwrap()),
                Ok(Order::Release) => for (call, body) in held.drain(..) {
                    wire.peer().reply(&call, Accepted::Success, &body).unwrap();
                },
                _ => return,
            },
        }
    }
}

fn is<P: Procedure>(call: &Incoming) -> bool {
    (call.program, call.procedure) == (P::PROGRAM.number, P::NUMBER)
}

fn answer(call: &Incoming, script: &Script) -> Option<Bytes> {
    let body = if is::<Getspec>(call) {
        getspec_reply(&script.answer, &script.brick_vol_servers)
    } else if is::<UuidGet>(call) {
        let dict = dict::encode(&[("uuid", &script.uuid)]);
        xdr::encode(&DictReply { op_ret: 0, op_errno: 0, op_errstr: Text(&[]), dict: Opaque(&dict) }).unwrap()
    } else if is::<ListFriends>(call) {
        let friends = script.friends.as_deref().unwrap_or_default();
        let mut pairs = vec![("count".to_owned(), friends.len().to_string())];
        for (n, friend) in (1..).zip(friends) {
            pairs.push((format!("friend{n}.uuid"), format!("uuid-{}", friend.port())));
            pairs.push((format!("friend{n}.hostname"), friend.ip().to_string()));
            pairs.push((format!("friend{n}.port"), friend.port().to_string()));
        }
        let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>();
        let friends = dict::encode(&pairs);
        xdr::encode(&ListFriendsReply { op_ret: 0, op_errno: 0, friends: Opaque(&friends) }).unwrap()
    } else {
        return None;
    };
    Some(body.into())
}

/// The results of GETSPEC.
pub fn getspec_reply(answer: &Answer, brick_vol_servers: &str) -> Vec<u8> {
    let xdata = match brick_vol_servers {
        "" => Vec::new(),
        servers => dict::encode(&[("cluster.brick-vol-servers", servers)]),
    };
    let (op_ret, op_errno, spec) = match answer {
        Answer::Volfile(text) => (text.len() as i32, 0, &text[..]),
        Answer::Torn(text) => (text.len() as i32 + 1, 0, &text[..]),
        Answer::Failure(op_ret, op_errno) => (*op_ret, *op_errno, &[][..]),
    };
    xdr::encode(&GetspecReply { op_ret, op_errno, spec: Text(spec), xdata: Opaque(&xdata) }).unwrap()
}

/// Words of a message, as they stand on the wire.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A record of one fragment.
pub fn record(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 | (1 << 31)).to_be_bytes(), body].concat()
}

/// The record of an accepted and successful reply.
pub fn success(xid: u32, results: &[u8]) -> Vec<u8> {
    record(&[&words(&[xid, 1, 0, 0, 0, 0]), results].concat())
}

/// What a [`hostile`] server does upon a call.
pub enum Then {
    Keep(Vec<u8>),
    Close(Vec<u8>),
}

/// A server that answers the xid and the sender of each call with any bytes.
pub async fn hostile(answer: impl Fn(u32, SocketAddr) -> Then + Send + Sync + 'static) -> ServerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                while let Ok(header) = stream.read_u32().await {
                    let mut call = vec![0; (header & !(1 << 31)) as usize];
                    if stream.read_exact(&mut call).await.is_err() {
                        return;
                    }
                    let xid = u32::from_be_bytes(call[..4].try_into().unwrap());
                    let (bytes, close) = match answer(xid, peer) {
                        Then::Keep(bytes) => (bytes, false),
                        Then::Close(bytes) => (bytes, true),
                    };
                    // The client may hang up first, which is its right.
                    let _ = stream.write_all(&bytes).await;
                    if close {
                        return;
                    }
                }
            });
        }
    });
    ServerAddress::tcp("127.0.0.1", port).unwrap()
}
