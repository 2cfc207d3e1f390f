//! TLS to a glusterd: configuration from PEM files, the handshake, and what its failures mean.
//!
//! Gluster's set-up (facts §8): each machine has `glusterfs.pem`, `glusterfs.key` and `glusterfs.ca`; both sides show a
//! certificate, names are not checked, and nothing on the wire says whether a glusterd wants TLS at all. A wrong guess
//! shows as a connection that ends before any reply, so the errors here say what that probably means.

use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, SignatureScheme};

use super::certificate::public_key;
use super::trust::{Trust, Untrusted};

/// The largest PEM file read: a system's whole CA bundle is a tenth of it.
const MAX_PEM_BYTES: usize = 4 << 20;

/// The most certificates in one PEM file.
const MAX_CERTIFICATES: usize = 4096;

/// Which files to take certificates and keys from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// `glusterfs.ca`: every certificate that is trusted, as such or as issuer.
    pub ca: PathBuf,
    /// `glusterfs.pem`, our certificate (and its intermediates), with `glusterfs.key`, its private key. A glusterd
    /// closes the connection of a client that shows none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// PEM text, and what to call it in an error.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    /// A file name, mostly.
    pub name: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// Everything a TLS handshake needs from our side; cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

/// Why certificates and keys are not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// Its name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than any such file should be.
    #[error(
        "{file}: has more than {MAX_PEM_BYTES} bytes or {MAX_CERTIFICATES} certificates, which no PEM file needs"
    )]
    TooLarge {
        /// Its name.
        file: String,
    },
    /// A file is not what it should be.
    #[error("{file}: {problem}")]
    Invalid {
        /// Its name.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Both files are good, but not a pair.
    #[error("{key}: this private key does not belong to the certificate in {certificate}")]
    Mismatch {
        /// Name of the key file.
        key: String,
        /// Name of the certificate file.
        certificate: String,
    },
}

/// Why there is no TLS connection, though there was a TCP connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Closed or reset at once: what a plain glusterd does with a TLS handshake.
    #[error(
        "closed the connection at the TLS handshake: it probably does not use TLS \
         (no /var/lib/glusterd/secure-access there?)"
    )]
    Closed,
    /// It answered, but not in TLS.
    #[error("answered the TLS handshake with something that is not TLS: it probably does not use TLS")]
    NotTls,
    /// Its certificate is not one we trust.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(Untrusted),
    /// It does not trust our certificate, or wants one.
    #[error(
        "the server refused our certificate (alert {}): our certificate, or its issuer's, must be in the server's \
         glusterfs.ca and be valid now",
        alert_name(*.0)
    )]
    Refused(AlertDescription),
    /// Nothing in common with it; OpenSSL says the same with TLS 1.2 when it misses a client certificate.
    #[error(
        "the server broke off the TLS handshake (alert {}): no TLS version (1.2 or 1.3 is needed) or cipher in \
         common, or it wants a client certificate",
        alert_name(*.0)
    )]
    NothingInCommon(AlertDescription),
    /// Another TLS failure.
    #[error("TLS: {0}")]
    Other(rustls::Error),
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
}

/// What it probably means that a server closed or reset the connection before its first reply (facts §8, §13.15).
///
/// TLS 1.3 lets a client finish its handshake before the server has looked at the client's certificate, and glusterd
/// closes plain connections to a TLS port and TLS connections without a certificate alike, with no word on the wire.
pub fn explain_early_close(tls: bool) -> &'static str {
    if tls {
        "the server closed the connection before any reply: it probably wants a client certificate that it trusts \
         (is ours, or its issuer's, in the server's glusterfs.ca?)"
    } else {
        "the server closed the connection before any reply: it may require TLS \
         (does /var/lib/glusterd/secure-access exist there?)"
    }
}

impl TlsClient {
    /// Reads the files of `options`. Blocking, for start-up.
    pub fn load(options: &TlsOptions) -> Result<Self, TlsConfigError> {
        let ca = read(&options.ca)?;
        let identity = match &options.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        let pem = |(name, bytes)| Pem { name, bytes };
        Self::from_pem(
            pem((&ca.0, &ca.1)),
            identity
                .as_ref()
                .map(|(certificate, key)| (pem((&certificate.0, &certificate.1)), pem((&key.0, &key.1)))),
        )
    }

