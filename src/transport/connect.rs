//! To a server, by whichever of its addresses answers first.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::ServerAddress;
use super::race::race;
use super::socket::open;
use super::stream::Stream;
use super::tls::{TlsClient, TlsError};

/// Between the starts of attempts to the addresses of one name (RFC 8305 §5, "Connection Attempt Delay").
const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// The most addresses of one name that are tried; a name with more is a mistake or an attack.
const MAX_ADDRESSES: usize = 32;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// For all of it: name resolution, every address and the TLS handshake. Default 10 s: glusterd's only event thread
    /// can be busy for seconds (facts §13.16), and during that no TLS handshake moves.
    pub timeout: Duration,
    /// Which addresses of a name to use.
    pub family: Family,
    /// Where the connection comes from.
    pub source_port: SourcePort,
    /// Speak TLS on TCP connections; unix sockets never do (facts §8).
    pub tls: Option<TlsClient>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            family: Family::default(),
            source_port: SourcePort::default(),
            tls: None,
        }
    }
}

/// Which IP version to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Both, in the resolver's order, alternating.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// The source port of TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourcePort {
    /// Whatever the kernel gives.
    #[default]
    Any,
    /// Below 1024, which a glusterd with `rpc-auth-allow-insecure off` demands (facts §2.4); needs root or
    /// CAP_NET_BIND_SERVICE.
    Privileged,
}

/// A connection, ready for the first byte.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: Stream,
    /// The server's address; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our own address; `None` for a unix socket.
    pub local: Option<SocketAddr>,
}

/// Why a server could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The resolver gave no address.
    #[error("{server}: the name cannot be resolved: {source}")]
    Resolve {
        /// The server.
        server: ServerAddress,
        /// The resolver's answer.
        source: io::Error,
    },
    /// The name has addresses, but none of the wanted family.
    #[error("{server}: the name has no {family} address")]
    NoAddress {
        /// The server.
        server: ServerAddress,
        /// What was asked for.
        family: Family,
    },
    /// No address of the server led to a connection.
    #[error("{server}: {}", Attempts(server, attempts))]
    Failed {
        /// The server.
        server: ServerAddress,
        /// Each address and what went wrong there, in the order they were tried.
        attempts: Vec<FailedAttempt>,
    },
}

impl ConnectError {
    /// The server it is about.
    pub fn server(&self) -> &ServerAddress {
        match self {
            Self::Resolve { server, .. } | Self::NoAddress { server, .. } | Self::Failed { server, .. } => {
                server
            }
        }
    }

    /// The first TLS failure, if there was one: then something listens there, and trying again will not help.
    pub fn tls(&self) -> Option<&TlsError> {
        let Self::Failed { attempts, .. } = self else { return None };
        attempts.iter().find_map(|attempt| match &attempt.reason {
            AttemptError::Tls(error) => Some(error),
            _ => None,
        })
    }
}

/// One address that did not work out.
#[derive(Debug)]
pub struct FailedAttempt {
    /// The address; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
    /// What went wrong.
    pub reason: AttemptError,
}

/// What went wrong with one address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The kernel's answer, such as "connection refused".
    #[error("{0}")]
    Io(io::Error),
    /// Nothing came before the time of [`ConnectOptions::timeout`] was up.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Connected, but the TLS handshake was not over when the time was up.
    #[error("connected, but no end of the TLS handshake within {0:?}: it may not use TLS")]
    HandshakeTimedOut(Duration),
    /// The time was up before this address had its turn.
    #[error("not tried, the time was up")]
    NotTried,
    /// A privileged source port was asked for without the right to one.
    #[error("a source port below 1024 needs root or CAP_NET_BIND_SERVICE")]
    SourcePort,
    /// Connected, but TLS did not come about.
    #[error(transparent)]
    Tls(TlsError),
}

/// Connects to `server`: TCP, TLS if the options say so, or unix.
///
/// Addresses are tried as in RFC 8305: families alternating, the next one after 250 ms or at once when one fails; the
/// first that is ready (TLS handshake included) wins. Cancel safe: dropping the future closes everything.
pub async fn connect(server: &ServerAddress, options: &ConnectOptions) -> Result<Connected, ConnectError> {
    let deadline = Instant::now() + options.timeout;
    let failed = |attempts| ConnectError::Failed { server: server.clone(), attempts };
    let (host, port) = match server {
        ServerAddress::Unix(path) => {
            return connect_unix(path, options.timeout)
                .await
                .map_err(|reason| failed(vec![FailedAttempt { peer: None, reason }]));
        }
        ServerAddress::Tcp { host, port } => (host.as_str(), *port),
    };
    let resolve_failed = |source| ConnectError::Resolve { server: server.clone(), source };
    let addresses: Vec<_> = match timeout_at(deadline, lookup_host((host, port))).await {
        Ok(addresses) => addresses.map_err(resolve_failed)?.collect(),
        Err(_) => return Err(resolve_failed(io::ErrorKind::TimedOut.into())),
    };
    let addresses = interleaved(addresses, options.family);
    if addresses.is_empty() {
        return Err(ConnectError::NoAddress { server: server.clone(), family: options.family });
    }
    let attempts = addresses.into_iter().take(MAX_ADDRESSES).map(|peer| async move {
        attempt(host, peer, options, deadline)
            .await
            .map_err(|reason| FailedAttempt { peer: Some(peer), reason })
    });
    race(attempts, ADDRESS_STAGGER).await.map(|(_, connected)| connected).map_err(failed)
}

