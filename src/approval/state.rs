//! What the desk keeps under its lock: the questions, where their words go, and what became of those that are over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::holds::{Holds, Limits, Told};
use super::news::Closing;
use super::unanswered::AnswerError;
use crate::egress::hold::Word;
use crate::policy::approvals::{ApprovalId, Approvals};
use crate::policy::attempt::{AgentId, Attempt, AttemptId};

/// Closed questions that are remembered, to say what became of them.
const REMEMBERED: usize = 1024;

/// Yeses that may have ended and are not looked for.
const FEW: usize = 64;

/// An attempt that waits, and where its word goes.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) tell: oneshot::Sender<Word>,
    /// Without its request line, which may hold what is nobody's business.
    pub(super) attempt: Attempt,
}

/// A question that is over.
#[derive(Debug)]
struct Over {
    id: Arc<str>,
    agent: AgentId,
    how: Closing,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) holds: Holds,
    pub(super) words: HashMap<AttemptId, Waiter>,
    /// Yeses that may still be taken back, by the question they answer.
    pub(super) given: HashMap<Arc<str>, ApprovalId>,
    /// As many of them bring a look at which have ended.
    most_given: usize,
    closed: VecDeque<Over>,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self { holds: Holds::new(limits), words: HashMap::new(), given: HashMap::new(), most_given: FEW, closed: VecDeque::new() }
    }

    pub(super) fn tell(&mut self, told: Told) {
        for (attempt, word) in told {
            if let Some(waiter) = self.words.remove(&attempt) {
                let _ = waiter.tell.send(word);
            }
        }
    }

    /// Forgets yeses that have ended. Their number has to double before all are looked at again.
    pub(super) fn forget_ended(&mut self, approvals: &Approvals) {
        if self.given.len() >= self.most_given {
            self.given.retain(|_, given| approvals.get(*given).is_some());
            self.most_given = FEW.max(2 * self.given.len());
        }
    }

    pub(super) fn remember(&mut self, id: Arc<str>, agent: AgentId, how: Closing) {
        if self.closed.len() >= REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back(Over { id, agent, how });
    }

    pub(super) fn is_taken(&self, id: &str) -> bool {
        self.given.contains_key(id) || self.closed.iter().any(|over| *over.id == *id)
    }

    pub(super) fn what_became_of(&self, id: &str) -> AnswerError {
        match self.over(id).map(|over| over.how) {
            None => AnswerError::Unknown,
            Some(Closing::Approved) => AnswerError::Approved,
            Some(Closing::Denied) => AnswerError::Denied,
            Some(Closing::Expired) => AnswerError::Died,
            Some(Closing::Withdrawn) => AnswerError::Withdrawn,
        }
    }

    /// Whose question that is or was.
    pub(super) fn whose(&self, id: &str) -> Option<&AgentId> {
        self.holds.get(id).map(|question| &question.subject.agent).or_else(|| self.over(id).map(|over| &over.agent))
    }

    fn over(&self, id: &str) -> Option<&Over> {
        self.closed.iter().rev().find(|over| *over.id == *id)
    }

    pub(super) fn hold_of(&self, approval: ApprovalId) -> Option<String> {
        self.given.iter().find(|(_, given)| **given == approval).map(|(hold, _)| hold.to_string())
    }
}

/// The low bits of a UUIDv7 are random (RFC 9562 section 5.7).
pub(super) fn chance() -> u32 {
    Uuid::now_v7().as_u128() as u32
}
