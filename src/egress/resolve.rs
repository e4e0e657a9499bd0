//! Names to addresses: one lookup of the absolute name, no search domains, every answer judged by the caller.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name as DnsName;

use super::refusal::NetworkFault;
use crate::policy::host::Name;

/// Looks names up at the configured servers, or the system's.
#[derive(Debug)]
pub struct Resolver {
    inner: TokioResolver,
    timeout: Duration,
}

/// The resolver could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the system's name servers could not be read: {0}; name them in [dns] servers")]
pub struct NoResolver(#[from] NetError);

impl Resolver {
    /// A resolver over `servers`; none means the system's, with its hosts file. `timeout` bounds a whole lookup.
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Result<Self, NoResolver> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = servers.iter().map(|server| name_server(*server)).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = timeout / 2;
        options.attempts = 1;
        options.use_hosts_file = if servers.is_empty() { ResolveHosts::Always } else { ResolveHosts::Never };
        Ok(Self { inner: builder.build()?, timeout })
    }

    /// Every address of the name, IPv4 and IPv6. The caller judges them all.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that looks names up; `dial::Judged` judges what it returns")]
    pub(super) async fn resolve(&self, name: &Name) -> Result<Vec<IpAddr>, NetworkFault> {
        let absolute = DnsName::from_ascii(format!("{}.", name.as_str())).map_err(|_not_a_name| NetworkFault::NoAddress)?;
        let lookup = tokio::time::timeout(self.timeout, self.inner.lookup_ip(absolute)).await;
        let addresses: Vec<IpAddr> = match lookup {
            Ok(Ok(found)) => found.iter().collect(),
            Ok(Err(NetError::Timeout)) | Err(_) => return Err(NetworkFault::DnsTimeout),
            Ok(Err(error)) if error.is_no_records_found() => return Err(NetworkFault::NoAddress),
            Ok(Err(error)) => {
                tracing::debug!(%error, "name servers failed");
                return Err(NetworkFault::DnsFailed);
            }
        };
        if addresses.is_empty() { Err(NetworkFault::NoAddress) } else { Ok(addresses) }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = server.port();
    NameServerConfig::new(server.ip(), true, vec![udp, tcp])
}
