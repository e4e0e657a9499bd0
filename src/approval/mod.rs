//! Asking people: questions as a pure state machine, and the desk that asks, waits and writes down.

mod agreeing;
mod answer;
mod answering;
mod awaited;
pub mod desk;
mod ending;
pub mod facts;
pub mod granted;
pub mod holds;
mod keeping;
mod news;
mod owed;
mod script;
mod short;
pub mod shown;
mod similar;
mod state;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unanswered;
mod whole;

pub use agreeing::is_not_public;
pub use answer::{Answered, ApprovalView, Lasting, Reply};
pub use desk::{Books, HoldDesk, HoldSettings, Presence};
pub use facts::{Lookalike, Risk, Similar};
pub use news::{Closed, Closing, News};
pub use shown::{HoldView, PlaceView};
pub use unanswered::{AnswerError, BeyondFloor, RevokeError};
