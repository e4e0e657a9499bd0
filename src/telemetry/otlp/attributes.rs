//! What a record says, as attributes. Log records and spans share them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use serde::Serialize;

use super::names;
use crate::egress::record::{Decided, Ended, Front, Millis, Outcome, Place, SecretMissing, TlsSeen};
use crate::policy::attempt::{AgentId, AttemptId, RequestLine};
use crate::policy::leaks::LeakFound;
use crate::policy::reason::Reason;

/// Methods that the convention knows.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// Attributes, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Sets a text.
    pub(super) fn text(&mut self, key: &str, value: impl Into<String>) {
        self.set(key, Value::StringValue(value.into()));
    }

    /// Sets a text that may not be there.
    pub(super) fn some<T: ToString>(&mut self, key: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.text(key, value.to_string());
        }
    }

    /// Sets a count.
    pub(super) fn count(&mut self, key: &str, value: u64) {
        self.set(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    /// Sets a flag.
    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.set(key, Value::BoolValue(value));
    }

    /// Sets a list of texts, unless it is empty.
    pub(super) fn list(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<AnyValue> = values.into_iter().map(|value| any(Value::StringValue(value))).collect();
        if !values.is_empty() {
            self.set(key, Value::ArrayValue(ArrayValue { values }));
        }
    }

    /// Sets a word as records spell it.
    pub(super) fn word(&mut self, key: &str, value: &impl Serialize) {
        if let Ok(serde_json::Value::String(word)) = serde_json::to_value(value) {
            self.text(key, word);
        }
    }

    fn milliseconds(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.set(key, Value::DoubleValue(value));
        }
    }

    fn set(&mut self, key: &str, value: Value) {
        let value = Some(any(value));
        match self.0.iter_mut().find(|known| known.key == key) {
            Some(known) => known.value = value,
            None => self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() }),
        }
    }

    /// As they are sent.
    pub(super) fn into_inner(self) -> Vec<KeyValue> {
        self.0
    }

    /// Who tried what.
    pub(super) fn attempt(&mut self, id: AttemptId, agent: Option<&AgentId>) {
        self.text(names::ATTEMPT_ID, id.to_string());
        self.some(names::AGENT_NAME, agent);
    }

    /// Where to.
    pub(super) fn place(&mut self, place: &Place) {
        let Place { host, port, scheme } = place;
        self.text(names::SERVER_ADDRESS, host);
        self.count(names::SERVER_PORT, (*port).into());
        if let Some(scheme) = scheme {
            self.word("exeat.scheme", scheme);
        }
    }

    /// Method and path, where seen.
    pub(super) fn request(&mut self, request: Option<&RequestLine>) {
        if let Some(RequestLine { method, path }) = request {
            self.method(method);
            self.text("exeat.path", path.as_ref());
        }
    }

    fn method(&mut self, method: &str) {
        self.text(names::METHOD, known_method(method));
        if known_method(method) != method {
            self.text("exeat.method", method);
        }
    }

    /// What `decided` says.
    pub(super) fn decided(&mut self, decided: &Decided) {
        let Decided {
            id,
            agent,
            instance,
            front,
            peer,
            destination,
            request,
            decision,
            reason,
            rule,
            approval,
            policy,
            would,
            separated,
            within,
            trace,
            leak,
        } = decided;
        self.attempt(*id, agent.as_ref());
        self.text("exeat.instance", instance);
        self.text("exeat.front", front.as_str());
        self.text("exeat.peer", peer);
        if let Some(place) = destination {
            self.place(place);
        }
        if *front == Front::Connect && request.is_none() {
            self.method("CONNECT");
        }
        self.request(request.as_ref());
        self.text(names::DECISION, decision.as_str());
        self.text(names::REASON, reason.as_str());
        self.some(names::RULE, rule.as_ref());
        self.some("exeat.approval.id", approval.as_ref());
        self.text("exeat.policy.hash", policy);
        if let Some(would) = would {
            self.word("exeat.would", would);
        }
        if let Some(separated) = separated {
            self.flag("exeat.separated", *separated);
        }
        self.some("exeat.within", within.as_ref());
        self.some("exeat.trace", trace.as_ref());
        self.leak(leak.as_ref());
    }

    fn leak(&mut self, leak: Option<&LeakFound>) {
        if let Some(LeakFound { rules, place }) = leak {
            self.list("exeat.leak.rules", rules.iter().map(ToString::to_string));
            self.text("exeat.leak.place", place.as_str());
        }
    }

    /// What `ended` says.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let Ended { id, agent, outcome, reason, address, bytes_up, bytes_down, status, tls, leak, secret, ms } = ended;
        self.attempt(*id, agent.as_ref());
        self.text("exeat.outcome", outcome.as_str());
        self.text(names::REASON, reason.as_str());
        if let Some(error) = error_type(*outcome, *reason) {
            self.text(names::ERROR_TYPE, error);
        }
        self.some("exeat.address", address.as_ref());
        self.count("exeat.bytes.up", *bytes_up);
        self.count("exeat.bytes.down", *bytes_down);
        if let Some(status) = status {
            self.count("exeat.status", (*status).into());
        }
        if let Some(TlsSeen { sni, alpn, ech, inspected }) = tls {
            self.some("exeat.tls.sni", sni.as_ref());
            self.list("exeat.tls.alpn", alpn.iter().cloned());
            self.flag("exeat.tls.ech", *ech);
            self.flag("exeat.tls.inspected", *inspected);
        }
        self.leak(leak.as_ref());
        if let Some(SecretMissing { rule, why }) = secret {
            self.text("exeat.secret.rule", rule);
            self.text("exeat.secret.why", why);
        }
        let Millis { hold, dns, dial, tls, total } = ms;
        self.milliseconds("exeat.ms.hold", *hold);
        self.milliseconds("exeat.ms.dns", *dns);
        self.milliseconds("exeat.ms.dial", *dial);
        self.milliseconds("exeat.ms.tls", *tls);
        self.milliseconds("exeat.ms.total", Some(*total));
    }
}

/// The method as the convention spells it.
pub(super) fn known_method(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "_OTHER" }
}

/// What an attempt failed by, if it did.
pub(super) fn error_type(outcome: Outcome, reason: Reason) -> Option<&'static str> {
    match outcome {
        Outcome::Failed => Some(reason.as_str()),
        Outcome::Lost => Some(outcome.as_str()),
        Outcome::Completed | Outcome::Refused | Outcome::Abandoned | Outcome::Cut => None,
    }
}

/// A value as it is sent.
pub(super) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

#[cfg(test)]
impl Attributes {
    /// As JSON, for tests.
    pub(super) fn shown(sent: &[KeyValue]) -> serde_json::Value {
        fn value(sent: &AnyValue) -> serde_json::Value {
            match sent.value.as_ref() {
                Some(Value::StringValue(text)) => text.as_str().into(),
                Some(Value::IntValue(count)) => (*count).into(),
                Some(Value::DoubleValue(number)) => (*number).into(),
                Some(Value::BoolValue(flag)) => (*flag).into(),
                Some(Value::ArrayValue(list)) => list.values.iter().map(value).collect(),
                other => panic!("{other:?}"),
            }
        }
        let pairs = sent.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(serde_json::Value::Null, value)));
        serde_json::Value::Object(pairs.collect())
    }
}
