//! One thing that is otherwise than on a healthy volume, and what is said of it.

use super::*;

pub(super) type Case = (&'static str, fn(&mut Heard), Outcome, &'static str);

/// The code, what is otherwise, how bad that is for best-effort quota, and a part of the sentence.
pub(super) const CASES: &[Case] = {
    use Outcome::{Failed, Unknown, Warning};
    &[
        (
            "server",
            |h| h.servers[2].answer = Err(out_of_time(2)),
            Warning,
            "server-2.example.net:24007: no connection when",
        ),
        ("server", |h| h.servers[0].answer = Err(unresolved(0)), Warning, "name service"),
        (
            "server",
            |h| (0..3).for_each(|n| h.servers[n].answer = Err(out_of_time(n))),
            Failed,
            "see that glusterd runs",
        ),
        ("tls", |h| h.servers[1].answer = Err(untrusted(1)), Warning, "secure-access"),
        ("tls", |h| (0..3).for_each(|n| h.servers[n].answer = Err(closed_early(n))), Failed, "--tls-ca"),
        (
            "cluster",
            |h| {
                let answer = answer(h, 1);
                (answer.uuid, answer.friends) = (Some("other".into()), Ok(Vec::new()));
            },
            Failed,
            "of another cluster than server-0",
        ),
        (
            "cluster",
            |h| (0..3).for_each(|n| answer(h, n).friends = Err(out_of_time(n))),
            Unknown,
            "no server tells",
        ),
        (
            "peers",
            |h| answer(h, 0).friends.as_mut().unwrap()[2].connected = false,
            Warning,
            "server-2.example.net: it is not connected, by the word of server-0",
        ),
        (
            "peers",
            |h| answer(h, 0).friends.as_mut().unwrap()[1].state = Some("Peer Rejected".into()),
            Warning,
            "Peer Rejected",
        ),
        (
            "local-peer",
            |h| draw(h, &bare().option("protocol/client", "username", "x")),
            Warning,
            "trusted volfile",
        ),
        (
            "volume",
            |h| (0..3).for_each(|n| answer(h, n).volfile = Err(missing(n))),
            Failed,
            "gluster volume list",
        ),
        ("volume", |h| answer(h, 2).volfile = Err(missing(2)), Warning, "does not know the volume vol"),
        (
            "started",
            |h| all_infos(h, |i| i.status = VolumeStatus::Stopped),
            Failed,
            "it is stopped: run `gluster volume start vol`",
        ),
        ("started", |h| all_infos(h, |i| i.status = VolumeStatus::Created), Failed, "never started"),
        ("started", |h| all_infos(h, |i| i.status = VolumeStatus::Other(9)), Unknown, "status is 9"),
        ("volume-id", |h| all_infos(h, |i| i.id = None), Failed, "op-version to 90000"),
        (
            "volume-id",
            |h| answer(h, 1).info.as_mut().unwrap().as_mut().unwrap().id = Some("x".into()),
            Failed,
            "x on server-1",
        ),
        ("volfile", |h| h.shape.as_mut().unwrap().faults = vec!["line 3: no".into()], Failed, "line 3: no"),
        (
            "volfile",
            |h| {
                h.shape = None;
                (0..3).for_each(|n| answer(h, n).volfile = Ok(Served::new("volume x".into(), true)));
            },
            Failed,
            "cannot be read",
        ),
        (
            "same-volfile",
            |h| {
                let other = text(&bare().option("protocol/client", "ping-timeout", "9"));
                answer(h, 2).volfile = Ok(Served::new(other.into(), true));
            },
            Warning,
            "ping-timeout 42 → 9",
        ),
        ("layout", |h| draw(h, &Example::with_bricks("vol", 3, 6)), Failed, "allow=distribute"),
        ("layout", |h| all_infos(h, |i| i.kind = 5), Failed, "striped or tiered"),
        ("layout", |h| h.shape.as_mut().unwrap().kind.sets.clear(), Failed, "no brick is in this volfile"),
        ("sharding", |h| h.shape.as_mut().unwrap().kind.shard = true, Failed, "/.shard"),
        ("writable", |h| set(h, "features.worm", "Enable"), Failed, "gluster volume reset vol features.worm"),
        ("writable", |h| set(h, "features.worm-file-level", "on"), Failed, "after a while"),
        ("writable", |h| set(h, "features.read-only", "on"), Failed, "nothing can be written"),
        ("writable", |h| h.shape.as_mut().unwrap().kind.read_only = true, Failed, "not its snapshot"),
        ("redundancy", |h| draw(h, &Example::with_bricks("vol", 1, 1)), Warning, "one copy"),
        ("redundancy", |h| draw(h, &Example::with_bricks("vol", 2, 2)), Warning, "add an arbiter"),
        ("features", |h| draw(h, &bare().option("protocol/client", "transport-type", "rdma")), Failed, "tcp"),
        ("features", |h| set(h, "features.quota", "on"), Warning, "gluster volume quota vol disable"),
        ("features", |h| set(h, "features.trash", "on"), Warning, "/.trashcan"),
        ("features", |h| set(h, "auth.allow", "10.0.0.*"), Warning, "auth.allow is 10.0.0.*"),
        ("features", |h| set(h, "auth.reject", "10.0.0.*"), Warning, "auth.reject is 10.0.0.*"),
        ("features", |h| set(h, "auth.ssl-allow", "a,b"), Warning, "auth.ssl-allow is a,b"),
        ("features", |h| set(h, "server.root-squash", "on"), Failed, "reset vol server.root-squash"),
        ("features", |h| set(h, "server.all-squash", "enable"), Failed, "reset vol server.all-squash"),
        ("features", |h| h.shape.as_mut().unwrap().kind.snapshots = true, Warning, ".snaps"),
        ("features", |h| has(h, "features/cdc"), Warning, "compressed"),
        ("features", |h| has(h, "features/cloudsync"), Warning, "reset features.cloudsync"),
        ("features", |h| has(h, "features/quiesce"), Warning, "reset config.gfproxyd"),
        (
            "op-version",
            |h| h.window = Some(Window::From(11)),
            Failed,
            "here it is 10.3, of op-version 100000",
        ),
        ("op-version", |h| h.window = Some(Window::Above), Failed, "later release"),
        ("op-version", |h| h.window = Some(Window::Unknown("why".into())), Unknown, "why"),
        ("gluster-version", |h| all_infos(h, |i| i.kind = 1), Failed, "before 6"),
        (
            "gluster-version",
            |h| {
                all_infos(h, |i| i.thin_arbiter_count = None);
                (0..3).for_each(|n| answer(h, n).volfile.as_mut().unwrap().names_others = false);
            },
            Warning,
            "Gluster 6 or earlier: from here, 6 looks like",
        ),
        (
            "gluster-version",
            |h| {
                answer(h, 2).info.as_mut().unwrap().as_mut().unwrap().dist_count = 1;
            },
            Warning,
            "of several releases: Gluster 8 to 10; Gluster 11 or later",
        ),
        (
            "client-version",
            |h| all_infos(h, |i| i.dist_count = 1),
            Warning,
            "10.3 is older than the servers, Gluster 11 or later",
        ),
        ("client-version", |h| h.window = Some(Window::From(11)), Failed, "may not load the volume: 11"),
        (
            "client-version",
            |h| {
                (0..3).for_each(|n| answer(h, n).volfile.as_mut().unwrap().names_others = false);
            },
            Warning,
            "10.3 is later than the servers, Gluster 7",
        ),
        ("brick-port", |h| h.bricks[2].port = Port::None, Warning, "gluster volume start vol force"),
        (
            "brick-port",
            |h| (1..3).for_each(|n| h.bricks[n].port = Port::None),
            Failed,
            "the brick does not run",
        ),
        (
            "brick-port",
            |h| {
                let why = Failure { cause: Cause::Silence, why: "no answer within 5s".into() };
                h.bricks[0].port = Port::Closed { at: socket(0, 49160), why };
            },
            Warning,
            "10.0.0.1:49160: no answer within 5s: let this host and every node reach server-0",
        ),
        (
            "brick-port",
            |h| unasked(h, Cause::Name),
            Warning,
            "no luck: give this host and every node a name service",
        ),
        (
            "brick-port",
            |h| unasked(h, Cause::Silence),
            Warning,
            "no luck: let this host and every node reach glusterd",
        ),
        ("brick-port", |h| unasked(h, Cause::Tls), Warning, "no luck: see the finding tls"),
        ("brick-port", |h| unasked(h, Cause::Other), Warning, "no luck: see that glusterd runs on server-0"),
        (
            "brick-port",
            |h| (0..3).for_each(|n| h.bricks[n].port = Port::Skipped("late".into())),
            Unknown,
            "late: let this",
        ),
        (
            "brick-port",
            |h| {
                h.bricks[0].port = Port::Untried { took: Duration::ZERO };
            },
            Unknown,
            "was not tried: glusterd speaks none: see that each node has /etc/ssl/glusterfs.pem",
        ),
        (
            "brick-online",
            |h| status(h, 1).online = false,
            Warning,
            "server-1.example.net:/bricks/vol/brick-1: it does not run",
        ),
        ("brick-online", |h| (1..3).for_each(|n| status(h, n).online = false), Failed, "it does not run"),
        ("brick-online", |h| h.status = Status::Silent("locked".into()), Unknown, "ask again"),
        ("file-system", |h| on(h, 1).kind = "ext4".into(), Warning, "it is on ext4"),
        ("project-quota", |h| on(h, 1).mount_options = Some("rw,noquota".into()), Warning, "/etc/fstab"),
        (
            "project-quota",
            |h| on(h, 1).mount_options = Some("rw,pqnoenforce".into()),
            Warning,
            "counted and not enforced",
        ),
        ("project-quota", |h| on(h, 1).mount_options = None, Unknown, "does not tell"),
        ("inode-size", |h| on(h, 1).inode_size = Some(256), Warning, "-i size=512"),
        ("free-space", |h| on(h, 1).free = Some(5 << 30), Warning, "5 % of its bytes"),
        ("free-space", |h| on(h, 1).inodes_free = Some(3), Failed, "0 % of its inodes"),
        ("free-space", |h| status(h, 1).file_system = None, Unknown, "does not tell"),
    ]
};

fn unasked(heard: &mut Heard, cause: Cause) {
    heard.bricks[0].port = Port::Unasked(Failure { cause, why: "no luck".into() });
}

fn has(heard: &mut Heard, xlator_type: &str) {
    heard.shape.as_mut().unwrap().types.insert(xlator_type.to_owned());
}
