//! Each exit code and the words that go with it: what failed, where, and what to do.

use glusterd_client::{glusterd::handshake::GetspecReply, xdr};

use super::support::{Fake, VolfileServer, Volfiles, run};

#[test]
fn no_server_is_reachable_each_for_its_own_reason() {
    run(&["volfile-get", "127.0.0.1:1,unix:/nonexistent/s", "vol"]).fails(
        3,
        "kadalu: volume \"vol\": no server reachable\n  \
         127.0.0.1:1: Connection refused (os error 111)\n  \
         unix:/nonexistent/s: No such file or directory (os error 2)\n",
    );
    // The same before a watch has begun; once it has, it goes on trying.
    run(&["volfile-get", "127.0.0.1:1", "vol", "--watch"]).fails(
        3,
        "kadalu: volume \"vol\": no server reachable\n  127.0.0.1:1: Connection refused (os error 111)\n",
    );
    run(&["volfile-get", "-6", "127.0.0.1:1", "vol"]).fails(
        3,
        "kadalu: volume \"vol\": no server reachable\n  127.0.0.1:1: the name has no IPv6 address\n",
    );
    // The port is glusterd's where none is given.
    let ran = run(&["volfile-get", "h1.invalid,h2.invalid", "vol"]);
    assert_eq!(ran.code, Some(3));
    for server in ["h1.invalid:24007", "h2.invalid:24007"] {
        assert!(
            ran.stderr.contains(&format!("\n  {server}: the name cannot be resolved: ")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_server_that_stays_silent() {
    let server = Fake::Silent.start();
    run(&["volfile-get", &server, "vol", "--timeout", "0.5"]).fails(
        3,
        &format!(
            "kadalu: volume \"vol\": no server reachable\n  \
             {server}: connected, but no reply when the time was up, after 500ms\n"
        ),
    );
    // Each has its own reason.
    let ran = run(&["volfile-get", &format!("127.0.0.1:1,{server}"), "vol", "--timeout", "0.5"]);
    assert_eq!(ran.code, Some(3));
    for reason in
        ["127.0.0.1:1: Connection refused (os error 111)", "connected, but no reply when the time was up"]
    {
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
    run(&["volfile-get", &server, "vol", "--timeout", "0.5", "--watch"]).fails(
        3,
        &format!(
            "kadalu: volume \"vol\": no server reachable\n  \
             {server}: no reply within 500ms; it accepted the connection but stays silent\n"
        ),
    );
    // The next one is asked meanwhile.
    let volfiles = Volfiles::new();
    let good = VolfileServer::start(&volfiles);
    let servers = format!("{server},{}", good.address);
    assert!(
        run(&["volfile-get", &servers, "vol", "--timeout", "10", "--format", "digest"])
            .ok()
            .starts_with("sha256:")
    );
}

#[test]
fn there_is_no_such_volume() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    let words = format!(
        "kadalu: volume \"nope\": no such volume, or it is not ready\n  {}: no such volume (op_errno 2)\n",
        server.address
    );
    run(&["volfile-get", &server.address, "nope"]).fails(4, &words);
    run(&["volfile-get", &server.address, "nope", "--watch"]).fails(4, &words);
    // Of a majority of those that were reached.
    run(&["volfile-get", &format!("127.0.0.1:1,{}", server.address), "nope"])
        .fails(4, &words.replace("ready\n", "ready\n  127.0.0.1:1: Connection refused (os error 111)\n"));
}

#[test]
fn the_volume_needs_another_op_version() {
    let server = Fake::Answers(vec![xdr::encode(&GetspecReply::OP_VERSION).unwrap()]).start();
    run(&["volfile-get", &server, "vol", "--op-version", "1:70000"]).fails(
        5,
        &format!(
            "kadalu: volume \"vol\": the volume needs a client of another op-version; see --op-version\n  \
             {server}: the volume needs a client of another op-version than was announced\n"
        ),
    );
}

#[test]
fn tls_is_in_the_way() {
    let server = Fake::Closes.start();
    run(&["volfile-get", &server, "vol"]).fails(
        6,
        &format!(
            "kadalu: volume \"vol\": no server let us in\n  {server}: the server closed the connection before any \
             reply: it may require TLS (does /var/lib/glusterd/secure-access exist there?)\n"
        ),
    );
    run(&["volfile-get", &server, "vol", "--tls-ca", "/nonexistent/ca", "--tls-cert", "c", "--tls-key", "k"])
        .fails(6, "kadalu: /nonexistent/ca: cannot be read: No such file or directory (os error 2)\n");
}

#[test]
fn a_reply_that_cannot_be_read() {
    let server = Fake::Answers(vec![b"\0\0\0\x05\0\0\0\0\xff\xff\xff\xff".to_vec()]).start();
    let ran = run(&["volfile-get", &server, "vol"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let words = format!("kadalu: volume \"vol\": no server gave a volfile\n  {server}: malformed reply: ");
    assert!(ran.stderr.starts_with(&words) && ran.stderr.contains("byte 8"), "{}", ran.stderr);
}

#[test]
fn a_volfile_server_knows_no_other_servers() {
    let volfiles = Volfiles::new();
    let server = VolfileServer::start(&volfiles);
    run(&["volfile-get", &server.address, "vol", "--servers"]).fails(
        1,
        &format!(
            "kadalu: nobody gave the list of servers:\n  {}: the call was not carried out: it has no such program (PROG_UNAVAIL) \
             (a volfile server knows no others: ask a glusterd of the cluster)\n",
            server.address
        ),
    );
}

#[test]
fn command_lines_that_make_no_sense() {
    for (arguments, words) in [
        (&["g1"][..], "no volume in \"g1\": say SERVERS VOLUME or SERVERS:/VOLUME"),
        (&["g1:/"], "no volume in \"g1:/\": say SERVERS VOLUME or SERVERS:/VOLUME"),
        (&["unix:/a,unix:/b"], "no volume in \"unix:/a,unix:/b\": say SERVERS VOLUME or SERVERS:/VOLUME"),
        (&["g1", ""], "the volume's name is empty"),
        (&["g1:/vol/sub"], "\"vol/sub\" is not a volume: a subdirectory is not part of a volfile"),
        (&["g1:0", "vol"], "server address \"g1:0\": the port \"0\" is not a number from 1 to 65535"),
        (
            &["g1,,g2", "vol"],
            "server address \"\": is empty; write host, host:port, [IPv6]:port or unix:/path",
        ),
    ] {
        run(&[&["volfile-get"], arguments].concat()).fails(2, &format!("kadalu: {words}\n"));
    }
    for (arguments, words) in [
        (&["volfile-get"][..], "<SERVERS[:/VOLUME]>"),
        (&["volfile-get", "g1", "vol", "--timeout", "0"], "a number of seconds above 0 and up to 86400"),
        (&["volfile-get", "g1", "vol", "--timeout", "1e19"], "a number of seconds above 0 and up to 86400"),
        (&["volfile-get", "g1", "vol", "--timeout", "soon"], "a number of seconds above 0"),
        (&["volfile-get", "g1", "vol", "--op-version", "2:1"], "--op-version"),
        (&["volfile-get", "g1", "vol", "--format", "xml"], "raw, json, tree, dot, digest"),
        (&["volfile-get", "g1", "vol", "--watch", "--check"], "cannot be used with '--check'"),
        (&["volfile-get", "g1", "vol", "--diff", "f", "--check"], "cannot be used with '--check'"),
        (&["volfile-get", "g1", "vol", "-o", "f", "--check"], "cannot be used with '--check'"),
        (&["volfile-get", "g1", "vol", "-4", "-6"], "cannot be used with '--ipv6'"),
        (&["volfile-get", "g1", "vol", "--poll", "5"], "--watch"),
        (&["volfile-get", "g1", "vol", "--tls-cert", "c"], "--tls-ca <FILE>"),
        (&["volfile-server", "--dir", "."], "--listen <ADDR>"),
        (&["volfile-server", "--dir", ".", "--listen", "g1:x"], "not a number from 1 to 65535"),
        (&["remount"], "unrecognized subcommand 'remount'"),
        (&[], "Usage: kadalu"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}