async fn attempt(
    host: &str,
    peer: SocketAddr,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Connected, AttemptError> {
    if Instant::now() >= deadline {
        return Err(AttemptError::NotTried);
    }
    let privileged = options.source_port == SourcePort::Privileged;
    let socket = match open(peer, privileged) {
        Err(error) if privileged && error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(AttemptError::SourcePort);
        }
        outcome => outcome.map_err(AttemptError::Io)?,
    };
    let stream = match timeout_at(deadline, socket.connect(peer)).await {
        Err(_) => return Err(AttemptError::TimedOut(options.timeout)),
        Ok(outcome) => outcome.map_err(AttemptError::Io)?,
    };
    let local = stream.local_addr().ok();
    let stream = match &options.tls {
        None => Stream::Tcp(stream),
        Some(tls) => match timeout_at(deadline, tls.handshake(host, stream)).await {
            Err(_) => return Err(AttemptError::HandshakeTimedOut(options.timeout)),
            Ok(outcome) => Stream::Tls(Box::new(outcome.map_err(AttemptError::Tls)?)),
        },
    };
    Ok(Connected { stream, peer: Some(peer), local })
}

async fn connect_unix(path: &Path, timeout: Duration) -> Result<Connected, AttemptError> {
    match tokio::time::timeout(timeout, UnixStream::connect(path)).await {
        Err(_) => Err(AttemptError::TimedOut(timeout)),
        Ok(Err(error)) => Err(AttemptError::Io(error)),
        Ok(Ok(stream)) => Ok(Connected { stream: Stream::Unix(stream), peer: None, local: None }),
    }
}

/// The addresses of the wanted family, each once, families alternating from that of the first (RFC 8305 §4).
fn interleaved(addresses: Vec<SocketAddr>, family: Family) -> Vec<SocketAddr> {
    let mut wanted: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let fits = match family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        if fits && !wanted.contains(&address) {
            wanted.push(address);
        }
    }
    let first_is_v4 = wanted.first().is_some_and(SocketAddr::is_ipv4);
    let (mut first, mut second) = (
        wanted.iter().filter(|address| address.is_ipv4() == first_is_v4),
        wanted.iter().filter(|address| address.is_ipv4() != first_is_v4),
    );
    let mut ordered = Vec::with_capacity(wanted.len());
    while ordered.len() < wanted.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// Shows `address: reason` for each, separated by `; `, without the address if it is how the server was written.
