//! The judge, without a network: a healthy volume, and what becomes of it when one thing is otherwise.

mod cases;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use self::cases::CASES;
use super::{
    heard::{Answer, Brick, Cause, Failure, Port, Served, Server, Shape, Window},
    *,
};
use crate::{
    client::Error,
    glusterd::{
        cli::{BrickInfo, Friend, VolumeStatus},
        handshake::Refusal,
        status::{BrickStatus, FileSystem},
    },
    storage::{Reason, enforced::bricks as data_bricks, pool::Seen, quota::Daemon},
    transport::{AttemptError, ConnectError, FailedAttempt},
    volfile::{Graph, Volfile, example::Example},
};

const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

fn host(n: usize) -> String {
    format!("server-{n}.example.net")
}

fn address(n: usize) -> ServerAddress {
    ServerAddress::tcp(&host(n), 24007).unwrap()
}

fn socket(n: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], port))
}

fn info() -> VolumeInfo {
    let brick =
        |n| BrickInfo { name: format!("{}:/bricks/vol/brick-{n}", host(n)), host_uuid: None, arbiter: false };
    VolumeInfo {
        name: "vol".into(),
        id: Some(ID.to_ascii_uppercase()),
        status: VolumeStatus::Started,
        kind: 2,
        replica_count: 3,
        arbiter_count: 0,
        disperse_count: 0,
        redundancy_count: 0,
        dist_count: 3,
        thin_arbiter_count: Some(0),
        thin_arbiter: None,
        snapshot_count: 0,
        bricks: (0..3).map(brick).collect(),
        options: [("auth.allow".to_owned(), "*".to_owned())].into(),
    }
}

fn friends(of: usize) -> Vec<Friend> {
    let friend = |n: usize| Friend {
        uuid: format!("uuid-{n}"),
        hostname: if n == of { "localhost".into() } else { host(n) },
        other_names: Vec::new(),
        port: 24007,
        state: (n != of).then(|| "Peer in Cluster".into()),
        connected: true,
    };
    (0..3).map(friend).collect()
}

fn text(volume: &Example) -> Vec<u8> {
    volume.volfile().render().unwrap()
}

/// A cluster of three servers with a replicated volume, all of it well, looked at with one server named.
fn healthy() -> Heard {
    heard(&Example::with_bricks("vol", 3, 3))
}

fn heard(volume: &Example) -> Heard {
    heard_of(text(volume).into())
}

fn heard_of(text: bytes::Bytes) -> Heard {
    let answer = |n: usize| Answer {
        peer: Some(socket(n, 24007)),
        tls: false,
        took: Duration::from_micros(400),
        uuid: Some(format!("uuid-{n}")),
        friends: Ok(friends(n)),
        info: Ok(Some(info())),
        volfile: Ok(Served::new(text.clone(), true)),
        privileged: false,
    };
    let server = |n: usize| Server { address: address(n), named: n < 2, answer: Ok(answer(n)) };
    let shape = Shape::of_text(&text).unwrap();
    let brick = |address: &crate::volfile::Address| Brick {
        address: address.clone(),
        port: Port::Open { took: Duration::from_micros(200) },
    };
    let status = |address: &crate::volfile::Address| BrickStatus {
        host: address.host.clone(),
        path: address.path.clone(),
        online: true,
        port: Some(49152),
        pid: Some(1),
        file_system: Some(FileSystem {
            kind: "xfs".into(),
            device: None,
            mount_options: Some("rw,noatime,prjquota".into()),
            inode_size: Some(512),
            total: Some(100 << 30),
            free: Some(60 << 30),
            inodes: Some(1000),
            inodes_free: Some(900),
        }),
    };
    let addresses: Vec<_> = shape.kind.bricks().map(|brick| brick.address.clone()).collect();
    Heard {
        volume: "vol".into(),
        servers: (0..3).map(server).collect(),
        bricks: addresses.iter().map(brick).collect(),
        window: Some(Window::From(7)),
        status: Status::Told(addresses.iter().map(status).collect()),
        shape: Some(shape),
    }
}

