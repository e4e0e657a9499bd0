//! Host and port, canonical.

use std::fmt;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use super::host::Host;
use super::malformed::Malformed;

/// A TCP port; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(pub NonZeroU16);

impl Port {
    /// The number.
    pub fn number(self) -> u16 {
        self.0.get()
    }
    /// Reads digits only: no sign, no leading zero, 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed::NoPort);
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Malformed::PortDigits);
        }
        if text.starts_with('0') {
            return Err(Malformed::PortZero);
        }
        text.parse().map(Self).map_err(|_| Malformed::PortRange)
    }
}

/// Where an attempt wants to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The canonical host.
    pub host: Host,
    /// The port.
    pub port: Port,
}

impl Destination {
    /// Reads `host:port`, the authority form of CONNECT (RFC 9110 section 9.3.6): both must stand, nothing else may.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (host, port) = split(text)?;
        let host = Host::parse(host)?;
        Ok(Self { host, port: Port::parse(port.unwrap_or_default())? })
    }

    /// Reads the authority of an absolute form (RFC 9112 section 3.2.2): the port may be left out, with its colon.
    pub fn parse_with_default_port(text: &str, default: Port) -> Result<Self, Malformed> {
        let (host, port) = split(text)?;
        let host = Host::parse(host)?;
        Ok(Self { host, port: port.map_or(Ok(default), Port::parse)? })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port.number())
    }
}

/// Host and port as written. Userinfo, paths and lists are told here, before a colon is taken for the port's.
fn split(text: &str) -> Result<(&str, Option<&str>), Malformed> {
    let told = text.bytes().find_map(|byte| match byte {
        b'@' => Some(Malformed::Userinfo),
        b'\\' => Some(Malformed::Backslash),
        b'/' | b'?' | b'#' => Some(Malformed::NotAuthority),
        _ => None,
    });
    if let Some(fault) = told {
        return Err(fault);
    }
    if text.starts_with('[') {
        let end = text.find(']').ok_or(Malformed::Bracket)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest {
            "" => Ok((host, None)),
            rest => Ok((host, Some(rest.strip_prefix(':').ok_or(Malformed::Bracket)?))),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err(several(text)),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn several(text: &str) -> Malformed {
    let unbracketed = text.parse::<Ipv6Addr>().is_ok() || text.rsplit_once(':').is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok());
    if unbracketed { Malformed::BareIpv6 } else { Malformed::SeveralPorts }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn text(target: &str) -> Result<String, Malformed> {
        Destination::parse(target).map(|destination| destination.to_string())
    }

    #[test]
    fn host_and_port_are_read_and_written_alike() {
        let rows = [
            ("api.allowed.test:443", "api.allowed.test:443"),
            ("API.Allowed.TEST.:443", "api.allowed.test:443"),
            ("8.8.8.8:1", "8.8.8.8:1"),
            ("[::1]:65535", "[::1]:65535"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ];
        for (given, wanted) in rows {
            assert_eq!(text(given), Ok(wanted.to_owned()), "{given}");
        }
    }

    #[test]
    fn the_authority_of_connect_is_host_and_port_and_nothing_else() {
        let rows = [
            ("007", "evil.test\0.wild.test:443", Malformed::Control),
            ("011", " evil.test:443", Malformed::Space),
            ("014", "evil.test\\@api.allowed.test:443", Malformed::Backslash),
            ("015", "api.allowed.test@evil.test:443", Malformed::Userinfo),
            ("015", "evil.test:443@api.allowed.test:443", Malformed::Userinfo),
            ("018", "plain.allowed.test:80:\\@@evil.test", Malformed::Backslash),
            ("023", "*:443", Malformed::Star),
            ("036", ":443", Malformed::EmptyHost),
            ("036", ":", Malformed::EmptyHost),
            ("036", "", Malformed::EmptyHost),
            ("042", "api.allowed.test", Malformed::NoPort),
            ("042", "api.allowed.test:", Malformed::NoPort),
            ("042", "[::1]", Malformed::NoPort),
            ("043", "api.allowed.test:0", Malformed::PortZero),
            ("043", "api.allowed.test:65536", Malformed::PortRange),
            ("043", "api.allowed.test:65979", Malformed::PortRange),
            ("043", "api.allowed.test:4294967739", Malformed::PortRange),
            ("043", "api.allowed.test:4430000000000000000000000000000000000000", Malformed::PortRange),
            ("044", "api.allowed.test:443x", Malformed::PortDigits),
            ("044", "api.allowed.test:+443", Malformed::PortDigits),
            ("044", "api.allowed.test:-443", Malformed::PortDigits),
            ("044", "api.allowed.test:0443", Malformed::PortZero),
            ("044", "api.allowed.test: 443", Malformed::PortDigits),
            ("044", "api.allowed.test:443 ", Malformed::PortDigits),
            ("044", "api.allowed.test:0x1bb", Malformed::PortDigits),
            ("044", "api.allowed.test:https", Malformed::PortDigits),
            ("044", "api.allowed.test:\u{ff14}\u{ff14}\u{ff13}", Malformed::PortDigits),
            ("045", "api.allowed.test:443:80", Malformed::SeveralPorts),
            ("045", "a:443, b:443", Malformed::SeveralPorts),
            ("046", "https://api.allowed.test:443", Malformed::NotAuthority),
            ("046", "/x", Malformed::NotAuthority),
            ("046", "api.allowed.test:443/", Malformed::NotAuthority),
            ("046", "api.allowed.test:443?x", Malformed::NotAuthority),
            ("057", "127.1:443", Malformed::NumericName),
            ("061", "127.0.0.1.:443", Malformed::AddressDot),
            ("079", "[fe80::1%eth0]:443", Malformed::Zone),
            ("080", "[::1]x:443", Malformed::Bracket),
            ("080", "[::1:443", Malformed::Bracket),
            ("080", "::1:443", Malformed::BareIpv6),
            ("080", "2001:db8::1", Malformed::BareIpv6),
            ("080", "[[::1]]:443", Malformed::Bracket),
        ];
        for (row, given, wanted) in rows {
            assert_eq!(text(given), Err(wanted), "{row}: {given:?}");
        }
    }

    #[test]
    fn an_absolute_form_may_leave_out_the_port() {
        let http = Port::parse("80").unwrap();
        let read = |target: &str| Destination::parse_with_default_port(target, http).map(|destination| destination.to_string());
        assert_eq!(read("plain.allowed.test"), Ok("plain.allowed.test:80".to_owned()));
        assert_eq!(read("plain.allowed.test:8080"), Ok("plain.allowed.test:8080".to_owned()));
        assert_eq!(read("[::1]"), Ok("[::1]:80".to_owned()));
        let refused = [
            ("016", "plain.allowed.test@evil.test", Malformed::Userinfo),
            ("018", "a@b@plain.allowed.test", Malformed::Userinfo),
            ("018", "plain.allowed.test:@evil.test", Malformed::Userinfo),
            ("036", "", Malformed::EmptyHost),
            ("036", ":80", Malformed::EmptyHost),
            ("042", "plain.allowed.test:", Malformed::NoPort),
            ("043", "plain.allowed.test:65536", Malformed::PortRange),
            ("045", "plain.allowed.test:80:80", Malformed::SeveralPorts),
        ];
        for (row, given, wanted) in refused {
            assert_eq!(read(given), Err(wanted), "{row}: {given}");
        }
    }
}
