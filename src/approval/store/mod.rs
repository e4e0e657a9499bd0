//! What outlives the process: questions and their answers, approvers, freezes, and what was spent today.
//!
//! One trait of domain methods. Whatever implements it passes the tests of `contract`. A change that can be made once only is conditional, and
//! the store says who made it: that is what lets several processes share one later.

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod contract;
mod sqlite;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use sqlite::Sqlite;

use super::answer::ApprovalView;
use super::holds::{Question, Yes};
use super::news::Closing;
pub use crate::egress::Spent;
pub use crate::egress::record::Whom;
use crate::policy::approvals::{Approval, ApprovalId, Echo, Subject};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;
use crate::policy::token::TokenDigest;

/// Where approvals and all that belongs to them is kept.
///
/// Every method is durable against the end of the process when it returns; what makes exeat more careful (a no, a claim, a revocation, a freeze) is as
/// durable as the journal is configured to be.
pub trait Store: Send + Sync + fmt::Debug {
    /// What is in force and pending at `now`. What ended by itself meanwhile is left out, and ended in the store.
    fn kept(&self, now: SystemTime) -> Result<Kept, StoreError>;

    /// Keeps a question that was opened.
    fn open(&self, question: &Question) -> Result<(), StoreError>;

    /// A question lives on.
    fn extend(&self, hold: &str, dies_at: SystemTime) -> Result<(), StoreError>;

    /// A question is over without an answer. `false`: it was over before, or never was.
    fn close(&self, hold: &str, how: Closing, at: SystemTime) -> Result<bool, StoreError>;

    /// One yes of several that are needed: the question stays. `false`: it was over before, or he had said so.
    fn agree(&self, hold: &str, yes: &Yes, at: SystemTime) -> Result<bool, StoreError>;

    /// A yes: the question is over and the approval in force, both or neither. `false`: the question was over before.
    fn approve(&self, hold: &str, approval: &Approval) -> Result<bool, StoreError>;

    /// A no: the question is over and stays quiet, both or neither. A question that was answered yes may still be answered no.
    fn deny(&self, hold: &str, subject: &Subject, at: SystemTime, echo: &Echo) -> Result<bool, StoreError>;

    /// One use of an approval. `false`: it ended, or is a `once` whose every use was claimed.
    fn claim(&self, approval: ApprovalId) -> Result<bool, StoreError>;

    /// An approval ends before its time. `false`: it had ended.
    fn end(&self, approval: ApprovalId, at: SystemTime) -> Result<bool, StoreError>;

    /// What became of a question; `None` of one that is not known, `Some(None)` of one that is pending.
    fn fate(&self, hold: &str) -> Result<Option<Option<Closing>>, StoreError>;

    /// Whether the agent asked for the destination before, as far back as is kept.
    fn asked_before(&self, agent: &AgentId, destination: &Destination) -> Result<bool, StoreError>;

    /// Forgets questions and approvals that ended before then, and says how many. Their short ids are free again.
    fn forget(&self, before: SystemTime) -> Result<usize, StoreError>;

    /// The people who may use page and API, by name.
    fn approvers(&self) -> Result<Vec<Approver>, StoreError>;

    /// Adds one. `false`: there is one of that name.
    fn add_approver(&self, approver: &Approver) -> Result<bool, StoreError>;

    /// Removes one, whose token is worth nothing from then on, and with him his yeses to what is still pending. `false`: there is none of that name.
    fn remove_approver(&self, name: &str) -> Result<bool, StoreError>;

    /// Who is stopped.
    fn freezes(&self) -> Result<Vec<Freeze>, StoreError>;

    /// Stops somebody. `false`: that was so before, and stays as it was written.
    fn freeze(&self, freeze: &Freeze) -> Result<bool, StoreError>;

    /// Lets somebody go on. `false`: he was not stopped.
    fn thaw(&self, whom: &Whom) -> Result<bool, StoreError>;

    /// What was spent on a day.
    fn spent(&self, day: Date) -> Result<Vec<Spent>, StoreError>;

    /// Adds to what was spent on a day, all of it or nothing, and forgets the days before the one before it.
    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), StoreError>;
}

/// The approvals in force that a state folder keeps, where no exeat has it open.
pub fn kept_approvals(state: &Path, now: SystemTime) -> Result<Vec<ApprovalView>, StoreError> {
    if !Sqlite::is_in(state) {
        return Ok(Vec::new());
    }
    let kept = Sqlite::open(state, false)?.kept(now)?;
    Ok(kept.approvals.iter().map(|(hold, approval)| ApprovalView::of(approval, Some(hold.to_string()))).collect())
}

/// What a start finds.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Pending questions, nobody waiting at them.
    pub questions: Vec<Question>,
    /// Approvals in force with the short id of the question each answers. No attempt holds a claim on one; a `once` that was not used is for the next attempt.
    pub approvals: Vec<(Arc<str>, Approval)>,
    /// Noes that still echo.
    pub silences: Vec<(Subject, Echo)>,
}

/// What a person may do with page and API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, answer, revoke.
    Approver,
    /// All of it: freeze and thaw, cut tunnels, reload, add approvers.
    Admin,
}

/// A person who may use page and API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The name that records give.
    pub name: Arc<str>,
    /// What he may do.
    pub role: Role,
    /// For which agents; `None` for all.
    pub agents: Option<BTreeSet<AgentId>>,
    /// What his token is known by.
    pub digest: TokenDigest,
    /// When he was added.
    pub at: SystemTime,
    /// Who added him.
    pub by: Arc<str>,
}

/// That somebody is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Whom.
    pub whom: Whom,
    /// Who stopped him.
    pub by: Arc<str>,
    /// When.
    pub at: SystemTime,
    /// Why.
    pub note: Option<Arc<str>>,
}

/// Why the store did not do what it was asked. Whatever that was, it has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("{} is in use by another process{}, most likely another exeat; stop that one, or name another `state`", path.display(), named(.by))]
    Locked {
        /// The file.
        path: PathBuf,
        /// Its number, where the system tells.
        by: Option<i32>,
    },
    /// There is no room for it.
    #[error("{} cannot be written: there is no room, or the disk fails; make room", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a later exeat.
    #[error("{} was written by a newer exeat (version {found} of the store, this one knows {known}); run that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest this exeat knows.
        known: u32,
    },
    /// Others than its owner may use it.
    #[error("{} may be used by others (mode {mode:o}): whoever writes to it approves; chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not a store, it is damaged, or the system fails.
    #[error("{} cannot be used: {why}; mend it or its permissions, or move it away and start with no approvals", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
}

fn named(by: &Option<i32>) -> String {
    by.map(|pid| format!(" (PID {pid})")).unwrap_or_default()
}
