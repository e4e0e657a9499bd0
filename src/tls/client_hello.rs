//! The first bytes of a tunnel: a ClientHello (RFC 8446 section 4.1.2), an HTTP head, or neither.
//!
//! Works on any prefix and says when it needs more; a hello may be split over records and over segments.

use std::fmt;

/// Bytes looked at before the hello is given up as too long. A post-quantum hello with ECH is under 2 KiB.
pub const MOST: usize = 16 * 1024;

/// The fatal alert `access_denied` (RFC 8446 section 6.2) as one plaintext record.
pub const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const LONGEST_RECORD: usize = 16 * 1024;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const EXTENSION_ECH: u16 = 0xfe0d;
/// The longest method looked for; the registry's longest has 17 characters.
const LONGEST_METHOD: usize = 20;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// Too few to tell.
    More,
    /// A complete ClientHello.
    Tls(ClientHello),
    /// TLS records that hold no readable ClientHello.
    BrokenTls,
    /// The start of an HTTP/1 request line.
    Http,
    /// Anything else.
    Other,
}

/// What a ClientHello shows to everyone on the way.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The host name of the server_name extension (RFC 6066 section 3), as sent.
    pub server_name: Option<Vec<u8>>,
    /// The protocols offered (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// An encrypted_client_hello extension stands in it (RFC 9849), real or GREASE; `server_name` is then the outer name.
    pub ech: bool,
}

impl fmt::Debug for ClientHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.server_name.as_deref().map(String::from_utf8_lossy);
        f.debug_struct("ClientHello").field("server_name", &name).field("protocols", &self.alpn.len()).field("ech", &self.ech).finish()
    }
}

impl FirstBytes {
    /// Reads the bytes a peer has sent so far.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            None => FirstBytes::More,
            Some(&HANDSHAKE_RECORD) => first_of_tls(bytes),
            Some(_) => first_of_text(bytes),
        }
    }
}

fn first_of_text(bytes: &[u8]) -> FirstBytes {
    let letters = bytes.iter().take(LONGEST_METHOD + 1).take_while(|byte| byte.is_ascii_uppercase()).count();
    match bytes.get(letters) {
        None => FirstBytes::More,
        // The HTTP/2 preface would open a connection whose requests are not seen.
        Some(b' ') if letters > 0 && &bytes[..letters] != b"PRI" => FirstBytes::Http,
        Some(_) => FirstBytes::Other,
    }
}

fn first_of_tls(bytes: &[u8]) -> FirstBytes {
    match handshake_bytes(bytes) {
        Err(Unreadable::More) if bytes.len() < MOST => FirstBytes::More,
        Err(Unreadable::More | Unreadable::Broken) => FirstBytes::BrokenTls,
        Ok(message) => read_hello(&message).map_or(FirstBytes::BrokenTls, FirstBytes::Tls),
    }
}

enum Unreadable {
    More,
    Broken,
}

/// The body of the first handshake message, put together from as many records as it takes.
fn handshake_bytes(mut bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut message = Vec::new();
    loop {
        let [kind, major, _minor, high, low, rest @ ..] = bytes else {
            // What is there of the record's head must already fit.
            let fits = bytes.first().is_none_or(|kind| *kind == HANDSHAKE_RECORD) && bytes.get(1).is_none_or(|major| *major == 3);
            return Err(if fits { Unreadable::More } else { Unreadable::Broken });
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != HANDSHAKE_RECORD || *major != 3 || length == 0 || length > LONGEST_RECORD {
            return Err(Unreadable::Broken);
        }
        message.extend_from_slice(&rest[..length.min(rest.len())]);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Unreadable::Broken);
        }
        if let [_, a, b, c, body @ ..] = message.as_slice() {
            let wanted = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if wanted > MOST {
                return Err(Unreadable::Broken);
            }
            if let Some(body) = body.get(..wanted) {
                return Ok(body.to_vec());
            }
        }
        bytes = rest.get(length..).ok_or(Unreadable::More)?;
    }
}

/// Walks a ClientHello; `None` where a length does not fit or an extension stands twice.
fn read_hello(body: &[u8]) -> Option<ClientHello> {
    let mut walk = Walk(body);
    walk.take(2 + 32)?;
    walk.short_vector()?;
    walk.long_vector()?;
    walk.short_vector()?;
    let mut hello = ClientHello::default();
    if walk.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Walk(walk.long_vector()?);
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let mut content = Walk(extensions.long_vector()?);
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        match kind {
            EXTENSION_SERVER_NAME => hello.server_name = Some(server_name(content)?),
            EXTENSION_ALPN => {
                let mut list = Walk(content.long_vector()?);
                while !list.0.is_empty() {
                    hello.alpn.push(list.short_vector()?.to_vec());
                }
            }
            EXTENSION_ECH => hello.ech = true,
            _ => {}
        }
    }
    walk.0.is_empty().then_some(hello)
}

