//! TLS to an origin over a connection that was dialled, verified for the name that was judged and no other.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::interception::Speaks;
use super::refusal::{Cause, NetworkFault};
use super::upstream::broken;
use crate::policy::host::Host;
use crate::policy::reason::Reason;
use crate::tls::origin::{CertificateFault, server_name};

/// A connection to an origin, plain or within TLS.
pub(super) type OriginStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Makes the handshake. What the origin chose to speak comes with it.
pub(super) async fn secured(
    stream: TcpStream,
    host: &Host,
    config: Arc<ClientConfig>,
    within: Duration,
) -> Result<(OriginStream, Speaks), (Reason, Cause)> {
    let name = server_name(host).ok_or_else(|| distrusted(CertificateFault::WrongName))?;
    let shaken = tokio::time::timeout(within, TlsConnector::from(config).connect(name, stream)).await;
    match shaken {
        Ok(Ok(stream)) => {
            let spoken = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 };
            Ok((Either::Right(Box::new(stream)), spoken))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake with an origin failed");
            Err(CertificateFault::of(&error).map_or_else(|| broken(NetworkFault::Broken), distrusted))
        }
        Err(_elapsed) => Err(broken(NetworkFault::ConnectTimeout)),
    }
}

fn distrusted(fault: CertificateFault) -> (Reason, Cause) {
    (Reason::BadCertificate, Cause::Certificate(fault))
}
