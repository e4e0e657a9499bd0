//! The hash of what an approver is shown and what his answer covers: an answer that cites another hash was given to another question.
//!
//! What comes and goes while the question stays the same (who waits, since when, what else is pending) is not in it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Lookalike, Risk};
use crate::approval::shown::HoldView;
use crate::approval::shown::PlaceView;
use crate::egress::hold::Process;
use crate::policy::attempt::AgentId;

/// Hexadecimal digits that stand for the hash.
const DIGITS: usize = 16;

#[derive(Serialize)]
struct Covered<'a> {
    id: &'a str,
    agent: &'a AgentId,
    instance: &'a str,
    place: &'a PlaceView,
    rule: &'a Option<String>,
    note: &'a Option<String>,
    addresses: &'a [String],
    process: &'a Option<Process>,
    preset: &'a Option<String>,
    lookalike: &'a Option<Lookalike>,
    risk: &'a [Risk],
    first_time: bool,
    approvers: usize,
}

/// The hash of a question as it is shown.
pub(in crate::approval) fn facts(hold: &HoldView) -> String {
    let HoldView {
        id,
        agent,
        instance,
        place,
        request: _,
        rule,
        note,
        addresses,
        process,
        preset,
        lookalike,
        risk,
        similar: _,
        first_time,
        approvers,
        yes_by: _,
        waiting: _,
        opened_at: _,
        expires_at: _,
        facts: _,
    } = hold;
    let (first_time, approvers) = (*first_time, *approvers);
    let covered = Covered { id, agent, instance, place, rule, note, addresses, process, preset, lookalike, risk, first_time, approvers };
    let written = serde_json::to_vec(&covered).expect("strings and numbers are JSON");
    let mut digits = data_encoding::HEXLOWER.encode(&Sha256::digest(written));
    digits.truncate(DIGITS);
    digits
}

#[cfg(test)]
mod tests;
