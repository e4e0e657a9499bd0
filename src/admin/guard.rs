//! What stands before every route: where the request was sent, from which page, by whom.
//!
//! Agents run web servers on this host. So a browser's word on where a page came from is checked to the port, a name that was made to
//! lead here (DNS rebinding) is refused by `Host`, and there is no cookie that a page of another port could make use of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::caller::{Arrival, Caller, unknown};
use super::problem::Refused;
use crate::approval::store::Role;
use crate::policy::address::canonical;

/// Where the API is.
pub(super) const API: &str = "/api/";

/// Routes of the API that need no token.
const OPEN: [&str; 2] = ["/api/v1/login", "/api/v1/openapi.json"];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Lets a request through to its route, or refuses it.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match passes(&api, &mut parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => refused.into_response(),
    };
    harden(response.headers_mut());
    response
}

fn passes(api: &Api, parts: &mut Parts) -> Result<(), Refused> {
    if ![Method::GET, Method::HEAD, Method::POST, Method::DELETE].contains(&parts.method) {
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method"));
    }
    match parts.extensions.get::<Arrival>().cloned() {
        Some(Arrival::Socket { name }) => {
            let (role, agents, gone) = (Role::Admin, None, CancellationToken::new());
            parts.extensions.insert(Caller { name, role, agents, gone, by_token: false });
            Ok(())
        }
        Some(Arrival::Tcp { peer, local }) => {
            let host = host(&parts.headers, parts.uri.authority().map(|authority| authority.as_str()), local)?;
            let known = Known::of(&host, local, &api.hosts)?;
            from_our_page(parts, &host, known, local)?;
            let path = parts.uri.path();
            if path.starts_with(API) && !OPEN.contains(&path) {
                let caller = bearer(api, &parts.headers, peer.ip())?;
                parts.extensions.insert(caller);
            }
            Ok(())
        }
        // No listener of ours makes such a request.
        None => Err(unknown()),
    }
}

/// The one `Host`, in lower case. A target with an authority must say the same.
fn host(headers: &HeaderMap, target: Option<&str>, local: SocketAddr) -> Result<String, Refused> {
    let host = one(headers, &HOST).map_err(|()| misdirected(local))?.ok_or_else(|| misdirected(local))?.to_ascii_lowercase();
    if target.is_some_and(|target| !target.eq_ignore_ascii_case(&host)) {
        return Err(misdirected(local));
    }
    Ok(host)
}

/// Says where the page is, which whoever came here knows.
fn misdirected(local: SocketAddr) -> Refused {
    let detail = format!("that is not a name of this listener: open http://{local}/, or write the name into `hosts` of [admin]");
    Refused::new(StatusCode::MISDIRECTED_REQUEST, detail)
}

/// How a `Host` is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is the address the connection came to: no name leads here by such a `Host`.
    Address,
    /// It is configured.
    Name,
}

impl Known {
    fn of(host: &str, local: SocketAddr, hosts: &[Arc<str>]) -> Result<Self, Refused> {
        let local = canonical(local);
        let address = host.parse::<SocketAddr>().is_ok_and(|host| host == local);
        let bare = || local.port() == 80 && host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|host| host == local.ip());
        if address || bare() {
            return Ok(Known::Address);
        }
        let configured = |name: &Arc<str>| **name == *host || host.strip_suffix(&format!(":{}", local.port())) == Some(name.as_ref());
        if hosts.iter().any(configured) {
            return Ok(Known::Name);
        }
        Err(misdirected(local))
    }
}

/// Where a browser says which page asks, it must be ours.
fn from_our_page(parts: &Parts, host: &str, known: Known, local: SocketAddr) -> Result<(), Refused> {
    let foreign = || {
        Refused::forbidden(format!(
            "a page of another origin asks, and only exeat's own page may: open http://{local}/ itself; a program sends neither Origin nor Sec-Fetch-Site"
        ))
    };
    if let Some(origin) = one(&parts.headers, &ORIGIN).map_err(|()| foreign())?
        && !is_ours(origin, host, known, local)
    {
        return Err(foreign());
    }
    let site = one(&parts.headers, &FETCH_SITE).map_err(|()| foreign())?;
    let ours = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    // Who follows a link to the page from elsewhere sees the page, which holds nothing.
    let visit = || {
        let navigates = one(&parts.headers, &FETCH_MODE) == Ok(Some("navigate"));
        navigates && parts.method == Method::GET && !parts.uri.path().starts_with(API)
    };
    if ours || visit() { Ok(()) } else { Err(foreign()) }
}

/// Whether the origin is the one a browser shows for `host`: scheme, name and port.
fn is_ours(origin: &str, host: &str, known: Known, local: SocketAddr) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    if !authority.eq_ignore_ascii_case(host) {
        return false;
    }
    let ported = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    match (scheme, known) {
        // Without a port it is port 80, which may be somebody else's.
        ("http", _) => ported || local.port() == 80,
        // A name may be that of a TLS proxy in front; we speak none.
        ("https", Known::Name) => true,
        (_, _) => false,
    }
}

