//! The bridge, in a network namespace of its own, and the cables to it.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::host::Host;

/// The address of the host number `n` of a lab.
pub(super) fn address(n: u8, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, n.into()).into()
    } else {
        Ipv4Addr::new(10, 99, 0, n).into()
    }
}

/// The bridge and the process that keeps its namespace.
pub(crate) struct Network {
    holder: Child,
}

impl Network {
    pub(super) fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let said = super::host::first_line(&mut holder);
        assert_eq!(said, "ready", "the bridge's namespace");
        let this = Self { holder };
        ip(this.holder.id(), "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n");
        this
    }

    /// Gives the host an `eth0` with its address and connects it to the bridge.
    pub(super) fn plug_in(&self, host: &Host) {
        let (port, pid) = (port(host), host.pid());
        ip(
            self.holder.id(),
            &format!(
                "link add {port} type veth peer name eth0 netns {pid}\nlink set {port} master br0\nlink set {port} up\n"
            ),
        );
        let address = match host.address() {
            IpAddr::V4(v4) => format!("{v4}/24"),
            IpAddr::V6(v6) => format!("{v6}/64"),
        };
        ip(pid, "link set lo up\n");
        // Else the address would be gone after the interface was down.
        host.shell("echo 1 >/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down");
        ip(pid, &format!("address add {address} dev eth0{}\nlink set eth0 up\n", nodad(host)));
    }

    /// Pulls the host's cable out of the bridge (or back in): the host's interface stays up, and every packet from
    /// and to it is lost without a word, as in a network that partitions.
    pub(crate) fn drop_packets(&self, host: &Host, on: bool) {
        let port = port(host);
        let how = if on { "nomaster" } else { "master br0" };
        ip(self.holder.id(), &format!("link set {port} {how}\n"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().expect("the holder was never waited for");
    }
}

impl Host {
    /// Listens inside of the host, on its 127.0.0.1, for what this process serves there.
    pub(crate) fn listen(&self) -> TcpListener {
        let path = format!("/proc/{}/ns/net", self.pid());
        // A socket stays in the namespace that it was made in, and the thread that has moved there ends.
        let bound = thread::spawn(move || {
            let namespace = File::open(&path).expect("the host's network");
            let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            moved.unwrap_or_else(|error| panic!("{path}: {error}"));
            TcpListener::bind("127.0.0.1:0").expect("a port")
        });
        bound.join().expect("the thread has not panicked")
    }
}

fn port(host: &Host) -> String {
    format!("to-{}", host.name())
}

fn nodad(host: &Host) -> &'static str {
    if host.address().is_ipv6() { " nodad" } else { "" }
}

/// Runs the machine's `ip -batch` in the network namespace of the process `pid`.
pub(super) fn ip(pid: u32, batch: &str) {
    feed(pid, &["ip", "-batch", "-"], batch);
}

/// Runs the machine's `nft` there.
pub(super) fn nft(pid: u32, rules: &str) {
    feed(pid, &["nft", "--file", "-"], rules);
}

fn feed(pid: u32, program: &[&str], script: &str) {
    let mut child = Command::new("nsenter")
        .args(["--target", &pid.to_string(), "--net", "--"])
        .args(program)
        .stdin(Stdio::piped())
        .spawn()
        .expect("nsenter runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(script.as_bytes()).expect("it reads its script");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "{} refused one of: {script}", program[0]);
}
