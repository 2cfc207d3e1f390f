//! What `/proc` tells of the connections of a process.

use std::{collections::HashSet, fs};

/// Established TCP connections of a process to one of these ports.
pub(super) fn connections(pid: u32, ports: &[u16]) -> usize {
    let table =
        ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    let of_ports: HashSet<String> = table.iter().flat_map(|table| established(table, ports)).collect();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok()?.into_os_string().into_string().ok());
    links.filter(|link| of_ports.contains(link)).count()
}

/// The sockets of a table of connections that are established with one of these remote ports, as links of `/proc/PID/fd`
/// name them.
fn established(table: &str, ports: &[u16]) -> Vec<String> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields.get(2)?.rsplit(':').next()?, 16).ok()?;
        (fields.get(3) == Some(&"01") && ports.contains(&port))
            .then(|| Some(format!("socket:[{}]", fields.get(9)?)))?
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn own_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pid = std::process::id();
        assert_eq!(connections(pid, &[address.port()]), 0);
        let streams = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        assert_eq!(connections(pid, &[address.port()]), streams.len());
        assert_eq!(connections(u32::MAX, &[1]), 0);
    }
}
