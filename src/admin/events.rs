//! The stream of events (SSE): a snapshot, then what happens, filtered to what the caller may see.
//!
//! Whoever may answer counts as present while it is open. Who falls behind gets a fresh snapshot; who does not read is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::Api;
use super::caller::Caller;
use super::guard::slower;
use super::problem::Answer;
use super::routes::session::Me;
use super::routes::{agents, approvals, holds};
use crate::approval::store::Role;
use crate::approval::{News, Presence};
use crate::policy::attempt::AgentId;
use crate::telemetry::recent::AttemptView;
use crate::text::ascii_json;

/// Frames kept for one who reads slowly.
const FRAMES: usize = 64;

/// How long he may read nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A comment this often finds out whether he is still there, and carries through proxies that end what is silent.
const PULSE: Duration = Duration::from_secs(5);

/// How long one whose stream ended still counts as present: a page that is loaded again is back by then, and what waits for it goes on waiting.
const RETURN: Duration = Duration::from_secs(5);

/// Attempts in a snapshot.
const ATTEMPTS: usize = 100;

/// What happens, as server-sent events: `snapshot` first, then `hold-opened`, `hold-changed`, `hold-closed`, `attempt`, `approval-ended`,
/// `frozen` and `policy`. The data of each is what the listings show.
#[utoipa::path(get, path = "/events", tag = "events",
    responses((status = 200, description = "events without end", body = String, content_type = "text/event-stream")))]
pub(super) async fn events(State(api): State<Arc<Api>>, caller: Caller, method: Method) -> Answer<Response> {
    let kind = [(CONTENT_TYPE, "text/event-stream")];
    if method == Method::HEAD {
        return Ok((kind, Body::empty()).into_response());
    }
    let Some(place) = api.streams.take(&caller.name) else { return Err(slower("too many streams are open", PATIENCE)) };
    let (sender, receiver) = mpsc::channel(FRAMES);
    // Present before the answer's head is sent: whoever reads it may rely on being counted.
    let follower = Follower::new(Arc::clone(&api), caller.clone(), sender.clone());
    let presence = presence(&api, &caller);
    tokio::spawn(async move {
        let may_come_back = tokio::select! {
            () = api.stop.cancelled() => false,
            () = caller.gone.cancelled() => false,
            () = sender.closed() => true,
            _ = follower.tell() => true,
        };
        drop((sender, place));
        if may_come_back && !presence.is_empty() {
            tokio::select! {
                () = api.stop.cancelled() => {}
                () = caller.gone.cancelled() => {}
                () = tokio::time::sleep(RETURN) => {}
            }
        }
        drop(presence);
    });
    Ok((kind, Body::new(Frames(receiver))).into_response())
}

fn presence(api: &Api, caller: &Caller) -> Vec<Presence> {
    match &caller.agents {
        _ if caller.role < Role::Approver => Vec::new(),
        None => vec![api.desk.attach(None)],
        Some(agents) => agents.iter().map(|agent| api.desk.attach(Some(agent.clone()))).collect(),
    }
}

/// A body of events.
struct Frames(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(|frame| Ok(Frame::data(frame))))
    }
}

/// One who reads.
struct Follower {
    api: Arc<Api>,
    caller: Caller,
    sender: mpsc::Sender<Bytes>,
    news: Receiver<News>,
    attempts: Receiver<AttemptView>,
    changes: watch::Receiver<u64>,
    told: Told,
}

/// What he was told that has no news of its own.
#[derive(Default)]
struct Told {
    approvals: BTreeSet<Uuid>,
    frozen: BTreeMap<AgentId, bool>,
    policy: String,
    bounds: (Option<u64>, bool),
}

impl Follower {
    fn new(api: Arc<Api>, caller: Caller, sender: mpsc::Sender<Bytes>) -> Self {
        let (news, attempts, changes) = (api.desk.subscribe(), api.recent.subscribe(), api.desk.changes());
        Self { api, caller, sender, news, attempts, changes, told: Told::default() }
    }

