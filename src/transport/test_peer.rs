//! Real OpenSSL for the tests of TLS: certificates as Gluster's documentation makes them, and `openssl s_server`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::tls::{Pem, TlsClient, TlsConfigError};

/// No extensions: `openssl x509 -req` then writes X.509 v1.
pub(super) const V1: &str = "";
/// An ordinary server certificate.
pub(super) const V3: &str = "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:elsewhere\n";
/// An intermediate CA.
pub(super) const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";

/// A directory of `NAME.pem` and `NAME.key`, removed when dropped.
pub(super) struct Certs(tempfile::TempDir);

impl Certs {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(super) fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.path(file), bytes).unwrap();
    }

    pub(super) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    /// Runs openssl in the directory.
    pub(super) fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// `openssl req -new -x509`, as in Gluster's documentation; `key` is `ec` or `rsa:BITS`.
    pub(super) fn self_signed(&self, name: &str, key: &str) {
        self.request(name, key, &["-x509", "-days", "10", "-out", &format!("{name}.pem")]);
    }

    /// `openssl x509 -req` by the CA `ca`, which must be there.
    pub(super) fn signed(&self, name: &str, ca: &str, extensions: &str, days: i32) {
        let request = format!("{name}.csr");
        self.request(name, "ec", &["-out", &request]);
        self.write("extensions", extensions.as_bytes());
        let (out, ca_pem, ca_key, days) =
            (format!("{name}.pem"), format!("{ca}.pem"), format!("{ca}.key"), days.to_string());
        let mut arguments = vec!["x509", "-req", "-in", &request, "-out", &out, "-days", &days];
        arguments.extend(["-CA", &ca_pem, "-CAkey", &ca_key, "-CAcreateserial"]);
        if !extensions.is_empty() {
            arguments.extend(["-extfile", "extensions"]);
        }
        self.openssl(&arguments);
    }

    fn request(&self, name: &str, key: &str, more: &[&str]) {
        let (key_file, subject) = (format!("{name}.key"), format!("/CN={name}"));
        let mut arguments =
            vec!["req", "-new", "-newkey", key, "-nodes", "-keyout", &key_file, "-subj", &subject];
        if key == "ec" {
            arguments.extend(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        }
        arguments.extend(more);
        self.openssl(&arguments);
    }

    /// The concatenation of `NAME.pem`, which is what a `glusterfs.ca` is.
    pub(super) fn bundle(&self, names: &[&str]) -> Vec<u8> {
        names.iter().flat_map(|name| self.read(&format!("{name}.pem"))).collect()
    }

    /// A client that trusts `ca` and shows `identity`.
    pub(super) fn client(&self, ca: &[&str], identity: Option<&str>) -> Result<TlsClient, TlsConfigError> {
        let ca = self.bundle(ca);
        let identity =
            identity.map(|name| (self.read(&format!("{name}.pem")), self.read(&format!("{name}.key"))));
        TlsClient::from_pem(
            Pem { name: "glusterfs.ca", bytes: &ca },
            identity.as_ref().map(|(certificate, key)| {
                (Pem { name: "glusterfs.pem", bytes: certificate }, Pem { name: "glusterfs.key", bytes: key })
            }),
        )
    }
}

/// `openssl s_server -rev`: answers each line back to front. Ended when dropped.
pub(super) struct OpensslServer {
    child: Child,
    pub(super) port: u16,
}

impl OpensslServer {
    /// Shows `identity`; demands a client certificate that `client_ca` vouches for, if given.
    pub(super) fn start(certs: &Certs, identity: &str, client_ca: Option<&str>, more: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.current_dir(certs.0.path()).args(["s_server", "-accept", "127.0.0.1:0", "-rev"]);
        command.args(["-cert", &format!("{identity}.pem"), "-key", &format!("{identity}.key")]).args(more);
        if let Some(ca) = client_ca {
            command.args(["-Verify", "1", "-verify_return_error", "-CAfile", &format!("{ca}.pem")]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let accept = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        let port = accept.rsplit(':').next().unwrap().parse().unwrap();
        // The pipe stays open for as long as the server writes to it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
