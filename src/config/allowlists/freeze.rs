//! The file `freeze`: agents that are stopped, a name a line; empty, everyone. What of it cannot be read stops everyone.

use std::collections::BTreeSet;

use crate::policy::Frozen;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, shown};

/// Reads it. Faults stop everyone.
pub(super) fn read(name: &str, text: Result<String, Fault>) -> (Frozen, Vec<Fault>) {
    let text = match text {
        Ok(text) => text,
        Err(fault) => return (Frozen::Everyone, vec![fault]),
    };
    let (mut agents, mut faults) = (BTreeSet::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        match AgentId::parse(word) {
            Ok(agent) => drop(agents.insert(agent)),
            Err(_) => faults.push(Fault {
                file: name.into(),
                line: number,
                column: 0,
                found: shown(word),
                wanted: "an agent's name a line; until then everyone is frozen".to_owned(),
                fix: "correct it, or leave the file empty to freeze everyone".to_owned(),
            }),
        }
    }
    let everyone = agents.is_empty() || !faults.is_empty();
    (if everyone { Frozen::Everyone } else { Frozen::These(agents) }, faults)
}

/// What is said of a name that no agent has.
pub fn of_nobody(agent: &AgentId) -> String {
    format!("freeze names {agent}, who is no agent here: nobody is stopped by that line")
}
