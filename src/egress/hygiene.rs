//! What may cross: hop-by-hop fields stay on their hop (RFC 9110 section 7.6.1), and the target sent is the one judged.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{Uri, Version};

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
const KEPT: [HeaderName; 6] = [AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, VIA, HeaderName::from_static("set-cookie")];

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) destination: &'a Destination,
    /// The path to be sent; the bytes that came where there is none.
    pub(super) path: Option<&'a str>,
}

/// Makes a request what its origin is to see: origin form, `Host` of the destination, our `Via`, nothing of this hop.
pub(super) fn outbound(parts: &mut Parts, target: Target<'_>, via: &HeaderValue) {
    drop_hop_by_hop(&mut parts.headers);
    // We answer an expectation ourselves, when the body is asked for.
    parts.headers.remove(EXPECT);
    parts.headers.insert(HOST, host_field(target.destination));
    parts.headers.append(VIA, via.clone());
    parts.uri = origin_form(&parts.uri, target.path);
    parts.version = Version::HTTP_11;
}

/// Makes an answer what the agent is to see. `None`: its framing can be read in two ways, or has a coding that would be lost.
pub(super) fn inbound(headers: &mut HeaderMap) -> Option<()> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return None;
        }
        // The coding frames the message; a length beside it is somebody's attempt at another (RFC 9112 section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    drop_hop_by_hop(headers);
    Some(())
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

fn host_field(destination: &Destination) -> HeaderValue {
    let text = if destination.port.number() == 80 { destination.host.to_string() } else { destination.to_string() };
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
        outbound(&mut parts, Target { destination: &destination, path }, &HeaderValue::from_static("1.1 exeat"));
        parts
    }
}
