//! How exeat ends: it says so, accepts for a while yet, gives what is open its time, cuts what is left, and closes the journal last.

use std::time::Duration;

use super::App;
use crate::config::Drain;
use crate::egress::record::Recorder as _;
use crate::telemetry::serve::Readiness;

/// The end of `run`: its command is gone, and what it has left behind is no longer than this to end.
pub const AT_ONCE: Drain = Drain { time: Duration::from_secs(5), notice: Duration::ZERO };

impl App {
    /// Stops as `[drain]` says. Once [`crate::front::Stop::hurry`] is called no time is given any more.
    ///
    /// `false`: the journal could not be closed in order, and the next start repairs it.
    pub async fn end(&self, drain: Drain) -> bool {
        let Drain { time, notice } = drain;
        self.stop.drain.cancel();
        self.unless_hurried(notice, std::future::pending()).await;
        self.stop.closed.cancel();
        self.connections.close();
        if !self.unless_hurried(time, self.connections.wait()).await {
            tracing::info!("not everything ended in time");
        }
        self.stop.hurry();
        self.connections.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.gate.sum_up_refusals();
        self.spending.keep();
        let recording = &self.in_force.recording;
        let in_order = recording.stop().is_ok() && recording.durable().wait().await.is_ok();
        if !in_order {
            tracing::error!("the journal could not be closed in order");
        }
        self.exported.cancel();
        self.exports.close();
        self.exports.wait().await;
        in_order
    }

    /// The same for a process whose agent is gone already: its tunnels lead from nobody.
    pub async fn end_at_once(&self) -> bool {
        self.stop.tunnels.cancel();
        self.end(AT_ONCE).await
    }

    /// Whether attempts can be served, and if not why; `standing` says so as far as policy goes.
    pub fn readiness(&self) -> impl Fn(Readiness) -> Readiness + Send + Sync + 'static {
        let (recording, drain) = (std::sync::Arc::clone(&self.in_force.recording), self.stop.drain.clone());
        move |mut standing| {
            if drain.is_cancelled() {
                standing.problems.insert(0, "draining: exeat was told to stop, and ends what is open".to_owned());
            }
            standing.problems.extend(recording.ready().err());
            standing
        }
    }

    /// Waits for something, for so long at most, and not at all once there is hurry. `false`: it did not happen.
    async fn unless_hurried(&self, most: Duration, happens: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = happens => true,
            () = self.stop.now.cancelled() => false,
            () = tokio::time::sleep(most) => false,
        }
    }
}