/// Exactly one name of type host_name: two names would let two readers disagree.
fn server_name(mut content: Walk<'_>) -> Option<Vec<u8>> {
    let mut list = Walk(content.long_vector()?);
    let host_name = list.take(1)? == [0];
    let name = list.long_vector()?;
    (host_name && list.0.is_empty() && content.0.is_empty()).then(|| name.to_vec())
}

struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn long_vector(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn a_real_hello_shows_its_name_and_its_protocols() {
        let hello = real_hello("api.allowed.test");
        let FirstBytes::Tls(read) = FirstBytes::of(&hello) else { panic!("not read") };
        assert_eq!(
            read,
            ClientHello { server_name: Some(b"api.allowed.test".to_vec()), alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ech: false }
        );
    }

    #[test]
    fn rustls_reads_the_same_name() {
        let hello = real_hello("a.wild.test");
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut hello.as_slice()).unwrap();
        let accepted = acceptor.accept().map_err(|(error, _)| error).unwrap().unwrap();
        let FirstBytes::Tls(read) = FirstBytes::of(&hello) else { panic!("not read") };
        assert_eq!(accepted.client_hello().server_name().map(|name| name.as_bytes().to_vec()), read.server_name);
    }

    #[test]
    fn every_strict_prefix_of_a_hello_needs_more() {
        let hello = real_hello("api.allowed.test");
        for end in 0..hello.len() {
            assert_eq!(FirstBytes::of(&hello[..end]), FirstBytes::More, "{end}");
        }
    }

    #[test]
    fn a_hello_split_over_many_records_is_the_same_hello() {
        let hello = real_hello("api.allowed.test");
        let mut split = Vec::new();
        for part in hello[5..].chunks(7) {
            split.extend_from_slice(&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
            split.extend_from_slice(part);
        }
        assert_eq!(FirstBytes::of(&split), FirstBytes::of(&hello));
    }

    #[test]
    fn a_hello_with_two_names_is_broken() {
        let one = [0, 0, 3, b'a', b'.', b'b'];
        let list = [one, one].concat();
        assert_eq!(FirstBytes::of(&hello_with(&[(0, vector(&list))])), FirstBytes::BrokenTls);
        assert_eq!(FirstBytes::of(&hello_with(&[(0, vector(&one)), (0, vector(&one))])), FirstBytes::BrokenTls);
        assert!(matches!(FirstBytes::of(&hello_with(&[(0, vector(&one)), (0xfe0d, vec![0])])), FirstBytes::Tls(hello) if hello.ech));
    }

    #[test]
    fn what_is_no_hello_is_told_apart() {
        let table: [(&[u8], FirstBytes); 12] = [
            (b"", FirstBytes::More),
            (b"GE", FirstBytes::More),
            (b"GET ", FirstBytes::Http),
            (b"CONNECT x", FirstBytes::Http),
            (b"PRI * HTTP/2.0\r\n", FirstBytes::Other),
            (b"SSH-2.0-x", FirstBytes::Other),
            (b" GET /", FirstBytes::Other),
            (b"get / HTTP/1.1", FirstBytes::Other),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", FirstBytes::Other),
            (b"\x16\x02", FirstBytes::BrokenTls),
            (b"\x16\x03\x01\x00\x01\x02", FirstBytes::BrokenTls),
            (b"\x16\x03\x01\x00\x00", FirstBytes::BrokenTls),
        ];
        for (bytes, wanted) in table {
            assert_eq!(FirstBytes::of(bytes), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn a_hello_that_never_ends_is_given_up() {
        let mut endless = Vec::new();
        while endless.len() < MOST {
            endless.extend_from_slice(&[22, 3, 1, 0, 4, 1, 0, 0x3f, 0xff]);
        }
        assert_eq!(FirstBytes::of(&endless), FirstBytes::BrokenTls);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, tls: bool) {
            if tls {
                bytes.splice(0..0, [22, 3, 1]);
            }
            let _ = FirstBytes::of(&bytes);
        }
    }

    fn real_hello(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    fn vector(content: &[u8]) -> Vec<u8> {
        [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    }

    fn hello_with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let list: Vec<u8> = extensions.iter().flat_map(|(kind, content)| [kind.to_be_bytes().to_vec(), vector(content)].concat()).collect();
        let body = [&[3, 3], [0; 32].as_slice(), &[0], &[0, 2, 0x13, 1], &[1, 0], &vector(&list)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1], &length[1..], &body].concat();
        [&[22, 3, 1], vector(&message).as_slice()].concat()
    }
}
