//! One leaf certificate: exactly one host, for a server, for a week.
//!
//! The subject is empty, as in the short-lived profiles of public authorities: a host may be longer than the 64 octets of a common name, and
//! readers of a common name disagree about what it constrains.

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::pki_types::CertificateDer;
use yasna::ASN1Result;

use super::ca::Ca;
use crate::policy::host::Host;

/// How long a leaf is good for.
pub(super) const VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far back a leaf begins: the clock of a container or a guest may be behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Makes a leaf for `host` with this key, good from `now` within the validity of the authority.
pub(super) fn mint(ca: &Ca, host: &Host, leaf_key: &KeyPair, now: SystemTime) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = DistinguishedName::new();
    leaf.not_before = now.checked_sub(BACKDATED).unwrap_or(now).max(ca.not_before()).into();
    leaf.not_after = (now + VALIDITY).min(ca.not_after()).into();
    leaf.serial_number = Some(serial()?);
    leaf.subject_alt_names = vec![match host {
        Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
        Host::Address(address) => SanType::IpAddress(*address),
    }];
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = ca.key_id().is_some();
    let unsigned = leaf.signed_by(leaf_key, &Issuer::new(issuer(ca), Unsigned(ca.key())))?;
    sign(unsigned.der(), ca)
}

/// Sixteen random octets, positive and of full length (RFC 5280 section 4.1.2.2).
fn serial() -> Result<SerialNumber, rcgen::Error> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|_| rcgen::Error::RingUnspecified)?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&octets))
}

fn issuer(ca: &Ca) -> CertificateParams {
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = DistinguishedName::new();
    issuer.key_identifier_method = KeyIdMethod::PreSpecified(ca.key_id().unwrap_or_default().to_vec());
    issuer
}

/// Puts the authority's subject in as issuer, octet for octet, and signs. Rcgen writes a name anew from what it could read of it, which
/// drops the second of two `DC=`; a client compares octets.
fn sign(unsigned: &[u8], ca: &Ca) -> Result<CertificateDer<'static>, rcgen::Error> {
    let broken = |_| rcgen::Error::CouldNotParseCertificate;
    let (tbs, algorithm) = yasna::parse_der(unsigned, |reader| {
        reader.read_sequence(|parts| {
            let tbs = parts.next().read_sequence(|fields| {
                let mut tbs: Vec<Vec<u8>> = Vec::with_capacity(8);
                while let Some(field) = fields.read_optional(|field| field.read_der())? {
                    tbs.push(field);
                }
                Ok(tbs)
            })?;
            let algorithm = parts.next().read_der()?;
            parts.next().read_der()?;
            ASN1Result::Ok((tbs, algorithm))
        })
    })
    .map_err(broken)?;
    let tbs = yasna::construct_der(|writer| {
        writer.write_sequence(|fields| {
            for (at, field) in tbs.iter().enumerate() {
                fields.next().write_der(if at == ISSUER { ca.subject() } else { field });
            }
        });
    });
    let signature = ca.key().sign(&tbs)?;
    let signed = yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_der(&tbs);
            parts.next().write_der(&algorithm);
            parts.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    Ok(signed.into())
}

/// The place of the issuer in a TBSCertificate of version 3 (RFC 5280 section 4.1).
const ISSUER: usize = 3;

/// The authority's key, which does not sign yet.
struct Unsigned<'a>(&'a KeyPair);

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(self.0)
    }
}

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}
