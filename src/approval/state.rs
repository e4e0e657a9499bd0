//! What the desk keeps under its lock: the questions, where their words go, and what became of those that are over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::answer::AnswerError;
use super::holds::{Holds, Limits, Told};
use super::news::Closing;
use crate::egress::hold::Word;
use crate::policy::approvals::ApprovalId;
use crate::policy::attempt::{Attempt, AttemptId};

/// Closed questions that are remembered, to say what became of them.
const REMEMBERED: usize = 1024;

/// An attempt that waits, and where its word goes.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) tell: oneshot::Sender<Word>,
    /// Without its request line, which may hold what is nobody's business.
    pub(super) attempt: Attempt,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) holds: Holds,
    pub(super) words: HashMap<AttemptId, Waiter>,
    /// Yeses that may still be taken back, by the question they answer.
    pub(super) given: HashMap<Arc<str>, ApprovalId>,
    closed: VecDeque<(Arc<str>, Closing)>,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self { holds: Holds::new(limits), words: HashMap::new(), given: HashMap::new(), closed: VecDeque::new() }
    }

    pub(super) fn tell(&mut self, told: Told) {
        for (attempt, word) in told {
            if let Some(waiter) = self.words.remove(&attempt) {
                let _ = waiter.tell.send(word);
            }
        }
    }

    pub(super) fn remember(&mut self, id: Arc<str>, how: Closing) {
        if self.closed.len() >= REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back((id, how));
    }

    pub(super) fn is_taken(&self, id: &str) -> bool {
        self.given.contains_key(id) || self.closed.iter().any(|(closed, _)| closed.as_ref() == id)
    }

    pub(super) fn what_became_of(&self, id: &str) -> AnswerError {
        match self.closed.iter().rev().find(|(closed, _)| closed.as_ref() == id) {
            None => AnswerError::Unknown,
            Some((_, Closing::Approved)) => AnswerError::Approved,
            Some((_, Closing::Denied)) => AnswerError::Denied,
            Some((_, Closing::Expired)) => AnswerError::Died,
            Some((_, Closing::Withdrawn)) => AnswerError::Withdrawn,
        }
    }

    pub(super) fn hold_of(&self, approval: ApprovalId) -> Option<String> {
        self.given.iter().find(|(_, given)| **given == approval).map(|(hold, _)| hold.to_string())
    }
}
