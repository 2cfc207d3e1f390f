//! A cluster of real glusterds on this machine, torn down with the value that stands for it.
//!
//! Each host has its own network, mount, process, IPC and UTS namespaces; their veth pairs meet in a bridge that
//! lives in one more network namespace. Nothing is named outside of them, so labs can run side by side and nothing
//! touches the machine's own network. A host lives as long as a pipe from this process stays open: when the test
//! process dies, by whatever signal, the kernel ends every process, mount and interface of its labs.
//!
//! See `facts/real-gluster-lab.md` for what was learned by hand before this was written.

mod certificates;
mod filter;
pub(crate) mod guest;
mod host;
mod kadalu;
mod network;
mod require;
mod root;
mod volume;
mod xfs;

use std::fs;
use std::fs::File;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

pub(crate) use certificates::{Certificates, Identity};
pub(crate) use filter::Fate;
pub(crate) use host::{Host, Signal};
pub(crate) use kadalu::{Output, Running};
use network::Network;
pub(crate) use require::{require, require_fuse, require_quota, require_roots};
pub(crate) use root::Root;
pub(crate) use volume::{ALL_KINDS, Kind};

/// How long anything in the lab may take before the test is given up: far longer than it ever needs, also in the guest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// What a lab is made of.
#[derive(Clone)]
pub(crate) struct LabOptions {
    /// One entry a server, named `g1`, `g2` and so on: the root file system its glusterd is taken from.
    pub(crate) servers: Vec<Root>,
    /// Whether the servers form one cluster; else each is a cluster of its own.
    pub(crate) peers: bool,
    /// One entry a client host, named `c1`, `c2` and so on.
    pub(crate) clients: Vec<Root>,
    /// Addresses are IPv6 only; else IPv4 only.
    pub(crate) ipv6: bool,
    /// `/var/lib/glusterd/secure-access` on the servers, with certificates of this kind.
    pub(crate) tls: Option<Certificates>,
    /// `rpc-auth-allow-insecure` of every glusterd (its own default is on).
    pub(crate) allow_insecure: bool,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            servers: vec![Root::Machine; 3],
            peers: true,
            clients: vec![Root::Machine],
            ipv6: false,
            tls: None,
            allow_insecure: true,
        }
    }
}

/// A running cluster and its clients.
pub(crate) struct Lab {
    // Dropped in this order: the hosts end first, then the bridge, then the files.
    servers: Vec<Host>,
    clients: Vec<Host>,
    network: Network,
    options: LabOptions,
    foreign: Once,
    dir: LabDir,
}

impl Lab {
    /// Brings the lab up and waits until every glusterd answers and knows its peers.
    pub(crate) fn new(options: LabOptions) -> Self {
        let dir = LabDir::new();
        let network = Network::new();
        let names = (1..=options.servers.len()).map(|n| format!("g{n}"));
        let names: Vec<String> = names.chain((1..=options.clients.len()).map(|n| format!("c{n}"))).collect();
        let addresses: Vec<IpAddr> =
            (1u8..).zip(&names).map(|(n, _)| network::address(n, options.ipv6)).collect();
        let mut hosts_file = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (name, address) in names.iter().zip(&addresses) {
            hosts_file += &format!("{address} {name}\n");
        }
        if let Some(kind) = options.tls {
            kind.make(&dir.certificates(), &names);
        }
        let roots = options.servers.iter().chain(&options.clients);
        kadalu::install(&dir.shared(), roots.clone().copied());
        let mut hosts: Vec<Host> = names
            .iter()
            .zip(addresses)
            .zip(roots)
            .map(|((name, address), root)| {
                let host = Host::new(&dir, name, address, *root, &hosts_file, &options);
                network.plug_in(&host);
                host
            })
            .collect();
        let clients = hosts.split_off(options.servers.len());
        let lab = Self { servers: hosts, clients, network, options, foreign: Once::new(), dir };
        for server in &lab.servers {
            // Else an admin's command waits a quarter of an hour for a peer that is cut off (Linux's default is 15).
            server.shell("echo 5 >/proc/sys/net/ipv4/tcp_retries2");
            server.start_glusterd();
        }
        if lab.options.peers {
            for server in lab.servers.iter().skip(1) {
                lab.host(0).gluster(&["peer", "probe", server.name()]);
            }
            lab.wait_for_peers();
        }
        lab
    }

