//! What is read from keys and values, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::storage::Reason;

fn parse(pairs: &[(&str, &str)]) -> Parameters {
    Parameters::parse(pairs.iter().copied()).unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
}

fn refused(pairs: &[(&str, &str)]) -> String {
    let error = Parameters::parse(pairs.iter().copied()).expect_err(&format!("{pairs:?}"));
    assert_eq!(error.reason(), Reason::Invalid);
    assert!(error.to_string().len() < 500, "{error}");
    error.to_string()
}

fn servers(parameters: &Parameters) -> String {
    parameters.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_class_as_the_operator_of_kadalu_writes_it() {
    let read = parse(&[
        ("hostvol_type", "External"),
        ("gluster_hosts", "g1.example.net,g2"),
        ("gluster_volname", "vol"),
        ("gluster_options", "log_level=DEBUG,ro=false"),
        ("single_pv_per_pool", "False"),
        ("csi.storage.k8s.io/pvc/name", "claim"),
    ]);
    assert_eq!(servers(&read), "g1.example.net:24007 g2:24007");
    assert_eq!((read.volume.as_deref(), read.kind), (Some("vol"), Some(PvKind::Subdirectory)));
    assert_eq!(read.options.canonical(), "log-level=DEBUG");
}

#[test]
fn every_spelling_means_the_same() {
    let expected = parse(&[("gluster_hosts", "g1,g2"), ("gluster_volname", "vol")]);
    for pairs in [
        &[("gluster_node", "g1"), ("backup_nodes", "g2"), ("gluster_volname", "vol")][..],
        &[("backup-nodes", "g2 "), ("Gluster_host", "g1"), ("volume", "vol")],
        &[("servers", "g1 g2"), ("gvolname", "/vol/")],
        &[("SERVERS", "g1,\n g2,g1"), ("GlusterVolname", "vol")],
        &[("gluster_hosts", "g1,g2:/vol")],
        &[("volume", "g1,g2:/vol")],
        &[("volume", "vol"), ("gluster-hosts", "g1:24007, g2:/vol"), ("port", "24007")],
        &[("hostvol_type", "EXTERNAL"), ("gluster_hosts", "g1,g2"), ("volume", "vol"), ("options", " ")],
    ] {
        assert_eq!(parse(pairs), expected, "{pairs:?}");
    }
    let by_name = parse(&[("storage_name", "pool-1")]);
    assert_eq!((by_name.storage.as_deref(), by_name.volume), (Some("pool-1"), None));
}

#[test]
fn a_port_is_that_of_the_servers_without_one() {
    let port =
        |hosts, port| servers(&parse(&[("gluster_hosts", hosts), ("gluster_port", port), ("volume", "v")]));
    assert_eq!(
        port("g1,g2:24007,g3:1,[::1],fe80::1", "24008"),
        "g1:24008 g2:24007 g3:1 [::1]:24008 [fe80::1]:24008"
    );
    assert_eq!(port("unix:/run/g.sock", "24008"), "unix:/run/g.sock");
    let unix = parse(&[("gluster_hosts", "unix:/run/g.sock:/vol")]);
    assert_eq!((servers(&unix).as_str(), unix.volume.as_deref()), ("unix:/run/g.sock", Some("vol")));
    let more = parse(&[("gluster_hosts", "g1:/v"), ("options", "backup-volfile-servers=g2:g3")]);
    assert_eq!(servers(&more), "g1:24007 g2:24007 g3:24007");
}

#[test]
fn kinds_and_policies() {
    let with = |pairs: &[(&str, &str)]| parse(&[&[("gluster_hosts", "g:/v")], pairs].concat());
    for (key, value, kind) in [
        ("kadalu_format", "native", PvKind::Subdirectory),
        ("kadalu-format", "true", PvKind::Subdirectory),
        ("kadalu_format", "non-native", PvKind::Whole),
        ("kadalu_format", "False", PvKind::Whole),
        ("single_pv_per_pool", "True", PvKind::Whole),
        ("single_pv_per_pool", "false", PvKind::Subdirectory),
    ] {
        assert_eq!(with(&[(key, value)]).kind, Some(kind), "{key}={value}");
    }
    assert_eq!(with(&[]).kind, None);
    assert_eq!(with(&[("single_pv_per_pool", "true"), ("kadalu_format", "false")]).kind, Some(PvKind::Whole));
    for key in ["reclaim", "pvReclaimPolicy", "pv_reclaim_policy"] {
        assert_eq!(with(&[(key, "Archive")]).reclaim, Some(Reclaim::Archive));
    }
    assert_eq!(with(&[("quota", "best-effort")]).quota, Some(QuotaPolicy::BestEffort));
    for (key, value) in [("soft_limit", "80"), ("softLimit", "80%"), ("SOFT-LIMIT", "080 %")] {
        assert_eq!(with(&[(key, value)]).soft_limit, Some(80), "{key}={value}");
    }
    let id = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
    assert_eq!(with(&[("gluster_volume_id", &id.to_uppercase())]).volume_id.unwrap().to_string(), id);
    assert_eq!(with(&[("Inodes", "100000")]).inodes, Some(100_000));
    assert_eq!(with(&[("overcommit", "1.5")]).overcommit, Some(1.5));
    let allow = with(&[("allow", "shard, Distribute")]).allow;
    assert!(allow.distribute && allow.shard);
}

#[test]
fn what_makes_no_sense_is_told_in_a_sentence() {
    let long = "x".repeat(10_000_000);
    for (pairs, expected) in [
        (&[][..], "gluster_volname"),
        (&[("gluster_hosts", "g1")], "gluster_volname"),
        (&[("volume", "v")], "gluster_hosts"),
        (&[("hostvol_type", "Replica3"), ("gluster_hosts", "g:/v")], "External"),
        (&[("gluster_hots", "g1")], "do you mean \"gluster_hosts\"?"),
        (&[("frobnicate", "g1")], "there is no parameter \"frobnicate\""),
        (&[("gluster_hosts", "g1:/v"), ("volume", "w")], "contradicts"),
        (&[("gluster_hosts", "g1:/v"), ("volname", "w")], "do you mean"),
        (&[("single_pv_per_pool", "true"), ("kadalu_format", "native")], "contradicts"),
        (&[("single_pv_per_pool", "maybe")], "true or false"),
        (&[("kadalu_format", "heketi")], "native"),
        (&[("reclaim", "keep")], "archive"),
        (&[("reclaim", "delete"), ("pvReclaimPolicy", "retain")], "contradicts"),
        (&[("quota", "hard")], "best-effort"),
        (&[("gluster_volume_id", "vol")], "the volume's id, a UUID, is wanted"),
        (&[("soft_limit", "100")], "a percentage such as 80"),
        (&[("inodes", "0")], "a number of files above 0"),
        (&[("inodes", "10k")], "a number of files above 0"),
        (&[("overcommit", "NaN")], "ratio"),
        (&[("overcommit", "-1")], "ratio"),
        (&[("single_pv_per_pool", "true"), ("overcommit", "2"), ("servers", "g:/v")], "overcommit"),
        (&[("allow", "everything")], "distribute or shard"),
        (&[("port", "0")], "65535"),
        (&[("servers", "g1:/v/dir")], "is not a volume's name"),
        (&[("servers", "g,-x:/v")], "not a host name"),
        (&[("servers", "g:/.."), ("quota", "off")], "is not a volume's name"),
        (&[("servers", "g:/v"), ("options", "log-levle=DEBUG")], "do you mean \"log-level\"?"),
        (&[("servers", "g:/v"), ("options", "ro")], "ro makes no PV"),
        (&[("servers", "g\0:/v")], "control character"),
        (&[(long.as_str(), "")], "more than 4096"),
        (&[("servers", long.as_str())], "more than 4096"),
    ] {
        let sentence = refused(pairs);
        assert!(sentence.contains(expected), "{expected}: {sentence}");
    }
    let many: Vec<_> = (0..100).map(|n| format!("key{n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert!(refused(&many).contains("there are more than"));
    let many: Vec<_> = (0..300).map(|n| format!("g{n}")).collect();
    assert!(refused(&[("servers", &many.join(",")), ("volume", "v")]).contains("more than 256"));
}

proptest! {
    #[test]
    fn nothing_panics(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
        known in prop::collection::vec((0..WORDS.len(), any::<String>()), 0..5)) {
        let known = known.iter().map(|(n, value)| (WORDS[*n].0, value.as_str()));
        let _ = Parameters::parse(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(known));
    }
}
