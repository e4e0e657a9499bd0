//! The desk's own time: what ends by itself, and the end of the process, at which nobody waits for an answer any more.
//!
//! Questions outlive that end: whoever asks again joins the one that is there.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::awaited::Awaited;
use super::desk::HoldDesk;
use super::holds::{Holds, Told};
use crate::egress::hold::{Asked, HoldInfo, Word};
use crate::policy::attempt::AgentId;

/// The longest sleep, so that a clock that is set is noticed.
const NAP: Duration = Duration::from_secs(30);

impl HoldDesk {
    /// Ends questions and approvals when their time comes, until `stop`. From `drain` on nobody waits for an answer, and all who did are told so.
    pub async fn run(self: Arc<Self>, drain: CancellationToken, stop: CancellationToken) {
        let mut ending = false;
        loop {
            let now = (self.clock)();
            let next = self.turn(now);
            let nap = next.and_then(|next| next.duration_since(now).ok()).unwrap_or(NAP).min(NAP);
            tokio::select! {
                biased;
                () = drain.cancelled(), if !ending => {
                    ending = true;
                    let mut state = self.state.lock();
                    let told = state.holds.end();
                    state.tell(told);
                }
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
        self.pay_what_is_owed();
    }
}

impl Holds {
    /// The process ends: nobody waits from now on, and all who did are told. People may answer still, for later tries.
    pub fn end(&mut self) -> Told {
        self.ending = true;
        self.waiting = 0;
        self.awaited = Awaited::default();
        let waited = self.questions.values_mut().flat_map(|question| std::mem::take(&mut question.waiting));
        waited.map(|attempt| (attempt, Word::Ending)).collect()
    }

    /// What an attempt of the agent is told that does not wait at this question.
    pub fn unjoined(&self, agent: &AgentId, hold: HoldInfo) -> Asked {
        if self.ending && self.attended(agent) { Asked::Ending(hold) } else { Asked::Unattended(hold) }
    }
}
