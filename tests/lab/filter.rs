//! A packet filter on a host, as its admin or a network in between may have one.

use std::net::IpAddr;

use super::{Host, network};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Lost without a word.
    Drop,
    /// Answered as where nothing listens.
    Reset,
    /// Answered as firewalld does: "administratively prohibited", which programs call "no route to host".
    Prohibit,
}

/// A filter that goes with this value.
pub(crate) struct Filter<'lab> {
    host: &'lab Host,
    table: String,
}

impl Host {
    /// Keeps `from` away from these ports of this host.
    pub(crate) fn filter(&self, from: &Self, ports: &[u16], fate: Fate) -> Filter<'_> {
        let fate = match fate {
            Fate::Drop => "drop",
            Fate::Reset => "reject with tcp reset",
            Fate::Prohibit => "reject with icmpx admin-prohibited",
        };
        let family = match from.address() {
            IpAddr::V4(_) => "ip",
            IpAddr::V6(_) => "ip6",
        };
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let table = format!("inet lab-{}-{}", from.name(), ports.join("-"));
        let rule = format!("{family} saddr {} tcp dport {{ {} }} {fate}", from.address(), ports.join(", "));
        network::nft(
            self.pid(),
            &format!("table {table} {{\nchain in {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"),
        );
        Filter { host: self, table }
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        network::nft(self.host.pid(), &format!("delete table {}\n", self.table));
    }
}
