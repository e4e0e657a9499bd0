//! Asking people: questions as a pure state machine, and the desk that asks, waits and writes down.

mod answer;
mod answering;
pub mod desk;
pub mod facts;
pub mod holds;
mod keeping;
mod news;
mod script;
pub mod shown;
mod similar;
mod state;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use answer::{AnswerError, Answered, ApprovalView, BeyondFloor, Lasting, Reply, RevokeError};
pub use desk::{Books, HoldDesk, HoldSettings, Presence};
pub use facts::{Lookalike, Risk, Similar};
pub use news::{Closed, Closing, News};
pub use shown::{HoldView, PlaceView};
