//! `kadalu check` and encryption: of the management port, of the bricks' ports, and where the two sides do not agree on it.

use crate::checked::{Checked, FAILED, OK, at};
use crate::lab::{Certificates, Identity, Kind, Lab, require};
use crate::labs::Labs;

story! { needs require; self_signed, signed_by_ca, plain_client, plain_server, wrong_authority, stranger, encrypted_bricks }

/// Looks at a volume of a cluster with TLS as `identity`.
#[track_caller]
fn check(lab: &Lab, volume: &str, identity: Identity) -> Checked {
    let files = lab.identity(identity);
    let flags = ["--no-status", "--tls-ca", &files.ca, "--tls-cert", &files.cert, "--tls-key", &files.key];
    Checked::run(lab.client(), &format!("{}:/{volume}", lab.server_list()), &flags)
}

fn start<'lab>(labs: &'lab Labs, kind: Certificates, name: &str) -> &'lab Lab {
    let lab = labs.tls(kind);
    lab.start_volume(name, Kind::Single);
    lab.host(0).wait_online(name);
    lab
}

fn agreed(labs: &Labs, kind: Certificates, name: &str) {
    let lab = start(labs, kind, name);
    // Over TLS glusterd does not always read a second call that has come with the first.
    for _ in 0..10 {
        check(lab, name, Identity::Client).only(&["redundancy"]).one("tls").is(OK);
    }
}

fn self_signed(labs: &Labs) {
    agreed(labs, Certificates::SelfSigned, "check-self-signed");
}

fn signed_by_ca(labs: &Labs) {
    agreed(labs, Certificates::SignedByCa, "check-signed");
}

/// Every server says no by its certificates, and in the same words in the table.
#[track_caller]
fn disagreed(lab: &Lab, checked: &Checked, advice: &[&str]) {
    for server in lab.servers() {
        checked.of("tls", &at(server)).is(FAILED).advises(advice);
    }
    checked.only(&["server", "tls"]);
}

fn plain_client(labs: &Labs) {
    let lab = start(labs, Certificates::SelfSigned, "check-plain-client");
    let source = format!("{}:/check-plain-client", lab.server_list());
    disagreed(lab, &Checked::run(lab.client(), &source, &["--no-status"]), &["--tls-ca"]);
}

fn wrong_authority(labs: &Labs) {
    let lab = start(labs, Certificates::SignedByCa, "check-wrong-ca");
    disagreed(lab, &check(lab, "check-wrong-ca", Identity::WrongCa), &["--tls-ca"]);
}

fn stranger(labs: &Labs) {
    let lab = start(labs, Certificates::SignedByCa, "check-unknown");
    disagreed(lab, &check(lab, "check-unknown", Identity::Stranger), &["--tls-ca"]);
}

fn plain_server(labs: &Labs) {
    let lab = labs.plain();
    lab.create_volume("check-plain", Kind::Replica3);
    let files = lab.foreign_identity();
    let flags = ["--no-status", "--tls-ca", &files.ca, "--tls-cert", &files.cert, "--tls-key", &files.key];
    let checked = Checked::run(lab.client(), &format!("{}:/check-plain", lab.server_list()), &flags);
    disagreed(lab, &checked, &["secure-access"]);
}

/// The bricks' ports speak TLS where `client.ssl` is on, whatever the management port does.
fn encrypted_bricks(labs: &Labs) {
    let lab = labs.tls(Certificates::SignedByCa);
    lab.start_volume("check-io", Kind::Tls);
    lab.host(0).wait_online("check-io");
    let checked = check(lab, "check-io", Identity::Client);
    checked.only(&["redundancy"]).one("brick-port").is(OK);
}
