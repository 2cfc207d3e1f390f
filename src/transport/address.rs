//! Where a glusterd listens, as people and as glusterd itself write it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The port glusterd listens on when none is written (facts §2.4, `GF_DEFAULT_BASE_PORT`).
pub const DEFAULT_PORT: u16 = 24007;

/// The most servers taken from one list: more than any cluster has, few enough to try them all.
pub const MAX_SERVERS: usize = 256;

/// A server: a TCP host and port, or a unix socket.
///
/// Parsed from `host`, `host:port`, `[v6]`, `[v6]:port`, a bare IPv6 literal (also with a zone, `fe80::1%eth0`) or
/// `unix:/path`; shown as `host:port`, `[v6]:port` or `unix:/path`, which parses to the same value again. Host names
/// are kept in lower case and IPv6 literals in their canonical form, so that equal servers compare equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerAddress {
    /// A host name or IP literal (IPv6 without brackets) and a port.
    Tcp {
        /// The name or literal.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// Why a text is not a server's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server address {text:?}: {problem}")]
pub struct AddressError {
    text: String,
    problem: AddressProblem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum AddressProblem {
    #[error("is empty; write host, host:port, [IPv6]:port or unix:/path")]
    Empty,
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    #[error("the bracket is not closed, or something other than :port follows it")]
    Bracket,
    #[error("{0:?} is not an IPv6 address")]
    Ipv6(String),
    #[error("{0:?} ends in a number but is not an IPv4 address")]
    Ipv4(String),
    #[error("{0:?} is not a host name: letters, digits, '-' and '_' between dots, at most 253 characters")]
    Host(String),
    #[error("a unix socket needs an absolute path of at most {MAX_UNIX_PATH} bytes without NUL")]
    UnixPath,
    #[error("there are more than {MAX_SERVERS} servers in the list")]
    TooMany,
}

/// `sockaddr_un.sun_path` is 108 bytes with its NUL (unix(7)).
const MAX_UNIX_PATH: usize = 107;

impl ServerAddress {
    /// A TCP server from its parts, checked as [`FromStr`] checks them; `host` may be an IPv6 literal without brackets.
    pub fn tcp(host: &str, port: u16) -> Result<Self, AddressError> {
        let checked = if port == 0 { Err(AddressProblem::Port("0".into())) } else { parse_host(host) };
        match checked {
            Ok(host) => Ok(Self::Tcp { host, port }),
            Err(problem) => Err(problem.of(&format!("{host}:{port}"))),
        }
    }

    /// The path, if it is a unix socket.
    pub fn unix_path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Tcp { .. } => None,
        }
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).map_err(|problem| problem.of(text))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The servers of a comma list such as `g1,g2:24008,[::1]`, in order, each once.
///
/// A unix path in such a list cannot contain a comma.
pub fn parse_servers(list: &str) -> Result<Vec<ServerAddress>, AddressError> {
    let mut servers = Vec::new();
    for item in list.split(',') {
        let server = item.parse()?;
        if !servers.contains(&server) {
            if servers.len() == MAX_SERVERS {
                return Err(AddressProblem::TooMany.of(item));
            }
            servers.push(server);
        }
    }
    Ok(servers)
}

/// The servers in a `cluster.brick-vol-servers` value (facts §4.4): `host:port host:port ` with the port after the
/// *last* colon, IPv6 literals without brackets.
///
/// It is a hint from the network: entries that are no address are left out, duplicates are removed, and
/// no more than [`MAX_SERVERS`] are taken.
pub fn parse_brick_vol_servers(value: &[u8]) -> Vec<ServerAddress> {
    let mut servers = Vec::new();
    for entry in
        value.split(|byte| byte.is_ascii_whitespace() || *byte == 0).filter(|entry| !entry.is_empty())
    {
        let Some(server) = std::str::from_utf8(entry).ok().and_then(brick_vol_server) else { continue };
        if !servers.contains(&server) {
            servers.push(server);
        }
        if servers.len() == MAX_SERVERS {
            break;
        }
    }
    servers
}

fn brick_vol_server(entry: &str) -> Option<ServerAddress> {
    let (host, port) = entry.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerAddress::tcp(host, parse_port(port).ok()?).ok()
}

fn parse(text: &str) -> Result<ServerAddress, AddressProblem> {
    if text.is_empty() {
        return Err(AddressProblem::Empty);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let fits = path.starts_with('/') && path.len() <= MAX_UNIX_PATH && !path.contains('\0');
        return if fits { Ok(ServerAddress::Unix(path.into())) } else { Err(AddressProblem::UnixPath) };
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (literal, rest) = rest.split_once(']').ok_or(AddressProblem::Bracket)?;
        let port = match rest {
            "" => DEFAULT_PORT,
            _ => parse_port(rest.strip_prefix(':').ok_or(AddressProblem::Bracket)?)?,
        };
        (parse_ipv6(literal)?, port)
    } else {
        match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (parse_ipv6(text)?, DEFAULT_PORT),
            Some((host, port)) => (parse_host(host)?, parse_port(port)?),
            None => (parse_host(text)?, DEFAULT_PORT),
        }
    };
    Ok(ServerAddress::Tcp { host, port })
}

