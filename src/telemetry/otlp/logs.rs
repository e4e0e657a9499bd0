//! A journal line as an OTLP log record: an event `exeat.KIND` whose body is the line as it stands in the journal.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use super::attributes::{Attributes, any};
use super::{names, spans};
use crate::egress::record::{
    Answered, ApproverChanged, Cut, Gap, Held, PolicyInForce, Progress, Record, RefusedCount, RefusedHost, RefusedSummary, Revoked, Ruling,
    Sealed, Segment, Started, Stopped, Unread,
};
use crate::journal::Line;
use crate::policy::attempt::AttemptId;

/// The log record of a line: its identity, its text without the line end, and what it says. `observed` is in nanoseconds.
pub(super) fn log_record(identity: &str, text: &str, line: &Line, observed: u64) -> LogRecord {
    let Line { v: _, seq: _, at, record } = line;
    let mut attributes = Attributes::default();
    attributes.text(names::RECORD_ID, identity);
    say(record, &mut attributes);
    let severity = severity(record);
    let (trace_id, span_id) = attempt(record).map_or_else(Default::default, |id| (spans::trace_id(id), spans::span_id(id, "")));
    LogRecord {
        time_unix_nano: spans::nanoseconds(*at),
        observed_time_unix_nano: observed,
        severity_number: severity.into(),
        severity_text: words(severity).to_owned(),
        body: Some(any(Value::StringValue(text.to_owned()))),
        attributes: attributes.into_inner(),
        trace_id,
        span_id,
        event_name: format!("exeat.{}", record.kind()),
        ..LogRecord::default()
    }
}

fn severity(record: &Record) -> SeverityNumber {
    match record {
        Record::Decided(decided) if decided.decision == Ruling::Block => SeverityNumber::Warn,
        Record::RefusedSummary(_) => SeverityNumber::Warn,
        Record::Gap(_) => SeverityNumber::Error,
        Record::Decided(_) | Record::Ended(_) | Record::Progress(_) | Record::Held(_) | Record::Answered(_) | Record::Revoked(_) => {
            SeverityNumber::Info
        }
        Record::Approver(_) | Record::Cut(_) => SeverityNumber::Info,
        Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Segment(_) | Record::Sealed(_) => SeverityNumber::Info,
    }
}

fn words(severity: SeverityNumber) -> &'static str {
    if severity == SeverityNumber::Error {
        "ERROR"
    } else if severity == SeverityNumber::Warn {
        "WARN"
    } else {
        "INFO"
    }
}

/// The attempt it is about.
fn attempt(record: &Record) -> Option<AttemptId> {
    match record {
        Record::Decided(decided) => Some(decided.id),
        Record::Ended(ended) => Some(ended.id),
        Record::Held(held) => Some(held.id),
        Record::Progress(progress) => Some(progress.id),
        Record::Cut(cut) => Some(cut.attempt),
        Record::Approver(_) => None,
        Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Answered(_) | Record::Revoked(_) => None,
        Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => None,
    }
}

fn say(record: &Record, to: &mut Attributes) {
    match record {
        Record::Started(started) => say_started(started, to),
        Record::Stopped(Stopped {}) => {}
        Record::Policy(policy) => say_policy(policy, to),
        Record::Held(held) => say_held(held, to),
        Record::Answered(answered) => say_answered(answered, to),
        Record::Revoked(revoked) => say_revoked(revoked, to),
        Record::Approver(changed) => say_approver(changed, to),
        Record::Cut(Cut { attempt, agent, who }) => {
            to.attempt(*attempt, agent.as_ref());
            to.text("exeat.who", who);
        }
        Record::Decided(decided) => to.decided(decided),
        Record::Ended(ended) => to.ended(ended),
        Record::Progress(progress) => say_progress(progress, to),
        Record::RefusedSummary(summary) => say_summary(summary, to),
        Record::Gap(gap) => say_gap(gap, to),
        Record::Segment(Segment { size, peaks }) => {
            to.count("exeat.tree.size", *size);
            to.list("exeat.tree.peaks", peaks.iter().cloned());
        }
        Record::Sealed(Sealed { size, root, note }) => {
            to.count("exeat.tree.size", *size);
            to.text("exeat.tree.root", root);
            to.text("exeat.checkpoint", note);
        }
    }
}

