//! Which server certificates are trusted: Gluster's rule, checked with ring's signature algorithms.
//!
//! Gluster verifies a peer against its CA file with purpose "any" and without host names (facts §8), and its
//! documentation puts the servers' own self-signed certificates in that file. So:
//!
//! 1. a certificate that is in the CA file, byte for byte, is trusted, whatever it says about being a CA;
//! 2. any other needs a chain of signatures to a certificate in the file. Those that sign must be CAs as OpenSSL
//!    understands it: `CA:TRUE`, or self-signed X.509 v1 in the CA file. Intermediates come from the handshake.
//!
//! No certificate on that path may be outside its validity. Gluster's `ssl-cert-depth` limits intermediates to 1 until
//! an admin raises it; [`MAX_INTERMEDIATES`] are accepted here, since the CA delegated to each of them explicitly.
//! rustls' own verifier cannot be used: it refuses X.509 v1, CA certificates as server certificates, and names.

use std::fmt;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme,
};
use x509_parser::prelude::X509Certificate;

use super::certificate::{check_extensions, check_signature, check_usable, key_of, may_sign, name, parse};

/// The most certificates between the server's and one in the CA file.
pub const MAX_INTERMEDIATES: usize = 4;

/// The most certificates taken from a handshake.
const MAX_SENT: usize = 10;

/// The most signatures checked for one handshake: many issuers of one name must not cost the client its time.
const MAX_SIGNATURES: usize = 64;

/// Why a certificate is not trusted. Names in it are distinguished names such as `CN=g1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Not an X.509 certificate.
    #[error("it is not a valid X.509 certificate")]
    Malformed,
    /// Self-signed, and not in the CA file.
    #[error("{subject} is self-signed and not in the CA file; add it there")]
    NotListed {
        /// The certificate's subject.
        subject: String,
    },
    /// Nobody in the CA file signed it.
    #[error("{subject} is not in the CA file, and neither is its issuer {issuer}; add one of them there")]
    UnknownIssuer {
        /// The subject of the last certificate on the path.
        subject: String,
        /// Who signed it.
        issuer: String,
    },
    /// After its notAfter.
    #[error("the certificate of {subject} expired on {on}; renew it")]
    Expired {
        /// Whose.
        subject: String,
        /// Its notAfter.
        on: String,
    },
    /// Before its notBefore.
    #[error("the certificate of {subject} is not valid before {from}; is the clock right?")]
    NotYetValid {
        /// Whose.
        subject: String,
        /// Its notBefore.
        from: String,
    },
    /// The issuer of that name did not sign it: the usual sign of a CA made anew under the old name.
    #[error("{subject} is not signed by {issuer}, though it says so; is there another CA of that name?")]
    BadSignature {
        /// Whose.
        subject: String,
        /// The supposed signer.
        issuer: String,
    },
    /// Signed by a certificate that is not allowed to.
    #[error("{subject} is signed by {issuer}, which is not a CA certificate")]
    NotACa {
        /// Whose.
        subject: String,
        /// The signer.
        issuer: String,
    },
    /// A rule of a CA that is not implemented here, and so cannot be kept.
    #[error("the certificate of {subject} has a critical extension that is not supported ({extension})")]
    Extension {
        /// Whose.
        subject: String,
        /// The extension's object identifier.
        extension: String,
    },
    /// A signature or key algorithm that is too weak or unknown.
    #[error(
        "the certificate of {subject} uses {algorithm}, which is too weak or not supported; \
         RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519, with SHA-256 or better, is needed"
    )]
    Algorithm {
        /// Whose.
        subject: String,
        /// What it uses.
        algorithm: String,
    },
    /// Too long a chain, or too many candidates for it.
    #[error("the chain of {subject} is too long or too branched")]
    TooDeep {
        /// Whose.
        subject: String,
    },
}

/// The CA file as a rustls verifier.
pub(super) struct Trust {
    listed: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Trusts `listed`, of which each must be readable.
    pub(super) fn new(
        listed: &[CertificateDer<'static>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Untrusted> {
        for certificate in listed {
            parse(certificate)?;
        }
        Ok(Self { listed: listed.to_vec(), algorithms })
    }

    /// The rule of this module, at time `now`.
    pub(super) fn check(
        &self,
        shown: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        let certificate = parse(shown)?;
        check_usable(&certificate, now)?;
        if self.listed.iter().any(|listed| listed == shown) {
            return Ok(());
        }
        check_extensions(&certificate)?;
        if sent.len() > MAX_SENT {
            return Err(Untrusted::TooDeep { subject: name(certificate.subject()) });
        }
        // Parsed anew for each handshake: reading takes microseconds, and handshakes are rare.
        let parsed =
            |list: &'_ [CertificateDer<'_>]| -> Vec<_> { list.iter().map(|der| der.to_vec()).collect() };
        let (anchors, sent) = (parsed(&self.listed), parsed(sent));
        let path = Path {
            anchors: anchors.iter().filter_map(|der| parse(der).ok()).collect(),
            sent: sent.iter().filter_map(|der| parse(der).ok()).collect(),
            algorithms: &self.algorithms,
            now,
        };
        path.extend(&certificate, 0, &mut 0)
    }

