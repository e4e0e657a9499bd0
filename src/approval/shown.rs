//! What an approver is shown of a question. Facts exeat knows; nothing here is escaped, each surface escapes for itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::spelt;
use super::facts::cover::facts;
use super::facts::{Facts, Lookalike, Risk, Similar};
use super::holds::Question;
use super::script;
use crate::egress::hold::Process;
use crate::egress::record::masked;
use crate::policy::approvals::Subject;
use crate::policy::attempt::{AgentId, RequestLine, Scheme};
use crate::policy::destination::Destination;
use crate::policy::host::Host;

/// One pending question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HoldView {
    /// The short id people type.
    pub id: String,
    /// Who asks.
    pub agent: AgentId,
    /// Which running one of them.
    pub instance: String,
    /// Where to.
    #[serde(flatten)]
    pub place: PlaceView,
    /// Method and masked path of the request that asked first, where seen; an answer covers any unless the place says `only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestLine>,
    /// The `[[hold]]` rule that asked; absent where the destination is unlisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The note of that rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a yes lets the name resolve to, unless it says otherwise.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The process that asked first, as it was observed; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The shipped preset that lists the destination; with commas, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// A known name the host could be taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookalike: Option<Lookalike>,
    /// What speaks against the destination.
    #[serde(default)]
    pub risk: Vec<Risk>,
    /// Other pending questions that are nearly the same; an answer covers none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<Similar>,
    /// The agent asked for this destination for the first time since exeat started.
    pub first_time: bool,
    /// How many people have to say yes.
    #[serde(default = "one")]
    pub approvers: usize,
    /// Who said yes so far, where more than one has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yes_by: Vec<String>,
    /// How many attempts wait for the answer.
    pub waiting: usize,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it dies unanswered, unless it is asked again.
    pub expires_at: Timestamp,
    /// The hash of what is shown and what an answer covers. An answer may cite it, and has no effect where the question changed.
    #[serde(default)]
    pub facts: String,
}

/// One person answers, unless something says otherwise.
fn one() -> usize {
    1
}

impl HoldView {
    /// The question as it stands, beside `similar` ones.
    pub(super) fn of(question: &Question, similar: Option<Similar>) -> Self {
        let Facts { process, risk, preset, lookalike, approvers } = question.facts.as_ref().clone();
        let view = Self {
            id: question.id.as_ref().to_owned(),
            agent: question.subject.agent.clone(),
            instance: question.subject.instance.to_string(),
            place: PlaceView::about(&question.subject),
            request: question.request.clone(),
            rule: question.terms.rule.as_ref().map(ToString::to_string),
            note: question.terms.note.as_ref().map(ToString::to_string),
            addresses: spelt(&question.terms.addresses),
            process,
            preset: preset.as_ref().map(ToString::to_string),
            lookalike,
            risk,
            similar,
            first_time: question.first_time,
            approvers: usize::from(approvers).max(one()),
            yes_by: question.yeses.iter().map(|yes| yes.approver.to_string()).collect(),
            waiting: question.waiting.len(),
            opened_at: timestamp(question.opened_at),
            expires_at: timestamp(question.dies_at),
            facts: String::new(),
        };
        Self { facts: facts(&view), ..view }
    }
}

/// A destination as people should read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlaceView {
    /// The host: A-labels, no brackets.
    pub host: String,
    /// The host in Unicode, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicode: Option<String>,
    /// The part of the name somebody registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrable: Option<String>,
    /// A label mixes scripts, as look-alike names do.
    pub mixed_script: bool,
    /// The port.
    pub port: u16,
    /// `http` for a plain request, `https` for one inside TLS; absent for a tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The one request it is about, its path masked; absent where it is about every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<RequestLine>,
}

impl PlaceView {
    /// What a question, and so an answer, is about.
    pub fn about(subject: &Subject) -> Self {
        let Subject { agent: _, instance: _, destination, scheme, request } = subject;
        Self { only: request.as_ref().map(masked), ..Self::of(destination, *scheme) }
    }

    /// The destination as shown.
    pub fn of(destination: &Destination, scheme: Option<Scheme>) -> Self {
        let port = destination.port.number();
        match &destination.host {
            Host::Address(address) => {
                Self { host: address.to_string(), unicode: None, registrable: None, mixed_script: false, port, scheme, only: None }
            }
            Host::Name(name) => Self { port, scheme, ..Self::of_name(name.as_str()) },
        }
    }

    fn of_name(name: &str) -> Self {
        let (unicode, valid) = idna::domain_to_unicode(name);
        let unicode = (valid.is_ok() && unicode != name).then_some(unicode);
        Self {
            host: name.to_owned(),
            registrable: psl::domain_str(name).map(str::to_owned),
            mixed_script: unicode.as_deref().is_some_and(script::mixes),
            unicode,
            port: 0,
            scheme: None,
            only: None,
        }
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

/// A time as records and views spell it. What a `Timestamp` cannot hold becomes its end.
pub(super) fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let exact = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use super::PlaceView;

    #[test]
    fn a_name_is_shown_in_both_forms_with_its_registrable_part() {
        let rows = [
            ("api.example.co.uk", None, Some("example.co.uk"), false),
            ("xn--bcher-kva.example.com", Some("bücher.example.com"), Some("example.com"), false),
            ("xn--pypal-4ve.com", Some("pаypal.com"), Some("xn--pypal-4ve.com"), true),
            ("localhost", None, None, false),
        ];
        for (host, unicode, registrable, mixed_script) in rows {
            let expected = PlaceView {
                host: host.to_owned(),
                unicode: unicode.map(str::to_owned),
                registrable: registrable.map(str::to_owned),
                mixed_script,
                port: 0,
                scheme: None,
                only: None,
            };
            assert_eq!(PlaceView::of_name(host), expected);
        }
    }
}