fn parse_port(text: &str) -> Result<u16, AddressProblem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressProblem::Port(text.into())),
    }
}

fn parse_host(host: &str) -> Result<String, AddressProblem> {
    if host.contains(':') {
        return parse_ipv6(host);
    }
    if host.is_empty() {
        return Err(AddressProblem::Empty);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(AddressProblem::Host(host.into()));
    }
    // getaddrinfo(3) would take "999" or "0x7f.1" for an IPv4 address that nobody meant.
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.starts_with(|first: char| first.is_ascii_digit())
        && (last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()))
        && host.parse::<Ipv4Addr>().is_err()
    {
        return Err(AddressProblem::Ipv4(host.into()));
    }
    Ok(host.to_ascii_lowercase())
}

fn parse_ipv6(literal: &str) -> Result<String, AddressProblem> {
    let bad = || AddressProblem::Ipv6(literal.into());
    let (address, zone) = match literal.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (literal, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| bad())?;
    let Some(zone) = zone else { return Ok(address.to_string()) };
    // An interface name: at most IFNAMSIZ - 1 bytes.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if zone.is_empty() || zone.len() > 15 || !zone.bytes().all(allowed) {
        return Err(bad());
    }
    Ok(format!("{address}%{zone}"))
}

impl AddressProblem {
    /// The error for `text`, of which no more is kept than is worth showing.
    fn of(self, text: &str) -> AddressError {
        AddressError { text: shortened(text), problem: self.shortened() }
    }

