//! From a request's head to a claim: the target read once, and every field that could make two readers disagree refused.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use data_encoding::HEXUPPER_PERMISSIVE;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{Method, Request, Uri, Version};
use hyper::ext::Protocol;

use super::credentials::offered;
use crate::egress::record::{Front, LONGEST_METHOD};
use crate::egress::{Claim, Objection, TraceParent};
use crate::policy::attempt::{Evidence, Scheme, Seen, Sight};
use crate::policy::destination::{Destination, Port};
use crate::policy::malformed::Malformed;

const HTTP_PORT: Port = Port(NonZeroU16::new(80).expect("80 is not 0"));

/// Fields by which frameworks and front ends take another method or path than the request line's, spelled with hyphens.
///
/// Methods: Rails, Express, Flask, WordPress, ArangoDB, OData. Paths: Symfony and Laminas on IIS, Azure App Service, Envoy, Traefik, Spring, gunicorn.
const REWRITES: [&str; 21] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-forwarded-method",
    "x-original-method",
    "x-original-url",
    "x-original-uri",
    "x-original-path",
    "x-rewrite-url",
    "x-rewrite-uri",
    "x-override-url",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-envoy-original-path",
    "x-envoy-original-method",
    "x-waws-unencoded-url",
    "x-script-name",
    "script-name",
    "path-info",
];

/// A parameter of the query that does the same; WordPress takes it from a GET as well.
const METHOD_PARAMETER: &str = "_method";

/// What the head of a request to the proxy says of its attempt.
pub fn claim<B>(request: &Request<B>, peer: SocketAddr, door: Arc<str>, via: &str) -> Claim {
    let evidence = Evidence { listener: door, source: peer.ip(), offered: offered(request.headers()) };
    let (front, sight, wanted) = if request.method() == Method::CONNECT {
        (Front::Connect, Sight::NotYet, tunnel_target(request))
    } else {
        (Front::Forward, sight(request, false), absolute_target(request))
    };
    let mut claim = Claim::new(front, peer, evidence, wanted, sight);
    claim.objection = came_back(request.headers(), via).then_some(Objection::Loop);
    claim.trace = trace(request.headers());
    claim
}

/// The one `traceparent`, if it is valid (W3C Trace Context section 3.2). It goes on to the origin as it is, like any field of the agent's.
pub(super) fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut fields = headers.get_all("traceparent").iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    TraceParent::parse(field.as_bytes())
}

/// A request in plain sight, as rules look at it. Where its head does not say whether content follows, `follows` does.
pub(super) fn sight<B>(request: &Request<B>, follows: bool) -> Sight {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let content = follows || headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let rewrites = headers.keys().any(rewrites) || uri.query().is_some_and(names_a_method);
    let extended = extends_to_websocket(request);
    let method = if extended { &Method::GET } else { method };
    let bare = Seen::bare(method.as_str(), uri.path(), uri.query());
    Sight::Seen(Arc::new(Seen { content, websocket: extended || asks_for_websocket(headers), rewrites, ..bare }))
}

/// An extended CONNECT for a WebSocket (RFC 8441 section 5): rules look at it as the GET that it stands for.
fn extends_to_websocket<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// How long a head of HTTP/2 is (RFC 9113 section 6.5.2).
pub(super) fn length<B>(request: &Request<B>) -> usize {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let targets = [
        (":method", Some(method.as_str())),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(|authority| authority.as_str())),
        (":path", uri.path_and_query().map(|path| path.as_str())),
    ];
    let targets = targets.into_iter().filter_map(|(name, value)| Some((name.len(), value?.len())));
    let fields = headers.iter().map(|(name, value)| (name.as_str().len(), value.len()));
    targets.chain(fields).map(|(name, value)| name + value + 32).sum()
}

/// CGI makes one name of `-` and `_` (RFC 3875 section 4.1.18), and so do the gateways of Python, Ruby and PHP.
fn rewrites(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    REWRITES.contains(&name.as_str())
}

fn names_a_method(query: &str) -> bool {
    let names = query.split(['&', ';']).map(|pair| pair.split('=').next().unwrap_or_default());
    names.into_iter().any(|name| decoded(name).eq_ignore_ascii_case(METHOD_PARAMETER.as_bytes()))
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let octet = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| HEXUPPER_PERMISSIVE.decode(hex).ok());
        rest = if octet.is_some() { &behind[2..] } else { behind };
        bytes.push(octet.map_or(*first, |octet| octet[0]));
    }
    bytes
}

