//! One record as one event of the [Open Cybersecurity Schema Framework](https://schema.ocsf.io), version 1.5.
//!
//! An attempt is two events with one `metadata.correlation_uid`: its begin, when it is decided, and its end. One event at the end would
//! tell of a tunnel only when it is over, and of one that never ends not at all.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::join::Join;
use crate::egress::record::{
    Answer, Answered, ApproverChange, Decided, Ended, Frozen, Held, Outcome, Place, Progress, Record, RefusedSummary, Revoked, Ruling,
    Thawed, Whom,
};
use crate::journal::Entry;
use crate::policy::attempt::RequestLine;
use crate::policy::reason::Reason;

const VERSION: &str = "1.5.0";

/// `disposition_id`s.
const ALLOWED: u8 = 1;
const BLOCKED: u8 = 2;
const APPROVED: u8 = 8;
const DELAYED: u8 = 14;
const REJECTED: u8 = 25;
const UNAUTHORIZED: u8 = 26;
const ERROR: u8 = 27;

/// `action_id` of what passes because its agent is observed.
const OBSERVED: u8 = 3;

/// `activity_id`s of 4001.
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const RESET: u8 = 3;
const FAIL: u8 = 4;
const REFUSE: u8 = 5;
const TRAFFIC: u8 = 6;

const INFORMATIONAL: u8 = 1;
const LOW: u8 = 2;
const HIGH: u8 = 4;

/// What an event says beside what all say.
struct Said {
    class: u16,
    activity: u8,
    severity: u8,
    correlation: Option<String>,
    fields: Map<String, Value>,
}

/// The event of a record.
pub(super) fn event(entry: &Entry, join: &Join) -> Value {
    let Said { class, activity, severity, correlation, mut fields } = said(entry, join);
    let mut metadata = json!({
        "version": VERSION,
        "uid": entry.identity(),
        "sequence": entry.line.seq,
        "log_name": entry.slot.as_ref(),
        "event_code": entry.line.record.kind(),
        "profiles": ["security_control"],
        "product": { "name": "exeat", "vendor_name": "exeat", "version": env!("CARGO_PKG_VERSION") },
    });
    if let Some(correlation) = correlation {
        metadata["correlation_uid"] = correlation.into();
    }
    let common = json!({
        "metadata": metadata,
        "time": entry.line.at.as_millisecond(),
        "category_uid": class / 1000,
        "class_uid": class,
        "activity_id": activity,
        "type_uid": u32::from(class) * 100 + u32::from(activity),
        "severity_id": severity,
        "unmapped": record(entry),
    });
    if let Value::Object(common) = common {
        fields.extend(common);
    }
    Value::Object(fields)
}

/// The record as it stands in the journal, without the frame: what has no place of its own in the schema is here.
fn record(entry: &Entry) -> Value {
    let mut record = serde_json::to_value(&entry.line.record).unwrap_or_default();
    if let Some(record) = record.as_object_mut() {
        record.remove("kind");
    }
    record
}

fn said(entry: &Entry, join: &Join) -> Said {
    match &entry.line.record {
        Record::Decided(record) => decided(record),
        Record::Ended(record) => ended(record, join.of(record.id)),
        Record::Progress(record) => progress(record, join.of(record.id)),
        Record::RefusedSummary(record) => summary(record),
        Record::Held(record) => held(record),
        Record::Answered(record) => answered(record, entry),
        Record::Revoked(record) => revoked(record, entry),
        Record::Frozen(Frozen { whom, who, note: _ }) => api(entry, 3, "freeze", who, stopped(whom)),
        Record::Thawed(Thawed { whom, who }) => api(entry, 3, "thaw", who, stopped(whom)),
        Record::Policy(policy) => api(entry, 3, "policy", &policy.who, json!({})),
        Record::Approver(changed) => {
            let activity = if changed.change == ApproverChange::Added { 1 } else { 4 };
            api(entry, activity, "approver", &changed.who, json!({}))
        }
        Record::Cut(cut) => api(entry, 4, "cut", &cut.who, json!({})),
        Record::Started(_) => lifecycle(3),
        Record::Stopped(_) => lifecycle(4),
        Record::Gap(_) => journal(HIGH),
        Record::Segment(_) | Record::Sealed(_) => journal(INFORMATIONAL),
    }
}

fn decided(decided: &Decided) -> Said {
    let denied = decided.decision == Ruling::Block;
    let severity = if denied { LOW } else { INFORMATIONAL };
    let mut said = attempt(decided, if denied { REFUSE } else { OPEN }, severity);
    control(&mut said.fields, denied, disposition(decided.decision, decided.reason));
    if decided.reason == Reason::Observed {
        said.fields.insert("action_id".into(), OBSERVED.into());
    }
    // What somebody wrote down as forbidden; what merely is not listed is routine.
    said.fields.insert("is_alert".into(), (decided.reason == Reason::Blocked).into());
    said.fields.insert("status_detail".into(), decided.reason.as_str().into());
    said
}

