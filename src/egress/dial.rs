//! The one dialer. It takes judged addresses only, and exactly one of them is the peer of what it returns.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::refusal::NetworkFault;
use super::upstream::UpstreamSettings;
use crate::policy::address::AddressRefusal;
use crate::policy::decide::Grant;
use crate::policy::destination::Port;

/// How long one address has the field to itself (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// More answers than this are not tried.
const MOST_ADDRESSES: usize = 8;

/// Addresses that the grant covers, every one of them.
#[derive(Debug)]
pub(super) struct Judged(Vec<SocketAddr>);

/// The first address the grant does not cover.
#[derive(Debug)]
pub(super) struct Forbidden {
    pub(super) address: IpAddr,
    pub(super) refusal: AddressRefusal,
}

impl Judged {
    /// Judges every address: one that is forbidden refuses them all, as it would be dialled another time.
    pub(super) fn new(addresses: &[IpAddr], port: Port, grant: &Grant, settings: &UpstreamSettings) -> Result<Self, Forbidden> {
        for address in addresses {
            grant.judge(*address).map_err(|refusal| Forbidden { address: *address, refusal })?;
            if settings.own(*address, port) {
                return Err(Forbidden { address: *address, refusal: AddressRefusal::Own });
            }
        }
        Ok(Self(interleaved(addresses).into_iter().take(MOST_ADDRESSES).map(|ip| SocketAddr::new(ip, port.number())).collect()))
    }

    /// Connects to the first that accepts, each with a head start on the next.
    pub(super) async fn dial(self, timeout: Duration) -> Result<(TcpStream, SocketAddr), NetworkFault> {
        tokio::time::timeout(timeout, self.race()).await.unwrap_or(Err(NetworkFault::ConnectTimeout))
    }

    async fn race(self) -> Result<(TcpStream, SocketAddr), NetworkFault> {
        let mut waiting = self.0.into_iter();
        let mut trying = FuturesUnordered::new();
        trying.extend(waiting.next().map(connect));
        loop {
            tokio::select! {
                tried = trying.next() => match tried {
                    Some(Ok(connected)) => return Ok(connected),
                    Some(Err(error)) if is_ours(&error) => return Err(NetworkFault::NoDescriptor),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "an address did not accept the connection");
                        trying.extend(waiting.next().map(connect));
                    }
                    None => return Err(NetworkFault::Refused),
                },
                () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => trying.extend(waiting.next().map(connect)),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one dialer; its addresses are judged")]
async fn connect(address: SocketAddr) -> std::io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

/// The fault is this machine's: it has no descriptor left.
fn is_ours(error: &std::io::Error) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| errno.raw_os_error()).map(Some).contains(&error.raw_os_error())
}

/// Whether a listener bound to every address of this machine is reached at this one: only a foreign address cannot be bound.
pub(super) fn is_of_this_machine(address: IpAddr) -> bool {
    let bound = std::net::UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable)
}

/// IPv6 first, then turn by turn (RFC 8305 section 4).
fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv6());
    let longest = six.len().max(four.len());
    (0..longest).flat_map(|turn| [six.get(turn), four.get(turn)]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let [a, b, c] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse::<IpAddr>().expect("an address"));
        assert_eq!(interleaved(&[a, b, c]), [c, a, b]);
    }

    #[test]
    fn only_addresses_of_this_machine_count_as_its_own() {
        assert!(is_of_this_machine(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_of_this_machine(IpAddr::from([192, 0, 2, 1])));
    }
}