/// RFC 6455 section 4.1: both fields, as each alone is left over from another hop.
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let lists = |name: &HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        values.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    lists(&UPGRADE, "websocket") && lists(&CONNECTION, "upgrade")
}

/// The destination a request found in a tunnel names: its `Host`, and its target's authority where it has one.
pub(super) fn named_inside<B>(request: &Request<B>, tunnel: &Destination, scheme: Scheme) -> Result<Destination, Malformed> {
    if !extends_to_websocket(request) {
        passable_method(request.method())?;
    }
    framing(request.headers())?;
    let host = match host_field(request, tunnel.port)? {
        Some(host) => host,
        // HTTP/2 says it in `:authority` (RFC 9113 section 8.3.1), and may say it in both.
        None => authority(request, tunnel)?.ok_or(Malformed::HostField)?,
    };
    let target = match (request.uri().scheme_str(), request.uri().authority()) {
        // `*` is a target of OPTIONS alone, and in HTTP/2 it stands beside an authority (RFC 9113 section 8.3.1).
        _ if !request.uri().path().starts_with('/') && request.method() != Method::OPTIONS => return Err(Malformed::TargetForm),
        (None, None) => return Ok(host),
        (Some(sent), Some(authority)) if sent == scheme.as_str() => Destination::parse_with_default_port(authority.as_str(), tunnel.port)?,
        (Some(_) | None, _) => return Err(Malformed::Scheme),
    };
    if target == host { Ok(target) } else { Err(Malformed::HostField) }
}

fn authority<B>(request: &Request<B>, tunnel: &Destination) -> Result<Option<Destination>, Malformed> {
    let Some(authority) = request.uri().authority() else { return Ok(None) };
    Destination::parse_with_default_port(authority.as_str(), tunnel.port).map(Some)
}

fn tunnel_target<B>(request: &Request<B>) -> Result<Destination, Malformed> {
    let uri = request.uri();
    let (None, None, Some(authority)) = (uri.scheme(), uri.path_and_query(), uri.authority()) else {
        return Err(Malformed::TargetForm);
    };
    let headers = request.headers();
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Malformed::ConnectContent);
    }
    let destination = Destination::parse(authority.as_str())?;
    host_field(request, destination.port)?;
    Ok(destination)
}

/// The destination of an absolute form. `Host` must be readable; where it differs the target wins (RFC 9112 section 3.2.2).
fn absolute_target<B>(request: &Request<B>) -> Result<Destination, Malformed> {
    passable_method(request.method())?;
    let authority = absolute_authority(request.uri())?;
    let destination = Destination::parse_with_default_port(authority, HTTP_PORT)?;
    framing(request.headers())?;
    host_field(request, HTTP_PORT)?;
    Ok(destination)
}

fn absolute_authority(uri: &Uri) -> Result<&str, Malformed> {
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => Ok(authority.as_str()),
        (Some(_), _) => Err(Malformed::Scheme),
        (None, _) => Err(Malformed::TargetForm),
    }
}

/// TRACE and its like echo what they are sent, credentials too; CONNECT inside a tunnel would open another.
fn passable_method(method: &Method) -> Result<(), Malformed> {
    let name = method.as_str();
    let refused = name.len() > LONGEST_METHOD || [Method::TRACE, Method::CONNECT].contains(method) || ["TRACK", "DEBUG"].contains(&name);
    if refused { Err(Malformed::Method) } else { Ok(()) }
}

/// The destination of a request on a redirected connection: the host that it names, at the port its connection was made to.
/// Only HTTP/1.0 may name none, and is for the address then.
pub(super) fn redirected_target<B>(request: &Request<B>, original: &Destination) -> Result<Destination, Malformed> {
    passable_method(request.method())?;
    framing(request.headers())?;
    let host = host_field(request, original.port)?.unwrap_or_else(|| original.clone());
    let uri = request.uri();
    if uri.scheme().is_none() && uri.authority().is_none() {
        if !uri.path().starts_with('/') && request.method() != Method::OPTIONS {
            return Err(Malformed::TargetForm);
        }
    } else if Destination::parse_with_default_port(absolute_authority(uri)?, HTTP_PORT)? != host {
        return Err(Malformed::HostField);
    }
    if host.port == original.port { Ok(host) } else { Err(Malformed::HostPort) }
}

