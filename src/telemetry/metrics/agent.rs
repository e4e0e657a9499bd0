//! The label `agent`: a configured name, or that there is one, or that there is none.

use crate::policy::attempt::AgentId;

/// Whether metrics name agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentNames {
    /// Each by its name.
    #[default]
    Shown,
    /// All of them as `*`; whoever is not identified stays apart.
    Hidden,
}

/// The value of a label `agent`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AgentLabel {
    /// Nobody was identified.
    Nobody,
    /// An agent whose name is not told.
    Unnamed,
    /// An agent.
    Named(AgentId),
}

impl AgentNames {
    pub(super) fn label(self, agent: Option<&AgentId>) -> AgentLabel {
        match (self, agent) {
            (_, None) => AgentLabel::Nobody,
            (AgentNames::Shown, Some(agent)) => AgentLabel::Named(agent.clone()),
            (AgentNames::Hidden, Some(_)) => AgentLabel::Unnamed,
        }
    }
}

impl AgentLabel {
    pub(super) fn as_str(&self) -> &str {
        match self {
            AgentLabel::Nobody => "-",
            // No agent can have this name.
            AgentLabel::Unnamed => "*",
            AgentLabel::Named(agent) => agent.as_str(),
        }
    }
}
