//! The stream of questions: JSON lines for as long as the watcher reads, who counts as present meanwhile.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::approval::{HoldDesk, News};
use crate::policy::attempt::AgentId;
use crate::text::ascii_json;

/// Lines kept for a watcher that reads slowly.
const LINES: usize = 64;

/// How long a watcher may read nothing before he no longer counts as present.
const PATIENCE: Duration = Duration::from_secs(10);

/// An empty line this often finds out whether the watcher is still there.
const PULSE: Duration = Duration::from_secs(5);

/// A body of JSON lines.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// Begins a watch over one agent's questions, or over all.
pub(super) fn watch(desk: Arc<HoldDesk>, agent: Option<AgentId>, stop: CancellationToken) -> Lines {
    let (sender, receiver) = mpsc::channel(LINES);
    // Present before the answer's head is sent: whoever reads it may rely on being counted.
    let news = desk.subscribe();
    let presence = desk.attach(agent.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sender.closed() => {}
            _ = tell(&sender, &desk, news, agent) => {}
        }
        drop(presence);
    });
    Lines(receiver)
}

/// Ends when the watcher is gone or does not read.
async fn tell(sender: &mpsc::Sender<Bytes>, desk: &HoldDesk, mut news: broadcast::Receiver<News>, agent: Option<AgentId>) -> Option<()> {
    let concerns = |id: &AgentId| agent.as_ref().is_none_or(|agent| agent == id);
    list(sender, desk, &concerns).await?;
    loop {
        match tokio::time::timeout(PULSE, news.recv()).await {
            Err(_) => send(sender, Bytes::from_static(b"\n")).await?,
            Ok(Err(RecvError::Closed)) => return None,
            Ok(Err(RecvError::Lagged(_))) => list(sender, desk, &concerns).await?,
            Ok(Ok(news)) => {
                let told = match &news {
                    News::Opened { hold } | News::Changed { hold } => concerns(&hold.agent),
                    News::Closed { .. } => true,
                };
                if told {
                    send(sender, line(&news)?).await?;
                }
            }
        }
    }
}

async fn list(sender: &mpsc::Sender<Bytes>, desk: &HoldDesk, concerns: &impl Fn(&AgentId) -> bool) -> Option<()> {
    for hold in desk.holds().into_iter().filter(|hold| concerns(&hold.agent)) {
        send(sender, line(&News::Opened { hold })?).await?;
    }
    Some(())
}

async fn send(sender: &mpsc::Sender<Bytes>, line: Bytes) -> Option<()> {
    sender.send_timeout(line, PATIENCE).await.ok()
}

fn line(news: &News) -> Option<Bytes> {
    let mut line = ascii_json(&serde_json::to_string(news).ok()?);
    line.push('\n');
    Some(line.into())
}
