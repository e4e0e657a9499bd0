//! Where a back end is, read once from its URL.

use std::fmt;
use std::net::SocketAddr;

use http::Uri;

use crate::policy::address::Guard;
use crate::policy::host::Host;
use crate::policy::malformed::Malformed;

/// A back end of exeat's own.
#[derive(Clone, PartialEq, Eq)]
pub struct BackEnd {
    /// Its name or address.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// What stands in `Host` and `:authority`.
    pub authority: String,
    /// The path, with the query if there is one; at least `/`. May be a secret.
    pub path: String,
}

/// The URL names no back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotABackEnd {
    /// No URL at all.
    #[error("not a URL; write http://HOST:PORT or https://HOST")]
    Unreadable,
    /// Neither http nor https.
    #[error("neither http:// nor https://; write http://HOST:PORT or https://HOST")]
    Scheme,
    /// A credential in it.
    #[error("a name or password in the URL; credentials stand in a file of their own")]
    Userinfo,
    /// No host that can be dialled.
    #[error("a host that is none: {0}")]
    Host(Malformed),
    /// Port 0 or none at all behind the colon.
    #[error("a port that is none; write one from 1 to 65535")]
    Port,
}

impl BackEnd {
    /// Reads `http://HOST[:PORT][/PATH]` or the same with `https`.
    pub fn parse(url: &str) -> Result<Self, NotABackEnd> {
        let (scheme, rest) = url.split_once("://").ok_or(NotABackEnd::Unreadable)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(NotABackEnd::Scheme),
        };
        let written = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if written.contains('@') {
            return Err(NotABackEnd::Userinfo);
        }
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (written, None),
        };
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok().filter(|port| *port != 0),
            Some(_) => None,
            None => Some(if tls { 443 } else { 80 }),
        };
        let port = port.ok_or(NotABackEnd::Port)?;
        let host = Host::parse(host).map_err(NotABackEnd::Host)?;
        let after = rest[written.len()..].split('#').next().unwrap_or_default();
        let path = if after.starts_with('/') { after.to_owned() } else { format!("/{after}") };
        path.parse::<Uri>().map_err(|_| NotABackEnd::Unreadable)?;
        let authority = if port == if tls { 443 } else { 80 } { host.to_string() } else { format!("{host}:{port}") };
        Ok(Self { host, port, tls, authority, path })
    }

    /// Scheme and authority, without the path.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// Makes it a place that no agent reaches: a name as one of ours, an address with its port as one of our listeners.
    pub fn close_to_agents(&self, guard: &mut Guard) {
        match &self.host {
            Host::Name(_) => guard.known_as.push(self.host.clone()),
            Host::Address(address) => guard.own.push(SocketAddr::new(*address, self.port)),
        }
    }
}

impl fmt::Debug for BackEnd {
    /// Without the path, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_once_into_what_is_dialled_and_said() {
        let table = [
            ("http://collector:4317", "collector", 4317, false, "collector:4317", "/"),
            ("https://Otel.Example/base/v1", "otel.example", 443, true, "otel.example", "/base/v1"),
            ("HTTPS://otel.example:443?key=1#part", "otel.example", 443, true, "otel.example", "/?key=1"),
            ("http://[::1]:4318/", "[::1]", 4318, false, "[::1]:4318", "/"),
            ("http://[::1]", "[::1]", 80, false, "[::1]", "/"),
            ("http://127.0.0.1:4318/a?b", "127.0.0.1", 4318, false, "127.0.0.1:4318", "/a?b"),
        ];
        for (url, host, port, tls, authority, path) in table {
            let (host, authority, path) = (Host::parse(host).unwrap(), authority.to_owned(), path.to_owned());
            assert_eq!(BackEnd::parse(url), Ok(BackEnd { host, port, tls, authority, path }), "{url}");
        }
    }

    #[test]
    fn what_is_no_back_end_is_told_why() {
        let table = [
            ("collector:4317", NotABackEnd::Unreadable),
            ("http://collector/a b", NotABackEnd::Unreadable),
            ("grpc://collector:4317", NotABackEnd::Scheme),
            ("unix:///run/otel", NotABackEnd::Scheme),
            ("http://me:secret@collector", NotABackEnd::Userinfo),
            ("http://me@collector", NotABackEnd::Userinfo),
            ("http://", NotABackEnd::Host(Malformed::EmptyHost)),
            ("http://:4317", NotABackEnd::Host(Malformed::EmptyHost)),
            ("http://collector:0", NotABackEnd::Port),
            ("http://collector:", NotABackEnd::Port),
            ("http://collector:65536", NotABackEnd::Port),
            ("http://collector:+80", NotABackEnd::Port),
        ];
        for (url, fault) in table {
            assert_eq!(BackEnd::parse(url), Err(fault), "{url}");
        }
    }

    #[test]
    fn its_path_is_not_shown_and_no_agent_reaches_it() {
        let name = BackEnd::parse("https://hooks.example/T000/secret").unwrap();
        assert_eq!(format!("{name:?}"), "https://hooks.example");
        let mut guard = Guard::default();
        name.close_to_agents(&mut guard);
        BackEnd::parse("http://10.0.0.9:4317").unwrap().close_to_agents(&mut guard);
        let wanted = Guard {
            known_as: vec![Host::parse("hooks.example").unwrap()],
            own: vec!["10.0.0.9:4317".parse().unwrap()],
            ..Guard::default()
        };
        assert_eq!(guard, wanted);
    }
}
