//! The wait for a word on a question.

use std::time::Instant;

use super::super::hold::{Waiting, Word};
use super::super::open::Open;
use super::super::refusal::Cause;
use crate::policy::reason::Reason;

/// How long it took to be told to decide again.
pub(super) enum Waited {
    /// A question was pending.
    ForAWord,
    /// The answer came between the decision and the question.
    NotAtAll,
}

/// Waits for a word on a question. `Ok` means that the attempt is to be decided again.
pub(super) async fn wait(open: &mut Open, mut waiting: Waiting, deadline: tokio::time::Instant) -> Result<Waited, (Reason, Cause)> {
    open.asked();
    let began = Instant::now();
    let word = tokio::time::timeout_at(deadline, waiting.word()).await;
    open.waited(began.elapsed());
    match word {
        Ok(Word::DecideAgain) if waiting.hold.id.is_empty() => Ok(Waited::NotAtAll),
        Ok(Word::DecideAgain) => Ok(Waited::ForAWord),
        Ok(Word::No { note }) => Err((Reason::Refused, Cause::Denied { note })),
        Ok(Word::Unattended) => Err((Reason::Unattended, Cause::Hold(waiting.hold.clone()))),
        Ok(Word::Ending) => Err((Reason::Pending, Cause::Hold(waiting.hold.clone()))),
        Ok(Word::Expired) => Err((Reason::Expired, Cause::Plain)),
        Err(_elapsed) => Err((Reason::Pending, Cause::Hold(waiting.hold.clone()))),
    }
}
