//! Fetching: the bytes that glusterd serves, in every form, and every way in which there are none.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::lab::{ALL_KINDS, Kind, Signal, eventually, require};
use crate::labs::Labs;
use crate::watcher::digest;

story! {
    needs require;
    bytes_of_every_kind, formats, into_a_file, ways_to_name_it, keys, secrets_of_the_trusted_volfile,
    no_such_volume, against_a_file_and_a_mount, silent_server, dead_server_first, nobody_reachable, reasons_at_the_timeout, usage, ipv6,
}

fn bytes_of_every_kind(labs: &Labs) {
    let lab = labs.plain();
    for (kind, name) in ALL_KINDS {
        lab.create_volume(name, kind);
        for servers in [lab.server_list().as_str(), "g3"] {
            let got = lab.client().kadalu(&["volfile-get", servers, name]).expect(0);
            assert_eq!(got.stdout, lab.host(0).read_volfile(name), "{kind:?} from {servers}");
            assert_eq!(got.stderr, "", "{kind:?} from {servers}");
        }
    }
}

fn formats(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("formats", Kind::Arbiter);
    let volfile = lab.host(0).read_volfile("formats");
    let get = |format: &str| {
        lab.client()
            .kadalu(&["volfile-get", &lab.server_list(), "formats", "--format", format])
            .expect(0)
            .text()
    };
    assert_eq!(get("raw").as_bytes(), volfile);
    assert_eq!(get("digest").trim_end(), digest(&volfile));
    let json: Value = serde_json::from_str(&get("json")).expect("one JSON document");
    assert!(json.is_object());
    let text = String::from_utf8(volfile).expect("a volfile of ASCII");
    let xlators: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("volume ")).collect();
    assert!(xlators.len() > 5, "{text}");
    for (format, shown) in [("json", json.to_string()), ("tree", get("tree")), ("dot", get("dot"))] {
        for xlator in &xlators {
            assert!(shown.contains(xlator), "{xlator} is not in {format}: {shown}");
        }
    }
    assert!(get("dot").trim_start().starts_with("digraph"));
}

fn into_a_file(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("into-a-file", Kind::Replica3);
    let file = lab.client().mnt().join("into-a-file.vol");
    fs::write(&file, "what was here before").expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod");
    let get = |volume| lab.client().kadalu(&["volfile-get", "g1", volume, "-o", "/mnt/into-a-file.vol"]);
    get("no-such-volume").expect(4);
    assert_eq!(fs::read(&file).expect("read"), b"what was here before", "a failure leaves the file alone");
    assert_eq!(get("into-a-file").expect(0).stdout, b"");
    assert_eq!(fs::read(&file).expect("read"), lab.host(0).read_volfile("into-a-file"));
    assert_eq!(fs::metadata(&file).expect("stat").permissions().mode() & 0o7777, 0o600);
    let neighbours = fs::read_dir(lab.client().mnt()).expect("list").flatten();
    let leftovers = neighbours.filter(|f| f.file_name().to_string_lossy().contains("into-a-file")).count();
    assert_eq!(leftovers, 1, "nothing temporary stays");
}

fn against_a_file_and_a_mount(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("against", Kind::Single);
    let client = lab.client();
    client.kadalu(&["volfile-get", "g1", "against", "-o", "/mnt/against.vol"]).expect(0);
    client.shell("mkdir /mnt/against");
    let mount = ["--volfile-server=g1", "--volfile-id=against", "--process-name", "fuse", "/mnt/against"];
    client.exec("glusterfs", &mount).expect(0);
    let against =
        |what: &str| client.kadalu(&["volfile-get", "g1", "against", "--diff", what]).expect(0).text();
    eventually("the mount", || client.exec("mountpoint", &["-q", "/mnt/against"]).status.filter(|s| *s == 0));
    assert_eq!(against("/mnt/against"), "no change\n");
    assert_eq!(against("/mnt/against.vol"), "no change\n");
    lab.set("against", "performance.read-ahead", "on");
    let change = against("/mnt/against.vol");
    assert!(change.starts_with("topology") && change.contains("+ against-read-ahead"), "{change}");
    client.shell("umount /mnt/against");
    client
        .kadalu(&["volfile-get", "g1", "against", "--diff", "/mnt/no-such-thing"])
        .expect(1)
        .says(&["/mnt/no-such-thing"]);
}

fn ways_to_name_it(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("named", Kind::Single);
    let volfile = lab.host(0).read_volfile("named");
    let address = lab.host(1).address().to_string();
    let ways: [&[&str]; 8] = [
        &["g1", "named"],
        &["g1,g2,g3", "named"],
        &["g1:24007,g2:24007", "named"],
        &["g2:/named"],
        &["g1,g2:/named"],
        &["g3:24007:/named"],
        &[&address, "named"],
        &["-4", "g1", "named"],
    ];
    for way in ways {
        let args: Vec<&str> = ["volfile-get"].iter().chain(way).copied().collect();
        assert_eq!(lab.client().kadalu(&args).expect(0).stdout, volfile, "{way:?}");
    }
    // The gluster command line's own socket, on a server: the trusted variant (facts §5.2).
    let unix = lab.host(0).kadalu(&["volfile-get", "unix:/var/run/glusterd.socket", "named"]).expect(0);
    assert_eq!(unix.stdout, lab.host(0).glusterd_file("vols/named/trusted-named.tcp-fuse.vol"));
}

