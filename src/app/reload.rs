//! Reads policy again when its files move, on SIGHUP, and when asked. One reading at a time; the last one wins.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};

use super::freezing::{Freezing, FrozenBy, NotFrozen, NotThawed};
use super::standing::{Reloaded, Standing, in_short};
use super::watch::{Moves, Watch};
use super::{Change, InForce, service};
use crate::approval::store::{Freeze, Whom};
use crate::config::tokens::{TokenError, TokenStore};
use crate::front::Stop;
use crate::policy::Policy;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, code};
use crate::policy::token::TokenDigest;
use crate::telemetry::serve::Readiness;

/// Who brings a policy by SIGHUP.
const HANG_UP: &str = "sighup";

/// How often files are looked at beside being watched: watches get lost, and some systems have none.
const LOOK: Duration = Duration::from_secs(30);

/// As `LOOK`, where nothing is watched.
const LOOK_ALONE: Duration = Duration::from_secs(5);

/// Readings that may be asked for and not begun.
const ASKED: usize = 16;

/// The policy of a running exeat, and how it is read again.
#[derive(Debug)]
pub struct Reloader {
    in_force: InForce,
    held: Mutex<Held>,
    /// Held while tokens are read and put in force, so that an older reading never comes last.
    tokens: Mutex<TokenStore>,
    watch: Mutex<Option<Watch>>,
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Held {
    standing: Arc<Standing>,
    digests: Vec<(TokenDigest, AgentId)>,
    freezing: Freezing,
}

/// What came of reading again.
#[derive(Clone, Debug)]
pub struct Told {
    /// In one word.
    pub result: Reloaded,
    /// The policy in force.
    pub hash: Arc<str>,
    /// All that is wrong.
    pub faults: Vec<Fault>,
}

#[derive(Debug)]
struct Ask {
    who: &'static str,
    tell: Option<oneshot::Sender<Told>>,
}

/// Where a reloader hears what it is to do.
#[derive(Debug)]
pub struct Calls {
    asks: mpsc::Receiver<Ask>,
    moves: Option<Moves>,
}

impl Reloader {
    /// Holds what stands, with the tokens in state; nothing is read again before [`Reloader::run`].
    pub fn new(in_force: InForce, standing: Standing, tokens: TokenStore, freezing: Freezing) -> (Arc<Self>, Calls) {
        let (asks, asked) = mpsc::channel(ASKED);
        in_force.recording.metrics.set_policy_broken(&standing.broken_agents());
        let (watch, moves) = standing.source().cloned().map(Watch::new).unzip();
        let held = Held { standing: Arc::new(standing), digests: Vec::new(), freezing };
        let reloader = Self { in_force, held: Mutex::new(held), tokens: Mutex::new(tokens), watch: Mutex::new(watch), asks };
        (Arc::new(reloader), Calls { asks: asked, moves })
    }

    /// Reads again whenever there is cause, until stopped.
    pub async fn run(self: Arc<Self>, calls: Calls, mut hang_ups: Signal, stop: Stop) {
        let Calls { mut asks, mut moves } = calls;
        let told = self.watch.lock().as_ref().is_some_and(Watch::is_told);
        let mut look = tokio::time::interval(if told { LOOK } else { LOOK_ALONE });
        // Once at once: what moved between the first reading and the watch.
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ask = tokio::select! {
                () = stop.now.cancelled() => return self.keep_freezes().await,
                ask = asks.recv() => ask,
                _ = hang_ups.recv() => Some(Ask { who: HANG_UP, tell: None }),
                () = settled(&mut moves) => Some(Ask { who: "reload", tell: None }),
                _ = look.tick() => {
                    self.keep_freezes().await;
                    // Asked last: what moved may be what is being written.
                    let read = self.moved_unseen().await && !moves.as_ref().is_some_and(Moves::is_unfinished);
                    read.then_some(Ask { who: "reload", tell: None })
                }
            };
            if let Some(Ask { who, tell }) = ask {
                let by_signal = who == HANG_UP;
                // Who was told that it stops is told nothing else: `READY=1` would take that back (sd_notify(3)).
                if by_signal && !stop.is_draining() {
                    service::reloading();
                }
                let told = self.read_again(who).await;
                if by_signal && !stop.is_draining() {
                    service::ready("policy was read again");
                }
                if let Some((tell, told)) = tell.zip(told) {
                    // Whoever asked may be gone.
                    let _ = tell.send(told);
                }
            }
        }
    }

    /// Asks for a reading, and waits until it is in force.
    pub async fn reload(&self) -> Option<Told> {
        let (tell, told) = oneshot::channel();
        self.asks.send(Ask { who: "admin", tell: Some(tell) }).await.ok()?;
        told.await.ok()
    }

    /// Reads the tokens in state again.
    pub fn reload_tokens(&self) -> Result<(), TokenError> {
        let tokens = self.tokens.lock();
        let digests = tokens.digests()?;
        let mut held = self.held.lock();
        held.digests = digests;
        self.in_force.replace(held.policy(), Change { who: "tokens", unread: held.standing.told(), even_if_same: false });
        Ok(())
    }