    fn verify_handshake(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        usable: impl Fn(usize) -> bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parse(certificate).map_err(rejected)?;
        let (_, candidates) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signature.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let (id, key) = key_of(&certificate).map_err(rejected)?;
        let algorithm = candidates
            .iter()
            .enumerate()
            .find(|(index, algorithm)| usable(*index) && algorithm.public_key_alg_id().as_ref() == id)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?
            .1;
        algorithm
            .verify_signature(key, message, signature.signature())
            .map(|()| HandshakeSignatureValid::assertion())
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

/// A search for signers, from the server's certificate towards the CA file.
struct Path<'a> {
    anchors: Vec<X509Certificate<'a>>,
    sent: Vec<X509Certificate<'a>>,
    algorithms: &'a WebPkiSupportedAlgorithms,
    now: UnixTime,
}

impl Path<'_> {
    /// Finds a path from `certificate`, below which there are `below` intermediates; gives the failure that tells most.
    fn extend(
        &self,
        certificate: &X509Certificate<'_>,
        below: usize,
        checked: &mut usize,
    ) -> Result<(), Untrusted> {
        let issued_by =
            |issuer: &&X509Certificate<'_>| certificate.issuer().as_raw() == issuer.subject().as_raw();
        let mut failure = None;
        for anchor in self.anchors.iter().filter(issued_by) {
            match self.signed(certificate, anchor, below, true, checked) {
                Ok(()) => return Ok(()),
                Err(error) => failure = Some(error),
            }
        }
        for issuer in
            self.sent.iter().filter(issued_by).filter(|issuer| issuer.as_raw() != certificate.as_raw())
        {
            if below == MAX_INTERMEDIATES {
                return Err(Untrusted::TooDeep { subject: name(certificate.subject()) });
            }
            let outcome = self
                .signed(certificate, issuer, below, false, checked)
                .and_then(|()| self.extend(issuer, below + 1, checked));
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => failure = Some(failure.unwrap_or(error)),
            }
        }
        let subject = name(certificate.subject());
        let self_signed = certificate.issuer().as_raw() == certificate.subject().as_raw();
        Err(match failure {
            // Only its name is in the CA file, as when all servers have the same one.
            None | Some(Untrusted::BadSignature { .. }) if self_signed => Untrusted::NotListed { subject },
            None => Untrusted::UnknownIssuer { subject, issuer: name(certificate.issuer()) },
            Some(failure) => failure,
        })
    }

    /// Whether `issuer` signed `certificate` and might do so.
    fn signed(
        &self,
        certificate: &X509Certificate<'_>,
        issuer: &X509Certificate<'_>,
        below: usize,
        anchor: bool,
        checked: &mut usize,
    ) -> Result<(), Untrusted> {
        let subject = || name(certificate.subject());
        let issuer_name = || name(issuer.subject());
        *checked += 1;
        if *checked > MAX_SIGNATURES {
            return Err(Untrusted::TooDeep { subject: subject() });
        }
        check_signature(certificate, issuer, self.algorithms)?;
        check_usable(issuer, self.now)?;
        if !may_sign(issuer, below, anchor) {
            return Err(Untrusted::NotACa { subject: subject(), issuer: issuer_name() });
        }
        check_extensions(issuer)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion()).map_err(rejected)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_handshake(message, certificate, signature, |_| true)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.2.3: PKCS#1 v1.5 signs certificates only, and a scheme fixes the curve: the first of the mapping.
        use SignatureScheme as Scheme;
        if matches!(
            signature.scheme,
            Scheme::RSA_PKCS1_SHA256 | Scheme::RSA_PKCS1_SHA384 | Scheme::RSA_PKCS1_SHA512
        ) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        self.verify_handshake(message, certificate, signature, |index| index == 0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} certificates)", self.listed.len())
    }
}

