//! Management encryption, and servers that only talk to privileged ports.

use crate::lab::{Certificates, Identity, Kind, Lab, Output, require};
use crate::labs::Labs;
use crate::watcher::{Watcher, digest_on};

story! {
    needs require;
    self_signed, signed_by_ca, plain_server, privileged_port,
}

/// `volfile-get` with flags for TLS as `identity`.
fn get(lab: &Lab, volume: &str, identity: Identity) -> Output {
    let files = lab.identity(identity);
    lab.client().kadalu(&[
        "volfile-get",
        "g1,g2",
        volume,
        "--tls-ca",
        &files.ca,
        "--tls-cert",
        &files.cert,
        "--tls-key",
        &files.key,
    ])
}

fn cluster(lab: &Lab, volume: &str) {
    lab.create_volume(volume, Kind::Distribute);
    let volfile = lab.host(0).read_volfile(volume);
    assert_eq!(get(lab, volume, Identity::Client).expect(0).stdout, volfile);
    get(lab, "nonesuch", Identity::Client).expect(4).says(&["nonesuch"]);
    get(lab, volume, Identity::WrongCa).expect(6).says(&["g1", "g2", "certificate"]);
    get(lab, volume, Identity::Stranger).expect(6).says(&["g1", "g2", "certificate"]);

    let files = lab.identity(Identity::Client);
    let without = lab.client().kadalu(&["volfile-get", "g1,g2", volume, "--tls-ca", &files.ca]);
    without.expect(6).says(&["g1", "g2", "certificate"]);
    let plain = lab.client().kadalu(&["volfile-get", "g1,g2", volume]);
    plain.expect(6).says(&["g1", "g2", "TLS"]);

    let flags = ["--tls-ca", &files.ca, "--tls-cert", &files.cert, "--tls-key", &files.key, "g1,g2", volume];
    let mut watcher = Watcher::start_with(lab.client(), &flags, &digest_on(lab.host(0), volume));
    lab.set(volume, "network.ping-timeout", "20");
    watcher.reaches(&digest_on(lab.host(0), volume));
}

fn self_signed(labs: &Labs) {
    cluster(labs.tls(Certificates::SelfSigned), "self-signed");
}

fn signed_by_ca(labs: &Labs) {
    cluster(labs.tls(Certificates::SignedByCa), "signed-by-ca");
}

/// A client that was told to use TLS, and a server that does not.
fn plain_server(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("no-tls", Kind::Single);
    let files = lab.foreign_identity();
    let got = lab.client().kadalu(&[
        "volfile-get",
        "g1",
        "no-tls",
        "--tls-ca",
        &files.ca,
        "--tls-cert",
        &files.cert,
        "--tls-key",
        &files.key,
    ]);
    got.expect(6).says(&["g1", "TLS"]);
}

/// `rpc-auth-allow-insecure off`: root can use a privileged source port; others are told why they get nothing.
fn privileged_port(labs: &Labs) {
    let lab = labs.secure_ports();
    lab.create_volume("privileged", Kind::Single);
    let volfile = lab.host(0).read_volfile("privileged");
    let args = ["volfile-get", "g1", "privileged"];
    assert_eq!(lab.client().kadalu(&args).expect(0).stdout, volfile);
    lab.client().kadalu_as_nobody(&args).expect(6).says(&["g1", "source port below 1024", "root"]);
    let mut watcher = Watcher::start(lab.client(), "g1", "privileged", &digest_on(lab.host(0), "privileged"));
    lab.set("privileged", "network.ping-timeout", "20");
    watcher.reaches(&digest_on(lab.host(0), "privileged"));
}