    /// What stands.
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.held.lock().standing)
    }

    /// Whether attempts can be served, as far as policy goes.
    pub fn readiness(&self) -> Readiness {
        let held = self.held.lock();
        let mut readiness = held.standing.readiness();
        readiness.notes.extend(held.freezing.notes());
        let Readiness { problems, notes } = self.in_force.inspection.readiness(SystemTime::now());
        readiness.problems.extend(problems);
        readiness.notes.extend(notes);
        readiness
    }

    /// Whether there is a certificate authority to look inside TLS with.
    pub fn inspects(&self) -> bool {
        self.in_force.inspection.authority().load().is_some()
    }

    /// Stops somebody at once, and for as long as nobody thaws him. `false`: that was so before.
    pub fn freeze(&self, freeze: Freeze) -> Result<bool, NotFrozen> {
        let mut held = self.held.lock();
        let Held { standing, digests: _, freezing } = &mut *held;
        let frozen = freezing.freeze(freeze, standing, self.in_force.recording.as_ref());
        // Also where it could not be written down: of what narrows, less is not safer.
        self.in_force.replace(held.policy(), Change { who: "freeze", unread: held.standing.told(), even_if_same: false });
        frozen
    }

    /// Lets somebody go on whom a freeze of these stopped. `false`: none did.
    pub fn thaw(&self, whom: &Whom, by: &str) -> Result<bool, NotThawed> {
        let mut held = self.held.lock();
        let thawed = held.freezing.thaw(whom, by, self.in_force.recording.as_ref())?;
        self.in_force.replace(held.policy(), Change { who: "thaw", unread: held.standing.told(), even_if_same: false });
        Ok(thawed)
    }

    /// Who is stopped by command or API.
    pub fn freezes(&self) -> Vec<Freeze> {
        self.held.lock().freezing.list()
    }

    /// By whom each agent is stopped, the file included.
    pub fn agents(&self) -> Vec<(AgentId, Vec<FrozenBy>)> {
        let held = self.held.lock();
        held.standing.policy.agents().map(|agent| (agent.clone(), held.freezing.stops(agent, held.standing.frozen()))).collect()
    }

    /// Tells the store again of the freezes that it did not take, where waiting for it keeps nobody waiting.
    async fn keep_freezes(self: &Arc<Self>) {
        let reloader = Arc::clone(self);
        // A panic of one turn is told by the runtime; the next turn tries again.
        let _ = tokio::task::spawn_blocking(move || reloader.held.lock().freezing.keep()).await;
    }

    async fn moved_unseen(self: &Arc<Self>) -> bool {
        let (standing, inspection) = (self.standing(), Arc::clone(&self.in_force.inspection));
        tokio::task::spawn_blocking(move || !standing.is_current() || !inspection.is_current()).await.unwrap_or(true)
    }

    /// Files are read where waiting for them keeps nobody waiting. `None` where the reading itself broke, which changes nothing.
    async fn read_again(self: &Arc<Self>, who: &'static str) -> Option<Told> {
        let reloader = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || reloader.read_now(who)).await;
        read.inspect_err(|error| tracing::error!(%error, "policy could not be read again; it stays as it was")).ok()
    }

    fn read_now(&self, who: &'static str) -> Told {
        // First, so that nothing moves between the reading and the watch.
        if let Some(watch) = &mut *self.watch.lock() {
            watch.renew();
        }
        self.in_force.inspection.read_again(SystemTime::now());
        self.in_force.inspection.write_trust();
        let before = self.standing();
        let next = Arc::new(before.next(SystemTime::now()));
        let result = next.since(&before);
        self.tell(&before, &next, result);
        let mut held = self.held.lock();
        held.standing = Arc::clone(&next);
        let policy = held.policy();
        let hash = Arc::clone(policy.hash());
        self.in_force.replace(policy, Change { who, unread: next.told(), even_if_same: result != Reloaded::Unchanged });
        self.in_force.inspection.policy_changed(&self.in_force.policy.load());
        self.in_force.recording.metrics.policy_reloaded(result.as_str(), &next.broken_agents());
        Told { result, hash, faults: next.faults() }
    }

    fn tell(&self, before: &Standing, next: &Standing, result: Reloaded) {
        let known: BTreeSet<Fault> = before.faults().into_iter().collect();
        let new: Vec<Fault> = next.faults().into_iter().filter(|fault| !known.contains(fault)).collect();
        for (_, fault) in in_short(&new) {
            tracing::warn!(fault, "not in force");
        }
        for warning in next.warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
            // Who wrote such a line or file believes that it is in force.
            if [code::FREEZES_NOBODY, code::UNREAD_FILE].contains(&warning.code) {
                tracing::warn!(%warning, "without effect");
            } else {
                tracing::info!(%warning, "a second look");
            }
        }
        tracing::info!(result = result.as_str(), policy = %next.policy.hash(), "policy was read again");
    }
}

impl Held {
    fn policy(&self) -> Policy {
        self.standing.policy.with_tokens(self.digests.iter().cloned()).with_frozen(self.freezing.with(self.standing.frozen()))
    }
}

async fn settled(moves: &mut Option<Moves>) {
    match moves {
        Some(moves) => moves.settled().await,
        None => std::future::pending().await,
    }
}