fn ended(ended: &Ended, decided: Option<&Decided>) -> Said {
    let activity = match ended.outcome {
        Outcome::Completed | Outcome::Abandoned => CLOSE,
        Outcome::Refused => REFUSE,
        Outcome::Failed | Outcome::Lost => FAIL,
        Outcome::Cut => RESET,
    };
    let severity = if ended.outcome == Outcome::Completed { INFORMATIONAL } else { LOW };
    let mut said = later(&(ended.id.to_string(), ended.agent.as_ref().map(|agent| agent.as_str())), decided, activity, severity);
    let denied = ended.outcome == Outcome::Refused || ended.outcome == Outcome::Cut;
    let ruling = if denied { Ruling::Block } else { Ruling::Allow };
    control(&mut said.fields, denied, disposition(ruling, ended.reason));
    if let Some(address) = ended.address.as_ref().and_then(|address| address.parse::<SocketAddr>().ok()) {
        let endpoint = said.fields.entry("dst_endpoint").or_insert_with(|| json!({}));
        endpoint["ip"] = address.ip().to_string().into();
        endpoint["port"] = address.port().into();
    }
    said.fields.insert("traffic".into(), traffic(ended.bytes_up, ended.bytes_down));
    said.fields.insert("duration".into(), (ended.ms.total.max(0.0).round() as i64).into());
    if let Some(status) = ended.status {
        said.fields.insert("http_response".into(), json!({ "code": status }));
    }
    said.fields.insert("status_id".into(), if ended.outcome == Outcome::Completed { 1 } else { 2 }.into());
    said.fields.insert("status_detail".into(), ended.reason.as_str().into());
    said
}

fn progress(progress: &Progress, decided: Option<&Decided>) -> Said {
    let agent = progress.agent.as_ref().map(|agent| agent.as_str());
    let mut said = later(&(progress.id.to_string(), agent), decided, TRAFFIC, INFORMATIONAL);
    control(&mut said.fields, false, ALLOWED);
    said.fields.insert("traffic".into(), traffic(progress.bytes_up, progress.bytes_down));
    said
}

fn summary(summary: &RefusedSummary) -> Said {
    let mut source = Map::new();
    match (&summary.agent, &summary.source) {
        (Some(agent), _) => source.insert("name".into(), agent.as_str().into()),
        (None, Some(address)) => source.insert("ip".into(), address.as_str().into()),
        (None, None) => source.insert("name".into(), "unidentified".into()),
    };
    let mut fields = Map::new();
    fields.insert("src_endpoint".into(), source.into());
    fields.insert("count".into(), summary.count.into());
    fields.insert("start_time".into(), summary.from.as_millisecond().into());
    fields.insert("end_time".into(), summary.until.as_millisecond().into());
    control(&mut fields, true, BLOCKED);
    Said { class: 4001, activity: REFUSE, severity: LOW, correlation: None, fields }
}

fn held(held: &Held) -> Said {
    let mut said = network(&held.id.to_string(), held.request.as_ref(), OPEN, INFORMATIONAL);
    said.fields.insert("src_endpoint".into(), json!({ "name": held.agent.as_str(), "instance_uid": held.instance }));
    place(&mut said.fields, Some(&held.destination), held.request.as_ref());
    // The schema has no action for what is not settled.
    control(&mut said.fields, false, DELAYED);
    said.fields.insert("action_id".into(), 0.into());
    rule(&mut said.fields, held.rule.as_deref());
    said
}

fn answered(answered: &Answered, entry: &Entry) -> Said {
    let operation = match answered.answer {
        // One of several that are needed, which lets nothing pass yet.
        Answer::Yes if answered.of.is_some() && answered.approval.is_none() => "agree",
        Answer::Yes => "approve",
        Answer::No => "deny",
    };
    let resource = json!({ "uid": answered.hold, "name": answered.destination.host, "type": "hold" });
    api(entry, 1, operation, &answered.approver, resource)
}

fn revoked(revoked: &Revoked, entry: &Entry) -> Said {
    let resource = json!({ "uid": revoked.approval, "name": revoked.destination.host, "type": "approval" });
    api(entry, 4, "revoke", &revoked.who, resource)
}

fn stopped(whom: &Whom) -> Value {
    json!({ "name": whom.as_str(), "type": "agent" })
}

/// 6003: somebody, or exeat itself, changed what may pass.
fn api(entry: &Entry, activity: u8, operation: &str, who: &str, resource: Value) -> Said {
    let mut fields = Map::new();
    fields.insert("actor".into(), json!({ "user": { "name": who } }));
    fields.insert("api".into(), json!({ "operation": operation, "service": { "name": "exeat" } }));
    fields.insert("src_endpoint".into(), json!({ "name": "exeat", "instance_uid": entry.slot.as_ref() }));
    if resource.as_object().is_some_and(|resource| !resource.is_empty()) {
        fields.insert("resources".into(), json!([resource]));
    }
    Said { class: 6003, activity, severity: INFORMATIONAL, correlation: None, fields }
}