    /// Server `n`, from 0.
    pub(crate) fn host(&self, n: usize) -> &Host {
        &self.servers[n]
    }

    /// Every server.
    pub(crate) fn servers(&self) -> &[Host] {
        &self.servers
    }

    /// The first client host: where `kadalu` runs.
    pub(crate) fn client(&self) -> &Host {
        &self.clients[0]
    }

    /// Every client host.
    pub(crate) fn clients(&self) -> &[Host] {
        &self.clients
    }

    /// The bridge that joins the hosts.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// `g1,g2,g3`: the server list as a user gives it.
    pub(crate) fn server_list(&self) -> String {
        self.servers.iter().map(Host::name).collect::<Vec<_>>().join(",")
    }

    /// The folder that every host sees as `/mnt/shared`.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.shared()
    }

    /// The certificate, key and CA bundle of `identity`, as paths that every host can read.
    pub(crate) fn identity(&self, identity: Identity) -> certificates::Files {
        identity.files(Path::new("/mnt/shared/certificates"))
    }

    /// Certificates for the clients of a lab whose servers have none.
    pub(crate) fn foreign_identity(&self) -> certificates::Files {
        let names = [self.client().name().to_owned()];
        self.foreign.call_once(|| Certificates::SelfSigned.make(&self.dir.certificates(), &names));
        self.identity(Identity::Client)
    }

    /// Waits until every glusterd sees every other as connected.
    pub(crate) fn wait_for_peers(&self) {
        let others = self.servers.len() - 1;
        for server in &self.servers {
            eventually(&format!("{} sees {others} peers", server.name()), || {
                let status = server.try_gluster(&["peer", "status"]).ok()?;
                let good = status.matches("State: Peer in Cluster (Connected)").count();
                (good == others).then_some(())
            });
        }
    }

    /// Undoes whatever a test did to the hosts: interfaces up, cables in, every glusterd running and connected.
    pub(crate) fn restore(&self) {
        for server in &self.servers {
            server.interface(true);
            self.network.drop_packets(server, false);
            if !server.glusterd_runs() {
                server.start_glusterd();
            }
        }
        if self.options.peers {
            self.wait_for_peers();
        }
    }
}

/// Calls `poll` until it gives a value.
///
/// # Panics
/// With `what` when [`PATIENCE`] is over.
pub(crate) fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The lab's files: `HOST/…` of each host and `shared/`. Held by a file lock, so that what a killed run left
/// behind is known to be nobody's and goes away with the next run.
struct LabDir {
    dir: PathBuf,
    _lock: File,
}

impl LabDir {
    const PREFIX: &str = "kadalu-lab-";
    const LOCK: &str = "lock";

    fn new() -> Self {
        Self::sweep();
        let dir = tempfile::Builder::new()
            .prefix(Self::PREFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let new = dir.join("new-lock");
        let lock = File::create(&new).expect("a lock file");
        lock.try_lock().expect("a lock nobody else knows of");
        fs::rename(new, dir.join(Self::LOCK)).expect("rename within a folder");
        let this = Self { dir, _lock: lock };
        fs::create_dir(this.shared()).expect("the shared folder");
        this
    }

    fn sweep() {
        let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
        for dir in entries.filter(|e| e.file_name().to_string_lossy().starts_with(Self::PREFIX)) {
            let abandoned = File::open(dir.path().join(Self::LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
            if abandoned && let Err(error) = fs::remove_dir_all(dir.path()) {
                eprintln!("lab: cannot remove what an earlier run left in {}: {error}", dir.path().display());
            }
        }
    }

    fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }

    fn certificates(&self) -> PathBuf {
        self.shared().join("certificates")
    }
}

impl Deref for LabDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.dir
    }
}

impl Drop for LabDir {
    fn drop(&mut self) {
        if std::env::var_os("KADALU_LAB_KEEP").is_some() {
            eprintln!("lab: kept {} (KADALU_LAB_KEEP)", self.dir.display());
        } else if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("lab: cannot remove {}: {error}", self.dir.display());
        }
    }
}
