//! Where clients reach us: TCP or a unix socket that only its owner may open.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use super::address::ServerAddress;
use super::socket::{SERVER_KEEPALIVE_IDLE, tune};
use super::stream::Stream;

/// Connections that may wait for [`Listener::accept`]; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerInfo {
    /// From this address; IPv4 as IPv4 also on a dual-stack socket.
    Tcp(SocketAddr),
    /// From a process of this machine, as the kernel knows it (SO_PEERCRED).
    Unix {
        /// Its process id, where visible.
        pid: Option<i32>,
        /// Its effective user id.
        uid: u32,
    },
}

impl Listener {
    /// Listens on `address`; of a host name, on its first address.
    pub async fn bind(address: &ServerAddress) -> io::Result<Self> {
        match address {
            ServerAddress::Unix(path) => Self::unix(path),
            ServerAddress::Tcp { host, port } => {
                let mut addresses = lookup_host((host.as_str(), *port)).await?;
                Self::tcp(addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?)
            }
        }
    }

    /// Listens on a TCP address; `[::]` takes IPv4 as well, port 0 is any free one.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(Kind::Tcp(TcpListener::from_std(socket.into())?)))
    }

    /// Listens on a unix socket with mode 0600 from its first moment, and removes it again when dropped.
    ///
    /// A socket that is already there is replaced if nobody listens on it; anything else there is an error.
    pub fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        // bind(2) gives the file the mode of the socket: set before, there is no moment in which others may connect.
        let socket = File::from(OwnedFd::from(socket));
        socket.set_permissions(Permissions::from_mode(0o600))?;
        let socket = Socket::from(OwnedFd::from(socket));
        socket.bind(&SockAddr::unix(path)?)?;
        let _file = SocketFile::at(path)?;
        socket.listen(BACKLOG)?;
        Ok(Self(Kind::Unix { listener: UnixListener::from_std(OwnedFd::from(socket).into())?, _file }))
    }

    /// The TCP address it listens on, with the real port; `None` for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    /// The next connection. Cancel safe.
    ///
    /// A client that is gone before we looked is passed over. An error is one of our own process or machine, such as
    /// too many open files, and will come again at once: wait a moment before the next call.
    pub async fn accept(&self) -> io::Result<(Stream, PeerInfo)> {
        loop {
            let accepted = match &self.0 {
                Kind::Tcp(listener) => listener.accept().await.and_then(|(stream, peer)| {
                    tune(&SockRef::from(&stream), SERVER_KEEPALIVE_IDLE)?;
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    Ok((Stream::Tcp(stream), PeerInfo::Tcp(peer)))
                }),
                Kind::Unix { listener, .. } => listener.accept().await.and_then(|(stream, _)| {
                    let credentials = stream.peer_cred()?;
                    let peer = PeerInfo::Unix { pid: credentials.pid(), uid: credentials.uid() };
                    Ok((Stream::Unix(stream), peer))
                }),
            };
            match accepted {
                Err(error) if is_of_the_client(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

/// accept(2): already-pending network errors of the new connection come out of `accept` as its own.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
    )
}

/// The file of a bound unix socket, removed on drop unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Nothing can be done about a failure here, and the next start replaces a stale socket.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Makes way for a new socket at `path`: removes one that nobody listens on, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let taken = |what: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{}: {what}", path.display()));
    if !found.file_type().is_socket() {
        return Err(taken("exists and is not a socket; remove it or choose another path"));
    }
    // Non-blocking, as a listener with a full backlog would keep us waiting.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(taken("another process listens there")),
    }
}

impl fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { pid: Some(pid), uid } => write!(f, "process {pid} of user {uid}"),
            Self::Unix { pid: None, uid } => write!(f, "a process of user {uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net as std_unix;

    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    #[tokio::test]
    async fn a_unix_socket_is_for_its_owner_and_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Listener::bind(&ServerAddress::Unix(path.clone())).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(listener.local_addr(), None);

        let client = UnixStream::connect(&path).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        assert!(matches!(stream, Stream::Unix(_)));
        let uid = fs::metadata("/proc/self").unwrap().uid();
        let pid = i32::try_from(std::process::id()).ok();
        assert_eq!(peer, PeerInfo::Unix { pid, uid });
        assert_eq!(peer.to_string(), format!("process {} of user {uid}", std::process::id()));
        drop((client, listener));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(std_unix::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::unix(&path).unwrap();

        let error = Listener::unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another process listens there"), "{error}");

        // Somebody else's socket in our place survives us.
        fs::remove_file(&path).unwrap();
        let other = std_unix::UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);

        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for taken in [&file, &link, &directory.path().to_path_buf()] {
            let error = Listener::unix(taken).unwrap_err();
            assert!(error.to_string().contains("is not a socket"), "{error}");
            assert!(taken.exists());
        }
    }

    #[tokio::test]
    async fn tcp_serves_both_families() {
        let listener = Listener::tcp("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            let client = TcpStream::connect((host, port)).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, PeerInfo::Tcp(client.local_addr().unwrap()));
            let Stream::Tcp(stream) = stream else { panic!("{stream:?}") };
            assert!(stream.nodelay().unwrap());
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), SERVER_KEEPALIVE_IDLE);
        }
        let taken = Listener::bind(&ServerAddress::tcp("::1", port).unwrap()).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