fn options() -> Options {
    Options { installed: Some("10.3".parse().unwrap()), status: true, ..Options::default() }
}

fn answer(heard: &mut Heard, n: usize) -> &mut Answer {
    heard.servers[n].answer.as_mut().unwrap()
}

fn all_infos(heard: &mut Heard, change: impl Fn(&mut VolumeInfo)) {
    for n in 0..3 {
        change(answer(heard, n).info.as_mut().unwrap().as_mut().unwrap());
    }
}

fn set(heard: &mut Heard, option: &str, value: &str) {
    all_infos(heard, |info| drop(info.options.insert(option.into(), value.into())));
}

fn status(heard: &mut Heard, n: usize) -> &mut BrickStatus {
    let Status::Told(bricks) = &mut heard.status else { panic!("told") };
    &mut bricks[n]
}

fn on(heard: &mut Heard, n: usize) -> &mut FileSystem {
    status(heard, n).file_system.as_mut().unwrap()
}

fn out_of_time(n: usize) -> Error {
    Error::OutOfTime { server: address(n), reason: "no connection", after: Duration::from_secs(5) }
}

fn closed_early(n: usize) -> Error {
    Error::Closed { server: address(n), reason: "it hung up: TLS?".into(), early: true }
}

fn unresolved(n: usize) -> Error {
    let source = std::io::ErrorKind::NotFound.into();
    Error::Connect(ConnectError::Resolve { server: address(n), source }.into())
}

fn untrusted(n: usize) -> Error {
    let reason = AttemptError::HandshakeTimedOut(Duration::from_secs(5));
    let attempts = vec![FailedAttempt { peer: None, reason }];
    Error::Connect(ConnectError::Failed { server: address(n), attempts }.into())
}

fn missing(n: usize) -> Error {
    Error::Refused { server: address(n), refusal: Refusal::NotFound { op_errno: 2 } }
}

fn draw(heard: &mut Heard, volume: &Example) {
    *heard = self::heard(volume);
}

fn bare() -> Example {
    Example::with_bricks("vol", 3, 3)
}

