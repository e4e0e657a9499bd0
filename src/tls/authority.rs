//! Leaves on demand: what exeat answers a handshake with where it terminates TLS. One leaf key a process, one leaf a host and day.
//!
//! Names no socket and reads no file; what is made here is kept within bounds and never twice at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};

pub use super::ca::{AuthorityFault, Part};
use super::ca::{Ca, Certified, day};
use super::leaf;
use crate::policy::host::Host;

/// Leaves kept; one takes about 3 KiB.
const MOST_LEAVES: u64 = 4096;

const DAY: u64 = 24 * 3600;

/// A certificate authority and the leaves it has made.
pub struct Authority {
    ca: Ca,
    provider: Arc<CryptoProvider>,
    leaf_key: KeyPair,
    signer: Arc<dyn SigningKey>,
    /// The day is in the key, so that a leaf is always good for days, also after a machine has slept.
    leaves: Cache<(Host, u64), Leaf>,
    minted: AtomicU64,
    asked: AtomicU64,
}

/// What is offered to an agent by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 and HTTP/1.1.
    Both,
}

/// Why there is no leaf for a host that clients would believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmintable {
    /// The authority's name constraints leave the host out.
    #[error("the name constraints of exeat's certificate authority leave {host} out (they permit {permitted})")]
    Excluded {
        /// The host.
        host: Host,
        /// The constraints, for people.
        permitted: String,
    },
    /// The authority's time is over.
    #[error("exeat's certificate authority expired on {}", day(*.0))]
    Expired(SystemTime),
    /// The authority's time has not come: the clock was set back.
    #[error("exeat's certificate authority is not valid before {}", day(*.0))]
    NotYet(SystemTime),
    /// Signing failed.
    #[error("no certificate could be signed: {0}")]
    Failed(String),
}

/// How often leaves were asked for, and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafTally {
    /// Asked for and there already.
    pub hit: u64,
    /// Made.
    pub minted: u64,
}

#[derive(Clone)]
struct Leaf {
    http1: Arc<ServerConfig>,
    both: Arc<ServerConfig>,
}

impl Authority {
    /// Reads the authority's certificate and key; what clients would not believe is a fault.
    pub fn read(cert_pem: &[u8], key_pem: &[u8], now: SystemTime) -> Result<Self, AuthorityFault> {
        Self::with_room(Ca::read(cert_pem, key_pem, now)?, MOST_LEAVES)
    }

    fn with_room(ca: Ca, most: u64) -> Result<Self, AuthorityFault> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let failed =
            |found: String| AuthorityFault { part: Part::Key, found, wanted: "a key for leaves", fix: "look for what the system lacks" };
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed(error.to_string()))?;
        let key = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
        let signer = provider.key_provider.load_private_key(key).map_err(|error| failed(error.to_string()))?;
        let leaves = Cache::new(most);
        Ok(Self { ca, provider, leaf_key, signer, leaves, minted: AtomicU64::new(0), asked: AtomicU64::new(0) })
    }

    /// What a handshake for `host` is answered with.
    pub fn server_config(&self, host: &Host, offer: Offer) -> Result<Arc<ServerConfig>, Unmintable> {
        self.server_config_at(host, offer, SystemTime::now())
    }

    fn server_config_at(&self, host: &Host, offer: Offer, now: SystemTime) -> Result<Arc<ServerConfig>, Unmintable> {
        let certificate = self.ca.certificate();
        if now > certificate.not_after() {
            return Err(Unmintable::Expired(certificate.not_after()));
        }
        if now < certificate.not_before() {
            return Err(Unmintable::NotYet(certificate.not_before()));
        }
        let constraints = certificate.constraints();
        if !constraints.permit(host) {
            return Err(Unmintable::Excluded { host: host.clone(), permitted: constraints.to_string() });
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let day = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY;
        let leaf = self.leaves.try_get_with((host.clone(), day), || self.mint(host, now)).map_err(Arc::unwrap_or_clone)?;
        Ok(match offer {
            Offer::Http1 => leaf.http1,
            Offer::Both => leaf.both,
        })
    }

    /// The certificate that signs.
    pub fn certificate(&self) -> &Certified {
        self.ca.certificate()
    }

    /// Every certificate that clients are to trust, the signer first.
    pub fn certificates(&self) -> &[Certified] {
        self.ca.certificates()
    }

    /// When the authority ends, and with it every inspection.
    pub fn not_after(&self) -> SystemTime {
        self.ca.not_after()
    }

    /// Every certificate that clients are to trust, in PEM.
    pub fn certificate_pem(&self) -> String {
        self.ca.certificates().iter().map(Certified::pem).collect()
    }

    /// Counts since the authority was read.
    pub fn tally(&self) -> LeafTally {
        let minted = self.minted.load(Ordering::Relaxed);
        LeafTally { hit: self.asked.load(Ordering::Relaxed).saturating_sub(minted), minted }
    }

    fn mint(&self, host: &Host, now: SystemTime) -> Result<Leaf, Unmintable> {
        let failed = |error: &dyn fmt::Display| Unmintable::Failed(error.to_string());
        let leaf = leaf::mint(&self.ca, host, &self.leaf_key, now).map_err(|error| failed(&error))?;
        self.minted.fetch_add(1, Ordering::Relaxed);
        let chain = std::iter::once(leaf).chain(self.ca.chain().iter().cloned()).collect();
        let answer = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, Arc::clone(&self.signer))));
        let config = |protocols: &[&[u8]]| -> Result<Arc<ServerConfig>, Unmintable> {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
            let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
            let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&answer) as _);
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            // A session that is resumed would outlive the leaf, and its store would take more room than all leaves.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.max_early_data_size = 0;
            Ok(Arc::new(config))
        };
        Ok(Leaf { http1: config(&[b"http/1.1"])?, both: config(&[b"h2", b"http/1.1"])? })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("ca", &self.ca).field("leaves", &self.leaves.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
