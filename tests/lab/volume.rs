//! Volumes of every kind.

use super::{Host, Lab, eventually};

/// The kinds of volume that a client has to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One brick.
    Single,
    /// Three copies.
    Replica3,
    /// Two copies and an arbiter brick.
    Arbiter,
    /// Two copies and a thin arbiter.
    ThinArbiter,
    /// Disperse, 3 data bricks and 1 of redundancy.
    Disperse,
    /// Three bricks, no redundancy.
    Distribute,
    /// Two sets of three copies.
    DistributedReplicate,
    /// Three copies, with the shard translator.
    Shard,
    /// One brick, with TLS on the I/O path.
    Tls,
}

/// Every kind, with a volume name for it.
pub(crate) const ALL_KINDS: [(Kind, &str); 9] = [
    (Kind::Single, "single"),
    (Kind::Replica3, "replica3"),
    (Kind::Arbiter, "arbiter"),
    (Kind::ThinArbiter, "thin-arbiter"),
    (Kind::Disperse, "disperse"),
    (Kind::Distribute, "distribute"),
    (Kind::DistributedReplicate, "distributed-replicate"),
    (Kind::Shard, "shard"),
    (Kind::Tls, "tls"),
];

impl Kind {
    /// The words between the volume's name and its bricks, and how many bricks.
    fn layout(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Single | Self::Tls => (&[], 1),
            Self::Replica3 | Self::Shard => (&["replica", "3"], 3),
            Self::Arbiter => (&["replica", "2", "arbiter", "1"], 3),
            Self::ThinArbiter => (&["replica", "2", "thin-arbiter", "1"], 3),
            Self::Disperse => (&["disperse", "4", "redundancy", "1"], 4),
            Self::Distribute => (&[], 3),
            Self::DistributedReplicate => (&["replica", "3"], 6),
        }
    }
}

impl Lab {
    /// A brick of `volume`: the `n`th from 0, the servers in turn.
    pub(crate) fn brick(&self, volume: &str, n: usize) -> String {
        let server = &self.servers()[n % self.servers().len()];
        format!("{}:/mnt/bricks/{volume}-{n}", server.name())
    }

    /// Creates a volume over all servers, not started: its volfiles exist from here on.
    pub(crate) fn create_volume(&self, name: &str, kind: Kind) {
        create(self.host(0), name, kind, |n| self.brick(name, n));
    }

    /// Creates a volume with all of its bricks on one server.
    pub(crate) fn create_volume_on(&self, server: &Host, name: &str, kind: Kind) {
        create(server, name, kind, |n| format!("{}:/mnt/bricks/{name}-{n}", server.name()));
    }

    /// Creates a volume and starts it.
    pub(crate) fn start_volume(&self, name: &str, kind: Kind) {
        self.create_volume(name, kind);
        self.host(0).gluster(&["volume", "start", name]);
    }

    /// The bricks of a volume that lies on the file system `disk` of each server, the servers in turn: host and path.
    pub(crate) fn xfs_bricks(&self, disk: &str, volume: &str, kind: Kind) -> Vec<(&Host, String)> {
        let servers = self.servers().iter().cycle().take(kind.layout().1).enumerate();
        servers.map(|(n, server)| (server, format!("/mnt/xfs/{disk}/{volume}-{n}"))).collect()
    }

    /// Creates a volume with these bricks and starts it.
    pub(crate) fn start_volume_at(&self, name: &str, kind: Kind, bricks: &[(&Host, String)]) {
        create(self.host(0), name, kind, |n| format!("{}:{}", bricks[n].0.name(), bricks[n].1));
        self.host(0).gluster(&["volume", "start", name]);
    }

    /// `gluster volume set`, on the first server.
    pub(crate) fn set(&self, volume: &str, option: &str, value: &str) {
        self.host(0).gluster(&["volume", "set", volume, option, value]);
    }
}

impl Host {
    /// Waits until every brick of a volume of this server's cluster is online.
    ///
    /// Never asks for `detail`: glusterd 10 holds its lock while it runs `tune2fs` for that, and hangs for ever when it
    /// starts a brick at that moment, which inherits the pipe (gluster/glusterfs#4202 is of the kind).
    pub(crate) fn wait_online(&self, volume: &str) {
        eventually(&format!("the bricks of {volume} are online"), || {
            let said = self.try_gluster(&["volume", "status", volume, "--xml"]).ok()?;
            // A daemon is a node, too; its path is `localhost` or a peer's name.
            let mut bricks = said.split("<node>").filter(|node| node.contains("<path>/")).peekable();
            (bricks.peek().is_some() && bricks.all(|node| node.contains("<status>1</status>"))).then_some(())
        });
    }

    /// Kills the processes of a volume's bricks on this server.
    pub(crate) fn kill_bricks(&self, volume: &str) {
        self.shell(&format!(
            "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in glusterfsd) \
             grep -qs /bricks/{volume}- $p/cmdline && kill -9 ${{p#/proc/}};; esac; done; true"
        ));
    }

    /// Mounts a volume with glusterfs itself, as an admin does, and returns where: `/mnt/volumes/NAME`.
    pub(crate) fn mount_volume(&self, server: &Self, name: &str) -> String {
        let at = format!("/mnt/volumes/{name}");
        let (server, volume) =
            (format!("--volfile-server={}", server.name()), format!("--volfile-id={name}"));
        self.shell(&format!("mkdir -p {at}; glusterfs {server} {volume} {at}; stat {at} >/dev/null"));
        at
    }
}

fn create(admin: &Host, name: &str, kind: Kind, brick: impl Fn(usize) -> String) {
    let (layout, count) = kind.layout();
    let bricks: Vec<String> = (0..count).map(brick).collect();
    let mut args = vec!["volume", "create", name];
    args.extend(layout);
    args.extend(bricks.iter().map(String::as_str));
    args.push("force");
    admin.gluster(&args);
    let options: &[(&str, &str)] = match kind {
        Kind::Shard => &[("features.shard", "on")],
        Kind::Tls => &[("client.ssl", "on"), ("server.ssl", "on")],
        _ => &[],
    };
    for (option, value) in options {
        admin.gluster(&["volume", "set", name, option, value]);
    }
}
