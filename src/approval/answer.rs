//! What a person may answer, what is said back to him, and why an answer can be refused.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::holds::{Question, Yes};
use super::shown::{PlaceView, timestamp};
use super::unanswered::AnswerError;
use crate::egress::record::Answer;
use crate::policy::address::Addresses;
use crate::policy::approvals::{Approval, ApprovalId, ONCE_WITHIN, Scope, Subject};
use crate::policy::attempt::AgentId;

/// The longest a yes with an end may last.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The longest note, in characters.
pub(super) const LONGEST_NOTE: usize = 500;

/// The most networks one yes may name.
pub(super) const MOST_NETWORKS: usize = 64;

/// How long a yes lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// For the attempts that wait, or the next one.
    Once,
    /// For a while.
    For(Duration),
    /// Without end.
    Always,
}

impl Lasting {
    /// As records and listings spell it.
    pub fn word(self) -> &'static str {
        match self {
            Lasting::Once => "once",
            Lasting::For(_) => "for",
            Lasting::Always => "always",
        }
    }
}

/// A person's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It may pass.
    Yes {
        /// How long.
        lasting: Lasting,
        /// What it may resolve to, in place of what the question was asked under.
        addresses: Option<Vec<IpNet>>,
    },
    /// It may not.
    No,
}

/// What an answer did, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answered {
    /// The question's short id.
    pub hold: String,
    /// Who asked.
    pub agent: AgentId,
    /// Which running one of them; a yes without end covers every one.
    pub instance: String,
    /// For where.
    #[serde(flatten)]
    pub place: PlaceView,
    /// `yes` or `no`.
    pub answer: Answer,
    /// How many people have to say yes, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u8>,
    /// Who said yes so far, where that is not enough: nothing passes yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yes_by: Vec<String>,
    /// The approval a yes made, or a no took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// `once`, `for` or `always`, of a yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When the yes ends, or until when a `once` that nobody waited for may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What it may resolve to, of a yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How many attempts waited and were told.
    pub released: usize,
    /// Why a yes has no effect by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One approval as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalView {
    /// Its name.
    pub id: Uuid,
    /// The short id of the question it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Whose it is.
    pub agent: AgentId,
    /// Which running one; absent where it covers every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// For where.
    #[serde(flatten)]
    pub place: PlaceView,
    /// `once`, `for` or `always`.
    pub scope: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What it may resolve to.
    pub addresses: Vec<String>,
    /// Who said it.
    pub approver: String,
    /// When.
    pub at: Timestamp,
    /// The approver's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many attempts it covers at the moment.
    pub open: usize,
}

impl ApprovalView {
    pub(super) fn of(approval: &Approval, hold: Option<String>) -> Self {
        let everywhere = matches!(approval.scope, Scope::Always);
        Self {
            id: approval.id.0,
            hold,
            agent: approval.subject.agent.clone(),
            instance: (!everywhere).then(|| approval.subject.instance.to_string()),
            place: PlaceView::about(&approval.subject),
            scope: scope_word(&approval.scope).to_owned(),
            until: until(&approval.scope),
            addresses: spelt(&approval.addresses),
            approver: approval.approver.to_string(),
            at: timestamp(approval.at),
            note: approval.note.as_ref().map(ToString::to_string),
            open: approval.claimed.len(),
        }
    }
}

/// A reply and a note that are fit to be weighed.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    pub(super) reply: Reply,
    pub(super) note: Option<Arc<str>>,
}

pub(super) fn weigh(mut reply: Reply, note: Option<&str>) -> Result<Weighed, AnswerError> {
    if let Reply::Yes { lasting: Lasting::For(duration), addresses: _ } = reply
        && (duration.is_zero() || duration > LONGEST)
    {
        return Err(AnswerError::Duration);
    }
    if let Reply::Yes { lasting: _, addresses: Some(networks) } = &mut reply {
        if !(1..=MOST_NETWORKS).contains(&networks.len()) {
            return Err(AnswerError::Networks);
        }
        // As a rule would have them: what no rule may list can neither be granted nor be read again at the next start.
        for network in networks {
            let fault = |why| AnswerError::Network { network: *network, why };
            *network = Addresses::parse_entry(&network.to_string()).map_err(fault)?;
        }
    }
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE || note.chars().any(char::is_control)) {
        return Err(AnswerError::Note);
    }
    Ok(Weighed { reply, note: note.map(Arc::from) })
}