fn keys(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("keys", Kind::Replica3);
    let get = |key: &str| lab.client().kadalu(&["volfile-get", &lab.server_list(), "keys", "--key", key]);
    for key in ["keys", "/keys", "keys.tcp", "/keys.tcp", "keys.tcp-fuse"] {
        assert_eq!(get(key).expect(0).stdout, lab.host(0).read_volfile("keys"), "{key}");
    }
    let brick = get("keys.g1.mnt-bricks-keys-0").expect(0);
    assert_eq!(brick.stdout, lab.host(0).glusterd_file("vols/keys/keys.g1.mnt-bricks-keys-0.vol"));
    for key in ["//keys", "keys/sub", "trusted-keys.tcp-fuse", "keys.rdma"] {
        get(key).expect(4).says(&[key]);
    }
}

/// On a server glusterd hands out the volume's password; it is passed on as served and shown nowhere else.
fn secrets_of_the_trusted_volfile(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("secrets", Kind::Replica3);
    let server = lab.host(0);
    let trusted = server.glusterd_file("vols/secrets/trusted-secrets.tcp-fuse.vol");
    let text = String::from_utf8_lossy(&trusted).into_owned();
    let password =
        text.lines().find_map(|line| line.trim().strip_prefix("option password ")).expect("a password");
    assert_eq!(server.kadalu(&["volfile-get", "g1", "secrets"]).expect(0).stdout, trusted);
    let plain = server.kadalu(&["volfile-get", "g1", "secrets", "--key", "secrets.tcp-fuse"]).expect(0);
    assert_eq!(plain.stdout, server.read_volfile("secrets"));
    for format in ["json", "tree", "dot"] {
        let shown = server.kadalu(&["volfile-get", "g1", "secrets", "--format", format, "--trace"]).expect(0);
        assert!(!shown.text().contains(password), "{format} shows the password");
        assert!(!shown.stderr.contains(password), "--trace shows the password");
        assert!(shown.stderr.contains("GETSPEC"), "--trace says what was called: {}", shown.stderr);
    }
}

fn no_such_volume(labs: &Labs) {
    let lab = labs.plain();
    let got = lab.client().kadalu(&["volfile-get", &lab.server_list(), "nonesuch"]).expect(4);
    assert_eq!(got.says(&["nonesuch", "no such volume"]).stdout, b"");
}

/// A glusterd that stands still: the kernel accepts, nobody answers.
fn silent_server(labs: &Labs) {
    let lab = labs.breakable();
    lab.create_volume("silent", Kind::Single);
    lab.host(0).kill_glusterd(Signal::Stop);
    let next = lab.client().kadalu(&["volfile-get", &lab.server_list(), "silent"]);
    let alone = lab.client().kadalu(&["volfile-get", "g1", "silent", "--timeout", "1"]);
    lab.host(0).kill_glusterd(Signal::Continue);
    assert_eq!(next.expect(0).stdout, lab.host(1).read_volfile("silent"));
    alone.expect(3).says(&["g1:24007", "1s"]);
}

fn dead_server_first(labs: &Labs) {
    let lab = labs.breakable();
    lab.create_volume("dead-first", Kind::Single);
    let volfile = lab.host(1).read_volfile("dead-first");
    let get = || lab.client().kadalu(&["volfile-get", &lab.server_list(), "dead-first"]).expect(0).stdout;
    lab.host(0).kill_glusterd(Signal::Kill);
    assert_eq!(get(), volfile, "the first refuses");
    lab.network().drop_packets(lab.host(0), true);
    assert_eq!(get(), volfile, "the first is cut off");
    lab.host(1).kill_glusterd(Signal::Kill);
    assert_eq!(get(), volfile, "the first is cut off, the second refuses");
}

fn nobody_reachable(labs: &Labs) {
    let lab = labs.plain();
    // Two live hosts where nothing listens, a name that does not exist, an address where nobody is.
    let servers = "g1:24999,g2:1,nosuchhost,10.99.0.77";
    let got = lab.client().kadalu(&["volfile-get", servers, "any", "--timeout", "20"]).expect(3);
    let got = got.says(&["g1:24999", "g2:1", "nosuchhost", "10.99.0.77"]);
    assert_eq!(got.stderr.matches("refused").count(), 2, "each with its own reason: {}", got.stderr);
}

/// One server says why at once, another never says anything: when the time is over, both are told.
fn reasons_at_the_timeout(labs: &Labs) {
    let lab = labs.plain();
    let got = lab.client().kadalu(&["volfile-get", "g1:24999,10.99.0.77", "any", "--timeout", "1"]).expect(3);
    got.says(&["g1:24999", "refused", "10.99.0.77"]);
}

fn usage(labs: &Labs) {
    let client = labs.plain().client();
    for wrong in
        [&["volfile-get"][..], &["volfile-get", "g1"], &["volfile-get", "g1", "v", "--format", "xml"]]
    {
        let got = client.kadalu(wrong).expect(2);
        assert!(got.stdout.is_empty() && !got.stderr.is_empty(), "{wrong:?}");
    }
}

fn ipv6(labs: &Labs) {
    let lab = labs.ipv6();
    lab.create_volume("six", Kind::Distribute);
    let volfile = lab.host(0).read_volfile("six");
    let ways: [&[&str]; 6] = [
        &["g1,g2", "six"],
        &["-6", "g1", "six"],
        &["[fd99::1]", "six"],
        &["[fd99::1]:24007,[fd99::2]", "six"],
        &["[fd99::2]:/six"],
        &["[fd99::77],g2", "six"],
    ];
    for way in ways {
        let args: Vec<&str> = ["volfile-get"].iter().chain(way).copied().collect();
        assert_eq!(lab.client().kadalu(&args).expect(0).stdout, volfile, "{way:?}");
    }
    lab.client().kadalu(&["volfile-get", "-4", "g1", "six"]).expect(3).says(&["g1"]);
}
