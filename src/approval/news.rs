//! What whoever watches is told of questions: that one was opened, who waits, how it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::holds::Question;
use super::shown::{HoldView, PlaceView};
use crate::policy::attempt::AgentId;

/// What happened to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// It was opened.
    Opened {
        /// The question.
        hold: HoldView,
    },
    /// More or fewer attempts wait.
    Changed {
        /// The question.
        hold: HoldView,
    },
    /// It is over.
    Closed {
        /// Its end.
        #[serde(flatten)]
        closed: Closed,
    },
}

/// The end of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Closed {
    /// The question's short id.
    pub id: String,
    /// Who asked.
    pub agent: AgentId,
    /// For where.
    #[serde(flatten)]
    pub place: PlaceView,
    /// How.
    pub how: Closing,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// `once`, `for` or `always`, of a yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// When the yes ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Closed {
    pub(super) fn of(question: &Question, how: Closing) -> Self {
        Self {
            id: question.id.to_string(),
            agent: question.subject.agent.clone(),
            place: PlaceView::about(&question.subject),
            how,
            approver: None,
            scope: None,
            until: None,
        }
    }
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// A yes.
    Approved,
    /// A no.
    Denied,
    /// Nobody answered.
    Expired,
    /// The policy changed and does not ask it any more.
    Withdrawn,
}
