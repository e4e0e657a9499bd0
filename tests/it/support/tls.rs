//! A certificate authority made for one test, and both ends of TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// The authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of an origin, with its key.
#[derive(Clone)]
pub(crate) struct Identity(Arc<ServerConfig>);

/// What an origin presents, and what it wants of those who come.
pub(crate) struct Terms<'a> {
    pub(crate) names: &'a [&'a str],
    /// What it speaks, the best first; none: it knows nothing of ALPN.
    pub(crate) alpn: &'a [&'a str],
    pub(crate) valid: Valid,
    /// Whether it takes only those who have a certificate of the same authority.
    pub(crate) asks_for_a_certificate: bool,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Valid {
    Now,
    UntilLastYear,
    FromNextCentury,
}

impl<'a> Terms<'a> {
    /// A valid certificate, HTTP/2 and HTTP/1.1, nothing wanted.
    pub(crate) fn of(names: &'a [&'a str]) -> Self {
        Self { names, alpn: &["h2", "http/1.1"], valid: Valid::Now, asks_for_a_certificate: false }
    }
}

impl Authority {
    /// Makes one.
    pub(crate) fn new() -> Self {
        Self::named("exeat tests")
    }

    /// Makes one with a name of its own.
    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// A certificate for these names, of an origin that speaks HTTP/1.1.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        self.present(&Terms { alpn: &["http/1.1"], ..Terms::of(names) })
    }

    /// As `identity`, in files `cert.pem` and `key.pem` of a folder.
    pub(crate) fn write_identity(&self, names: &[&str], folder: &Path) {
        let (leaf, key) = self.leaf(names);
        std::fs::write(folder.join("cert.pem"), leaf.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    /// A certificate on these terms.
    pub(crate) fn present(&self, terms: &Terms<'_>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf = leaf_params(terms.names, terms.valid).signed_by(&key, &self.issuer).unwrap();
        Identity::new(&leaf, &key, terms, terms.asks_for_a_certificate.then(|| self.certificate()))
    }

    /// The certificate and key that a program signs with, both PEM.
    pub(crate) fn signing(&self) -> (String, String) {
        (self.issuer.pem(), self.issuer.key().serialize_pem())
    }

    /// A certificate, with its key, for those who connect; both PEM.
    pub(crate) fn client_identity(&self, name: &str) -> (String, String) {
        let mut params = leaf_params(&[name], Valid::Now);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn leaf(&self, names: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (leaf_params(names, Valid::Now).signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The authority's certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Writes the certificate where real clients can read it.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// The client's side of a handshake that asks for `name`.
    pub(crate) fn client(&self, name: &str) -> ClientConnection {
        ClientConnection::new(self.trusting(&[]), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
    }

    /// The settings of a client that trusts this authority alone, and offers these protocols.
    pub(crate) fn trusting(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()).unwrap();
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Identity {
    /// A certificate that no authority has signed.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let leaf = leaf_params(names, Valid::Now).self_signed(&key).unwrap();
        Self::new(&leaf, &key, &Terms::of(names), None)
    }

    /// A certificate that no authority has signed, and that says it is one.
    pub(crate) fn self_signed_authority(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = leaf_params(names, Valid::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::new(&params.self_signed(&key).unwrap(), &key, &Terms::of(names), None)
    }

    /// What another program made, in PEM.
    pub(crate) fn read(cert: &str, key: &str, alpn: &[&str]) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
        let mut config = config.unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    fn new(leaf: &Certificate, key: &KeyPair, terms: &Terms<'_>, clients_of: Option<CertificateDer<'static>>) -> Self {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = match clients_of {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).unwrap();
                config.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap())
            }
            None => config.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
        config.alpn_protocols = terms.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// For those who drive TLS themselves.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }

    /// One that another authority made.
    pub(crate) fn of(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }

    /// The server's side of a handshake.
    pub(crate) fn accept(&self) -> ServerConnection {
        ServerConnection::new(self.0.clone()).unwrap()
    }
}

fn leaf_params(names: &[&str], valid: Valid) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "origin");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = match valid {
        Valid::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1)),
        Valid::UntilLastYear => (date_time_ymd(2020, 1, 1), date_time_ymd(2025, 1, 1)),
        Valid::FromNextCentury => (date_time_ymd(2101, 1, 1), date_time_ymd(2102, 1, 1)),
    };
    params
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
