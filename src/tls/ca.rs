//! A certificate authority as its two files have it, checked once for all that would later make every leaf of it worthless.
//!
//! The certificate file may hold several: the one that belongs to the key signs, the others are trusted beside it (a rotation) or stand above it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::constraints::Constraints;

/// Who signs leaves.
pub struct Ca {
    certificate: Certified,
    key: Zeroizing<KeyPair>,
    /// Sent behind the leaf: the signer where it is not self-signed, and those above it.
    chain: Vec<CertificateDer<'static>>,
    all: Vec<Certified>,
}

/// One certificate of an authority, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    shown: String,
    not_before: SystemTime,
    not_after: SystemTime,
    public_key: Vec<u8>,
    key_id: Option<Vec<u8>>,
    path_length: Option<u32>,
    constraints: Constraints,
}

/// Which of the two files a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `ca_cert`.
    Certificate,
    /// `ca_key`.
    Key,
}

/// Why two files are no authority that clients would believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityFault {
    /// The file to look at.
    pub part: Part,
    /// What stands there.
    pub found: String,
    /// What should.
    pub wanted: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl fmt::Display for AuthorityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}; wanted {}; fix: {}", self.found, self.wanted, self.fix)
    }
}

impl std::error::Error for AuthorityFault {}

const MAKE_ONE: &str = "mend it, or move it and its key away and make both with `exeat ca init`";
const MAKE_BOTH: &str = "mend it, or move it and the certificate away and make both with `exeat ca init`";
const MAKE_THE_NEXT: &str = "make the next one with `exeat ca init --rotate`";
const AUTHORITY: &str = "the certificate of a certificate authority, in PEM";
const KEY: &str = "the private key of the authority, in PEM";

impl Ca {
    /// Reads a certificate file and the key that belongs to one of its certificates.
    pub fn read(cert_pem: &[u8], key_pem: &[u8], now: SystemTime) -> Result<Self, AuthorityFault> {
        let mut all = certificates(cert_pem)?;
        let key = private_key(key_pem)?;
        let Some(at) = all.iter().position(|certificate| certificate.public_key == key.der_bytes()) else {
            return Err(AuthorityFault {
                part: Part::Key,
                found: format!("a key that belongs to no certificate of ca_cert ({})", list(&all)),
                wanted: "the private key of one of them",
                fix: "name the key that was made with the certificate, or move both away and make them with `exeat ca init`",
            });
        };
        all.swap(0, at);
        let certificate = all[0].clone();
        certificate.check_signer(now)?;
        let chain = chain(&all)?;
        Ok(Self { certificate, key, chain, all })
    }

    /// The certificate that signs.
    pub fn certificate(&self) -> &Certified {
        &self.certificate
    }

    /// Every certificate of the file, the signer first: what clients are to trust.
    pub fn certificates(&self) -> &[Certified] {
        &self.all
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(super) fn key_id(&self) -> Option<&[u8]> {
        self.certificate.key_id.as_deref()
    }

    pub(super) fn subject(&self) -> &[u8] {
        &self.certificate.subject
    }

    pub(super) fn not_before(&self) -> SystemTime {
        self.certificate.not_before
    }

    pub(super) fn not_after(&self) -> SystemTime {
        self.certificate.not_after
    }
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("certificate", &self.certificate.shown).field("key", &"***").finish_non_exhaustive()
    }
}

impl Certified {
    /// Reads one certificate; the fault says what keeps it from being an authority's.
    pub fn read(der: CertificateDer<'static>) -> Result<Self, AuthorityFault> {
        let unreadable = |_| no_authority("a certificate that cannot be read".to_owned());
        let (_, x509) = X509Certificate::from_der(&der).map_err(unreadable)?;
        let shown = x509.subject().to_string();
        let basic = x509.basic_constraints().map_err(|_| no_authority(format!("a certificate with broken extensions ({shown})")))?;
        if !basic.as_ref().is_some_and(|basic| basic.value.ca) {
            return Err(no_authority(format!("the certificate of a server or a client, not of an authority ({shown})")));
        }
        let usage = x509.key_usage().map_err(|_| no_authority(format!("a key usage that stands twice or cannot be read ({shown})")))?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(no_authority(format!("an authority whose key usage does not let it sign certificates ({shown})")));
        }
        let purpose =
            x509.extended_key_usage().map_err(|_| no_authority(format!("an extended key usage that cannot be read ({shown})")))?;
        if purpose.is_some_and(|purpose| !purpose.value.server_auth && !purpose.value.any) {
            return Err(no_authority(format!("an authority whose extended key usage leaves servers out ({shown})")));
        }
        if x509.subject().iter().next().is_none() {
            return Err(no_authority("an authority without a subject, which no leaf could name".to_owned()));
        }
        let (not_before, not_after) = (time(x509.validity().not_before.timestamp()), time(x509.validity().not_after.timestamp()));
        let read = Self {
            subject: x509.subject().as_raw().to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            not_before,
            not_after,
            public_key: x509.public_key().subject_public_key.data.to_vec(),
            key_id: key_id(&x509),
            path_length: basic.and_then(|basic| basic.value.path_len_constraint),
            constraints: constraints(&x509, &shown)?,
            shown,
            der: CertificateDer::from(Vec::new()),
        };
        Ok(Self { der, ..read })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        in_pem(&self.der)
    }

    /// The subject, for people.
    pub fn subject(&self) -> &str {
        &self.shown
    }

    /// When it begins.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// What it may vouch for.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Whether it is its own issuer: what every client takes for a root.
    pub fn is_root(&self) -> bool {
        self.subject == self.issuer
    }

    /// SHA-256 of the certificate, in hexadecimal: what people compare.
    pub fn fingerprint(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(&self.der))
    }

    /// Whether the PEM text holds its private key.
    pub fn belongs_to(&self, key_pem: &[u8]) -> bool {
        private_key(key_pem).is_ok_and(|key| self.public_key == key.der_bytes())
    }

    fn check_signer(&self, now: SystemTime) -> Result<(), AuthorityFault> {
        let wanted = "an authority that is valid today";
        if now > self.not_after {
            let found = format!("an authority that expired on {} ({})", day(self.not_after), self.shown);
            return Err(AuthorityFault { part: Part::Certificate, found, wanted, fix: MAKE_THE_NEXT });
        }
        if now < self.not_before {
            let found = format!("an authority that is not valid before {} ({})", day(self.not_before), self.shown);
            let fix = "set the clock of this machine, or wait";
            return Err(AuthorityFault { part: Part::Certificate, found, wanted, fix });
        }
        Ok(())
    }
}

