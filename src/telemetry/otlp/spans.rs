//! An attempt as spans: one of kind SERVER for the whole, and hold, dns, dial and tls below it, laid end to end.
//!
//! The ids of trace and span follow from the attempt's id, so that every copy of a span is the same span.

use jiff::Timestamp;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use sha2::{Digest, Sha256};

use super::attributes::{Attributes, error_type, known_method};
use super::names;
use crate::egress::record::{Decided, Ended, Front, Millis, Outcome, Ruling};
use crate::policy::attempt::AttemptId;

/// The flag of W3C Trace Context that says a span is recorded.
const SAMPLED: u32 = 1;

/// What was known of an attempt before its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Begun {
    /// Its decision, and when that was written.
    pub(super) decided: Option<(Timestamp, Box<Decided>)>,
    /// It opened a question.
    pub(super) held: bool,
}

/// The trace of an attempt.
pub(super) fn trace_id(id: AttemptId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

/// The span of an attempt, or of one of its stages.
pub(super) fn span_id(id: AttemptId, stage: &str) -> Vec<u8> {
    let digest = digest(id, stage);
    // All zeros is no id.
    if digest[..8] == [0; 8] { vec![1; 8] } else { digest[..8].to_vec() }
}

fn digest(id: AttemptId, purpose: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"exeat span ").chain_update(id.0.as_bytes()).chain_update(purpose).finalize().into()
}

/// Nanoseconds since 1970; times before are none.
pub(super) fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

/// Whether an attempt is traced: refused and held ones always, of the others the share `sample`, by their id alone.
pub(super) fn sampled(begun: &Begun, ended: &Ended, sample: f64) -> bool {
    let blocked = begun.decided.as_ref().is_some_and(|(_, decided)| decided.decision == Ruling::Block);
    let held = begun.held || ended.ms.hold.is_some();
    blocked || ended.outcome == Outcome::Refused || held || by_chance(ended.id, sample)
}

fn by_chance(id: AttemptId, sample: f64) -> bool {
    let digest = digest(id, "sample");
    let drawn = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(drawn) < sample * (f64::from(u32::MAX) + 1.0)
}

/// The spans of an attempt whose end was written at `at`, in the record of this identity.
pub(super) fn spans(begun: &Begun, ended: &Ended, at: Timestamp, identity: &str) -> Vec<Span> {
    let end = nanoseconds(at);
    let Millis { hold, dns, dial, tls, total } = ended.ms;
    let known = begun.decided.as_ref().map(|(at, _)| nanoseconds(*at));
    // Of an attempt that was lost nobody knows how long it took.
    let start = if ended.outcome == Outcome::Lost { known.unwrap_or(end).min(end) } else { end.saturating_sub(length(total)) };
    let own = span_id(ended.id, "");
    let mut attributes = Attributes::default();
    attributes.text(names::RECORD_ID, identity);
    if let Some((_, decided)) = &begun.decided {
        attributes.decided(decided);
    }
    attributes.ended(ended);
    let span = Span {
        trace_id: trace_id(ended.id),
        span_id: own.clone(),
        flags: SAMPLED,
        name: name(begun),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes.into_inner(),
        links: links(begun),
        status: error_type(ended.outcome, ended.reason).map(|error| Status { message: error.to_owned(), code: StatusCode::Error.into() }),
        ..Span::default()
    };
    let mut spans = vec![span];
    let mut from = start;
    for (stage, took) in [("hold", hold), ("dns", dns), ("dial", dial), ("tls", tls)] {
        let Some(took) = took else { continue };
        let until = from.saturating_add(length(took)).min(end);
        spans.push(Span {
            trace_id: trace_id(ended.id),
            span_id: span_id(ended.id, stage),
            parent_span_id: own.clone(),
            flags: SAMPLED,
            name: stage.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: from,
            end_time_unix_nano: until,
            ..Span::default()
        });
        from = until;
    }
    spans
}

/// Milliseconds in nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is negative or too large becomes the nearest there is")]
fn length(milliseconds: f64) -> u64 {
    (milliseconds * 1e6) as u64
}

fn name(begun: &Begun) -> String {
    let method = begun.decided.as_ref().and_then(|(_, decided)| match (&decided.request, decided.front) {
        (Some(request), _) => Some(known_method(&request.method)),
        (None, Front::Connect) => Some("CONNECT"),
        (None, Front::Forward | Front::Transparent) => None,
    });
    match method {
        None | Some("_OTHER") => "HTTP".to_owned(),
        Some(method) => method.to_owned(),
    }
}

/// The agent's own span, and the tunnel that a request was found in.
fn links(begun: &Begun) -> Vec<Link> {
    let Some((_, decided)) = &begun.decided else { return Vec::new() };
    let agent = decided.trace.as_deref().and_then(link);
    let tunnel = decided.within.map(|id| Link { trace_id: trace_id(id), span_id: span_id(id, ""), ..Link::default() });
    agent.into_iter().chain(tunnel).collect()
}

/// What a `traceparent` of version 00 names.
fn link(traceparent: &str) -> Option<Link> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| data_encoding::HEXLOWER.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == length);
    let (trace_id, span_id, flags) = (hex(trace, 16)?, hex(span, 8)?, hex(flags, 1)?);
    let whole = version == "00" && parts.next().is_none();
    whole.then(|| Link { trace_id, span_id, flags: flags[0].into(), ..Link::default() })
}

#[cfg(test)]
mod tests;