    /// From a CA list and, as glusterd demands one, a certificate with its key.
    pub fn from_pem(ca: Pem<'_>, identity: Option<(Pem<'_>, Pem<'_>)>) -> Result<Self, TlsConfigError> {
        let provider = ring::default_provider();
        let trust = Trust::new(&ca.certificates()?, provider.signature_verification_algorithms)
            .map_err(|error| ca.invalid(error))?;
        let identity = match identity {
            Some((certificate, key)) => Some(certified_key(certificate, key, &provider)?),
            None => None,
        };
        let builder = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| ca.invalid(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Always(Arc::new(identity)))),
            None => builder.with_no_client_auth(),
        };
        // Each connection looks at the certificate anew; glusterd gives no tickets anyway (facts §8).
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// Whether we have a certificate to show; without one a glusterd hangs up after the handshake.
    pub fn has_certificate(&self) -> bool {
        self.config.client_auth_cert_resolver.has_certs()
    }

    /// Speaks TLS on a fresh connection. `host` is sent as SNI if it is a name; glusterd ignores it, a proxy may not.
    pub async fn handshake(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, TlsError> {
        let no_name = |_| ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let name = ServerName::try_from(host.to_owned()).unwrap_or_else(no_name);
        TlsConnector::from(self.config.clone()).connect(name, stream).await.map_err(TlsError::at_handshake)
    }
}

impl TlsError {
    /// The TLS failure inside an error of a read or write, if it is one: with TLS 1.3 a server refuses our certificate
    /// only after our handshake is over.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<rustls::Error>().map(|error| Self::from_rustls(error.clone()))
    }

    fn at_handshake(error: io::Error) -> Self {
        if let Some(error) = Self::of(&error) {
            return error;
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }

    fn from_rustls(error: rustls::Error) -> Self {
        use AlertDescription as Alert;
        match error {
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::AlertReceived(
                alert @ (Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired),
            ) => Self::Refused(alert),
            rustls::Error::AlertReceived(
                alert @ (Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity),
            ) => Self::NothingInCommon(alert),
            rustls::Error::InvalidCertificate(CertificateError::Other(ref other)) => {
                match other.0.downcast_ref::<Untrusted>() {
                    Some(untrusted) => Self::Untrusted(untrusted.clone()),
                    None => Self::Other(error),
                }
            }
            error => Self::Other(error),
        }
    }
}

/// The name of an alert as RFC 8446 §6 and openssl spell it: `unknown_ca`.
fn alert_name(alert: AlertDescription) -> String {
    let camel = format!("{alert:?}").replace("CA", "Ca");
    let mut name = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Shows our certificate whatever issuers the server names: those lists hold CAs, ours may be self-signed.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Our certificate and key as a pair. rustls' own check of the pair refuses X.509 v1, which `openssl x509 -req` makes.
fn certified_key(
    certificate: Pem<'_>,
    key: Pem<'_>,
    provider: &rustls::crypto::CryptoProvider,
) -> Result<CertifiedKey, TlsConfigError> {
    let chain = certificate.certificates()?;
    let shown = public_key(&chain[0]).map_err(|error| certificate.invalid(error))?;
    let private = provider
        .key_provider
        .load_private_key(key.private_key()?)
        .map_err(|error| key.invalid(format!("unusable private key ({error}); RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519 is needed")))?;
    let belongs = private.public_key().is_none_or(|public| public.as_ref() == shown);
    if !belongs {
        return Err(TlsConfigError::Mismatch { key: key.name.into(), certificate: certificate.name.into() });
    }
    Ok(CertifiedKey::new(chain, private))
}

fn read(path: &Path) -> Result<(String, Vec<u8>), TlsConfigError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    // The limit also holds for what is no regular file.
    match File::open(path).and_then(|file| file.take(MAX_PEM_BYTES as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) => Ok((file, bytes)),
        Err(source) => Err(TlsConfigError::Read { file, source }),
    }
}

