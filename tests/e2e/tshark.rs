//! An independent judge: tshark's GlusterFS dissector decodes what we say, as client and as server.

use std::fs;

use crate::lab::{Host, Kind, Lab, Running, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::watcher::{Watcher, digest_on};

story! { needs require_fuse; our_client, our_server }

/// What it decoded of one RPC message.
struct Message {
    line: String,
    protocols: String,
    info: String,
}

/// Captures what comes and goes at a host's interface.
struct Capture<'lab> {
    host: &'lab Host,
    server: &'lab str,
    tshark: Running,
    file: String,
}

impl<'lab> Capture<'lab> {
    fn start(host: &'lab Host, server: &'lab Host) -> Self {
        let file = format!("/mnt/to-{}.pcapng", server.name());
        let tshark = host.spawn("tshark", &["-i", "eth0", "-f", "tcp port 24007", "-w", &file]);
        eventually("tshark captures", || tshark.stderr().contains("Capture started").then_some(()));
        Self { host, server: server.name(), tshark, file }
    }

    /// Every RPC message, once none of them was found malformed.
    fn decoded(mut self) -> Vec<Message> {
        // The kernel hands packets over in blocks, and the last block is lost when the capture ends: so first say
        // something last, and wait until that is in the file (the end of which may be torn, hence no status).
        self.host.kadalu(&["volfile-get", self.server, "the-last-word"]).expect(4);
        eventually("the capture is complete", || {
            let args = ["-r", &self.file, "-Y", "frame contains \"the-last-word\""];
            (!self.host.exec("tshark", &args).stdout.is_empty()).then_some(())
        });
        self.tshark.signal(Signal::Interrupt);
        self.tshark.wait();
        // The dissector takes LIST_FRIENDS (proc 3) for another structure, also when the stock command line says it.
        let bad = self.read("(_ws.malformed || _ws.expert.severity == error) && !(gluster.cli.proc == 3)");
        assert!(bad.is_empty(), "{:?}", bad.iter().map(|m| &m.line).collect::<Vec<_>>());
        self.read("rpc")
    }

    fn read(&self, filter: &str) -> Vec<Message> {
        let fields = ["-e", "frame.protocols", "-e", "_ws.col.Info", "-e", "rpc.programversion"];
        let mut args = vec!["-r", &self.file, "-Y", filter, "-T", "fields", "-E", "separator=|"];
        args.extend(fields);
        let output = self.host.exec("tshark", &args).expect(0).text();
        output
            .lines()
            .map(|line| {
                let mut columns = line.split('|').map(str::to_owned);
                let mut next = || columns.next().unwrap_or_default();
                Message { line: line.to_owned(), protocols: next(), info: next() }
            })
            .collect()
    }
}

/// Every message was understood, by its program's own dissector, and each of `expected` was there.
#[track_caller]
fn understood(messages: &[Message], expected: &[&str]) {
    for message in messages {
        // The dissector knows GF-DUMP's DUMP and not its PING (proc 2), whoever sends it.
        let ping = message.info.contains("proc-2");
        assert!(ping || !message.protocols.ends_with(":data"), "bytes left over: {}", message.line);
        assert!(ping || !message.info.contains("proc-"), "an unknown procedure: {}", message.line);
    }
    for info in expected {
        assert!(
            messages.iter().any(|message| message.info.contains(info)),
            "no {info} in {:#?}",
            messages.iter().map(|m| &m.line).collect::<Vec<_>>()
        );
    }
}

/// The second client host, so that the capture holds this test's traffic only.
fn client(lab: &Lab) -> &Host {
    &lab.clients()[1]
}

fn our_client(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("captured", Kind::DistributedReplicate);
    let client = client(lab);
    let capture = Capture::start(client, lab.host(0));
    client.kadalu(&["volfile-get", "g1", "captured"]).expect(0);
    client.kadalu(&["volfile-get", "g1", "nonesuch"]).expect(4);
    client.kadalu(&["volfile-get", "g1", "captured", "--servers"]).expect(0);
    client.kadalu(&["volfile-get", "g1", "captured", "--check"]).expect(0);
    let mut watcher = Watcher::start(client, "g1", "captured", &digest_on(lab.host(0), "captured"));
    lab.set("captured", "network.ping-timeout", "20");
    watcher.reaches(&digest_on(lab.host(0), "captured"));
    drop(watcher);
    understood(&capture.decoded(), &["GETSPEC Call", "GETSPEC Reply", "FETCHSPEC Call"]);
}

fn our_server(labs: &Labs) {
    let lab = labs.plain();
    lab.start_volume("served", Kind::Replica3);
    let (server, client) = (lab.client(), client(lab));
    let dir = lab.shared().join("captured");
    fs::create_dir(&dir).expect("a folder to serve");
    let publish = || fs::write(dir.join("served.vol"), lab.host(0).read_volfile("served")).expect("write");
    publish();
    let _server = server.spawn_kadalu(&[
        "volfile-server",
        "--listen",
        "0.0.0.0:24007",
        "--dir",
        "/mnt/shared/captured",
    ]);
    eventually("the volfile server", || {
        client.kadalu(&["volfile-get", server.name(), "served"]).status.filter(|status| *status == 0)
    });
    let capture = Capture::start(client, server);
    // A stock client, which speaks first: one GETSPEC, then whatever its bricks need.
    let from = format!("--volfile-server={}", server.name());
    client
        .exec("glusterfs", &[&from, "--volfile-id=served", "--process-name", "fuse", "/mnt/volume"])
        .expect(0);
    client.kadalu(&["volfile-get", server.name(), "nonesuch"]).expect(4);
    let before = client.shell("readlink /mnt/volume/.meta/graphs/active");
    lab.set("served", "performance.read-ahead", "on");
    publish();
    eventually("the mount switches its graph", || {
        (client.shell("readlink /mnt/volume/.meta/graphs/active") != before).then_some(())
    });
    client.shell("umount /mnt/volume");
    understood(&capture.decoded(), &["GETSPEC Call", "GETSPEC Reply", "FETCHSPEC Call"]);
}
