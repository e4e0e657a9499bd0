//! What listens: sockets bound before the policy is made, as the policy must know them; and those that a service manager has bound and lends
//! (`LISTEN_FDS`, sd_listen_fds(3)), which take the place of the addresses of their listener.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use listenfd::ListenFd;
use rustix::io::Errno;
use tokio::net::TcpListener;

use super::export;
use crate::config::Config;
use crate::front::Door;
use crate::policy::address::Guard;
use crate::telemetry::dial::Found;

/// Connections that may wait to be accepted; the system may allow fewer (`net.core.somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;

const NAMES: &str = "LISTEN_FDNAMES";

/// What listens.
#[derive(Debug)]
pub struct Bound {
    /// The ways in.
    pub doors: Vec<Door>,
    /// The listener of metrics and health.
    pub metrics: Option<TcpListener>,
    /// The listener of page and API.
    pub admin: Option<TcpListener>,
    /// Where exeat's own back ends are.
    pub back_ends: Found,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum NotBound {
    /// An address cannot be had.
    #[error("{name}: {address} cannot be listened on: {error}; {}", mend(*address, error))]
    Address {
        /// The listener's name.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A socket that was passed has no place.
    #[error("the passed socket {name:?} {why}; fix: {fix}")]
    Passed {
        /// What it goes by.
        name: String,
        /// What is wrong with it.
        why: String,
        /// What to write.
        fix: String,
    },
}

/// Sockets that somebody else has bound, with their names.
#[derive(Debug, Default)]
pub struct Lent(Vec<(String, std::net::TcpListener)>);

impl Lent {
    /// Takes what was passed to this process, and the variables that say so. To be called while there is one thread: it changes the environment.
    pub fn take() -> Result<Self, NotBound> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':');
        let mut lent = Vec::new();
        for at in 0..passed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let wrong = |why: &str| NotBound::Passed {
                name: name.clone(),
                why: why.to_owned(),
                fix: "pass listening TCP sockets alone: ListenStream=127.0.0.1:3128 in the [Socket] section".to_owned(),
            };
            let listener = passed.take_tcp_listener(at).ok().flatten().ok_or_else(|| wrong("is no TCP socket"))?;
            if !rustix::net::sockopt::socket_acceptconn(&listener).unwrap_or(false) {
                return Err(wrong("does not listen"));
            }
            listener.set_nonblocking(true).map_err(|error| wrong(&format!("cannot be used: {error}")))?;
            lent.push((name, listener));
        }
        Ok(Self(lent))
    }

    /// Puts where they are in the place of the addresses that the configuration has for them.
    pub fn stand_in(&self, config: &mut Config) -> Result<(), NotBound> {
        for (name, _) in &self.0 {
            self.judge(name, config)?;
        }
        for listen in &mut config.listen {
            let lent = self.at(&listen.name)?;
            if !lent.is_empty() {
                listen.addresses = lent;
            }
        }
        config.admin.address = self.at("admin")?.first().copied().or(config.admin.address);
        config.metrics = self.at("metrics")?.first().copied().or(config.metrics);
        Ok(())
    }

    fn judge(&self, name: &str, config: &Config) -> Result<(), NotBound> {
        let wrong = |why: &str, fix: String| Err(NotBound::Passed { name: name.to_owned(), why: why.to_owned(), fix });
        let listener = config.listen.iter().any(|listen| *listen.name == *name);
        let alone = name == "admin" || name == "metrics";
        if listener && alone {
            return wrong("may be meant for [listen] or for a table of its own", format!("give [listen.{name}] another name"));
        }
        if !listener && !alone {
            let known: BTreeSet<&str> = config.listen.iter().map(|listen| &*listen.name).chain(["admin", "metrics"]).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return wrong(
                "has a name that nothing here goes by",
                format!("write FileDescriptorName= and one of {} in the [Socket] section", known.join(", ")),
            );
        }
        if alone && self.0.iter().filter(|(other, _)| other == name).count() > 1 {
            return wrong("was passed more than once", format!("pass one: {name} has one address"));
        }
        Ok(())
    }

    fn at(&self, name: &str) -> Result<Vec<SocketAddr>, NotBound> {
        let of_name = self.0.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, listener)| listener.local_addr().map_err(|error| cannot(name, &error))).collect()
    }

    fn take_all(&mut self, name: &str) -> Result<Vec<TcpListener>, NotBound> {
        let of_name = self.0.extract_if(.., |(other, _)| other == name);
        of_name.map(|(_, listener)| TcpListener::from_std(listener).map_err(|error| cannot(name, &error))).collect()
    }
}

fn cannot(name: &str, error: &io::Error) -> NotBound {
    NotBound::Passed { name: name.to_owned(), why: format!("cannot be used: {error}"), fix: "pass a listening TCP socket".to_owned() }
}

