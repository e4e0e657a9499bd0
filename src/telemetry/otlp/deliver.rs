//! The two sinks of OTLP: every record as a log record, every attempt as spans.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::answer::{Refused, Taken, Then};
use super::logs::log_record;
use super::spans::{Begun, nanoseconds, sampled, spans};
use super::{Collector, Source, names, scope};
use crate::egress::record::Record;
use crate::journal::{Entry, Position, Reader, newest};
use crate::policy::attempt::AttemptId;
use crate::telemetry::Metrics;
use crate::telemetry::sinks::{Deliver, NotDelivered, Sink, positions};

/// Attempts whose begin is kept in mind; the span of one more is made of its end alone.
const MOST_OPEN: usize = 65_536;

/// Every record as a log record.
#[derive(Debug)]
pub struct Logs {
    /// Where to.
    pub collector: Collector,
    /// What exports.
    pub source: Source,
    /// Where it counts what is refused.
    pub metrics: Arc<Metrics>,
}

impl Deliver for Logs {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        let observed = nanoseconds(Timestamp::now());
        let log_records = batch.iter().map(|entry| log_record(&entry.identity(), &entry.text, &entry.line, observed)).collect();
        let schema_url = names::SCHEMA_URL.to_owned();
        let scope_logs = vec![ScopeLogs { scope: scope(), log_records, schema_url: schema_url.clone() }];
        let resource_logs = vec![ResourceLogs { resource: self.source.resource(), scope_logs, schema_url }];
        let taken = self.collector.export(ExportLogsServiceRequest { resource_logs }).await;
        taken.map(|taken| partly(&taken, batch, Sink::OtlpLogs, &self.metrics)).map_err(|refused| not_delivered(refused, batch))
    }
}

/// Every attempt as spans, made when it ends.
#[derive(Debug)]
pub struct Traces {
    collector: Collector,
    source: Source,
    metrics: Arc<Metrics>,
    /// The share of allowed attempts that are traced.
    sample: f64,
    open: Open,
    /// It has taken spans since it last refused one for good.
    takes: bool,
}

impl Traces {
    /// Traces from where the cursor in a state folder stands. Reads what is between the begin of its segments and itself, to know
    /// the attempts that are open there: it blocks.
    pub fn resume(collector: Collector, source: Source, metrics: Arc<Metrics>, sample: f64, state: &Path) -> Self {
        Self { collector, source, metrics, sample, open: Open::resume(state), takes: false }
    }

    fn spans(&self, batch: &[Entry]) -> Vec<Span> {
        let mut all = Vec::new();
        for entry in batch {
            if let Record::Ended(ended) = &entry.line.record {
                let begun = self.open.0.get(&ended.id).cloned().unwrap_or_default();
                if sampled(&begun, ended, self.sample) {
                    all.extend(spans(&begun, ended, entry.line.at, &entry.identity()));
                }
            }
        }
        all
    }
}

impl Traces {
    /// Many records make no spans and are taken without a word of the collector. So two refusals in a row are held to be the collector's
    /// fault: it is wrongly set up, and the spans wait for that to be mended.
    fn patient(&mut self, refused: NotDelivered, batch: &[Entry]) -> NotDelivered {
        match refused {
            NotDelivered::Never { which: _, why } if batch.len() == 1 && !std::mem::take(&mut self.takes) => NotDelivered::later(why),
            NotDelivered::Never { .. } | NotDelivered::Later { .. } => refused,
        }
    }
}

impl Deliver for Traces {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        batch.iter().for_each(|entry| self.open.begin(entry));
        let spans = self.spans(batch);
        if !spans.is_empty() {
            let schema_url = names::SCHEMA_URL.to_owned();
            let scope_spans = vec![ScopeSpans { scope: scope(), spans, schema_url: schema_url.clone() }];
            let resource_spans = vec![ResourceSpans { resource: self.source.resource(), scope_spans, schema_url }];
            let taken = self.collector.export(ExportTraceServiceRequest { resource_spans }).await;
            let taken = taken.map_err(|refused| self.patient(not_delivered(refused, batch), batch))?;
            self.takes = true;
            partly(&taken, batch, Sink::OtlpTraces, &self.metrics);
        }
        // Only now: a batch that was not taken comes again.
        batch.iter().for_each(|entry| self.open.end(entry));
        Ok(())
    }
}

