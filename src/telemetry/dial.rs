//! How exeat reaches its own back ends: collectors and webhooks, where the configuration says and nowhere else.
//!
//! Nothing of an agent's comes this way. No proxy variable is read and no redirect followed.

mod back_end;
mod found;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

pub use back_end::{BackEnd, NotABackEnd};
pub use found::Found;

use crate::policy::host::Host;

/// A connection to a back end.
pub type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What is spoken on a connection; named to the other side where there is TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Speaks {
    fn alpn(self) -> &'static [u8] {
        match self {
            Speaks::Http1 => b"http/1.1",
            Speaks::Http2 => b"h2",
        }
    }
}

/// Why certificates cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum NoRoots {
    /// The file of more authorities cannot be read.
    #[error("{path}: {error}; name a file of certificates in PEM", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// There is none at all.
    #[error("this system has no certificate authorities, so https cannot be verified; install ca-certificates, or set ca")]
    None,
    /// The protocol cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Undialled {
    /// The name has no address.
    #[error("the name cannot be looked up: {0}")]
    Name(io::Error),
    /// No address took the connection; the last one's error.
    #[error("it cannot be connected to: {0}")]
    Connect(io::Error),
    /// The handshake failed, or the certificate is not good for the name.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// The other side would speak something else.
    #[error("the other side does not speak the protocol wanted")]
    Protocol,
    /// Not within the time given.
    #[error("there was no connection in time")]
    Late,
}

/// Dials back ends.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Option<Arc<ClientConfig>>,
    found: Found,
}

impl Dialer {
    /// Of one back end. `ca` is a file of authorities that are trusted beside the system's.
    pub fn new(to: &BackEnd, ca: Option<&Path>) -> Result<Self, NoRoots> {
        if !to.tls {
            return Ok(Self { tls: None, found: Found::default() });
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            add(&mut roots, path).map_err(|error| NoRoots::File { path: path.to_owned(), error })?;
        }
        if roots.is_empty() {
            return Err(NoRoots::None);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self { tls: Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth())), found: Found::default() })
    }

    /// One that tells where it dials before it does.
    #[must_use]
    pub fn telling(self, found: &Found) -> Self {
        Self { found: found.clone(), ..self }
    }

    /// A connection to the back end, ready to be spoken on, within a time.
    pub async fn connect(&self, to: &BackEnd, speaks: Speaks, within: Duration) -> Result<Connection, Undialled> {
        let end = Instant::now() + within;
        let connected = async {
            let stream = self.tcp(to, end).await?;
            match &self.tls {
                Some(config) => secured(Arc::clone(config), stream, to, speaks).await,
                None => Ok(Either::Left(stream)),
            }
        };
        tokio::time::timeout_at(end, connected).await.unwrap_or(Err(Undialled::Late))
    }

    async fn tcp(&self, to: &BackEnd, end: Instant) -> Result<TcpStream, Undialled> {
        let addresses = look_up(to, &self.found).await?;
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (at, address) in addresses.iter().enumerate() {
            // An address that swallows packets leaves time for the next ones.
            let share = end.saturating_duration_since(Instant::now()) / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            #[expect(clippy::disallowed_methods, reason = "a configured back end of exeat's own, which no agent can name")]
            let dialled = tokio::time::timeout(share, TcpStream::connect(address)).await;
            match dialled {
                Ok(Ok(stream)) => {
                    // Only slower without it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(Undialled::Connect(failed))
    }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no certificate is in it".into());
    }
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate)).map_err(|error| error.to_string())
}

/// Looks up where a back end is, and makes it a place that no agent is dialled at.
pub async fn look_up(to: &BackEnd, found: &Found) -> Result<Vec<SocketAddr>, Undialled> {
    match &to.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, to.port)]),
        Host::Name(name) => {
            #[expect(
                clippy::disallowed_methods,
                reason = "a configured back end of exeat's own: its addresses are the operator's to choose"
            )]
            let addresses = tokio::net::lookup_host((name.as_str(), to.port)).await.map_err(Undialled::Name)?;
            let addresses: Vec<SocketAddr> = addresses.collect();
            found.add(to, &addresses);
            Ok(addresses)
        }
    }
}

async fn secured(config: Arc<ClientConfig>, stream: TcpStream, to: &BackEnd, speaks: Speaks) -> Result<Connection, Undialled> {
    let name = match &to.host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).map_err(|error| Undialled::Tls(io::Error::other(error)))?,
    };
    let connector = TlsConnector::from(config);
    let connector = connector.with_alpn(vec![speaks.alpn().to_vec()]);
    let stream = connector.connect(name, stream).await.map_err(Undialled::Tls)?;
    match (stream.get_ref().1.alpn_protocol(), speaks) {
        (Some(chosen), _) if chosen == speaks.alpn() => {}
        // Servers of HTTP/1.1 alone often do not negotiate.
        (None, Speaks::Http1) => {}
        (Some(_), _) | (None, Speaks::Http2) => return Err(Undialled::Protocol),
    }
    Ok(Either::Right(Box::new(stream)))
}

#[cfg(test)]
mod tests;