    fn shortened(self) -> Self {
        match self {
            Self::Port(text) => Self::Port(shortened(&text)),
            Self::Ipv6(text) => Self::Ipv6(shortened(&text)),
            Self::Ipv4(text) => Self::Ipv4(shortened(&text)),
            Self::Host(text) => Self::Host(shortened(&text)),
            other => other,
        }
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> ServerAddress {
        ServerAddress::Tcp { host: host.into(), port }
    }

    #[test]
    fn every_spelling() {
        for (text, host, port, shown) in [
            ("g1", "g1", 24007, "g1:24007"),
            ("G1.Example.Com.", "g1.example.com.", 24007, "g1.example.com.:24007"),
            ("g_1:24008", "g_1", 24008, "g_1:24008"),
            ("1.2.3.4:1", "1.2.3.4", 1, "1.2.3.4:1"),
            ("1.2.3.4", "1.2.3.4", 24007, "1.2.3.4:24007"),
            ("[::1]", "::1", 24007, "[::1]:24007"),
            ("[FD00:0::1]:65535", "fd00::1", 65535, "[fd00::1]:65535"),
            ("fe80::1%eth0", "fe80::1%eth0", 24007, "[fe80::1%eth0]:24007"),
            ("[fe80::1%eth0.5]:2", "fe80::1%eth0.5", 2, "[fe80::1%eth0.5]:2"),
            ("::1", "::1", 24007, "[::1]:24007"),
            ("4gluster", "4gluster", 24007, "4gluster:24007"),
        ] {
            let server: ServerAddress = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(server, tcp(host, port), "{text}");
            assert_eq!(server.to_string(), shown);
            assert_eq!(shown.parse(), Ok(server), "{shown}");
        }
        let unix: ServerAddress = "unix:/run/gluster d.sock".parse().unwrap();
        assert_eq!(unix.unix_path(), Some(Path::new("/run/gluster d.sock")));
        assert_eq!(unix.to_string(), "unix:/run/gluster d.sock");
    }

    #[test]
    fn hostile_spellings_are_sentences() {
        let long_name = "a.".repeat(200);
        let long_path = format!("unix:/{}", "x".repeat(107));
        for (text, word) in [
            ("", "is empty"),
            (":24007", "is empty"),
            (" ", "not a host name"),
            ("g 1", "not a host name"),
            ("g1 ", "not a host name"),
            ("g1\0", "not a host name"),
            ("a..b", "not a host name"),
            ("..", "not a host name"),
            ("-oProxy", "not a host name"),
            ("gé", "not a host name"),
            ("g1/vol", "not a host name"),
            (&long_name, "not a host name"),
            ("999", "not an IPv4 address"),
            ("1.2.3.256", "not an IPv4 address"),
            ("1.2.0x3", "not an IPv4 address"),
            ("g1:", "not a number from 1 to 65535"),
            ("g1:0", "not a number from 1 to 65535"),
            ("g1:65536", "not a number from 1 to 65535"),
            ("g1:+1", "not a number from 1 to 65535"),
            ("g1:24007x", "not a number from 1 to 65535"),
            ("[::1", "bracket"),
            ("[::1]24007", "bracket"),
            ("[g1]", "not an IPv6 address"),
            ("1:2:3", "not an IPv6 address"),
            ("fe80::1%", "not an IPv6 address"),
            ("fe80::1%a/b", "not an IPv6 address"),
            ("unix:", "absolute path"),
            ("unix:run/sock", "absolute path"),
            ("unix:/a\0b", "absolute path"),
            (&long_path, "absolute path"),
        ] {
            let error = text.parse::<ServerAddress>().expect_err(text).to_string();
            assert!(error.contains(word), "{text:?}: {error}");
            assert!(error.len() < 400, "{error}");
        }
        assert!(ServerAddress::tcp("g1", 0).is_err());
    }

    #[test]
    fn a_list_keeps_its_order_and_no_duplicates() {
        let servers = parse_servers("g1,g2:24008,[::1],G1:24007,unix:/s,0:0::1").unwrap();
        let shown: Vec<_> = servers.iter().map(ServerAddress::to_string).collect();
        assert_eq!(shown, ["g1:24007", "g2:24008", "[::1]:24007", "unix:/s"]);
        assert!(parse_servers("g1,,g2").is_err());
        assert!(parse_servers("").is_err());
        let many: Vec<_> = (0..=MAX_SERVERS).map(|n| format!("g{n}")).collect();
        assert!(parse_servers(&many.join(",")).unwrap_err().to_string().contains("more than 256"));
    }

    #[test]
    fn brick_vol_servers_as_glusterd_writes_them() {
        assert_eq!(
            parse_brick_vol_servers(b"g2:24007 fd00::3:24008 10.0.0.4:24007 g2:24007 \0"),
            [tcp("g2", 24007), tcp("fd00::3", 24008), tcp("10.0.0.4", 24007)]
        );
        assert_eq!(parse_brick_vol_servers(b"g2 :1 g2:0 g\xff:1 [::1]:5"), [tcp("::1", 5)]);
        assert_eq!(parse_brick_vol_servers(b""), []);
        let many: String = (0..2000).map(|n| format!("g{n}:24007 ")).collect();
        assert_eq!(parse_brick_vol_servers(many.as_bytes()).len(), MAX_SERVERS);
    }

    proptest! {
        #[test]
        fn what_parses_survives_a_round_trip(
            text in prop_oneof![
                any::<String>(),
                "[a-zA-Z0-9:%.\\[\\]_,-]{0,40}",
                "[a-z][a-z0-9-]{0,10}(\\.[a-z][a-z0-9]{0,5}){0,3}(:[1-9][0-9]{0,3})?",
                any::<std::net::SocketAddrV6>().prop_map(|a| format!("[{}]:{}", a.ip(), a.port())),
                "unix:/[ -~]{0,30}",
            ]
        ) {
            if let Ok(server) = text.parse::<ServerAddress>() {
                prop_assert_eq!(server.to_string().parse(), Ok(server));
            }
        }

        #[test]
        fn lists_never_panic(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_servers(&text);
            let servers = parse_brick_vol_servers(&bytes);
            prop_assert!(servers.len() <= bytes.len());
        }
    }
}
