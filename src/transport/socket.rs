//! Socket options, and how a socket gets its source port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpSocket;

/// Silence after which the kernel probes a server: what stock clients use (facts §7, socket.h).
pub(super) const CLIENT_KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
/// Silence after which the kernel probes a client: what glusterd uses (facts §7, glusterd.vol).
pub(super) const SERVER_KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Between probes (facts §7).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Unanswered probes that end a connection (facts §7).
const KEEPALIVE_COUNT: u32 = 9;
/// How long sent bytes may stay unacknowledged (facts §7, `GF_NETWORK_TIMEOUT`).
const USER_TIMEOUT: Duration = Duration::from_secs(42);
/// The ports that rresvport(3) considers: privileged, and above those of most well-known services.
const PRIVILEGED_PORTS: RangeInclusive<u16> = 512..=1023;

/// No delay for small messages, and dead peers noticed without traffic of ours.
pub(super) fn tune(socket: &SockRef<'_>, keepalive_idle: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(keepalive_idle)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_COUNT),
    )?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// A socket to connect to `peer` with, bound to a privileged port if asked.
///
/// `PermissionDenied` means that the port was not granted.
pub(super) fn open(peer: SocketAddr, privileged: bool) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    tune(&SockRef::from(&socket), CLIENT_KEEPALIVE_IDLE)?;
    if privileged {
        bind_privileged(&socket, peer)?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Binds to a free privileged port: from a random one downwards, so that several clients do not collide, and once
/// round.
fn bind_privileged(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    let unspecified: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let first = fastrand::u16(PRIVILEGED_PORTS);
    for port in (*PRIVILEGED_PORTS.start()..=first).rev().chain((first + 1..=*PRIVILEGED_PORTS.end()).rev()) {
        match socket.bind(&SocketAddr::new(unspecified, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