fn found(report: &Report, code: &str) -> (Outcome, String) {
    let findings: Vec<_> = report.of(code).collect();
    let worst = findings.iter().map(|finding| finding.outcome).max().unwrap_or_else(|| panic!("no {code}"));
    (worst, findings.iter().map(|finding| finding.sentence()).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_healthy_volume_is_well_in_every_way() {
    let report = judge(&healthy(), &Options { quota: QuotaPolicy::Off, ..options() });
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    let distinct: BTreeSet<_> = codes.iter().collect();
    assert_eq!(distinct, CODES.iter().map(|code| &code.code).collect());
    for finding in &report.findings {
        assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    }
    assert_eq!(report.outcome(), Outcome::Ok);
    assert_eq!(report.facts.id.as_deref(), Some(ID));
    assert_eq!(report.facts.capacity, Some((100 << 30, 60 << 30)));
    assert_eq!(report.facts.servers.len(), 3);
    assert_eq!(found(&report, "gluster-version").1.split(" (").next(), Some("Gluster 8 to 10"));
}

#[test]
fn what_is_otherwise_has_its_code_and_says_what_to_do() {
    for (code, change, outcome, expected) in CASES {
        let mut heard = healthy();
        change(&mut heard);
        let (worst, sentences) = found(&judge(&heard, &options()), code);
        assert_eq!(worst, *outcome, "{code}: {sentences}");
        assert!(sentences.contains(expected), "{code}: {sentences:?} has no {expected:?}");
    }
    let wrong: BTreeSet<_> = CASES
        .iter()
        .filter(|(_, _, outcome, _)| *outcome >= Outcome::Warning)
        .map(|(code, ..)| *code)
        .collect();
    let missing: Vec<_> =
        CODES.iter().filter(|code| !wrong.contains(code.code)).map(|code| code.code).collect();
    assert_eq!(missing, ["quota-daemon"], "which has a test of its own");
}

#[test]
fn whatever_is_wrong_comes_with_advice() {
    for (_, change, ..) in CASES {
        let mut heard = healthy();
        change(&mut heard);
        for finding in judge(&heard, &options()).findings {
            assert!(finding.outcome < Outcome::Warning || finding.advice.is_some(), "{finding:?}");
        }
    }
}

#[test]
fn what_a_size_is_worth_decides_how_bad_a_brick_without_limits_is() {
    for (quota, kind, outcome) in [
        (QuotaPolicy::Required, PvKind::Subdirectory, Outcome::Failed),
        (QuotaPolicy::BestEffort, PvKind::Subdirectory, Outcome::Warning),
        (QuotaPolicy::Off, PvKind::Subdirectory, Outcome::Ok),
        (QuotaPolicy::Required, PvKind::Whole, Outcome::Ok),
    ] {
        let options = Options { quota, kind, ..options() };
        let (mut ext4, mut plain) = (healthy(), healthy());
        on(&mut ext4, 0).kind = "ext4".into();
        on(&mut plain, 0).mount_options = Some("rw".into());
        assert_eq!(found(&judge(&ext4, &options), "file-system").0, outcome);
        assert_eq!(found(&judge(&plain, &options), "project-quota").0, outcome);
    }
}

#[test]
fn what_is_permitted_is_still_said() {
    let allow = Allow { distribute: true, shard: true };
    let mut heard = heard(&Example::with_bricks("vol", 3, 6));
    heard.shape.as_mut().unwrap().kind.shard = true;
    for (options, outcome) in [
        (Options { allow, ..options() }, Outcome::Warning),
        (Options { kind: PvKind::Whole, ..options() }, Outcome::Ok),
    ] {
        let report = judge(&heard, &options);
        assert_eq!(found(&report, "layout").0, outcome);
        assert_eq!(found(&report, "sharding").0, outcome);
    }
}

/// Three bricks of data and one of redundancy: one may be away.
#[test]
fn dispersed_data_needs_all_of_its_bricks_but_the_redundant_ones() {
    for (away, outcome) in [(1, Outcome::Warning), (2, Outcome::Failed)] {
        let mut heard = heard_of(text_of("disperse").into());
        (0..away).for_each(|n| heard.bricks[n].port = Port::None);
        (0..away).for_each(|n| status(&mut heard, n).online = false);
        let report = judge(&heard, &options());
        for code in ["brick-port", "brick-online"] {
            assert_eq!(found(&report, code).0, outcome, "{away} {code}");
        }
    }
    let mut heard = heard_of(text_of("disperse").into());
    on(&mut heard, 2).free = Some(1 << 30);
    assert_eq!(judge(&heard, &options()).facts.capacity, Some((300 << 30, 3 << 30)));
}

/// A brick that was not tried may be there.
#[test]
fn what_was_not_tried_makes_nothing_worse() {
    let mut heard = healthy();
    heard.bricks[0].port = Port::None;
    (1..3).for_each(|n| heard.bricks[n].port = Port::Skipped("late".into()));
    assert_eq!(found(&judge(&heard, &options()), "brick-port").0, Outcome::Warning);
}

/// Gluster names the other servers with a volfile since 8: where there are none, nothing follows from that.
#[test]
fn a_server_without_peers_is_not_taken_for_an_old_one() {
    for friends in
        [friends(0)[..1].to_vec(), friends(0).into_iter().map(|f| Friend { connected: false, ..f }).collect()]
    {
        let mut heard = healthy();
        heard.servers.truncate(1);
        answer(&mut heard, 0).friends = Ok(friends);
        answer(&mut heard, 0).volfile.as_mut().unwrap().names_others = false;
        let (outcome, sentence) = found(&judge(&heard, &options()), "gluster-version");
        assert_eq!((outcome, sentence.split(" (").next()), (Outcome::Ok, Some("Gluster 7 to 10")));
    }
}

/// glusterd tells of its own helpers among the bricks.
#[test]
fn helpers_of_a_server_are_no_bricks() {
    let mut heard = healthy();
    let helper = BrickStatus {
        path: "Self-heal Daemon".into(),
        online: false,
        file_system: None,
        ..status(&mut heard, 0).clone()
    };
    let Status::Told(bricks) = &mut heard.status else { panic!("told") };
    bricks.push(helper);
    let report = judge(&heard, &Options { quota: QuotaPolicy::Off, ..options() });
    assert_eq!(report.outcome(), Outcome::Ok, "{:#?}", report.findings);
    assert_eq!(found(&report, "brick-online").1, "all 3 run");
}

#[test]
fn quotad_is_judged_by_what_stands_on_each_brick() {
    let brick = data_bricks(&healthy().shape.unwrap().kind).remove(0);
    let now = SystemTime::now();
    let time = humantime::format_rfc3339_seconds(now).to_string();
    let daemon = Daemon { brick: brick.address.to_string(), version: "1".into(), time, problem: None };
    let required = Options { quota: QuotaPolicy::Required, ..options() };
    for (seen, options, outcome) in [
        (Ok(Seen { daemon: Some(daemon), pvs: Vec::new() }), &required, Outcome::Ok),
        (Ok(Seen { daemon: None, pvs: Vec::new() }), &required, Outcome::Failed),
        (Ok(Seen { daemon: None, pvs: Vec::new() }), &options(), Outcome::Warning),
        (Err("it hangs".to_owned()), &required, Outcome::Unknown),
        (Err("it hangs".to_owned()), &Options { quota: QuotaPolicy::Off, ..options() }, Outcome::Ok),
    ] {
        let mut report = judge(&healthy(), options);
        report.replace(quota_daemon(&[(brick.clone(), seen)], options, now));
        let (worst, sentence) = found(&report, "quota-daemon");
        assert_eq!(worst, outcome);
        // On anything else it can do nothing.
        assert_eq!(sentence.contains("install it"), sentence.contains("where it is on XFS"), "{sentence}");
        assert_eq!(report.of("quota-daemon").count(), 1);
    }
}

#[test]
fn a_volume_that_is_heard_of_by_nobody_is_unknown() {
    let report = judge(&Heard { volume: "vol\x1b".into(), ..Heard::default() }, &options());
    assert!(report.findings.iter().all(|finding| finding.outcome == Outcome::Unknown), "{report:?}");
}

fn text_of(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/volfiles/real/{name}.vol", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn real(name: &str) -> Examined {
    let text = text_of(name);
    Examined::new(&Graph::new(&Volfile::parse(&text).unwrap()).unwrap(), None)
}

#[test]
fn real_volumes_of_one_set_hold_pvs() {
    for name in ["replica3", "replica2", "arbiter", "thin", "disperse", "single", "tls", "uss"] {
        let suits = real(name).suits(PvKind::Subdirectory, Allow::default());
        suits.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_defeats_the_limit_of_a_directory_is_refused_unless_allowed() {
    let (distribute, shard) = (true, true);
    for (name, allow, word) in [
        ("dist", Allow { distribute, shard: false }, "allow=distribute"),
        ("distrep", Allow { distribute, shard: false }, "allow=distribute"),
        ("distdisp", Allow { distribute, shard: false }, "allow=distribute"),
        ("shard", Allow { distribute: false, shard }, "allow=shard"),
    ] {
        let examined = real(name);
        let error = examined.suits(PvKind::Subdirectory, Allow::default()).unwrap_err();
        assert_eq!(error.reason(), Reason::Precondition);
        assert!(
            error.to_string().contains(word) && error.to_string().contains("cannot hold PVs: "),
            "{error}"
        );
        examined.suits(PvKind::Subdirectory, Allow { distribute, shard }).unwrap();
        examined.suits(PvKind::Whole, Allow::default()).unwrap();
        assert_eq!(examined.suits(PvKind::Subdirectory, allow).is_ok(), name != "shard" || allow.shard);
    }
}

#[test]
fn secrets_of_options_stay_out_of_the_facts() {
    let mut heard = healthy();
    set(&mut heard, "cloudsync.s3plugin-seckey", "hunter2");
    let json = serde_json::to_string(&judge(&heard, &options())).unwrap();
    assert!(!json.contains("hunter2") && json.contains("seckey"), "{json}");
}
