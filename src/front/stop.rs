//! How the ways in are told to end, one step after the other.

use tokio_util::sync::CancellationToken;

/// Each step is told once, and includes those before it but for `tunnels`.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// What is answered says that its connection ends with it, and nobody waits for a person any more.
    pub drain: CancellationToken,
    /// Nothing more is accepted, and what carries nothing ends.
    pub closed: CancellationToken,
    /// Tunnels and sockets end, and what is on its way may go on.
    pub tunnels: CancellationToken,
    /// Everything ends.
    pub now: CancellationToken,
}

impl Stop {
    /// Gives no more time.
    pub fn hurry(&self) {
        let Self { drain, closed, tunnels, now } = self;
        for step in [drain, closed, tunnels, now] {
            step.cancel();
        }
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }
}
