//! Records of who is stopped by command or API, and of who may go on.

use std::fmt;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::attempt::AgentId;

/// Whom a freeze stops. Records spell everyone `*`, as no agent has that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Every agent.
    Everyone,
    /// One agent.
    Agent(AgentId),
}

/// `frozen`: written before its effect. What cannot be written takes effect all the same, and is written once it can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Whom.
    pub whom: Whom,
    /// Who stopped him.
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `thawed`: written before its effect; what cannot be written has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thawed {
    /// Whom.
    pub whom: Whom,
    /// Who lets him go on.
    pub who: String,
}

impl Whom {
    /// Everyone, as records and the store spell it.
    pub const EVERYONE: &str = "*";

    /// The one agent.
    pub fn agent(&self) -> Option<&AgentId> {
        match self {
            Whom::Everyone => None,
            Whom::Agent(agent) => Some(agent),
        }
    }

    /// As records and the store spell it.
    pub fn as_str(&self) -> &str {
        self.agent().map_or(Self::EVERYONE, AgentId::as_str)
    }
}

/// In a sentence.
impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.agent().map_or("everyone", AgentId::as_str))
    }
}

impl Serialize for Whom {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        if word == Self::EVERYONE {
            return Ok(Whom::Everyone);
        }
        let agent = AgentId::parse(&word).map_err(|_| D::Error::invalid_value(Unexpected::Str(&word), &"an agent's name, or *"))?;
        Ok(Whom::Agent(agent))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn whom_is_a_name_or_a_star_and_nothing_else() {
        for (word, whom) in [("*", Whom::Everyone), ("everyone", Whom::Agent(AgentId::parse("everyone").unwrap()))] {
            assert_eq!(serde_json::to_value(&whom).unwrap(), word);
            assert_eq!(serde_json::from_value::<Whom>(word.into()).unwrap(), whom);
        }
        for word in ["", "**", "A", "a b"] {
            assert!(serde_json::from_value::<Whom>(word.into()).is_err(), "{word}");
        }
    }
}