/// The approval a yes to the question makes.
pub(super) fn approval(question: &Question, yes: Yes, at: SystemTime) -> Approval {
    let Yes { approver, lasting, addresses, note } = yes;
    let scope = match lasting {
        Lasting::Once => {
            Scope::Once { next_until: question.waiting.is_empty().then_some(at + ONCE_WITHIN), waiting: question.waiting.clone() }
        }
        Lasting::For(duration) => Scope::For { until: at + duration },
        Lasting::Always => Scope::Always,
    };
    Approval {
        id: ApprovalId(Uuid::now_v7()),
        subject: question.subject.clone(),
        scope,
        addresses,
        approver,
        at,
        note,
        claimed: std::collections::BTreeSet::new(),
    }
}

/// A yes as it is said to the question.
pub(super) fn yes(question: &Question, lasting: Lasting, addresses: Option<Vec<IpNet>>, said: &Said) -> Yes {
    let addresses = match addresses {
        Some(networks) => Arc::new(Addresses { public: false, networks }),
        None => Arc::clone(&question.terms.addresses),
    };
    Yes { approver: Arc::clone(&said.approver), lasting, addresses, note: said.note.clone() }
}

/// Who said it, in what words, when.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) approver: Arc<str>,
    pub(super) note: Option<Arc<str>>,
    pub(super) at: SystemTime,
}

impl Answered {
    pub(super) fn yes(hold: &str, approval: &Approval, released: usize) -> Self {
        Self {
            approval: Some(approval.id.0),
            scope: Some(scope_word(&approval.scope).to_owned()),
            until: until(&approval.scope),
            addresses: spelt(&approval.addresses),
            ..Self::bare(hold, &approval.subject, Answer::Yes, released)
        }
    }

    /// One yes of several.
    pub(super) fn not_yet(hold: &str, question: &Question, yes: &Yes, of: u8) -> Self {
        let said = question.yeses.iter().chain([yes]);
        Self {
            of: Some(of),
            yes_by: said.map(|yes| yes.approver.to_string()).collect(),
            scope: Some(yes.lasting.word().to_owned()),
            addresses: spelt(&yes.addresses),
            ..Self::bare(hold, &question.subject, Answer::Yes, 0)
        }
    }

    pub(super) fn no(hold: &str, subject: &Subject, withdrawn: Option<ApprovalId>, released: usize) -> Self {
        Self { approval: withdrawn.map(|id| id.0), ..Self::bare(hold, subject, Answer::No, released) }
    }

    fn bare(hold: &str, subject: &Subject, answer: Answer, released: usize) -> Self {
        Self {
            hold: hold.to_owned(),
            agent: subject.agent.clone(),
            instance: subject.instance.to_string(),
            place: PlaceView::about(subject),
            answer,
            of: None,
            yes_by: Vec::new(),
            approval: None,
            scope: None,
            until: None,
            addresses: Vec::new(),
            released,
            warnings: Vec::new(),
        }
    }
}

pub(super) fn scope_word(scope: &Scope) -> &'static str {
    match scope {
        Scope::Once { .. } => "once",
        Scope::For { .. } => "for",
        Scope::Always => "always",
    }
}

pub(super) fn until(scope: &Scope) -> Option<Timestamp> {
    match scope {
        Scope::Once { waiting: _, next_until } => next_until.map(timestamp),
        Scope::For { until } => Some(timestamp(*until)),
        Scope::Always => None,
    }
}

/// Addresses as listings spell them.
pub(super) fn spelt(addresses: &Addresses) -> Vec<String> {
    let public = addresses.public.then(|| "public".to_owned());
    public.into_iter().chain(addresses.networks.iter().map(ToString::to_string)).collect()
}
