//! What a service manager is told (sd_notify(3)), where one asks by `NOTIFY_SOCKET`: that exeat is ready, reads again, ends, and lives.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::InForce;
use crate::config::Drain;

/// What the end takes beside `[drain]`: exporters hand over, the journal is closed.
const MARGIN: Duration = Duration::from_secs(15);

/// Everything is open.
pub fn ready(status: &str) {
    // A line end ends a variable.
    tell(&[NotifyState::Ready, NotifyState::Status(&status.replace('\n', ", "))]);
}

/// Policy is about to be read again; [`ready`] follows.
pub fn reloading() {
    let state = NotifyState::monotonic_usec_now().map(|now| [NotifyState::Reloading, now, NotifyState::Status("reading policy again")]);
    if let Ok(state) = state {
        tell(&state);
    }
}

/// It ends, which takes so long at most.
pub fn stopping(drain: Drain) {
    let Drain { time, notice } = drain;
    let most = u32::try_from((time + notice + MARGIN).as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(most), NotifyState::Status("draining")]);
}

/// Says that it lives at half the time in which it must, for as long as it does its work: tasks run, threads that wait for the disk are to be had,
/// and policy and questions can be looked at.
pub async fn live(in_force: InForce, stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else { return };
    let mut turns = tokio::time::interval(within / 2);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = stop.cancelled() => return,
        }
        let (desk, policy) = (Arc::clone(&in_force.desk), Arc::clone(&in_force.policy));
        let works = tokio::task::spawn_blocking(move || (desk.pending_by_agent().len(), policy.load().hash().len()));
        if let Ok(Ok(_)) = tokio::time::timeout(within / 2, works).await {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
