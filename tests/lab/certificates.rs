//! Certificates in the two ways that Gluster's administrators make them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// How the servers' and clients' certificates are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Certificates {
    /// Each host signs its own; `glusterfs.ca` is all of them, one after the other.
    SelfSigned,
    /// One CA signs all; X.509 version 1, as `openssl x509 -req` makes them without an extension file.
    SignedByCa,
}

/// Who a client says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity {
    /// The first client host's own certificate: the cluster accepts it.
    Client,
    /// A certificate that nobody in the cluster knows, with the cluster's CA bundle.
    Stranger,
    /// The client's certificate, with a CA bundle that knows no server.
    WrongCa,
}

/// Paths of PEM files.
pub(crate) struct Files {
    /// The CA bundle.
    pub(crate) ca: String,
    /// The certificate.
    pub(crate) cert: String,
    /// Its key.
    pub(crate) key: String,
}

impl Identity {
    pub(super) fn files(self, dir: &Path) -> Files {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        match self {
            Self::Client => Files { ca: path("c1.ca"), cert: path("c1.pem"), key: path("c1.key") },
            Self::Stranger => {
                Files { ca: path("c1.ca"), cert: path("stranger.pem"), key: path("stranger.key") }
            }
            Self::WrongCa => Files { ca: path("stranger.pem"), cert: path("c1.pem"), key: path("c1.key") },
        }
    }
}

impl Certificates {
    /// Writes `NAME.pem`, `NAME.key` and `NAME.ca` for each name, and those of a stranger.
    pub(super) fn make(self, dir: &Path, names: &[String]) {
        fs::create_dir(dir).expect("the folder of certificates");
        self_signed(dir, "stranger");
        let ca = match self {
            Self::SelfSigned => {
                let pem = |name: &String| {
                    self_signed(dir, name);
                    fs::read_to_string(dir.join(format!("{name}.pem"))).expect("the certificate just made")
                };
                names.iter().map(pem).collect()
            }
            Self::SignedByCa => {
                self_signed(dir, "authority");
                for name in names {
                    signed(dir, name);
                }
                fs::read_to_string(dir.join("authority.pem")).expect("the certificate just made")
            }
        };
        for name in names {
            fs::write(dir.join(format!("{name}.ca")), &ca).expect("a CA bundle");
        }
    }
}

fn self_signed(dir: &Path, name: &str) {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
    );
}

fn signed(dir: &Path, name: &str) {
    openssl(
        dir,
        &format!("req -new -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"),
    );
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 365 -out {name}.pem"
        ),
    );
    let text = openssl(dir, &format!("x509 -in {name}.pem -noout -text"));
    assert!(text.contains("Version: 1 (0x0)"), "this openssl no longer makes X.509 v1 certificates: {text}");
}

fn openssl(dir: &Path, args: &str) -> String {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
