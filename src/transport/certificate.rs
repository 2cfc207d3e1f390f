//! One X.509 certificate: what [`trust`](super::trust) asks of it, on top of x509-parser.

use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name, X509Version};
use x509_parser::public_key::PublicKey;

use super::trust::Untrusted;

/// Identifier bytes of DER (X.690 §8.1.2): a universal SEQUENCE is always constructed, a BIT STRING never.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// What ring verifies at least.
const MIN_RSA_BITS: usize = 2048;

/// The SubjectPublicKeyInfo of a certificate, as DER.
pub(super) fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Result<&'a [u8], Untrusted> {
    Ok(parse(certificate)?.tbs_certificate.subject_pki.raw)
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Untrusted> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Untrusted::Malformed),
    }
}

/// Within its validity, and with a key that is not too weak.
pub(super) fn check_usable(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Untrusted> {
    let subject = || name(certificate.subject());
    let validity = certificate.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(Untrusted::NotYetValid { subject: subject(), from: validity.not_before.to_string() });
    }
    if now > validity.not_after.timestamp() {
        return Err(Untrusted::Expired { subject: subject(), on: validity.not_after.to_string() });
    }
    if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() {
        let bits = key.key_size();
        if bits < MIN_RSA_BITS {
            return Err(Untrusted::Algorithm {
                subject: subject(),
                algorithm: format!("an RSA key of {bits} bits"),
            });
        }
    }
    Ok(())
}

/// Refuses what its issuer marked as not to be ignored and is not handled here.
pub(super) fn check_extensions(certificate: &X509Certificate<'_>) -> Result<(), Untrusted> {
    for extension in certificate.extensions() {
        let handled = match extension.parsed_extension() {
            // No names and no purposes are checked (facts §8), so what limits those is satisfied.
            ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_)
            | ParsedExtension::IssuerAlternativeName(_)
            | ParsedExtension::CertificatePolicies(_) => true,
            ParsedExtension::NameConstraints(_) | ParsedExtension::ParseError { .. } => false,
            _ => !extension.critical,
        };
        if !handled {
            let extension = extension.oid.to_id_string();
            return Err(Untrusted::Extension { subject: name(certificate.subject()), extension });
        }
    }
    Ok(())
}

/// Whether a certificate may sign others, `below` intermediates under it, as OpenSSL decides (X509_check_ca(3)).
pub(super) fn may_sign(certificate: &X509Certificate<'_>, below: usize, anchor: bool) -> bool {
    let (Ok(constraints), Ok(usage)) = (certificate.basic_constraints(), certificate.key_usage()) else {
        return false;
    };
    let usage_allows = usage.as_ref().is_none_or(|usage| usage.value.key_cert_sign());
    let is_ca = match constraints {
        Some(constraints) => {
            let deep_enough = |limit| usize::try_from(limit).is_ok_and(|limit| below <= limit);
            constraints.value.ca && constraints.value.path_len_constraint.is_none_or(deep_enough)
        }
        None => {
            let self_issued = certificate.issuer().as_raw() == certificate.subject().as_raw();
            anchor && (usage.is_some() || (certificate.version() == X509Version::V1 && self_issued))
        }
    };
    usage_allows && is_ca
}

/// Checks the signature on `certificate` with the key of `issuer`.
pub(super) fn check_signature(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Untrusted> {
    let subject = || name(certificate.subject());
    let tbs = certificate.tbs_certificate.as_ref();
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
    let (_, inside) = element(SEQUENCE, certificate.as_raw())?;
    let (rest, signature_id) = element(SEQUENCE, inside.get(tbs.len()..).ok_or(Untrusted::Malformed)?)?;
    // A BIT STRING begins with the number of bits that its last byte lacks.
    let (_, [0, signature @ ..]) = element(BIT_STRING, rest)? else { return Err(Untrusted::Malformed) };
    if certificate.tbs_certificate.signature != certificate.signature_algorithm {
        return Err(Untrusted::Malformed);
    }
    let (key_id, key) = key_of(issuer)?;
    let fits = |algorithm: &&&'static dyn SignatureVerificationAlgorithm| {
        algorithm.signature_alg_id().as_ref() == signature_id
            && algorithm.public_key_alg_id().as_ref() == key_id
    };
    let Some(algorithm) = algorithms.all.iter().find(fits) else {
        let algorithm = format!("the signature algorithm {}", algorithm_name(certificate));
        return Err(Untrusted::Algorithm { subject: subject(), algorithm });
    };
    algorithm
        .verify_signature(key, tbs, signature)
        .map_err(|_| Untrusted::BadSignature { subject: subject(), issuer: name(issuer.subject()) })
}

/// The key of a certificate: the contents of its AlgorithmIdentifier, and the key's bits.
pub(super) fn key_of<'a>(certificate: &'a X509Certificate<'_>) -> Result<(&'a [u8], &'a [u8]), Untrusted> {
    let info = &certificate.tbs_certificate.subject_pki;
    // SubjectPublicKeyInfo ::= SEQUENCE { algorithm, subjectPublicKey }
    let (_, inside) = element(SEQUENCE, info.raw)?;
    let (_, id) = element(SEQUENCE, inside)?;
    Ok((id, &info.subject_public_key.data))
}

/// What follows the first DER element of `der`, which must begin with `tag`, and that element's contents.
fn element(tag: u8, der: &[u8]) -> Result<(&[u8], &[u8]), Untrusted> {
    match Any::from_der(der) {
        Ok((rest, any)) if der.first() == Some(&tag) => Ok((rest, any.data)),
        _ => Err(Untrusted::Malformed),
    }
}

fn algorithm_name(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.oid();
    match x509_parser::objects::oid2sn(oid, x509_parser::objects::oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => oid.to_id_string(),
    }
}

/// A distinguished name for people, of bounded length and without control characters.
pub(super) fn name(name: &X509Name<'_>) -> String {
    const SHOWN: usize = 120;
    let shown: String = name.to_string().chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    if shown.is_empty() { "(no name)".into() } else { shown }
}
