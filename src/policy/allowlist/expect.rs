//! `[[expect]]`: the policy's own tests, judged by the same decision as attempts, with `until` and `observe_until` left aside.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Allowlist, Reading};
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::decide::Decision;
use crate::policy::fault::{Fault, shown};
use crate::policy::rule::{Rule, RuleRef};
use crate::policy::tried::Tried;

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// `try` as written.
    pub text: Arc<str>,
    /// What is tried.
    pub tried: Tried,
    /// What it should get.
    pub wanted: Expected,
    /// Where it stands.
    pub place: RuleRef,
}

/// A decision as `[[expect]]` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It passes.
    Allow,
    /// It depends on the request inside.
    Look,
    /// Somebody is asked.
    Hold,
    /// It is refused.
    Block,
}

impl Expected {
    /// Each of them.
    pub const ALL: [Expected; 4] = [Expected::Allow, Expected::Look, Expected::Hold, Expected::Block];

    /// As files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Expected::Allow => "allow",
            Expected::Look => "look",
            Expected::Hold => "hold",
            Expected::Block => "block",
        }
    }

    fn of(decision: &Decision) -> (Self, Option<String>) {
        match decision {
            Decision::Allow(grant) => (Expected::Allow, grant.rule().map(ToString::to_string)),
            Decision::Look(look) => (Expected::Look, Some(look.rule.to_string())),
            Decision::Hold(terms) => (Expected::Hold, terms.rule.as_ref().map(ToString::to_string)),
            Decision::Block(block) => {
                (Expected::Block, block.rule.as_ref().map_or_else(|| Some(block.reason.to_string()), |rule| Some(rule.to_string())))
            }
        }
    }
}

/// The expectations that do not come true.
pub(super) fn unmet(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Fault> {
    if allowlist.expectations.is_empty() {
        return Vec::new();
    }
    let lasting = |rule: &Rule| Rule { until: None, ..rule.clone() };
    let rules = allowlist.rules.iter().map(lasting).collect();
    let judged = Allowlist { rules, observe_until: None, expectations: Vec::new(), identify: Vec::new(), ..allowlist.clone() };
    let floor = reading.floor.lasting();
    let policy = match Policy::under(floor.into(), vec![judged], Guard::default()) {
        Ok(policy) => policy,
        Err(faults) => return faults,
    };
    let unmet = |expectation: &Expectation| {
        let judged = expectation.tried.judge(&policy, &allowlist.agent, SystemTime::UNIX_EPOCH);
        let judged = if reading.inspects { judged } else { judged.without_authority() };
        let (got, by) = Expected::of(&judged.decision);
        (got != expectation.wanted).then(|| {
            let RuleRef { file, line } = expectation.place.clone();
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let found = format!("{}{by} for {}", got.as_str(), shown(&expectation.text));
            let fix = "mend the rule, or the expectation".to_owned();
            Fault { file, line, column: 1, found, wanted: expectation.wanted.as_str().to_owned(), fix }
        })
    };
    allowlist.expectations.iter().filter_map(unmet).collect()
}
