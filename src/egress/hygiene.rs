//! What may cross: hop-by-hop fields stay on their hop (RFC 9110 section 7.6.1), and the target sent is the one judged.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Uri, Version};

use super::interception::Speaks;
use crate::policy::attempt::Scheme;
use crate::policy::destination::Destination;

const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that `Connection` cannot name away: they frame, route or authorise the message.
const KEPT: [HeaderName; 6] = [AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, VIA, SET_COOKIE];

/// What has no place in a trailer (RFC 9110 section 6.5.1): it frames, routes, authorises, or says how the content is to be read.
const NOT_TRAILERS: [HeaderName; 19] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    WWW_AUTHENTICATE,
];

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) destination: &'a Destination,
    pub(super) scheme: Scheme,
    /// The path to be sent; the bytes that came where there is none.
    pub(super) path: Option<&'a str>,
}

/// The agent takes trailers: what was `TE` on its hop (RFC 9110 section 10.1.4).
#[derive(Clone, Copy, Debug)]
struct TakesTrailers;

/// Makes a request what its origin is to see: the path that was judged, our `Via`, nothing of this hop. `fit` makes it whole.
pub(super) fn outbound(parts: &mut Parts, target: Target<'_>, via: &HeaderValue) {
    if lists(&parts.headers, &TE, b"trailers") {
        parts.extensions.insert(TakesTrailers);
    }
    let announced = announced(&parts.headers, target.scheme);
    drop_hop_by_hop(&mut parts.headers);
    announce(&mut parts.headers, announced);
    // We answer an expectation ourselves, when the body is asked for.
    parts.headers.remove(EXPECT);
    parts.headers.append(VIA, via.clone());
    parts.uri = origin_form(&parts.uri, target.path);
    fit(parts, target, Speaks::Http1);
}

/// Makes it what is spoken on a connection: `Host` or `:authority` of the destination, whatever was sent. It may be made so again.
pub(super) fn fit(parts: &mut Parts, target: Target<'_>, speaks: Speaks) {
    let host = host_field(target);
    match speaks {
        Speaks::Http1 => {
            parts.headers.insert(HOST, host);
            parts.uri = origin_form(&parts.uri, None);
            parts.version = Version::HTTP_11;
            parts.headers.remove(TE);
            join_crumbs(&mut parts.headers);
        }
        Speaks::Http2 => {
            let mut uri = origin_form(&parts.uri, None).into_parts();
            uri.scheme = Some(target.scheme.as_str().try_into().expect("a scheme is one"));
            uri.authority = Some(host.as_bytes().try_into().expect("a canonical host is an authority"));
            parts.uri = Uri::from_parts(uri).expect("an authority and a target are a URI");
            parts.version = Version::HTTP_2;
            for name in [HOST, TRANSFER_ENCODING, CONNECTION] {
                parts.headers.remove(name);
            }
            if parts.extensions.get::<TakesTrailers>().is_some() {
                parts.headers.insert(TE, TRAILERS);
            }
        }
    }
}

/// HTTP/2 may split `Cookie`; nothing else reads more than one (RFC 9113 section 8.2.3).
fn join_crumbs(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(mut joined) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice()))
    {
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

/// Makes an answer what the agent is to see. `None`: its framing can be read in two ways, or has a coding that would be lost.
pub(super) fn inbound(headers: &mut HeaderMap, scheme: Scheme) -> Option<()> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return None;
        }
        // The coding frames the message; a length beside it is somebody's attempt at another (RFC 9112 section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    let announced = announced(headers, scheme);
    drop_hop_by_hop(headers);
    announce(headers, announced);
    Some(())
}

/// Leaves of trailers what may pass.
pub(super) fn trailers(fields: &mut HeaderMap) {
    for name in &NOT_TRAILERS {
        fields.remove(name);
    }
}

/// The trailers that are promised, where they pass.
fn announced(headers: &HeaderMap, scheme: Scheme) -> Vec<HeaderValue> {
    match scheme {
        Scheme::Http => Vec::new(),
        Scheme::Https => headers.get_all(TRAILER).iter().cloned().collect(),
    }
}

fn announce(headers: &mut HeaderMap, announced: Vec<HeaderValue>) {
    for value in announced {
        headers.append(TRAILER, value);
    }
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    let tokens = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn host_field(Target { destination, scheme, path: _ }: Target<'_>) -> HeaderValue {
    let default = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let text = if destination.port.number() == default { destination.host.to_string() } else { destination.to_string() };
    HeaderValue::try_from(text).expect("a canonical host is ASCII without controls")
}

fn origin_form(uri: &Uri, path: Option<&str>) -> Uri {
    let sent = if uri.path().is_empty() { "/" } else { uri.path() };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{}{query}", path.unwrap_or(sent));
    Uri::try_from(target).expect("the path of a target that was parsed is a target")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::destination::Destination;

    #[test]
    fn nothing_of_this_hop_crosses() {
        let sent = [
            ("host", "evil.test"),
            ("connection", "close, x-a, host, content-length, Authorization, via"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("authorization", "Bearer mine"),
            ("content-length", "3"),
            ("via", "1.1 other"),
        ];
        let parts = crossed("http://plain.allowed.test/a?b#c", None, &sent);
        assert_eq!(parts.uri, "/a?b");
        let mut left: Vec<(String, String)> =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        left.sort();
        let wanted = [
            ("authorization", "Bearer mine"),
            ("content-length", "3"),
            ("host", "plain.allowed.test"),
            ("via", "1.1 exeat"),
            ("via", "1.1 other"),
            ("x-b", "2"),
        ];
        assert_eq!(left, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_target_without_a_path_asks_for_the_root() {
        assert_eq!(crossed("http://plain.allowed.test", None, &[]).uri, "/");
        assert_eq!(crossed("http://plain.allowed.test?q=1", None, &[]).uri, "/?q=1");
    }

    #[test]
    fn a_path_that_was_judged_takes_the_place_of_the_one_sent_and_the_query_stays() {
        let table = [
            ("http://plain.allowed.test/a/%7Eb/../c?x=%2e%2E/..", Some("/a/c"), "/a/c?x=%2e%2E/.."),
            ("http://plain.allowed.test?", Some("/"), "/?"),
            ("http://plain.allowed.test/a/../b", None, "/a/../b"),
            ("http://plain.allowed.test/a/%2e%2e/b?", None, "/a/%2e%2e/b?"),
        ];
        for (uri, path, wanted) in table {
            assert_eq!(crossed(uri, path, &[]).uri, wanted, "{uri}");
        }
    }

    fn crossed(uri: &str, path: Option<&str>, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let destination = Destination::parse("plain.allowed.test:80").unwrap();
        outbound(&mut parts, Target { destination: &destination, scheme: Scheme::Http, path }, &HeaderValue::from_static("1.1 exeat"));
        parts
    }
}
