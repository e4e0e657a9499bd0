//! Records: what is written down of every attempt and every answer, and who writes it.
//!
//! A record is data for people and programs outside; its field names are promises. Nothing secret has a field here.

mod durable;
mod ended;
mod flow;
mod freezing;
mod keeping;
mod mask;
mod people;
mod policy;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::policy::attempt::{AgentId, AttemptId, RequestLine, Scheme};
use crate::policy::destination::Destination;
use crate::policy::leaks::LeakFound;
use crate::policy::reason::Reason;
pub use durable::Durable;
pub use ended::{Ended, Millis, Outcome, SecretMissing, TlsSeen};
pub use flow::{Progress, RefusedCount, RefusedHost, RefusedSummary};
pub use freezing::{Frozen, Thawed, Whom};
pub use keeping::{Gap, GapWhy, Sealed, Segment};
pub use mask::{LONGEST_METHOD, masked};
pub use people::{ApproverChange, ApproverChanged, Cut};
pub use policy::{PolicyInForce, Unread};

/// One journal line without its frame (`v`, `seq`, `at`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A process began to write here.
    Started(Started),
    /// It stopped in order.
    Stopped(Stopped),
    /// A policy came into force.
    Policy(PolicyInForce),
    /// An attempt opened a question.
    Held(Held),
    /// A person answered a question.
    Answered(Answered),
    /// An approval was taken back.
    Revoked(Revoked),
    /// Who may use page and API changed.
    Approver(ApproverChanged),
    /// A person ends an open attempt.
    Cut(Cut),
    /// Somebody is stopped by command or API.
    Frozen(Frozen),
    /// He may go on.
    Thawed(Thawed),
    /// What an attempt got; written before any effect.
    Decided(Decided),
    /// How it ended; exactly one for each `decided`.
    Ended(Ended),
    /// What an open attempt has carried so far.
    Progress(Progress),
    /// Refusals that were counted and not written down one by one.
    RefusedSummary(RefusedSummary),
    /// Records that are not there.
    Gap(Gap),
    /// A segment begins.
    Segment(Segment),
    /// A checkpoint.
    Sealed(Sealed),
}

impl Record {
    /// The `kind`, as records and metrics spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Record::Started(_) => "started",
            Record::Stopped(_) => "stopped",
            Record::Policy(_) => "policy",
            Record::Held(_) => "held",
            Record::Answered(_) => "answered",
            Record::Revoked(_) => "revoked",
            Record::Approver(_) => "approver",
            Record::Cut(_) => "cut",
            Record::Frozen(_) => "frozen",
            Record::Thawed(_) => "thawed",
            Record::Decided(_) => "decided",
            Record::Ended(_) => "ended",
            Record::Progress(_) => "progress",
            Record::RefusedSummary(_) => "refused_summary",
            Record::Gap(_) => "gap",
            Record::Segment(_) => "segment",
            Record::Sealed(_) => "sealed",
        }
    }
}

/// A destination as records spell it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The canonical host, no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The scheme, where it is in plain sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

impl Place {
    /// The place of a destination.
    pub fn new(destination: &Destination, scheme: Option<Scheme>) -> Self {
        let host = match &destination.host {
            crate::policy::host::Host::Name(name) => name.as_str().to_owned(),
            crate::policy::host::Host::Address(address) => address.to_string(),
        };
        Self { host, port: destination.port.number(), scheme }
    }
}

/// Which way in an attempt took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Front {
    /// An absolute-form HTTP request.
    Forward,
    /// A CONNECT tunnel.
    Connect,
    /// A connection that was redirected to exeat: its first bytes say where to.
    Transparent,
}

impl Front {
    /// As records and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Front::Forward => "forward",
            Front::Connect => "connect",
            Front::Transparent => "transparent",
        }
    }
}

/// Allow, look or block; a hold is never a final decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// It may pass.
    Allow,
    /// The requests found in the tunnel are judged one by one; by itself it leads nowhere.
    Look,
    /// It may not pass.
    Block,
}

impl Ruling {
    /// As records and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Ruling::Allow => "allow",
            Ruling::Look => "look",
            Ruling::Block => "block",
        }
    }
}