/// Refuses what two parsers could frame in two ways (RFC 9112 section 6.3).
fn framing(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(Malformed::Framing);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || headers.contains_key(CONTENT_LENGTH) || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Malformed::Framing);
    }
    let expected = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(EXPECT).iter().all(expected) { Ok(()) } else { Err(Malformed::Expectation) }
}

/// The one `Host` field, read; only HTTP/1.0 may go without (RFC 9112 section 3.2).
fn host_field<B>(request: &Request<B>, default: Port) -> Result<Option<Destination>, Malformed> {
    let mut fields = request.headers().get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) if request.version() != Version::HTTP_11 => Ok(None),
        (Some(field), None) => {
            let text = field.to_str().map_err(|_not_ascii| Malformed::HostField)?;
            Destination::parse_with_default_port(text, default).map(Some).map_err(|_unreadable| Malformed::HostField)
        }
        (None, _) | (Some(_), Some(_)) => Err(Malformed::HostField),
    }
}

/// Whether the request passed through this process already (RFC 9110 section 7.6.3).
pub(super) fn came_back(headers: &HeaderMap, via: &str) -> bool {
    let hops = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    hops.filter_map(|hop| hop.split_ascii_whitespace().nth(1)).any(|name| name == via)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    type Field = (&'static str, &'static str);
    type Row<T> = (&'static str, &'static [Field], Result<T, Malformed>);

    const API: Field = ("host", "api.allowed.test:443");
    const HOST: Field = ("host", "plain.allowed.test");
    const NAMED: Field = ("host", "plain.allowed.test:8080");

    #[test]
    fn a_head_is_as_long_as_its_names_and_values_and_what_http2_counts_beside() {
        for (uri, fields, wanted) in [
            ("/", &[][..], (7 + 3) + (5 + 1) + 2 * 32),
            ("https://web.test/a?b", &[], (7 + 3) + (7 + 5) + (10 + 8) + (5 + 4) + 4 * 32),
            ("/", &[("x-a", "bc"), ("x-a", "")], (7 + 3) + (5 + 1) + (3 + 2) + 3 + 4 * 32),
        ] {
            let mut request = Request::get(uri);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            assert_eq!(length(&request.body(()).unwrap()), wanted, "{uri} {fields:?}");
        }
    }

    #[test]
    fn a_forward_target_is_read_in_exactly_one_way() {
        let plain = || Ok(Destination::parse("plain.allowed.test:80").unwrap());
        let table: [Row<Destination>; 17] = [
            ("http://plain.allowed.test/", &[HOST], plain()),
            ("http://PLAIN.allowed.test.:80/?evil.test", &[("host", "evil.test")], plain()),
            ("http://plain.allowed.test/", &[HOST, ("content-length", "3")], plain()),
            ("http://plain.allowed.test/", &[HOST, ("transfer-encoding", "Chunked")], plain()),
            ("/", &[HOST], Err(Malformed::TargetForm)),
            ("*", &[HOST], Err(Malformed::TargetForm)),
            ("https://plain.allowed.test/", &[HOST], Err(Malformed::Scheme)),
            ("ftp://plain.allowed.test/", &[HOST], Err(Malformed::Scheme)),
            ("http://plain.allowed.test/", &[], Err(Malformed::HostField)),
            ("http://plain.allowed.test/", &[HOST, HOST], Err(Malformed::HostField)),
            ("http://plain.allowed.test/", &[("host", "a, b")], Err(Malformed::HostField)),
            ("http://plain.allowed.test/", &[HOST, ("content-length", "3, 3")], Err(Malformed::Framing)),
            ("http://plain.allowed.test/", &[HOST, ("content-length", "3"), ("content-length", "3")], Err(Malformed::Framing)),
            ("http://plain.allowed.test/", &[HOST, ("transfer-encoding", "identity, chunked")], Err(Malformed::Framing)),
            ("http://plain.allowed.test/", &[HOST, ("transfer-encoding", "chunked"), ("content-length", "3")], Err(Malformed::Framing)),
            (
                "http://plain.allowed.test/",
                &[HOST, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Err(Malformed::Framing),
            ),
            ("http://plain.allowed.test/", &[HOST, ("expect", "y 100-continue")], Err(Malformed::Expectation)),
        ];
        for (uri, headers, wanted) in table {
            assert_eq!(absolute_target(&request("GET", uri, headers)), wanted, "{uri} {headers:?}");
        }
        assert_eq!(absolute_target(&request("TRACE", "http://plain.allowed.test/", &[HOST])), Err(Malformed::Method));
    }

    #[test]
    fn a_tunnel_target_is_host_and_port_and_nothing_else() {
        let table: [Row<Destination>; 5] = [
            ("api.allowed.test:443", &[API], Ok(Destination::parse("api.allowed.test:443").unwrap())),
            ("https://api.allowed.test:443", &[API], Err(Malformed::TargetForm)),
            ("/x", &[API], Err(Malformed::TargetForm)),
            ("api.allowed.test:443", &[API, ("content-length", "5")], Err(Malformed::ConnectContent)),
            ("api.allowed.test:443", &[API, ("transfer-encoding", "chunked")], Err(Malformed::ConnectContent)),
        ];
        for (uri, headers, wanted) in table {
            assert_eq!(tunnel_target(&request("CONNECT", uri, headers)), wanted, "{uri} {headers:?}");
        }
    }

    #[test]
    fn a_request_in_a_tunnel_names_one_host() {
        let tunnel = Destination::parse("plain.allowed.test:8080").unwrap();
        let table: [Row<&str>; 6] = [
            ("/", &[("host", "plain.allowed.test:8080")], Ok("plain.allowed.test:8080")),
            ("/", &[HOST], Ok("plain.allowed.test:8080")),
            ("/", &[("host", "evil.test")], Ok("evil.test:8080")),
            ("*", &[HOST], Err(Malformed::TargetForm)),
            ("http://evil.test/", &[HOST], Err(Malformed::HostField)),
            ("/", &[], Err(Malformed::HostField)),
        ];
        for (uri, headers, wanted) in table {
            let wanted = wanted.map(|text| Destination::parse(text).unwrap());
            assert_eq!(named_inside(&request("GET", uri, headers), &tunnel, Scheme::Http), wanted, "{uri} {headers:?}");
        }
        assert_eq!(named_inside(&request("CONNECT", "evil.test:443", &[HOST]), &tunnel, Scheme::Http), Err(Malformed::Method));
    }

    #[test]
    fn a_redirected_request_is_for_the_host_it_names_at_the_port_of_its_connection() {
        let original = Destination::parse("192.0.2.1:8080").unwrap();
        let table: [Row<&str>; 12] = [
            ("/", &[NAMED], Ok("plain.allowed.test:8080")),
            ("/", &[HOST], Ok("plain.allowed.test:8080")),
            ("/", &[("host", "PLAIN.allowed.test.")], Ok("plain.allowed.test:8080")),
            ("/", &[("host", "198.51.100.1:8080")], Ok("198.51.100.1:8080")),
            ("/", &[("host", "plain.allowed.test:80")], Err(Malformed::HostPort)),
            ("http://plain.allowed.test:8080/", &[NAMED], Ok("plain.allowed.test:8080")),
            ("http://plain.allowed.test/", &[NAMED], Err(Malformed::HostField)),
            ("http://evil.test:8080/", &[NAMED], Err(Malformed::HostField)),
            ("https://plain.allowed.test:8080/", &[NAMED], Err(Malformed::Scheme)),
            ("/", &[NAMED, NAMED], Err(Malformed::HostField)),
            ("/", &[], Err(Malformed::HostField)),
            ("*", &[NAMED], Err(Malformed::TargetForm)),
        ];
        for (uri, headers, wanted) in table {
            let wanted = wanted.map(|text| Destination::parse(text).unwrap());
            assert_eq!(redirected_target(&request("GET", uri, headers), &original), wanted, "{uri} {headers:?}");
        }
        let mut old = request("GET", "/", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(redirected_target(&old, &original), Ok(original.clone()));
        assert_eq!(redirected_target(&request("CONNECT", "evil.test:443", &[HOST]), &original), Err(Malformed::Method));
    }

    #[test]
    fn a_request_within_tls_names_one_host_in_either_protocol() {
        let tunnel = Destination::parse("plain.allowed.test:443").unwrap();
        let table: [(Version, Row<&str>); 8] = [
            (Version::HTTP_11, ("/", &[HOST], Ok("plain.allowed.test:443"))),
            (Version::HTTP_11, ("https://plain.allowed.test/", &[HOST], Ok("plain.allowed.test:443"))),
            (Version::HTTP_11, ("http://plain.allowed.test/", &[HOST], Err(Malformed::Scheme))),
            (Version::HTTP_2, ("https://plain.allowed.test/", &[], Ok("plain.allowed.test:443"))),
            (Version::HTTP_2, ("https://evil.test/", &[], Ok("evil.test:443"))),
            (Version::HTTP_2, ("https://evil.test/", &[HOST], Err(Malformed::HostField))),
            (Version::HTTP_2, ("http://plain.allowed.test/", &[], Err(Malformed::Scheme))),
            (Version::HTTP_2, ("/", &[], Err(Malformed::HostField))),
        ];
        for (version, (uri, headers, wanted)) in table {
            let wanted = wanted.map(|text| Destination::parse(text).unwrap());
            let mut request = request("GET", uri, headers);
            *request.version_mut() = version;
            assert_eq!(named_inside(&request, &tunnel, Scheme::Https), wanted, "{version:?} {uri} {headers:?}");
        }
    }

    #[test]
    fn an_extended_connect_is_the_get_that_it_stands_for() {
        let tunnel = Destination::parse("plain.allowed.test:443").unwrap();
        for (protocol, wanted) in [("websocket", Ok(tunnel.clone())), ("connect-udp", Err(Malformed::Method))] {
            let mut request = request("CONNECT", "https://plain.allowed.test/chat", &[]);
            *request.version_mut() = Version::HTTP_2;
            request.extensions_mut().insert(Protocol::from_static(protocol));
            assert_eq!(named_inside(&request, &tunnel, Scheme::Https), wanted, "{protocol}");
            let sight = sight(&request, false);
            let (method, websocket) = sight.seen().map(|seen| (seen.method.to_string(), seen.websocket)).unwrap();
            assert_eq!((method == "GET", websocket), (protocol == "websocket", protocol == "websocket"), "{protocol}");
        }
    }

    #[test]
    fn a_field_or_parameter_that_names_another_method_or_path_is_seen_however_it_is_spelled() {
        for name in REWRITES {
            for name in [name.to_owned(), name.replace('-', "_"), name.to_ascii_uppercase()] {
                let request = Request::builder().uri("/").header(&name, "x").body(()).unwrap();
                assert!(seen(&request).rewrites, "{name}");
            }
        }
        for query in ["_method=DELETE", "a=1&_method=PUT", "a;_method", "%5fmethod=PUT", "_%6DETHOD=PUT", "_method[]=x&_method=PUT"] {
            assert!(seen(&request("GET", &format!("/?{query}"), &[])).rewrites, "{query}");
        }
        for query in ["method=DELETE", "a=_method", "x_method=1", "_method%=1", "%5", ""] {
            assert!(!seen(&request("GET", &format!("/?{query}"), &[("x-method", "x"), ("x-forwarded-for", "x")])).rewrites, "{query}");
        }
    }

    #[test]
    fn content_is_a_length_spelled_otherwise_than_0_or_a_coding() {
        let table: [(&[Field], bool); 7] = [
            (&[], false),
            (&[("content-length", "0")], false),
            (&[("expect", "100-continue")], false),
            (&[("content-length", "00")], true),
            (&[("content-length", "1"), ("expect", "100-continue")], true),
            (&[("transfer-encoding", "chunked")], true),
            (&[("content-length", "")], true),
        ];
        for (fields, wanted) in table {
            assert_eq!(seen(&request("GET", "/", fields)).content, wanted, "{fields:?}");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_by_two_fields() {
        let table: [(&[Field], bool); 6] = [
            (&[("upgrade", "websocket"), ("connection", "Upgrade")], true),
            (&[("upgrade", "h2c, WebSocket"), ("connection", "keep-alive, upgrade")], true),
            (&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")], false),
            (&[("upgrade", "websocket/13"), ("connection", "Upgrade")], false),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "Upgrade")], false),
        ];
        for (fields, wanted) in table {
            assert_eq!(seen(&request("GET", "/", fields)).websocket, wanted, "{fields:?}");
        }
    }

    #[test]
    fn a_request_that_comes_back_is_known_by_its_via() {
        let table = [("1.1 exeat-1", true), ("1.0 a, 1.1 exeat-1 (x)", true), ("1.1 exeat-2", false), ("exeat-1", false)];
        for (via, wanted) in table {
            assert_eq!(came_back(request("GET", "/", &[("via", via)]).headers(), "exeat-1"), wanted, "{via}");
        }
    }

    fn seen<B>(request: &Request<B>) -> Seen {
        sight(request, false).seen().unwrap().clone()
    }

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }
}