impl Bound {
    /// Binds every listener of the configuration that is not lent.
    pub async fn all(config: &Config, mut lent: Lent) -> Result<Self, NotBound> {
        let mut doors = Vec::new();
        for listen in &config.listen {
            let passed = lent.take_all(&listen.name)?;
            if passed.is_empty() {
                for address in &listen.addresses {
                    let listener = bind(&format!("listen.{}", listen.name), *address).await?;
                    doors.push(Door { listener, name: Arc::clone(&listen.name), transparent: listen.transparent, lent: false });
                }
            }
            doors.extend(passed.into_iter().map(|listener| Door {
                listener,
                name: Arc::clone(&listen.name),
                transparent: listen.transparent,
                lent: true,
            }));
        }
        let metrics = one("metrics", config.metrics, &mut lent).await?;
        let admin = one("admin", config.admin.address, &mut lent).await?;
        Ok(Self { doors, metrics, admin, back_ends: export::find(config).await })
    }

    /// What is never dialled because it is exeat, or because the configuration says so.
    pub fn guard(&self, config: &Config) -> Guard {
        export::guard(config, self.listeners().filter_map(|listener| listener.local_addr().ok()))
    }

    pub(super) fn everywhere(&self) -> Vec<u16> {
        let addresses = self.listeners().filter_map(|listener| listener.local_addr().ok());
        addresses.filter(|at| at.ip().is_unspecified()).map(|at| at.port()).collect()
    }

    fn listeners(&self) -> impl Iterator<Item = &TcpListener> {
        self.doors.iter().map(|door| &door.listener).chain(&self.metrics).chain(&self.admin)
    }
}

async fn one(name: &str, address: Option<SocketAddr>, lent: &mut Lent) -> Result<Option<TcpListener>, NotBound> {
    match (lent.take_all(name)?.pop(), address) {
        (Some(listener), _) => Ok(Some(listener)),
        (None, Some(address)) => bind(name, address).await.map(Some),
        (None, None) => Ok(None),
    }
}

pub(super) async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, NotBound> {
    let bound = TcpListener::bind(address).await;
    // Anew with more: the library has room for 128, which a burst of agents fills.
    let listening = bound.and_then(|listener| rustix::net::listen(&listener, BACKLOG).map(|()| listener).map_err(io::Error::from));
    listening.map_err(|error| NotBound::Address { name: name.to_owned(), address, error })
}

fn mend(address: SocketAddr, error: &io::Error) -> String {
    let says = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    match address {
        SocketAddr::V6(v6) if says(Errno::AFNOSUPPORT) || says(Errno::ADDRNOTAVAIL) => {
            let instead = match () {
                () if v6.ip().is_loopback() => format!("127.0.0.1:{}", v6.port()),
                () if v6.ip().is_unspecified() => format!("0.0.0.0:{}", v6.port()),
                () => "an address that it has".to_owned(),
            };
            format!("this machine has no such IPv6 address: write {instead} in its place")
        }
        SocketAddr::V4(_) if says(Errno::ADDRNOTAVAIL) => "this machine has no such address: write one that it has".to_owned(),
        SocketAddr::V4(_) | SocketAddr::V6(_) if says(Errno::ACCESS) => {
            "write a port above 1023, or give it CAP_NET_BIND_SERVICE".to_owned()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => "choose another address or stop what holds it".to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test is the agents")]
    async fn many_may_wait_to_be_accepted() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let many = allowed.trim().parse::<usize>().unwrap().min(500);
        let listener = bind("main", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        // Who finds no room is told nothing, and tries again after a second.
        let all = futures_util::future::join_all((0..many).map(|_| tokio::net::TcpStream::connect(address)));
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(30), all).await.unwrap();
        assert!(waiting.iter().all(Result::is_ok));
    }

    #[test]
    fn an_address_that_cannot_be_had_is_told_with_what_to_write() {
        for (address, errno, wanted) in [
            ("[::1]:3128", Errno::ADDRNOTAVAIL, "this machine has no such IPv6 address: write 127.0.0.1:3128 in its place"),
            ("[::]:3128", Errno::AFNOSUPPORT, "this machine has no such IPv6 address: write 0.0.0.0:3128 in its place"),
            ("[fd00::1]:1", Errno::ADDRNOTAVAIL, "this machine has no such IPv6 address: write an address that it has in its place"),
            ("192.0.2.1:1", Errno::ADDRNOTAVAIL, "this machine has no such address: write one that it has"),
            ("127.0.0.1:80", Errno::ACCESS, "write a port above 1023, or give it CAP_NET_BIND_SERVICE"),
            ("127.0.0.1:1", Errno::ADDRINUSE, "choose another address or stop what holds it"),
        ] {
            assert_eq!(mend(address.parse().unwrap(), &io::Error::from(errno)), wanted, "{address} {errno}");
        }
    }
}