fn bearer(api: &Api, headers: &HeaderMap, from: IpAddr) -> Result<Caller, Refused> {
    let now = Instant::now();
    let field = one(headers, &AUTHORIZATION).ok().flatten();
    let Some(field) = field else { return Err(unknown()) };
    let token = field.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "));
    match token.and_then(|(_, token)| api.people.find(token.trim(), now)) {
        Some(caller) => Ok(caller),
        None => Err(wrong(api, from, now, unknown())),
    }
}

/// What a wrong token or code is told: `refused`, or to wait.
pub(super) fn wrong(api: &Api, from: IpAddr, now: Instant, refused: Refused) -> Refused {
    match api.people.failed(from, now) {
        Ok(()) => refused,
        Err(wait) => slower("too many wrong tokens or codes came from there", wait),
    }
}

pub(super) fn slower(detail: &str, wait: Duration) -> Refused {
    Refused { retry_after: Some(wait.as_secs().max(1)), ..Refused::new(StatusCode::TOO_MANY_REQUESTS, detail) }
}

/// The only value of a header; an error where there are several, or it is no text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

fn harden(headers: &mut HeaderMap) {
    let always = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (RESOURCE_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in always {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn known(host: &str, local: &str, hosts: &[&str]) -> Option<Known> {
        let hosts: Vec<Arc<str>> = hosts.iter().map(|host| Arc::from(*host)).collect();
        Known::of(host, local.parse().unwrap(), &hosts).ok()
    }

    #[test]
    fn a_host_is_the_address_that_was_reached_or_a_configured_name() {
        let hosts = ["exeat.corp.example", "other.example:8443"];
        let rows = [
            ("127.0.0.1:3129", "127.0.0.1:3129", Some(Known::Address)),
            ("[::1]:3129", "[::1]:3129", Some(Known::Address)),
            ("127.0.0.1:3129", "[::ffff:127.0.0.1]:3129", Some(Known::Address)),
            ("127.0.0.1", "127.0.0.1:80", Some(Known::Address)),
            ("127.0.0.1", "127.0.0.1:3129", None),
            ("127.0.0.1:3128", "127.0.0.1:3129", None),
            ("127.0.0.2:3129", "127.0.0.1:3129", None),
            ("localhost:3129", "127.0.0.1:3129", None),
            ("evil.test", "127.0.0.1:3129", None),
            ("evil.test:3129", "127.0.0.1:3129", None),
            ("exeat.corp.example", "127.0.0.1:3129", Some(Known::Name)),
            ("exeat.corp.example:3129", "127.0.0.1:3129", Some(Known::Name)),
            ("exeat.corp.example:3130", "127.0.0.1:3129", None),
            ("x.exeat.corp.example", "127.0.0.1:3129", None),
            ("other.example:8443", "127.0.0.1:3129", Some(Known::Name)),
            ("other.example", "127.0.0.1:3129", None),
            ("", "127.0.0.1:3129", None),
        ];
        for (host, local, wanted) in rows {
            assert_eq!(known(host, local, &hosts), wanted, "{host} at {local}");
        }
    }

    #[test]
    fn an_origin_is_ours_to_the_port() {
        let rows = [
            ("http://127.0.0.1:3129", "127.0.0.1:3129", Known::Address, true),
            ("https://127.0.0.1:3129", "127.0.0.1:3129", Known::Address, false),
            ("http://127.0.0.1:8000", "127.0.0.1:3129", Known::Address, false),
            ("http://127.0.0.1", "127.0.0.1:3129", Known::Address, false),
            ("http://127.0.0.1:31290", "127.0.0.1:3129", Known::Address, false),
            ("null", "127.0.0.1:3129", Known::Address, false),
            ("", "127.0.0.1:3129", Known::Address, false),
            ("http://127.0.0.1:3129/", "127.0.0.1:3129", Known::Address, false),
            ("https://exeat.corp.example", "exeat.corp.example", Known::Name, true),
            // A page on port 80 of the host whose port 443 leads here.
            ("http://exeat.corp.example", "exeat.corp.example", Known::Name, false),
            ("http://exeat.corp.example:3129", "exeat.corp.example:3129", Known::Name, true),
            ("ftp://exeat.corp.example", "exeat.corp.example", Known::Name, false),
        ];
        for (origin, host, known, wanted) in rows {
            assert_eq!(is_ours(origin, host, known, "127.0.0.1:3129".parse().unwrap()), wanted, "{origin} for {host}");
        }
        assert!(is_ours("http://127.0.0.1", "127.0.0.1", Known::Address, "127.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn a_header_that_comes_twice_is_no_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(one(&headers, &HOST), Ok(None));
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(one(&headers, &HOST), Ok(Some("a")));
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(one(&headers, &HOST), Err(()));
    }
}