struct Attempts<'a>(&'a ServerAddress, &'a [FailedAttempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(server, attempts) = self;
        let server = server.to_string();
        for (index, FailedAttempt { peer, reason }) in attempts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match peer.map(|peer| peer.to_string()).filter(|peer| *peer != server) {
                Some(peer) => write!(f, "{separator}{peer}: {reason}")?,
                None => write!(f, "{separator}{reason}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "IPv4 or IPv6",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::transport::Listener;

    fn server(port: u16) -> ServerAddress {
        ServerAddress::tcp("127.0.0.1", port).unwrap()
    }

    /// A port on which nobody listens: bound, so that nobody else takes it meanwhile.
    fn dead() -> (socket2::Socket, u16) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        (socket, port)
    }

    /// A port that drops every SYN: the accept queue of its listener is full.
    fn silent() -> (socket2::Socket, Vec<std::net::TcpStream>, u16) {
        let (socket, port) = dead();
        socket.listen(0).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut filling = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            filling.push(stream);
        }
        (socket, filling, port)
    }

    fn live() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn within(millis: u64) -> ConnectOptions {
        ConnectOptions { timeout: Duration::from_millis(millis), ..ConnectOptions::default() }
    }

    #[tokio::test]
    async fn a_live_server_by_tcp() {
        let (_listener, port) = live();
        let connected = connect(&server(port), &ConnectOptions::default()).await.unwrap();
        assert_eq!(connected.peer, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        let Stream::Tcp(stream) = &connected.stream else { panic!("{connected:?}") };
        assert_eq!(stream.local_addr().ok(), connected.local);
        assert!(stream.nodelay().unwrap());
        let socket = socket2::SockRef::from(stream);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(20));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 9);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(42)));
        assert!(socket.keepalive().unwrap());
    }

    #[tokio::test]
    async fn the_other_address_of_a_name() {
        let both: Vec<_> = lookup_host(("localhost", 1)).await.unwrap().collect();
        if !both.iter().any(SocketAddr::is_ipv6) || !both.iter().any(SocketAddr::is_ipv4) {
            eprintln!("SKIPPED: localhost is not both 127.0.0.1 and ::1 on this machine");
            return;
        }
        let (_listener, port) = live();
        let localhost = ServerAddress::tcp("localhost", port).unwrap();
        let connected = connect(&localhost, &ConnectOptions::default()).await.unwrap();
        assert!(connected.peer.unwrap().is_ipv4());
        let v6 = ConnectOptions { family: Family::V6, ..ConnectOptions::default() };
        let error = connect(&localhost, &v6).await.unwrap_err().to_string();
        assert!(error.contains(&format!("[::1]:{port}: ")) && !error.contains("127.0.0.1"), "{error}");
    }

    #[tokio::test]
    async fn every_server_has_its_own_reason() {
        let (_dead, dead) = dead();
        let (_silent, _filling, silent) = silent();
        let missing = ServerAddress::Unix("/nonexistent/glusterd.socket".into());
        let unknown = ServerAddress::tcp("fe80::1%nosuchlink", 24007).unwrap();
        let servers = [server(dead), server(silent), missing, unknown];
        let mut errors = Vec::new();
        for server in &servers {
            errors.push(connect(server, &within(600)).await.unwrap_err());
        }
        let texts: Vec<_> = errors.iter().map(ConnectError::to_string).collect();
        assert_eq!(texts.len(), 4);
        assert!(texts[0].starts_with(&format!("127.0.0.1:{dead}: Connection refused")), "{texts:?}");
        assert!(texts[1].contains("no answer within 600ms"), "{texts:?}");
        assert!(texts[2].starts_with("unix:/nonexistent/glusterd.socket: No such file"), "{texts:?}");
        assert!(texts[3].starts_with("[fe80::1%nosuchlink]:24007: "), "{texts:?}");
        assert!(
            errors
                .iter()
                .zip(&servers)
                .all(|(error, server)| error.server() == server && error.tls().is_none())
        );
    }

    #[tokio::test]
    async fn a_listener_that_never_speaks_tls() {
        let certs = crate::transport::test_peer::Certs::new();
        certs.self_signed("g1", "ec");
        let (_listener, port) = live();
        let options = ConnectOptions { tls: Some(certs.client(&["g1"], None).unwrap()), ..within(300) };
        let error = connect(&server(port), &options).await.unwrap_err().to_string();
        assert!(error.contains("no end of the TLS handshake within 300ms"), "{error}");
    }

    #[tokio::test]
    async fn the_family_asked_for() {
        let options = ConnectOptions { family: Family::V6, ..ConnectOptions::default() };
        let error = connect(&server(1), &options).await.unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.1:1: the name has no IPv6 address");
    }

    #[tokio::test]
    async fn a_privileged_source_port() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
        let allowed = u64::from_str_radix(effective, 16).unwrap() & (1 << 10) != 0;
        let (_listener, port) = live();
        let options = ConnectOptions { source_port: SourcePort::Privileged, ..ConnectOptions::default() };
        let outcome = connect(&server(port), &options).await;
        if allowed {
            let ports: Vec<_> = [outcome, connect(&server(port), &options).await]
                .map(|outcome| outcome.unwrap().local.unwrap().port())
                .into();
            assert!(ports.iter().all(|port| (512..1024).contains(port)), "{ports:?}");
        } else {
            eprintln!("SKIPPED: binding below 1024 (no CAP_NET_BIND_SERVICE); checking the refusal instead");
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("needs root or CAP_NET_BIND_SERVICE"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_unix_socket_both_ways() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::unix(&path).unwrap();
        let address = ServerAddress::Unix(path);
        let options = ConnectOptions::default();
        let (connected, accepted) = tokio::join!(connect(&address, &options), listener.accept());
        let (mut ours, (mut theirs, _)) = (connected.unwrap().stream, accepted.unwrap());
        assert!(!ours.is_tls());
        ours.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        theirs.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        theirs.shutdown().await.unwrap();
        assert_eq!(ours.read(&mut bytes).await.unwrap(), 0);
    }

    #[test]
    fn families_alternate() {
        let list =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mixed = list(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(
            interleaved(mixed.clone(), Family::Any),
            list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert_eq!(interleaved(mixed.clone(), Family::V4), list(&["1.1.1.1:1"]));
        assert_eq!(interleaved(mixed, Family::V6), list(&["[::1]:1", "[::2]:1", "[::3]:1"]));
    }
}
