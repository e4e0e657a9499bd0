//! The way to an origin's TLS: what is trusted, what is offered, and what a failure is called.
//!
//! Sessions are not resumed: a ticket of one agent's would tell an origin of another's.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, OtherError, RootCertStore};

use super::authority::Offer;
use crate::policy::host::Host;

/// How origins are verified, the same for every agent. There is no way not to.
pub struct OriginTls {
    roots: Arc<RootCertStore>,
    http1: Arc<ClientConfig>,
    both: Arc<ClientConfig>,
}

/// What is wrong with an origin's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateFault {
    /// Its certificate's time is over.
    Expired,
    /// Its certificate's time has not come.
    NotYetValid,
    /// Nobody who is trusted has signed its certificate.
    UnknownIssuer,
    /// Its certificate is for other names.
    WrongName,
    /// Its certificate was taken back.
    Revoked,
    /// Its certificate says that it is an authority's, or is of a version that has no names, as one that signs itself often does.
    SelfSigned,
    /// Its certificate cannot be read, or is made for something else.
    Unfit,
    /// It broke off the handshake: it wants another version, or a certificate of ours.
    Refused,
    /// What it speaks is no TLS.
    NotTls,
}

impl OriginTls {
    /// Trusts these authorities and no other. Without any, no origin is trusted.
    pub fn new(roots: RootCertStore) -> Result<Self, Error> {
        let roots = Arc::new(roots);
        let (http1, both) = (config(&roots, Offer::Http1, None)?, config(&roots, Offer::Both, None)?);
        Ok(Self { roots, http1, both })
    }

    /// What a handshake is made with.
    pub fn config(&self, offer: Offer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            Offer::Http1 => &self.http1,
            Offer::Both => &self.both,
        })
    }

    /// The same, with a certificate that proves exeat to the origin.
    pub fn presenting(&self, offer: Offer, identity: Arc<CertifiedKey>) -> Result<Arc<ClientConfig>, Error> {
        config(&self.roots, offer, Some(identity))
    }
}

impl fmt::Debug for OriginTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginTls").finish_non_exhaustive()
    }
}

fn config(roots: &Arc<RootCertStore>, offer: Offer, identity: Option<Arc<CertifiedKey>>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        Some(identity) => config.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity))),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match offer {
        Offer::Http1 => vec![b"http/1.1".to_vec()],
        Offer::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The name an origin has to prove.
pub fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Address(address) => Some(ServerName::IpAddress(IpAddr::from(*address))),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).ok(),
    }
}

impl CertificateFault {
    /// What an error of a handshake comes to; `None` where the network failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        Some(if let Error::InvalidCertificate(certificate) = error {
            Self::of_certificate(certificate)
        } else if matches!(error, Error::InvalidMessage(_)) {
            CertificateFault::NotTls
        } else {
            CertificateFault::Refused
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "not ours: new kinds of unfit certificates may come")]
    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
            CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => CertificateFault::WrongName,
            CertificateError::Revoked => CertificateFault::Revoked,
            CertificateError::Other(OtherError(other)) => match other.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity | webpki::Error::UnsupportedCertVersion) => CertificateFault::SelfSigned,
                Some(_) | None => CertificateFault::Unfit,
            },
            _ => CertificateFault::Unfit,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, InvalidMessage};

    use super::*;

    #[test]
    fn each_failure_has_one_name_and_the_network_none_of_them() {
        let certificate = Error::InvalidCertificate;
        let webpki = |error: webpki::Error| CertificateError::Other(OtherError(Arc::new(error)));
        let rows = [
            (certificate(CertificateError::Expired), CertificateFault::Expired),
            (certificate(CertificateError::NotValidYet), CertificateFault::NotYetValid),
            (certificate(CertificateError::UnknownIssuer), CertificateFault::UnknownIssuer),
            (certificate(CertificateError::NotValidForName), CertificateFault::WrongName),
            (certificate(CertificateError::Revoked), CertificateFault::Revoked),
            (certificate(CertificateError::BadEncoding), CertificateFault::Unfit),
            (certificate(webpki(webpki::Error::CaUsedAsEndEntity)), CertificateFault::SelfSigned),
            (certificate(webpki(webpki::Error::UnsupportedCertVersion)), CertificateFault::SelfSigned),
            (certificate(webpki(webpki::Error::UnsupportedCriticalExtension)), CertificateFault::Unfit),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), CertificateFault::Refused),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), CertificateFault::NotTls),
        ];
        for (error, wanted) in rows {
            assert_eq!(CertificateFault::of(&io::Error::other(error.clone())), Some(wanted), "{error}");
        }
        assert_eq!(CertificateFault::of(&io::ErrorKind::UnexpectedEof.into()), None);
    }

    #[test]
    fn what_is_offered_is_asked_for_and_no_session_is_kept() {
        let origin = OriginTls::new(RootCertStore::empty()).expect("no roots are roots");
        let offered = |offer| origin.config(offer).alpn_protocols.clone();
        assert_eq!(offered(Offer::Http1), [b"http/1.1".to_vec()]);
        assert_eq!(offered(Offer::Both), [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(!origin.config(Offer::Both).enable_early_data);
    }
}
