//! The wait between a record that is written and the effect that rests on it.

use tokio::sync::oneshot;

use super::Unwritable;

/// When what was written is as durable as the configuration wants it.
#[must_use = "what rests on a record waits for it"]
#[derive(Debug)]
pub struct Durable(When);

#[derive(Debug)]
enum When {
    Already,
    Never,
    Told(oneshot::Receiver<()>),
}

impl Durable {
    /// There is nothing to wait for.
    pub fn already() -> Self {
        Self(When::Already)
    }

    /// It failed.
    pub fn never() -> Self {
        Self(When::Never)
    }

    /// When `told` is; a sender that goes away is a failure.
    pub fn when(told: oneshot::Receiver<()>) -> Self {
        Self(When::Told(told))
    }

    /// Waits. An error is final: nothing may rest on the record.
    pub async fn wait(self) -> Result<(), Unwritable> {
        match self.0 {
            When::Already => Ok(()),
            When::Never => Err(Unwritable),
            When::Told(told) => told.await.map_err(|_gone| Unwritable),
        }
    }
}
