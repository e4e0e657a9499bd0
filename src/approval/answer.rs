//! What a person may answer, what is said back to him, and why an answer can be refused.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::holds::Question;
use super::shown::{PlaceView, timestamp};
use super::store::StoreError;
use crate::egress::record::Answer;
use crate::policy::address::Addresses;
use crate::policy::approvals::{Approval, ApprovalId, ONCE_WITHIN, Scope, Subject};
use crate::policy::attempt::AgentId;
use crate::policy::floor::Floor;

/// The longest a yes with an end may last.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The longest note, in characters.
const LONGEST_NOTE: usize = 500;

/// The most networks one yes may name.
const MOST_NETWORKS: usize = 64;

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

/// Why an answer had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Never asked, or long over.
    #[error("no question has that id; `exeat holds` lists them")]
    Unknown,
    /// Nobody answered in time.
    #[error("the question died unanswered; it is asked again when the agent tries again")]
    Died,
    /// The policy changed meanwhile.
    #[error("the question is not asked any more: the policy changed")]
    Withdrawn,
    /// A yes was given.
    #[error("the question was answered yes already")]
    Approved,
    /// A no was given, and a no wins.
    #[error("the question was answered no already")]
    Denied,
    /// A no came after every use of the yes.
    #[error("the question was answered yes and the yes was used; revoke it to cut what is open")]
    Used,
    /// The duration is zero or longer than a year.
    #[error("a yes lasts longer than nothing and at most 366 days")]
    Duration,
    /// Too long, or not text of one line.
    #[error("a note is one line of at most {LONGEST_NOTE} characters")]
    Note,
    /// None, or too many.
    #[error("a yes names 1 to {MOST_NETWORKS} networks, or none to keep those of the question")]
    Networks,
    /// The floor gives no such yes.
    #[error(transparent)]
    Floor(#[from] BeyondFloor),
    /// The journal does not take it.
    #[error("the journal cannot be written, so the answer has no effect")]
    Unwritable,
    /// A no after a yes is the safe side: it took effect all the same.
    #[error("the yes is taken back, but the journal cannot be written and does not say so")]
    Unrecorded,
    /// Another process was quicker.
    #[error("the question was answered elsewhere already, so the answer has no effect")]
    Elsewhere,
    /// The store does not take a yes.
    #[error("{0}; so the answer has no effect")]
    Unkept(StoreError),
    /// The store does not take a no, which is the safe side: it took effect all the same.
    #[error("the no holds until exeat ends, and is not kept: {0}")]
    Unlasting(StoreError),
}

/// Why the floor gives no such yes, and which it gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeyondFloor {
    /// A yes without end, or longer than `max_for`.
    #[error("{floor} lets no yes last {}; answer {}", asked.map_or_else(|| "without end".to_owned(), |asked| format!("{} s", asked.as_secs())), allowed(.longest))]
    Longer {
        /// The floor's file.
        floor: Arc<str>,
        /// How long was asked for; `None` without end.
        asked: Option<Duration>,
        /// Its `max_for`.
        longest: Option<Duration>,
    },
    /// A network that is not in `private`.
    #[error("{floor} opens no address in {network}: `private` there lists {}; leave --address out, or write one within them", listed(.private))]
    Outside {
        /// The floor's file.
        floor: Arc<str>,
        /// What was asked for.
        network: IpNet,
        /// What it lists.
        private: Vec<IpNet>,
    },
}

fn allowed(longest: &Option<Duration>) -> String {
    match longest {
        Some(longest) => format!("--once, or --for {} or less", spelled(*longest)),
        None => "--once, or --for DURATION".to_owned(),
    }
}

fn listed(private: &[IpNet]) -> String {
    let words: Vec<String> = private.iter().map(ToString::to_string).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// A duration as --for takes it.
fn spelled(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Refuses a yes that the floor would not have in force, or not as long as its words say.
pub(super) fn within_floor(floor: &Floor, reply: &Reply) -> Result<(), BeyondFloor> {
    let Reply::Yes { lasting, addresses } = reply else { return Ok(()) };
    let file = || Arc::clone(&floor.file);
    let longer = |asked| Err(BeyondFloor::Longer { floor: file(), asked, longest: floor.max_for });
    match lasting {
        Lasting::Once => {}
        Lasting::For(asked) if floor.max_for.is_some_and(|longest| *asked > longest) => return longer(Some(*asked)),
        Lasting::For(_) => {}
        Lasting::Always if floor.forbid.always || floor.max_for.is_some() => return longer(None),
        Lasting::Always => {}
    }
    match addresses.iter().flatten().find(|network| !floor.permits_network(network)) {
        None => Ok(()),
        Some(network) => {
            let private = floor.private.as_deref().unwrap_or_default().to_vec();
            Err(BeyondFloor::Outside { floor: file(), network: *network, private })
        }
    }
}

/// Why a revocation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// No approval goes by it.
    #[error("no approval has that id; `exeat approvals` lists them")]
    Unknown,
    /// More than one begins so.
    #[error("more than one approval begins with that id; write more of it")]
    Ambiguous,
    /// Taking back is the safe side: it took effect all the same.
    #[error("the approval is revoked, but the journal cannot be written and does not say so")]
    Unrecorded,
    /// The store does not take it, and will bring the approval back; until exeat ends it is gone all the same.
    #[error("the approval is revoked until exeat ends, and comes back with the next start: {0}; then revoke it again")]
    Unlasting(StoreError),
}

/// A reply and a note that are fit to be weighed.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    pub(super) reply: Reply,
    pub(super) note: Option<Arc<str>>,
}

pub(super) fn weigh(reply: Reply, note: Option<&str>) -> Result<Weighed, AnswerError> {
    if let Reply::Yes { lasting: Lasting::For(duration), addresses: _ } = reply
        && (duration.is_zero() || duration > LONGEST)
    {
        return Err(AnswerError::Duration);
    }
    if let Reply::Yes { lasting: _, addresses: Some(networks) } = &reply
        && !(1..=MOST_NETWORKS).contains(&networks.len())
    {
        return Err(AnswerError::Networks);
    }
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE || note.chars().any(char::is_control)) {
        return Err(AnswerError::Note);
    }
    Ok(Weighed { reply, note: note.map(Arc::from) })
}

/// The approval a yes to the question makes.
pub(super) fn approval(question: &Question, lasting: Lasting, addresses: Option<Vec<IpNet>>, said: Said) -> Approval {
    let Said { approver, note, at } = said;
    let scope = match lasting {
        Lasting::Once => {
            Scope::Once { next_until: question.waiting.is_empty().then_some(at + ONCE_WITHIN), waiting: question.waiting.clone() }
        }
        Lasting::For(duration) => Scope::For { until: at + duration },
        Lasting::Always => Scope::Always,
    };
    let addresses = match addresses {
        Some(networks) => Arc::new(Addresses { public: false, networks }),
        None => Arc::clone(&question.terms.addresses),
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
            approval: None,
            scope: None,
            until: None,
            addresses: Vec::new(),
            released,
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