fn rejected(why: Untrusted) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(std::sync::Arc::new(why))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::super::test_peer::{CA, Certs, V1, V3};
    use super::*;

    fn ders(certs: &Certs, names: &[&str]) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(&certs.bundle(names)).map(Result::unwrap).collect()
    }

    fn trust(certs: &Certs, listed: &[&str]) -> Trust {
        Trust::new(&ders(certs, listed), default_provider().signature_verification_algorithms).unwrap()
    }

    /// Whether `chain`, the server's certificate first, is trusted by a CA file with `listed`.
    fn check(certs: &Certs, listed: &[&str], chain: &[&str]) -> Result<(), Untrusted> {
        let chain = ders(certs, chain);
        trust(certs, listed).check(&chain[0], &chain[1..], UnixTime::now())
    }

    fn sentence(outcome: Result<(), Untrusted>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn chains() {
        let certs = Certs::new();
        certs.self_signed("root", "ec");
        certs.signed("middle", "root", CA, 10);
        certs.signed("low", "middle", CA, 10);
        certs.signed("leaf", "low", V3, 10);
        certs.signed("forged", "leaf", V3, 10);
        assert_eq!(check(&certs, &["root"], &["leaf", "low", "middle"]), Ok(()));
        assert_eq!(check(&certs, &["root"], &["leaf", "middle", "root", "low"]), Ok(()));
        assert_eq!(check(&certs, &["root", "low"], &["leaf"]), Ok(()));
        assert_eq!(check(&certs, &["forged"], &["forged"]), Ok(()));
        assert!(
            sentence(check(&certs, &["root"], &["leaf", "low"])).contains("CN=low is not in the CA file")
        );
        assert!(sentence(check(&certs, &["root"], &["leaf"])).contains("its issuer CN=low"));
        // A server of the cluster does not get to vouch for others, neither from the handshake nor from the file.
        let no_ca = "CN=forged is signed by CN=leaf, which is not a CA certificate";
        assert_eq!(sentence(check(&certs, &["root"], &["forged", "leaf", "low", "middle"])), no_ca);
        assert_eq!(sentence(check(&certs, &["leaf"], &["forged"])), no_ca);
    }

    #[test]
    fn version_1_signs_only_as_a_self_signed_root() {
        let certs = Certs::new();
        certs.self_signed("root", "ec");
        certs.signed("v1", "root", V1, 10);
        certs.signed("below", "v1", V3, 10);
        assert!(matches!(check(&certs, &["root"], &["below", "v1"]), Err(Untrusted::NotACa { .. })));
        assert!(matches!(check(&certs, &["v1"], &["below"]), Err(Untrusted::NotACa { .. })));

        certs.openssl(&["req", "-new", "-key", "root.key", "-subj", "/CN=old-root", "-out", "csr"]);
        certs.openssl(&["x509", "-req", "-in", "csr", "-signkey", "root.key", "-out", "old-root.pem"]);
        certs.openssl(&["pkey", "-in", "root.key", "-out", "old-root.key"]);
        certs.signed("leaf", "old-root", V1, 10);
        assert_eq!(check(&certs, &["old-root"], &["leaf"]), Ok(()));
        assert_eq!(check(&certs, &["old-root"], &["old-root"]), Ok(()));
    }

    #[test]
    fn the_rules_of_a_ca_are_kept() {
        let certs = Certs::new();
        certs.self_signed("root", "ec");
        certs.signed("short", "root", "basicConstraints=critical,CA:TRUE,pathlen:0\n", 10);
        certs.signed("low", "short", CA, 10);
        certs.signed("leaf", "short", V3, 10);
        certs.signed("lower", "low", V3, 10);
        certs.signed(
            "named",
            "root",
            "basicConstraints=CA:TRUE\nnameConstraints=critical,permitted;DNS:a\n",
            10,
        );
        certs.signed("under", "named", V3, 10);
        certs.signed("odd", "root", "1.2.3.4=critical,ASN1:NULL\n", 10);
        certs.signed("nosign", "root", "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature\n", 10);
        certs.signed("by-nosign", "nosign", V3, 10);
        assert_eq!(check(&certs, &["root"], &["leaf", "short"]), Ok(()));
        assert!(matches!(
            check(&certs, &["root"], &["lower", "low", "short"]),
            Err(Untrusted::NotACa { .. })
        ));
        assert!(matches!(check(&certs, &["root"], &["by-nosign", "nosign"]), Err(Untrusted::NotACa { .. })));
        assert!(sentence(check(&certs, &["root"], &["under", "named"])).contains("2.5.29.30"));
        assert!(sentence(check(&certs, &["root"], &["odd"])).contains("1.2.3.4"));
        assert_eq!(check(&certs, &["odd"], &["odd"]), Ok(()));
    }

    #[test]
    fn time_is_what_the_caller_says() {
        let certs = Certs::new();
        certs.self_signed("g1", "ec");
        let (trust, chain) = (trust(&certs, &["g1"]), ders(&certs, &["g1"]));
        let at = |now| trust.check(&chain[0], &[], UnixTime::since_unix_epoch(now));
        let now = Duration::from_secs(UnixTime::now().as_secs());
        assert_eq!(at(now), Ok(()));
        assert!(sentence(at(now - Duration::from_secs(86_400))).contains("CN=g1 is not valid before"));
        assert!(sentence(at(now + Duration::from_secs(11 * 86_400))).contains("CN=g1 expired on"));
        assert!(matches!(at(Duration::MAX), Err(Untrusted::Expired { .. })));

        // An issuer that is over takes what it signed with it.
        certs.self_signed("root", "ec");
        certs.signed("middle", "root", CA, -1);
        certs.signed("leaf", "middle", V3, 10);
        assert!(sentence(check(&certs, &["root"], &["leaf", "middle"])).contains("CN=middle expired on"));
        assert!(sentence(check(&certs, &["middle"], &["leaf"])).contains("CN=middle expired on"));
    }

    #[test]
    fn weak_certificates_say_what_is_weak() {
        let certs = Certs::new();
        certs.self_signed("small", "rsa:1024");
        assert!(sentence(check(&certs, &["small"], &["small"])).contains("an RSA key of 1024 bits"));
        certs.self_signed("root", "rsa:2048");
        certs.signed("sha1", "root", V3, 10);
        certs.openssl(&[
            "x509", "-req", "-sha1", "-in", "sha1.csr", "-CA", "root.pem", "-CAkey", "root.key", "-out",
            "sha1.pem",
        ]);
        let error = sentence(check(&certs, &["root"], &["sha1"]));
        assert!(error.contains("the signature algorithm sha1WithRSAEncryption"), "{error}");
        // Its own signature does not matter when the certificate itself is listed.
        assert_eq!(check(&certs, &["sha1"], &["sha1"]), Ok(()));
    }

    #[test]
    fn another_ca_of_the_same_name() {
        let (certs, others) = (Certs::new(), Certs::new());
        for certs in [&certs, &others] {
            certs.self_signed("root", "ec");
            certs.signed("leaf", "root", V3, 10);
        }
        let leaf = ders(&others, &["leaf", "root"]);
        let trust = trust(&certs, &["root"]);
        let error = sentence(trust.check(&leaf[0], &leaf[1..], UnixTime::now()));
        assert!(error.contains("CN=leaf is not signed by CN=root, though it says so"), "{error}");
        let error = sentence(trust.check(&leaf[1], &[], UnixTime::now()));
        assert!(error.contains("CN=root is self-signed and not in the CA file"), "{error}");
    }

    #[test]
    fn long_chains_end() {
        let certs = Certs::new();
        certs.self_signed("c0", "ec");
        let names: Vec<_> = (0..=MAX_INTERMEDIATES + 2).map(|depth| format!("c{depth}")).collect();
        for pair in names.windows(2) {
            certs.signed(&pair[1], &pair[0], CA, 10);
        }
        let chain = |depth: usize| -> Vec<_> { (1..=depth).rev().map(|at| names[at].as_str()).collect() };
        assert_eq!(check(&certs, &["c0"], &chain(MAX_INTERMEDIATES + 1)), Ok(()));
        let too_deep = |outcome| matches!(outcome, Err(Untrusted::TooDeep { .. }));
        assert!(too_deep(check(&certs, &["c0"], &chain(MAX_INTERMEDIATES + 2))));
        let many = ["c1"; MAX_SENT + 2];
        assert!(too_deep(check(&certs, &["c2"], &many)));
    }

    #[test]
    fn damaged_certificates_are_refused() {
        let certs = Certs::new();
        certs.self_signed("root", "ec");
        certs.signed("leaf", "root", V3, 10);
        let (trust, leaf) = (trust(&certs, &["root"]), ders(&certs, &["leaf"]).remove(0).to_vec());
        let check = |der: Vec<u8>| trust.check(&der.into(), &[], UnixTime::now());
        assert_eq!(check(leaf.clone()), Ok(()));
        assert_eq!(check([&leaf[..], &[0]].concat()), Err(Untrusted::Malformed));
        for length in 0..leaf.len() {
            assert_eq!(check(leaf[..length].to_vec()), Err(Untrusted::Malformed), "{length} bytes");
        }
        let bits = (0..leaf.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let survivors: Vec<_> = bits
            .filter(|(at, bit)| {
                let mut damaged = leaf.clone();
                damaged[*at] ^= 1 << bit;
                check(damaged).is_ok()
            })
            .collect();
        assert_eq!(survivors, [], "(byte, bit) of {leaf:02x?}");
    }
}
