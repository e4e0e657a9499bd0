//! The hold point: where the neck asks and waits. Who answers, and how, is not known here.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::policy::approvals::ApprovalId;
use crate::policy::attempt::{Attempt, AttemptId};
use crate::policy::decide::HoldTerms;

/// The process at the other end of a connection from this machine, as it was observed. What it says of itself may be a lie, and what held the connection
/// then may have handed it on: it is shown to people, and nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the kernel gives it: at most 15 bytes, and the process may change it.
    pub name: String,
    /// The file it runs, where that may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// The word it was called by: the first of its command line, never more, as arguments carry secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// The user that the connection belongs to, by name where there is one, else `uid:N`.
    pub user: String,
    /// How many processes were seen to hold the connection; this is the one found first.
    pub holders: usize,
}

/// A question as a refusal cites it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldInfo {
    /// The short id people type; empty where an answer came before the question.
    pub id: Arc<str>,
    /// When the question dies unanswered.
    pub expires_at: SystemTime,
    /// The attempt that is refused opened it, and its `held` says so.
    pub opened: bool,
}

/// What a waiting attempt is told. A yes is no permit: the attempt is decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Something changed: decide again.
    DecideAgain,
    /// A person said no.
    No {
        /// The approver's words.
        note: Option<Arc<str>>,
    },
    /// Nobody can answer any more; the question lives.
    Unattended,
    /// exeat ends, and waits for no answer; the question lives.
    Ending,
    /// The question died.
    Expired,
}

/// What became of asking.
#[derive(Debug)]
pub enum Asked {
    /// Somebody can answer: wait.
    Waiting(Waiting),
    /// Nobody can answer now; the question waits for a later try.
    Unattended(HoldInfo),
    /// exeat ends; the question waits for a later try.
    Ending(HoldInfo),
    /// Too many questions are pending; the text names the limit.
    Full(&'static str),
    /// The question could not be recorded or kept, so it was not asked.
    Unrecorded,
}

/// What became of using a yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The attempt may use it.
    Taken,
    /// It is gone, expired, or used by others: decide again.
    Gone,
    /// The use cannot be written down, so there is none.
    Unkept,
}

/// One attempt's place at a question. Dropping it leaves the place.
#[derive(Debug)]
pub struct Waiting {
    /// The question.
    pub hold: HoldInfo,
    word: oneshot::Receiver<Word>,
    desk: Arc<dyn Desk>,
    attempt: AttemptId,
}

impl Waiting {
    /// A place at `hold` for `attempt`; `word` delivers what it is told.
    pub fn new(hold: HoldInfo, attempt: AttemptId, word: oneshot::Receiver<Word>, desk: Arc<dyn Desk>) -> Self {
        Self { hold, word, desk, attempt }
    }

    /// Waits to be told. A desk that vanishes is nobody to answer.
    pub async fn word(&mut self) -> Word {
        (&mut self.word).await.unwrap_or(Word::Unattended)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.desk.leave(&self.hold.id, self.attempt);
    }
}

/// Where questions are put. Implemented by `approval`.
pub trait Desk: Send + Sync + fmt::Debug {
    /// Whether asking would open a question, which is worth a look at who asks. It may be otherwise by the time it is asked.
    fn would_open(&self, attempt: &Attempt, terms: &HoldTerms) -> bool;

    /// Puts a question, or joins the one with the same subject. `process` is who asks, where it was observed; it is shown and decides nothing.
    fn ask(self: Arc<Self>, attempt: &Attempt, terms: &HoldTerms, process: Option<Process>) -> Asked;

    /// An attempt waits no more.
    fn leave(&self, hold: &str, attempt: AttemptId);

    /// Uses a yes for one attempt. Claiming again what the attempt holds already, or what the tunnel around it holds, is the same use.
    fn claim(&self, approval: ApprovalId, attempt: &Attempt, now: SystemTime) -> Claimed;
}