/// Attempts that have begun and not ended.
#[derive(Debug, Default)]
struct Open(HashMap<AttemptId, Begun>);

impl Open {
    /// What is open where the cursor stands.
    fn resume(state: &Path) -> Self {
        let mut open = Self::default();
        let cursor = positions(state, Sink::OtlpTraces);
        let from = cursor.iter().map(|(slot, at)| (slot.clone(), Position { segment: at.segment, offset: 0, seq: 0 })).collect();
        let Ok(reader) = Reader::resume(state, from) else { return open };
        // One whose slot is gone would be looked for to the end of the journal.
        let there = newest(state).unwrap_or_default();
        let begun = cursor.iter().filter(|(slot, at)| at.offset > 0 && there.contains_key(slot.as_str()));
        let mut before: HashSet<&str> = begun.map(|(slot, _)| slot.as_str()).collect();
        if before.is_empty() {
            return open;
        }
        // A line that cannot be read is told by the follower.
        for entry in reader.flatten() {
            let Some(at) = cursor.get(entry.slot.as_ref()) else { continue };
            let (here, there) = ((entry.after.segment, entry.after.offset), (at.segment, at.offset));
            if here <= there {
                open.begin(&entry);
                open.end(&entry);
            }
            if here >= there && before.remove(entry.slot.as_ref()) && before.is_empty() {
                break;
            }
        }
        open
    }

    fn begin(&mut self, entry: &Entry) {
        match &entry.line.record {
            Record::Decided(decided) => {
                if let Some(begun) = self.begun(decided.id) {
                    begun.decided = Some((entry.line.at, Box::new(decided.clone())));
                }
            }
            Record::Held(held) => {
                if let Some(begun) = self.begun(held.id) {
                    begun.held = true;
                }
            }
            Record::Approver(_) | Record::Cut(_) => {}
            Record::Ended(_) | Record::Progress(_) | Record::Answered(_) | Record::Revoked(_) | Record::RefusedSummary(_) => {}
            Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {}
        }
    }

    /// What is kept in mind of an attempt; `None` where there is no room.
    fn begun(&mut self, id: AttemptId) -> Option<&mut Begun> {
        let room = self.0.len() < MOST_OPEN || self.0.contains_key(&id);
        room.then(|| self.0.entry(id).or_default())
    }

    fn end(&mut self, entry: &Entry) {
        if let Record::Ended(ended) = &entry.line.record {
            self.0.remove(&ended.id);
        }
    }
}

/// What the follower is to do with a batch that was not taken.
fn not_delivered(refused: Refused, batch: &[Entry]) -> NotDelivered {
    let Refused { then, why } = refused;
    match then {
        Then::Again(after) => NotDelivered::Later { why, after },
        // The follower sends a batch in halves where nobody says which of its records are wrong.
        Then::Smaller if batch.len() > 1 => NotDelivered::Never { which: Vec::new(), why },
        Then::Smaller => NotDelivered::Later { why, after: None },
        Then::Never => NotDelivered::Never { which: Vec::new(), why },
    }
}

/// Tells what of a batch that was taken the collector dropped. The protocol forbids to send it again, and does not say which it was.
fn partly(taken: &Taken, batch: &[Entry], sink: Sink, metrics: &Metrics) {
    let Taken { rejected, words } = taken;
    let place = |entry: Option<&Entry>| entry.map(Entry::identity).unwrap_or_default();
    let (sink_name, from, to) = (sink.as_str(), place(batch.first()), place(batch.last()));
    if *rejected > 0 {
        for _ in 0..(*rejected).min(batch.len() as u64) {
            metrics.sink_rejected(sink);
        }
        tracing::error!(
            sink = sink_name,
            rejected,
            from,
            to,
            "the collector dropped a part of what it took, and does not say which: {words}"
        );
    } else if !words.is_empty() {
        tracing::warn!(sink = sink_name, "the collector says: {words}");
    }
}

#[cfg(test)]
mod tests;
