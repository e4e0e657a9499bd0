//! A redirected connection: where its agent meant to go is what its first bytes name, at the port that it was redirected from.
//!
//! The address it was redirected from counts only where no name is shown: whoever names a host gets where that name leads.

use tokio::net::TcpStream;

use super::look::Peek;
use super::record::TlsSeen;
use super::tunnel::{AgentSide, deny, first_bytes, seen};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::malformed::Malformed;
use crate::tls::client_hello::{ClientHello, FirstBytes};

/// What the first bytes of a redirected connection show.
#[derive(Debug)]
pub enum Shown {
    /// The agent closed before it said anything, or exeat is about to stop.
    Nothing,
    /// Plain HTTP: each request names its own host.
    Http,
    /// No request: it can only be a tunnel.
    Bytes(Hello),
}

/// What a tunnel begins with.
#[derive(Debug, PartialEq, Eq)]
pub struct Hello {
    /// The host that TLS names, else the address, at the port it was redirected from; or why it cannot be read.
    pub wanted: Result<Destination, Malformed>,
    /// What TLS shows.
    pub tls: Option<TlsSeen>,
    /// TLS is spoken, be it readable or not.
    speaks_tls: bool,
}

/// How no is said to a tunnel of which no byte has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// An alert of TLS.
    Alert,
    /// By closing it.
    None,
}

impl Words {
    /// Says it; whoever holds the connection closes it.
    pub async fn say(self, agent: &TcpStream) {
        match self {
            Words::Alert => deny(agent).await,
            Words::None => {}
        }
    }
}

impl Shown {
    /// Waits for the first bytes, and leaves them with the agent's side.
    pub async fn by(agent: &mut AgentSide, original: &Destination, peek: &Peek) -> Self {
        let first = tokio::select! {
            first = first_bytes(agent, peek.within) => first,
            () = peek.stop.cancelled() => None,
        };
        match first {
            None => Shown::Nothing,
            Some(FirstBytes::Http) => Shown::Http,
            Some(first @ (FirstBytes::Tls(_) | FirstBytes::BrokenTls | FirstBytes::Other | FirstBytes::More)) => {
                Shown::Bytes(Hello::of(first, original))
            }
        }
    }
}

impl Hello {
    fn of(first: FirstBytes, original: &Destination) -> Self {
        let nameless = |speaks_tls| Self { wanted: Ok(original.clone()), tls: None, speaks_tls };
        match first {
            FirstBytes::Tls(hello) => Self { wanted: named(&hello, original), tls: Some(seen(hello)), speaks_tls: true },
            FirstBytes::BrokenTls => nameless(true),
            FirstBytes::Http | FirstBytes::Other | FirstBytes::More => nameless(false),
        }
    }

    /// How no can be said to it.
    pub fn words(&self) -> Words {
        if self.speaks_tls { Words::Alert } else { Words::None }
    }
}

/// Where a hello asks to be brought. RFC 6066 section 3 has no addresses in the place of a name.
fn named(hello: &ClientHello, original: &Destination) -> Result<Destination, Malformed> {
    let Some(sent) = &hello.server_name else { return Ok(original.clone()) };
    let host = Host::parse(std::str::from_utf8(sent).map_err(|_not_text| Malformed::ServerName)?)?;
    match host {
        Host::Name(_) => Ok(Destination { host, port: original.port }),
        Host::Address(_) => Err(Malformed::ServerName),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn hello(name: Option<&str>) -> FirstBytes {
        FirstBytes::Tls(ClientHello { server_name: name.map(|name| name.as_bytes().to_vec()), ech: true, ..ClientHello::default() })
    }

    #[test]
    fn a_name_that_is_shown_is_where_it_goes_and_else_the_address_is_at_the_port_of_the_connection() {
        let table: [(FirstBytes, Result<&str, Malformed>, bool); 10] = [
            (hello(Some("api.allowed.test")), Ok("api.allowed.test:8443"), true),
            (hello(Some("API.allowed.test.")), Ok("api.allowed.test:8443"), true),
            (hello(Some("192.0.2.9")), Err(Malformed::ServerName), true),
            (hello(Some("[2001:db8::1]")), Err(Malformed::ServerName), true),
            (hello(Some("")), Err(Malformed::EmptyHost), true),
            (hello(Some("a..test")), Err(Malformed::EmptyLabel), true),
            (hello(None), Ok("192.0.2.1:8443"), true),
            (FirstBytes::BrokenTls, Ok("192.0.2.1:8443"), true),
            (FirstBytes::Other, Ok("192.0.2.1:8443"), false),
            (FirstBytes::More, Ok("192.0.2.1:8443"), false),
        ];
        let original = Destination::parse("192.0.2.1:8443").unwrap();
        for (first, wanted, speaks_tls) in table {
            let said = format!("{first:?}");
            let hello = Hello::of(first, &original);
            assert_eq!((hello.wanted, hello.speaks_tls), (wanted.map(|text| Destination::parse(text).unwrap()), speaks_tls), "{said}");
        }
    }
}