impl Pem<'_> {
    /// All certificates, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        if self.bytes.len() > MAX_PEM_BYTES {
            return Err(TlsConfigError::TooLarge { file: self.name.into() });
        }
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(self.bytes) {
            if certificates.len() == MAX_CERTIFICATES {
                return Err(TlsConfigError::TooLarge { file: self.name.into() });
            }
            certificates.push(certificate.map_err(|error| self.invalid(format!("broken PEM ({error})")))?);
        }
        if certificates.is_empty() {
            return Err(self.invalid("holds no certificate; a PEM block 'BEGIN CERTIFICATE' is needed"));
        }
        Ok(certificates)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        use rustls::pki_types::pem::Error;
        PrivateKeyDer::from_pem_slice(self.bytes).map_err(|error| match error {
            Error::NoItemsFound if self.bytes.windows(9).any(|window| window == b"ENCRYPTED") => {
                self.invalid("the private key is encrypted; write it without a passphrase: openssl pkey -in FILE -out FILE")
            }
            Error::NoItemsFound => self.invalid("holds no private key; a PEM block 'BEGIN PRIVATE KEY' is needed"),
            error => self.invalid(format!("broken PEM ({error})")),
        })
    }

    fn invalid(&self, problem: impl ToString) -> TlsConfigError {
        TlsConfigError::Invalid { file: self.name.into(), problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::connect::{AttemptError, ConnectError, ConnectOptions, Connected, connect};
    use super::super::test_peer::{Certs, OpensslServer, V1, V3};
    use super::super::{ServerAddress, Stream};
    use super::*;

    async fn try_connect(client: &TlsClient, port: u16) -> Result<Connected, ConnectError> {
        let options = ConnectOptions { tls: Some(client.clone()), ..ConnectOptions::default() };
        connect(&ServerAddress::tcp("127.0.0.1", port).unwrap(), &options).await
    }

    /// Sends a line to `openssl s_server -rev` and reads it back to front.
    async fn talk(mut connected: Connected) -> io::Result<()> {
        assert!(connected.stream.is_tls());
        connected.stream.write_all(b"glusterd\n").await?;
        connected.stream.flush().await?;
        let mut answer = [0; 9];
        connected.stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"dretsulg\n");
        Ok(())
    }

    async fn refusal(client: &TlsClient, port: u16) -> TlsError {
        match try_connect(client, port).await.unwrap_err() {
            ConnectError::Failed { mut attempts, .. } => match attempts.remove(0).reason {
                AttemptError::Tls(error) => error,
                other => panic!("{other}"),
            },
            other => panic!("{other}"),
        }
    }

    /// Certificates as Gluster's documentation makes them, and one CA-signed pair of each X.509 version.
    fn certs() -> Certs {
        let certs = Certs::new();
        certs.self_signed("g1", "rsa:2048");
        certs.self_signed("me", "ec");
        certs.self_signed("ca", "ec");
        certs.signed("v1", "ca", V1, 10);
        certs.signed("v3", "ca", V3, 10);
        certs.signed("old", "ca", V3, -1);
        certs
    }

    #[tokio::test]
    async fn servers_that_are_trusted() {
        let certs = certs();
        for (server, ca) in [("g1", "g1"), ("v1", "ca"), ("v3", "ca"), ("v1", "v1"), ("v3", "v3")] {
            for version in ["-tls1_2", "-tls1_3"] {
                // Both kinds of client certificate, each in turn asked for and checked by OpenSSL.
                for (me, servers_ca) in [("me", "me"), ("v1", "ca")] {
                    let peer = OpensslServer::start(&certs, server, Some(servers_ca), &[version]);
                    let client = certs.client(&[ca], Some(me)).unwrap();
                    assert!(client.has_certificate());
                    let connected =
                        try_connect(&client, peer.port).await.unwrap_or_else(|error| panic!("{error}"));
                    talk(connected).await.unwrap_or_else(|error| panic!("{server} {version} {me}: {error}"));
                }
            }
        }
    }

    #[tokio::test]
    async fn servers_that_are_not_trusted() {
        let certs = certs();
        certs.self_signed("other", "ec");
        for (server, ca, sentence) in [
            ("g1", "me", "CN=g1 is self-signed and not in the CA file"),
            ("v3", "other", "CN=v3 is not in the CA file, and neither is its issuer CN=ca"),
            ("v1", "other", "CN=v1 is not in the CA file, and neither is its issuer CN=ca"),
            ("old", "ca", "the certificate of CN=old expired on"),
            ("old", "old", "the certificate of CN=old expired on"),
        ] {
            for version in ["-tls1_2", "-tls1_3"] {
                let peer = OpensslServer::start(&certs, server, None, &[version]);
                let error = refusal(&certs.client(&[ca], Some("me")).unwrap(), peer.port).await;
                assert!(matches!(error, TlsError::Untrusted(_)), "{error}");
                assert!(error.to_string().contains(sentence), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn a_certificate_of_ours_that_the_server_refuses() {
        let certs = certs();
        for (identity, alert13, alert12) in
            [(Some("me"), "unknown_ca", "unknown_ca"), (None, "certificate_required", "handshake_failure")]
        {
            let client = certs.client(&["g1"], identity).unwrap();
            assert_eq!(client.has_certificate(), identity.is_some());

            let peer = OpensslServer::start(&certs, "g1", Some("ca"), &["-tls1_2"]);
            let error = refusal(&client, peer.port).await.to_string();
            assert!(error.contains(alert12) && error.contains("certificate"), "{error}");

            // With TLS 1.3 our side is done before the server has looked.
            let peer = OpensslServer::start(&certs, "g1", Some("ca"), &["-tls1_3"]);
            let connected = try_connect(&client, peer.port).await.unwrap();
            let error = TlsError::of(&talk(connected).await.unwrap_err()).unwrap();
            assert!(matches!(error, TlsError::Refused(_)), "{error}");
            assert!(error.to_string().contains(alert13), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls() {
        let certs = certs();
        let client = certs.client(&["g1"], Some("me")).unwrap();
        // As glusterd: closes when it sees no RPC record. And one that answers.
        for (answer, sentence) in
            [(&b""[..], "closed the connection at the TLS handshake"), (b"ssh-2.0\r\n", "not TLS")]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
            });
            let error = try_connect(&client, port).await.unwrap_err();
            server.await.unwrap();
            assert!(error.tls().is_some(), "{error}");
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_in_common() {
        let certs = certs();
        let peer = OpensslServer::start(&certs, "g1", None, &["-tls1_2", "-cipher", "AES128-GCM-SHA256"]);
        let error = refusal(&certs.client(&["g1"], Some("me")).unwrap(), peer.port).await;
        assert!(matches!(error, TlsError::NothingInCommon(AlertDescription::HandshakeFailure)), "{error}");
    }

    #[test]
    fn files_that_do_not_work() {
        let certs = certs();
        let pem = |ca: &str, certificate: &str, key: &str| {
            let options =
                TlsOptions { ca: certs.path(ca), identity: Some((certs.path(certificate), certs.path(key))) };
            TlsClient::load(&options).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(pem("ca.pem", "me.pem", "me.key"), Ok(()));
        assert_eq!(pem("ca.pem", "v1.pem", "v1.key"), Ok(()));
        certs.write("empty", b"");
        certs.write("broken", b"-----BEGIN CERTIFICATE-----\nAAAA\n");
        certs.write("junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        certs.openssl(&[
            "genpkey",
            "-algorithm",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-aes256",
            "-pass",
            "pass:x",
            "-out",
            "locked",
        ]);
        for (ca, certificate, key, words) in [
            ("missing", "me.pem", "me.key", ["missing: cannot be read", "No such file"]),
            ("empty", "me.pem", "me.key", ["empty: ", "holds no certificate"]),
            ("broken", "me.pem", "me.key", ["broken: ", "broken PEM"]),
            ("junk", "me.pem", "me.key", ["junk: ", "not a valid X.509 certificate"]),
            ("me.key", "me.pem", "me.key", ["me.key: ", "holds no certificate"]),
            ("ca.pem", "me.pem", "me.pem", ["me.pem: ", "holds no private key"]),
            ("ca.pem", "me.pem", "locked", ["locked: ", "is encrypted"]),
            ("ca.pem", "me.pem", "g1.key", ["g1.key: this private key does not belong", "me.pem"]),
            ("ca.pem", "v1.pem", "me.key", ["me.key: this private key does not belong", "v1.pem"]),
        ] {
            let error = pem(ca, certificate, key).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let endless = TlsOptions { ca: "/dev/zero".into(), identity: None };
        assert!(matches!(TlsClient::load(&endless), Err(TlsConfigError::TooLarge { .. })));
    }

    #[test]
    fn early_closes_name_the_other_possibility() {
        assert!(explain_early_close(true).contains("client certificate"));
        assert!(explain_early_close(false).contains("may require TLS"));
        assert_eq!(alert_name(AlertDescription::UnknownCA), "unknown_ca");
        assert!(TlsError::of(&io::ErrorKind::ConnectionReset.into()).is_none());
    }

    #[test]
    fn the_stream_is_small() {
        assert!(size_of::<Stream>() <= 64, "{}", size_of::<Stream>());
    }
}
