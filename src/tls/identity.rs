//! A client certificate that proves exeat to an origin (RFC 8446 section 4.4.2).

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// A chain and its key.
#[derive(Clone)]
pub struct Identity {
    /// What the handshake is made with.
    pub key: Arc<CertifiedKey>,
    /// A name of the chain, so that connections of one are not another's.
    pub name: Arc<str>,
}

impl Identity {
    /// Reads both, in PEM; `None` where either is none, or they do not belong together.
    pub fn read(chain: &[u8], key: &[u8]) -> Option<Self> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().ok()?;
        let mut name = Sha256::new();
        chain.iter().for_each(|certificate| name.update(certificate));
        let name = data_encoding::HEXLOWER.encode(&name.finalize()).into();
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).ok()?;
        Some(Self { key: Arc::new(key), name })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_with_the_key_that_belongs_to_it() {
        let (one, other) = (self_signed(), self_signed());
        let read = |chain: &str, key: &str| Identity::read(chain.as_bytes(), key.as_bytes());
        assert_eq!(format!("{:?}", read(&one.0, &one.1).unwrap()).matches("Identity { name: ").count(), 1);
        assert_ne!(read(&one.0, &one.1).unwrap().name, read(&other.0, &other.1).unwrap().name);
        for (chain, key) in [(&one.0, &other.1), (&one.1, &one.0), (&one.0, &String::new()), (&String::new(), &one.1)] {
            assert!(read(chain, key).is_none());
        }
    }

    fn self_signed() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["exeat.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