    /// Ends when he is gone or does not read.
    async fn tell(mut self) -> Option<()> {
        self.snapshot().await?;
        // Not a sleep of its own each time, or a busy stream would outlive its session.
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            tokio::select! {
                news = self.news.recv() => match news {
                    Ok(news) => {
                        self.news(news).await?;
                        self.differences().await?;
                    }
                    Err(RecvError::Lagged(_)) => self.snapshot().await?,
                    Err(RecvError::Closed) => return None,
                },
                attempt = self.attempts.recv() => match attempt {
                    Ok(attempt) if self.caller.sees_attempt_of(attempt.agent.as_ref()) => self.say("attempt", &attempt).await?,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => self.snapshot().await?,
                    Err(RecvError::Closed) => return None,
                },
                moved = self.changes.changed() => {
                    moved.ok()?;
                    self.differences().await?;
                }
                _ = pulse.tick() => {
                    self.api.people.end_sessions(std::time::Instant::now());
                    self.send(Bytes::from_static(b":\n\n")).await?;
                }
            }
        }
    }

    async fn snapshot(&mut self) -> Option<()> {
        (self.news, self.attempts) = (self.api.desk.subscribe(), self.api.recent.subscribe());
        self.changes.mark_unchanged();
        let (api, caller) = (&self.api, &self.caller);
        let given = approvals::shown(api, caller);
        let known = agents::shown(api, caller);
        let policy = api.policy.load().hash().to_string();
        self.told.approvals = given.iter().map(|given| given.id).collect();
        self.told.frozen = known.iter().map(|known| (known.agent.clone(), known.stopped)).collect();
        self.told.policy.clone_from(&policy);
        self.told.bounds = holds::bounds(api);
        let attempts = api.recent.list(ATTEMPTS, |attempt| caller.sees_attempt_of(attempt.agent.as_ref()));
        let shown = json!({
            "me": Me::of(caller), "holds": holds::shown(api, caller), "approvals": given, "agents": known,
            "attempts": attempts, "policy": {"hash": policy},
        });
        self.say("snapshot", &shown).await
    }

    async fn news(&self, news: News) -> Option<()> {
        match news {
            News::Opened { hold } if self.caller.sees(&hold.agent) => self.say("hold-opened", &holds::asked(&self.api, hold)).await,
            News::Changed { hold } if self.caller.sees(&hold.agent) => self.say("hold-changed", &holds::asked(&self.api, hold)).await,
            News::Closed { closed } if self.caller.sees(&closed.agent) => self.say("hold-closed", &closed).await,
            News::Opened { .. } | News::Changed { .. } | News::Closed { .. } => Some(()),
        }
    }

    /// What changed of approvals, freezes and policy since he was told.
    async fn differences(&mut self) -> Option<()> {
        let given: BTreeSet<Uuid> = approvals::shown(&self.api, &self.caller).into_iter().map(|given| given.id).collect();
        for ended in self.told.approvals.difference(&given) {
            self.say("approval-ended", &json!({"id": ended})).await?;
        }
        self.told.approvals = given;
        let hash = self.api.policy.load().hash().to_string();
        if hash == self.told.policy {
            return Some(());
        }
        let (api, caller) = (&self.api, &self.caller);
        let frozen: BTreeMap<AgentId, bool> = {
            let policy = api.policy.load();
            policy.agents().filter(|agent| caller.sees(agent)).map(|agent| (agent.clone(), policy.is_frozen(agent))).collect()
        };
        for (agent, frozen) in &frozen {
            if self.told.frozen.get(agent).copied().unwrap_or_default() != *frozen {
                self.say("frozen", &json!({"agent": agent, "frozen": frozen})).await?;
            }
        }
        // The floor is told with each question.
        let bounds = holds::bounds(api);
        if bounds != self.told.bounds {
            for hold in holds::shown(api, caller) {
                self.say("hold-changed", &hold).await?;
            }
        }
        self.say("policy", &json!({"hash": hash})).await?;
        self.told.bounds = bounds;
        self.told.frozen = frozen;
        self.told.policy = hash;
        Some(())
    }

    async fn say(&self, event: &str, data: &impl Serialize) -> Option<()> {
        // JSON has no line ends of its own, so one field holds it.
        let data = ascii_json(&serde_json::to_string(data).ok()?);
        self.send(Bytes::from(format!("event: {event}\ndata: {data}\n\n"))).await
    }

    async fn send(&self, frame: Bytes) -> Option<()> {
        self.sender.send_timeout(frame, PATIENCE).await.ok()
    }
}