fn say_started(started: &Started, to: &mut Attributes) {
    let Started { version, pid, repaired } = started;
    to.text("exeat.version", version);
    to.count("exeat.pid", (*pid).into());
    if let Some(repaired) = repaired {
        to.count("exeat.repaired", *repaired);
    }
}

fn say_policy(policy: &PolicyInForce, to: &mut Attributes) {
    let PolicyInForce { old, new, who, unread } = policy;
    to.some("exeat.policy.old", old.as_ref());
    to.text("exeat.policy.hash", new);
    to.text("exeat.policy.who", who);
    let unread = unread.iter().map(|Unread { agent, kept, why }| {
        let agent = agent.as_ref().map_or("-", |agent| agent.as_str());
        format!("{agent} {}: {why}", if *kept { "kept" } else { "none" })
    });
    to.list("exeat.policy.unread", unread);
}

fn say_approver(changed: &ApproverChanged, to: &mut Attributes) {
    let ApproverChanged { name, change, role, agents, who } = changed;
    to.text("exeat.approver.name", name);
    to.text("exeat.approver.change", change.as_str());
    to.some("exeat.approver.role", role.as_ref());
    to.list("exeat.approver.agents", agents.iter().flatten().map(ToString::to_string));
    to.text("exeat.who", who);
}

fn say_held(held: &Held, to: &mut Attributes) {
    let Held { id, hold, agent, instance, destination, request, only, rule } = held;
    to.attempt(*id, Some(agent));
    to.text("exeat.hold.id", hold);
    to.text("exeat.instance", instance);
    to.place(destination);
    to.request(request.as_ref());
    to.text(names::DECISION, "hold");
    to.flag("exeat.hold.only", *only);
    to.some(names::RULE, rule.as_ref());
}

fn say_answered(answered: &Answered, to: &mut Attributes) {
    let Answered { hold, approval, answer, approver, approver_kind, scope, expiry, note, agent, destination, request, waiting } = answered;
    to.text("exeat.hold.id", hold);
    to.some("exeat.approval.id", approval.as_ref());
    to.word("exeat.answer", answer);
    to.text(names::USER, approver);
    to.text("exeat.approver.kind", approver_kind);
    to.some("exeat.approval.scope", scope.as_ref());
    to.some("exeat.approval.expiry", expiry.as_ref());
    to.some("exeat.note", note.as_ref());
    to.text(names::AGENT_NAME, agent.as_str());
    to.place(destination);
    to.request(request.as_ref());
    to.count("exeat.waiting", *waiting as u64);
}

fn say_revoked(revoked: &Revoked, to: &mut Attributes) {
    let Revoked { approval, agent, destination, request, who } = revoked;
    to.text("exeat.approval.id", approval.to_string());
    to.text(names::AGENT_NAME, agent.as_str());
    to.place(destination);
    to.request(request.as_ref());
    to.text(names::USER, who);
}

fn say_progress(progress: &Progress, to: &mut Attributes) {
    let Progress { id, agent, bytes_up, bytes_down } = progress;
    to.attempt(*id, agent.as_ref());
    to.count("exeat.bytes.up", *bytes_up);
    to.count("exeat.bytes.down", *bytes_down);
}

fn say_summary(summary: &RefusedSummary, to: &mut Attributes) {
    let RefusedSummary { agent, source, from, until, count, by, hosts, elsewhere } = summary;
    to.some(names::AGENT_NAME, agent.as_ref());
    to.some("exeat.source", source.as_ref());
    to.text(names::DECISION, "block");
    to.text("exeat.from", format!("{from:.6}"));
    to.text("exeat.until", format!("{until:.6}"));
    to.count("exeat.count", *count);
    let by = by.iter().map(|RefusedCount { reason, front, count }| format!("{reason} {} {count}", front.as_str()));
    to.list("exeat.by", by);
    to.list("exeat.hosts", hosts.iter().map(|RefusedHost { host, port, count }| format!("{host} {port} {count}")));
    if !hosts.is_empty() {
        to.count("exeat.elsewhere", *elsewhere);
    }
}

fn say_gap(gap: &Gap, to: &mut Attributes) {
    let Gap { slot, first, last, sinks, why } = gap;
    to.text("exeat.gap.slot", slot);
    to.count("exeat.gap.first", *first);
    to.count("exeat.gap.last", *last);
    to.list("exeat.gap.sinks", sinks.iter().cloned());
    to.word("exeat.gap.why", why);
}

#[cfg(test)]
mod tests;