fn lifecycle(activity: u8) -> Said {
    let app = json!({ "name": "exeat", "vendor_name": "exeat", "version": env!("CARGO_PKG_VERSION") });
    Said { class: 6002, activity, severity: INFORMATIONAL, correlation: None, fields: Map::from_iter([("app".to_owned(), app)]) }
}

/// The base event: what the journal says of itself.
fn journal(severity: u8) -> Said {
    Said { class: 0, activity: 99, severity, correlation: None, fields: Map::from_iter([("activity_name".to_owned(), "Journal".into())]) }
}

/// 4001, or 4002 where there is a request.
fn network(id: &str, request: Option<&RequestLine>, activity: u8, severity: u8) -> Said {
    let (class, activity) = request.map_or((4001, activity), |request| (4002, method(&request.method)));
    Said { class, activity, severity, correlation: Some(id.to_owned()), fields: Map::new() }
}

fn attempt(decided: &Decided, activity: u8, severity: u8) -> Said {
    let mut said = network(&decided.id.to_string(), decided.request.as_ref(), activity, severity);
    let mut source = json!({ "instance_uid": decided.instance });
    if let Some(agent) = &decided.agent {
        source["name"] = agent.as_str().into();
    }
    if let Ok(peer) = decided.peer.parse::<SocketAddr>() {
        source["ip"] = peer.ip().to_string().into();
        source["port"] = peer.port().into();
    }
    said.fields.insert("src_endpoint".into(), source);
    place(&mut said.fields, decided.destination.as_ref(), decided.request.as_ref());
    rule(&mut said.fields, decided.rule.as_deref());
    said.fields.insert("policy".into(), json!({ "uid": decided.policy, "name": "exeat" }));
    said
}

/// A later event of an attempt: as its begin where that is known.
fn later((id, agent): &(String, Option<&str>), decided: Option<&Decided>, activity: u8, severity: u8) -> Said {
    if let Some(decided) = decided {
        return attempt(decided, activity, severity);
    }
    let mut said = network(id, None, activity, severity);
    let source = agent.map_or_else(|| json!({ "uid": id }), |agent| json!({ "name": agent, "uid": id }));
    said.fields.insert("src_endpoint".into(), source);
    said
}

fn place(fields: &mut Map<String, Value>, place: Option<&Place>, request: Option<&RequestLine>) {
    if let Some(Place { host, port, scheme: _ }) = place {
        let known = host.parse::<std::net::IpAddr>().is_ok();
        let named = if known { "ip" } else { "hostname" };
        fields.insert("dst_endpoint".into(), json!({ named: host, "port": port }));
    }
    if let Some(RequestLine { method, path }) = request {
        let mut url = json!({ "path": path });
        if let Some(Place { host, port, scheme }) = place {
            url["hostname"] = host.as_str().into();
            url["port"] = (*port).into();
            url["scheme"] = json!(scheme);
        }
        fields.insert("http_request".into(), json!({ "http_method": method, "url": url }));
    }
}

fn rule(fields: &mut Map<String, Value>, rule: Option<&str>) {
    if let Some(rule) = rule {
        fields.insert("firewall_rule".into(), json!({ "uid": rule, "name": rule }));
    }
}

fn control(fields: &mut Map<String, Value>, denied: bool, disposition: u8) {
    fields.insert("action_id".into(), if denied { 2 } else { 1 }.into());
    fields.insert("disposition_id".into(), disposition.into());
}

fn traffic(up: u64, down: u64) -> Value {
    json!({ "bytes_out": up, "bytes_in": down, "bytes": up.saturating_add(down) })
}

/// `activity_id`s of 4002.
fn method(method: &str) -> u8 {
    let known = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH"];
    let at = known.iter().position(|known| *known == method);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(99)
}

fn disposition(ruling: Ruling, reason: Reason) -> u8 {
    if ruling != Ruling::Block {
        return if reason == Reason::Approved { APPROVED } else { ALLOWED };
    }
    match reason {
        Reason::Refused | Reason::Quiet => REJECTED,
        Reason::UnknownAgent => UNAUTHORIZED,
        Reason::Internal | Reason::Overloaded => ERROR,
        Reason::Listed | Reason::Approved | Reason::Observed | Reason::Inspect | Reason::Unlisted | Reason::Blocked => BLOCKED,
        Reason::Pending | Reason::Expired | Reason::Unattended | Reason::Frozen | Reason::Malformed | Reason::OwnAddress => BLOCKED,
        Reason::SpecialName | Reason::ForbiddenAddress | Reason::NameMismatch | Reason::NotTls | Reason::Budget => BLOCKED,
        Reason::PolicyChanged | Reason::DnsFailed | Reason::Unreachable | Reason::BadCertificate => BLOCKED,
    }
}

#[cfg(test)]
mod tests;
