//! What each record changes of the metrics. Bytes are counted as `progress` and `ended` tell of them, each byte once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exemplar::Series;
use super::{Metrics, Open};
use crate::egress::record::{Decided, Ended, Front, Millis, Outcome, PolicyInForce, Progress, Record, RefusedSummary, Ruling};
use crate::policy::attempt::AgentId;
use crate::policy::reason::Reason;

impl Metrics {
    /// Counts a record that was written.
    pub fn recorded(&self, record: &Record) {
        self.unsealed.inc();
        match record {
            Record::Policy(policy) => self.policy(policy),
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Progress(progress) => self.progress(progress),
            Record::RefusedSummary(summary) => self.refused(summary),
            Record::Sealed(_) => self.sealed(),
            Record::Held(held) => self.questions.asked(&self.names.label(Some(&held.agent)), held),
            Record::Answered(answered) => self.questions.answered(&self.names.label(Some(&answered.agent)), answered),
            Record::Started(_) | Record::Stopped(_) | Record::Revoked(_) | Record::Approver(_) | Record::Cut(_) => {}
            Record::Frozen(_) | Record::Thawed(_) | Record::Gap(_) | Record::Segment(_) => {}
        }
        self.journal_records.with_label_values(&[record.kind()]).inc();
    }

    fn policy(&self, policy: &PolicyInForce) {
        self.policy.reset();
        self.policy.with_label_values(&[&policy.new]).set(1);
    }

    fn sealed(&self) {
        self.unsealed.set(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.checkpoint.with_label_values::<&str>(&[]).set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    fn decided(&self, decided: &Decided) {
        let agent = self.names.label(decided.agent.as_ref());
        let labels = [agent.as_str(), decided.decision.as_str(), decided.reason.as_str(), decided.front.as_str()];
        self.decisions.with_label_values(&labels).inc();
        let carried = match decided.decision {
            Ruling::Allow | Ruling::Look => true,
            Ruling::Block => {
                self.failed_closed(decided.reason, 1);
                self.exemplars.keep(Series::Refused(agent.clone(), decided.reason, decided.front), decided.id, 1.0);
                false
            }
        };
        let tunnel = carried && decided.within.is_none() && is_tunnel(decided);
        let open = Open { ruling: decided.decision, reason: decided.reason, tunnel, up: 0, down: 0 };
        if self.open.lock().insert(decided.id, open).is_none() {
            self.attempts_open.inc();
            if tunnel {
                self.tunnels_open.with_label_values(&[agent.as_str()]).inc();
            }
        }
    }

    /// Refusals that were not written down one by one count as if they had been.
    fn refused(&self, summary: &RefusedSummary) {
        let agent = self.names.label(summary.agent.as_ref());
        for refused in &summary.by {
            let labels = [agent.as_str(), Ruling::Block.as_str(), refused.reason.as_str(), refused.front.as_str()];
            self.decisions.with_label_values(&labels).inc_by(refused.count);
            // Those were counted when they could not be recorded.
            if refused.reason != Reason::Internal {
                self.failed_closed(refused.reason, refused.count);
            }
        }
    }

    /// Counts refusals whose reason is that exeat could not do its part.
    fn failed_closed(&self, reason: Reason, count: u64) {
        if super::FAILED_CLOSED.contains(&reason) {
            self.failed_closed.with_label_values(&[reason.as_str()]).inc_by(count);
        }
    }

    /// Counts an attempt that was refused as its decision could not be recorded.
    pub fn undecidable(&self) {
        self.failed_closed(Reason::Internal, 1);
    }

    fn progress(&self, progress: &Progress) {
        let Progress { id, agent, bytes_up, bytes_down } = progress;
        let carried = self.open.lock().get_mut(id).map(|open| open.carried(*bytes_up, *bytes_down));
        // Of an attempt whose begin was not counted, the end counts all.
        if let Some(more) = carried {
            self.carried(agent.as_ref(), more);
        }
    }

    fn ended(&self, ended: &Ended) {
        let open = self.open.lock().remove(&ended.id);
        if let Some(open) = &open {
            self.attempts_open.dec();
            if open.tunnel {
                self.tunnels_open.with_label_values(&[self.names.label(ended.agent.as_ref()).as_str()]).dec();
            }
        }
        // It was allowed, and could not be: the record of it is not durable.
        if ended.outcome == Outcome::Refused && open.as_ref().is_some_and(|open| open.ruling != Ruling::Block) {
            self.failed_closed(ended.reason, 1);
        }
        let all = (ended.bytes_up, ended.bytes_down);
        self.carried(ended.agent.as_ref(), open.as_ref().map_or(all, |open| open.left(all.0, all.1)));
        let Millis { hold, dns, dial, tls, total } = ended.ms;
        for (stage, millis) in [("hold", hold), ("dns", dns), ("dial", dial), ("tls", tls), ("total", Some(total))] {
            if let Some(millis) = millis {
                self.stage_seconds.observe(stage, seconds(millis), ended.id);
            }
        }
        if let Some(hold) = hold {
            self.hold_seconds.observe(hold_outcome(open.as_ref(), ended), seconds(hold), ended.id);
        }
    }

    fn carried(&self, agent: Option<&AgentId>, (up, down): (u64, u64)) {
        let agent = self.names.label(agent);
        self.bytes.with_label_values(&[agent.as_str(), "up"]).inc_by(up);
        self.bytes.with_label_values(&[agent.as_str(), "down"]).inc_by(down);
    }
}

impl Open {
    /// What is not counted yet of what it has carried in all.
    fn left(&self, up: u64, down: u64) -> (u64, u64) {
        (up.saturating_sub(self.up), down.saturating_sub(self.down))
    }

    /// As `left`, and it is counted from here on.
    fn carried(&mut self, up: u64, down: u64) -> (u64, u64) {
        let more = self.left(up, down);
        (self.up, self.down) = (self.up.max(up), self.down.max(down));
        more
    }
}

/// What waiting led to: the decision's reason, or that the agent went away first.
/// Whether it carries bytes rather than one request; requests found in it are no tunnels of their own.
fn is_tunnel(decided: &Decided) -> bool {
    match decided.front {
        Front::Forward => false,
        Front::Connect | Front::Transparent => decided.request.is_none(),
    }
}

fn hold_outcome(open: Option<&Open>, ended: &Ended) -> &'static str {
    match open {
        Some(open) if open.ruling == Ruling::Block && ended.outcome == Outcome::Abandoned => Outcome::Abandoned.as_str(),
        Some(open) => open.reason.as_str(),
        None => ended.reason.as_str(),
    }
}

/// A record's milliseconds; what is no time counts as none.
fn seconds(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}
