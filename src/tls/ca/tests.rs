use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256,
};

use super::*;

/// 2026-11-23T00:00:00Z.
const NOW: u64 = 1_795_392_000;
const DAY: u64 = 24 * 3600;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = at(NOW - DAY).into();
    params.not_after = at(NOW + 100 * DAY).into();
    params
}

fn made(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = params("one");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn read(cert: &str, key: &str) -> Result<Ca, AuthorityFault> {
    Ca::read(cert.as_bytes(), key.as_bytes(), at(NOW))
}

#[test]
fn what_is_no_authority_that_clients_would_believe_is_a_fault() {
    let (good, key) = made(|_| ());
    let (_, other_key) = made(|_| ());
    let of = |change: fn(&mut CertificateParams)| made(change);
    let expired = of(|params| params.not_after = at(NOW - 1).into());
    let not_yet = of(|params| params.not_before = at(NOW + DAY).into());
    let leaf = of(|params| params.is_ca = IsCa::ExplicitNoCa);
    let plain = of(|params| params.is_ca = IsCa::NoCa);
    let usage = of(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let purpose = of(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let nameless = of(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    let cut = &good[..good.len() / 2];
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let senseless = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rows: [(&str, &str, Part, &str); 17] = [
        ("", &key, Part::Certificate, "no certificate"),
        ("agent = \"coder\"\n", &key, Part::Certificate, "no certificate"),
        (&key, &key, Part::Certificate, "a private key, and no certificate"),
        (cut, &key, Part::Certificate, "a text that is no PEM, or is cut off"),
        (no_certificate, &key, Part::Certificate, "a certificate that cannot be read"),
        (&leaf.0, &leaf.1, Part::Certificate, "the certificate of a server or a client, not of an authority (CN=one)"),
        (&plain.0, &plain.1, Part::Certificate, "the certificate of a server or a client, not of an authority (CN=one)"),
        (&usage.0, &usage.1, Part::Certificate, "an authority whose key usage does not let it sign certificates (CN=one)"),
        (&purpose.0, &purpose.1, Part::Certificate, "an authority whose extended key usage leaves servers out (CN=one)"),
        (&nameless.0, &nameless.1, Part::Certificate, "an authority without a subject, which no leaf could name"),
        (&expired.0, &expired.1, Part::Certificate, "an authority that expired on 2026-11-22 (CN=one)"),
        (&not_yet.0, &not_yet.1, Part::Certificate, "an authority that is not valid before 2026-11-24 (CN=one)"),
        (&good, &other_key, Part::Key, "a key that belongs to no certificate of ca_cert (CN=one)"),
        (&good, "", Part::Key, "no private key"),
        (&good, &good, Part::Key, "no private key"),
        (&good, encrypted, Part::Key, "an encrypted private key"),
        (&good, senseless, Part::Key, "a private key that cannot be used"),
    ];
    for (cert, key, part, found) in rows {
        let fault = read(cert, key).unwrap_err();
        assert_eq!((fault.part, fault.found.as_str()), (part, found));
        assert!(!fault.wanted.is_empty() && !fault.fix.is_empty());
    }
    read(&good, &key).unwrap();
}

#[test]
fn the_certificate_that_belongs_to_the_key_signs_wherever_it_stands() {
    let (old, old_key) = made(|_| ());
    let (new, new_key) = made(|params| params.distinguished_name.push(DnType::CommonName, "two"));
    let both = format!("{old}{new}");
    let names = |ca: &Ca| ca.certificates().iter().map(|certificate| certificate.subject().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&read(&both, &old_key).unwrap()), ["CN=one", "CN=two"]);
    assert_eq!(names(&read(&both, &new_key).unwrap()), ["CN=two", "CN=one"]);
    assert!(read(&both, &new_key).unwrap().chain().is_empty());
}

#[test]
fn an_expired_authority_that_does_not_sign_may_stand_beside_one_that_does() {
    let (old, _) = made(|params| params.not_after = at(NOW - 1).into());
    let (new, new_key) = made(|_| ());
    assert_eq!(read(&format!("{old}{new}"), &new_key).unwrap().certificates().len(), 2);
}

#[test]
fn an_intermediate_is_sent_with_those_above_it_but_the_root() {
    let (root, middle, bottom) = below_a_root(|_| ());
    let file = format!("{}{}{}", bottom.0, middle, root);
    let ca = read(&file, &bottom.1).unwrap();
    let wanted: Vec<Certified> = certificates(format!("{}{middle}", bottom.0).as_bytes()).unwrap();
    assert_eq!(ca.chain(), wanted.iter().map(|certificate| certificate.der().clone()).collect::<Vec<_>>());
}

#[test]
fn an_authority_below_one_that_lets_none_stand_below_is_a_fault() {
    let (root, middle, bottom) = below_a_root(|middle| middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let fault = read(&format!("{}{middle}{root}", bottom.0), &bottom.1).unwrap_err();
    assert_eq!(fault.found, "an authority below one that lets no more than 0 stand below it (CN=middle)");
}

#[test]
fn keys_of_every_usual_kind_are_read() {
    let sec1 =
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHH8c8Y7uFJ2l2DwxXf4wH9n7P0o9Xyqbqvq2nCjVpWEoAoGCCqGSM49\n-----END EC PRIVATE KEY-----\n";
    assert_eq!(private_key(sec1.as_bytes()).unwrap_err().found, "a private key that cannot be used");
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let cert = params("one").self_signed(&key).unwrap().pem();
        let ca = read(&cert, &key.serialize_pem()).unwrap();
        assert_eq!(ca.certificate().subject(), "CN=one");
    }
}

#[test]
fn pem_is_written_as_it_was_read() {
    let (cert, key) = made(|_| ());
    assert_eq!(read(&cert, &key).unwrap().certificate().pem(), cert);
}

#[test]
fn a_key_is_not_shown() {
    let (cert, key) = made(|_| ());
    let shown = format!("{:?}", read(&cert, &key).unwrap());
    assert_eq!(shown, "Ca { certificate: \"CN=one\", key: \"***\", .. }");
}

/// A root, an authority below it, and one below that with its key.
fn below_a_root(change: impl FnOnce(&mut CertificateParams)) -> (String, String, (String, String)) {
    let mut root = params("root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let mut middle = params("middle");
    middle.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    change(&mut middle);
    let middle_key = KeyPair::generate().unwrap();
    let middle_pem = middle.signed_by(&middle_key, &Issuer::new(root, &root_key)).unwrap().pem();
    let bottom_key = KeyPair::generate().unwrap();
    let bottom = params("bottom").signed_by(&bottom_key, &Issuer::new(middle, &middle_key)).unwrap().pem();
    (root_pem, middle_pem, (bottom, bottom_key.serialize_pem()))
}
