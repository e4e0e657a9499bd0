//! A refusal as HTTP: status, reason phrase, problem document (RFC 9457) and `Proxy-Status` (RFC 9209).

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use super::words::{self, Words};
use crate::egress::record::Ruling;
use crate::egress::{Cause, Exhausted, Leak, Refusal, Unready};
use crate::policy::host::Host;
use crate::policy::limits::LimitedBy;
use crate::policy::reason::Reason;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const ATTEMPT: HeaderName = HeaderName::from_static("exeat-attempt");

/// The refusal as a response. It leaves the connection usable, unless nobody can tell where the refused message ends.
pub(super) fn response(refusal: &Refusal) -> Response<Full<Bytes>> {
    let words = words::of(refusal);
    let mut body = serde_json::to_vec(&Problem::new(refusal, &words)).expect("a problem has string keys only");
    body.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = words.status;
    if let Ok(phrase) = ReasonPhrase::try_from(words.sentence.as_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    fields(response.headers_mut(), refusal, &words);
    response
}

fn fields(headers: &mut HeaderMap, refusal: &Refusal, words: &Words) {
    let status = format!("exeat; error={}; details=\"{}\"", words.proxy_error, refusal.reason);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PROXY_STATUS, HeaderValue::try_from(status).expect("codes are ASCII"));
    headers.insert(ATTEMPT, HeaderValue::try_from(refusal.id.to_string()).expect("an id is ASCII"));
    if words.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"exeat\""));
    }
    if refusal.reason == Reason::Malformed {
        // RFC 9112 section 11.2: what follows may be a part of it, and is read as nothing.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) = (words.status, words.retry_after) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    error: &'a str,
    instance: String,
    decision: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Question<'a>>,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    state: &'static str,
    expires_at: String,
}

impl<'a> Problem<'a> {
    fn new(refusal: &'a Refusal, words: &'a Words) -> Self {
        let (rule, because) = match &refusal.cause {
            Cause::Rule { rule, because } => (Some(rule.to_string()), because.as_deref()),
            Cause::Address { address: _, refusal: _, rule } => (rule.as_ref().map(ToString::to_string), None),
            Cause::Budget(Exhausted { by: LimitedBy::Rule { place: rule, mark: _ }, limit: _ }) => (Some(rule.to_string()), None),
            Cause::NoWebSocket(rule) => (rule.as_ref().map(ToString::to_string), None),
            Cause::Secret(Unready { place, why: _ }) | Cause::Leak(Leak { place, found: _ }) => (Some(place.to_string()), None),
            Cause::Denied { note } => (None, note.as_deref()),
            Cause::Echo { echo, rule } => (rule.as_ref().map(ToString::to_string), echo.note.as_deref()),
            Cause::Plain
            | Cause::Unsearched
            | Cause::Unidentified { offered: _ }
            | Cause::Malformed(_)
            | Cause::Hold(_)
            | Cause::Network(_)
            | Cause::Certificate(_)
            | Cause::Misdirected
            | Cause::Budget(Exhausted { by: LimitedBy::Floor | LimitedBy::Agent, limit: _ })
            | Cause::Limit(_)
            | Cause::Loop
            | Cause::NotRedirected
            | Cause::Journal => (None, None),
        };
        let destination = refusal.destination.as_ref();
        Self {
            r#type: format!("urn:exeat:refusal:{}", refusal.reason),
            title: words.title,
            status: words.status.as_u16(),
            detail: &words.detail,
            error: &words.detail,
            instance: format!("urn:uuid:{}", refusal.id),
            decision: decision(refusal.reason).as_str(),
            reason: refusal.reason.as_str(),
            agent: refusal.agent.as_ref().map(|agent| agent.as_str()),
            host: destination.map(|destination| match &destination.host {
                Host::Name(name) => name.as_str().to_owned(),
                Host::Address(address) => words::address(*address),
            }),
            port: destination.map(|destination| destination.port.number()),
            method: refusal.method.as_deref(),
            rule,
            because,
            hold: question(&refusal.cause),
            retryable: words.retryable,
            retry_after: words.retry_after,
        }
    }
}

/// What of the attempt the policy says: where it was let pass, the fault is on the way there, and no rule would mend it.
fn decision(reason: Reason) -> Ruling {
    match reason {
        Reason::DnsFailed | Reason::Unreachable | Reason::BadCertificate => Ruling::Allow,
        Reason::Listed
        | Reason::Approved
        | Reason::Observed
        | Reason::Inspect
        | Reason::Unlisted
        | Reason::Blocked
        | Reason::Refused
        | Reason::Pending
        | Reason::Expired
        | Reason::Unattended
        | Reason::Frozen
        | Reason::Quiet
        | Reason::UnknownAgent
        | Reason::Malformed
        | Reason::OwnAddress
        | Reason::SpecialName
        | Reason::ForbiddenAddress
        | Reason::NameMismatch
        | Reason::NotTls
        | Reason::Overloaded
        | Reason::Budget
        | Reason::PolicyChanged
        | Reason::Internal => Ruling::Block,
    }
}

fn question(cause: &Cause) -> Option<Question<'_>> {
    let Cause::Hold(hold) = cause else { return None };
    Some(Question { id: &hold.id, state: "pending", expires_at: rfc3339(hold.expires_at) })
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_out_of_range| String::new(), |time| time.to_string())
}