/// A certificate in PEM.
pub(super) fn in_pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Every certificate of a PEM file, each an authority's.
pub fn certificates(pem: &[u8]) -> Result<Vec<Certified>, AuthorityFault> {
    let broken = || no_authority("a text that is no PEM, or is cut off".to_owned());
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| broken())?;
    if all.is_empty() {
        let found = if pem.windows(11).any(|word| word == b"PRIVATE KEY") { "a private key, and no certificate" } else { "no certificate" };
        return Err(no_authority(found.to_owned()));
    }
    all.into_iter().map(Certified::read).collect()
}

/// The file's private key, of any kind that can be read without a password.
fn private_key(pem: &[u8]) -> Result<Zeroizing<KeyPair>, AuthorityFault> {
    let fault = |found: &str, fix| AuthorityFault { part: Part::Key, found: found.to_owned(), wanted: KEY, fix };
    let text = std::str::from_utf8(pem).map_err(|_| fault("a file that is no text", MAKE_BOTH))?;
    if text.contains("ENCRYPTED") {
        return Err(fault(
            "an encrypted private key",
            "decrypt it with `openssl pkey -in OLD -out NEW`, into a file that only exeat may read",
        ));
    }
    // Not the first section: openssl writes EC PARAMETERS in front of a key of its own form.
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let none = matches!(error, pem::Error::NoItemsFound);
        fault(if none { "no private key" } else { "a private key that is no PEM, or is cut off" }, MAKE_BOTH)
    })?;
    let key = KeyPair::try_from(&der)
        .map_err(|_| fault("a private key that cannot be used", "take ECDSA P-256, P-384, or RSA of 2048 bits or more"))?;
    Ok(Zeroizing::new(key))
}

/// The signer and those above it, as far as the file has them, without the root: it is either trusted or of no use.
fn chain(all: &[Certified]) -> Result<Vec<CertificateDer<'static>>, AuthorityFault> {
    let mut chain: Vec<CertificateDer<'static>> = Vec::new();
    let mut last = &all[0];
    while !last.is_root() && chain.len() < all.len() {
        chain.push(last.der.clone());
        let Some(above) = all.iter().find(|above| above.subject == last.issuer) else { break };
        let below = u32::try_from(chain.len()).unwrap_or(u32::MAX);
        if above.path_length.is_some_and(|most| most < below) {
            let found = format!("an authority below one that lets no more than {} stand below it ({})", below - 1, above.shown);
            return Err(AuthorityFault {
                part: Part::Certificate,
                found,
                wanted: "an authority whose leaves clients believe",
                fix: "have it signed with a greater path length, or move it and its key away and make both with `exeat ca init`",
            });
        }
        last = above;
    }
    Ok(chain)
}

fn key_id(x509: &X509Certificate<'_>) -> Option<Vec<u8>> {
    x509.iter_extensions().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() else { return None };
        Some(id.0.to_vec())
    })
}

fn constraints(x509: &X509Certificate<'_>, shown: &str) -> Result<Constraints, AuthorityFault> {
    let broken = || no_authority(format!("name constraints that cannot be read ({shown})"));
    let Some(found) = x509.name_constraints().map_err(|_| broken())? else { return Ok(Constraints::default()) };
    Constraints::of(found.value).ok_or_else(broken)
}

fn no_authority(found: String) -> AuthorityFault {
    AuthorityFault { part: Part::Certificate, found, wanted: AUTHORITY, fix: MAKE_ONE }
}

fn list(all: &[Certified]) -> String {
    all.iter().map(|certificate| certificate.shown.as_str()).collect::<Vec<_>>().join("; ")
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The day in UTC, as RFC 3339 has it.
pub(super) fn day(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "a day that cannot be written".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