/// What an observed attempt would have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Would {
    /// A question.
    Hold,
    /// A refusal.
    Block,
}

/// `started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// exeat's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// Bytes of a torn last line that were cut away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<u64>,
}

/// `stopped`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {}

/// `held`: the attempt that opened a question; later ones join it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The attempt.
    pub id: AttemptId,
    /// The question's short id, the one people type.
    pub hold: String,
    /// Who asks.
    pub agent: AgentId,
    /// Which running one of them.
    pub instance: String,
    /// Where to.
    pub destination: Place,
    /// Method and path, where seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestLine>,
    /// The question is about this request alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
    /// The `[[hold]]` rule, if one asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// `answered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The question's short id.
    pub hold: String,
    /// The approval a yes made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// `yes` or `no`.
    pub answer: Answer,
    /// Who answered.
    pub approver: String,
    /// What kind of approver: `person`.
    pub approver_kind: String,
    /// How many people have to say yes, where that is more than one. A yes of one of them without an approval lets nothing pass yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u8>,
    /// `once`, `for` or `always`, of a yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When the yes ends.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "to_the_microsecond")]
    pub expiry: Option<jiff::Timestamp>,
    /// The approver's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who had asked.
    pub agent: AgentId,
    /// For where.
    pub destination: Place,
    /// The only request it is about, masked; absent where it is about every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestLine>,
    /// How many attempts waited.
    pub waiting: usize,
}

/// RFC 3339 with all six digits, as every time in a record.
fn with_microseconds<S: serde::Serializer>(time: &jiff::Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{time:.6}"))
}

/// As `with_microseconds`, of a time that may be none.
fn to_the_microsecond<S: serde::Serializer>(time: &Option<jiff::Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.map_or_else(String::new, |time| format!("{time:.6}")))
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A yes.
    Yes,
    /// A no.
    No,
}

/// `revoked`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// The approval.
    pub approval: Uuid,
    /// Whose it was.
    pub agent: AgentId,
    /// For where.
    pub destination: Place,
    /// The only request it covered, masked; absent where it covered every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestLine>,
    /// Who took it back.
    pub who: String,
}

/// `decided`: written before any effect of the decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The attempt.
    pub id: AttemptId,
    /// Who asked; absent where not identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Which running one of them.
    pub instance: String,
    /// The way in.
    pub front: Front,
    /// The peer's address.
    pub peer: String,
    /// Where to; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Place>,
    /// Method and path, where seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestLine>,
    /// Allow, look or block.
    pub decision: Ruling,
    /// Why.
    pub reason: Reason,
    /// `file:line` of the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The approval that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// Hash of the policy in force.
    pub policy: String,
    /// What it would have got, of an attempt that passed because its agent is observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Would>,
    /// `false` where the agent is not kept apart from approval: its yes is advisory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separated: Option<bool>,
    /// The tunnel the request was found in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<AttemptId>,
    /// The agent's trace context, where it sent a valid one: `traceparent` of W3C Trace Context, version 00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What a leak guard found, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<LeakFound>,
}

/// The record could not be written; nothing that rests on it may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct Unwritable;

/// Where records go. One process has one.
pub trait Recorder: Send + Sync + fmt::Debug {
    /// Writes a record before its effect. When this returns `Ok` a kill of the process does not lose it.
    fn record(&self, record: &Record) -> Result<(), Unwritable>;

    /// When all that this has written so far is as durable as configured. What rests on a record waits for it.
    fn durable(&self) -> Durable {
        Durable::already()
    }

    /// Writes the last word on an attempt. Cannot fail: what cannot be written is kept and written before anything else.
    /// What is kept is bounded by the number of open attempts, as nothing new is recorded meanwhile.
    fn settle(&self, ended: Ended);

    /// A limit was hit; counted, not recorded.
    fn limit_hit(&self, limit: &'static str);

    /// How long the policy took to decide.
    fn decision_took(&self, took: std::time::Duration);

    /// What exeat added to an attempt: from its claim until its decision was recorded, the wait of a hold left out.
    fn added(&self, attempt: AttemptId, decision: Ruling, took: std::time::Duration);
}
