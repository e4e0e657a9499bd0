//! Wires a configuration into gate, neck, journal and listeners, and takes them down in order.

mod before;
mod bound;
pub mod ending;
pub mod export;
pub mod freezing;
pub mod inspection;
mod kept;
mod limits;
mod page;
mod prepared;
pub mod reload;
pub mod service;
pub mod standing;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::store::StoreError;
use crate::approval::{Books, HoldDesk, HoldSettings};
use crate::config::Config;
use crate::config::state::StateError;
use crate::egress::record::{PolicyInForce, Record, Recorder, Unread};
use crate::egress::{Company, Gate, GateSettings, NoResolver, Resolver, Spending, Upstream, UpstreamSettings};
use crate::front::{FrontSettings, Neck, Stop, Ways};
use crate::journal::JournalError;
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::fault::Fault;
use crate::telemetry::metrics::AgentNames;
use crate::telemetry::serve::Ready;
use crate::telemetry::sinks::{Beside, Cursors};
use crate::telemetry::{Metrics, Recording};
pub use before::{NotFit, look_before};
pub use bound::{Bound, Lent, NotBound};
use export::Exports;
use inspection::Inspection;
pub use kept::{Kept, store};
pub use limits::{Given, raise_open_files};
pub use prepared::Prepared;

/// How often the journal does what is due.
const TURN: Duration = Duration::from_secs(1);

/// After so many turns what of the journal need not be kept is removed; after a segment's end at the next.
const TURNS_OF_RETENTION: u32 = 60;

/// A running exeat.
#[derive(Debug)]
pub struct App {
    /// What it goes by.
    pub in_force: InForce,
    /// How it is told to end.
    pub stop: Stop,
    /// Doors and the connections that came in by them.
    connections: TaskTracker,
    /// Everything beside them.
    tasks: TaskTracker,
    gate: Arc<Gate>,
    spending: Spending,
    /// What exports; it ends after the journal.
    exports: TaskTracker,
    exported: CancellationToken,
    /// What is to export, until it does.
    exporting: Mutex<Option<(Exports, Beside)>>,
}

/// The policy in force, and those who must know when it changes.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The policy.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Where questions wait.
    pub desk: Arc<HoldDesk>,
    /// Where records go.
    pub recording: Arc<Recording>,
    /// What looks inside TLS.
    pub inspection: Arc<Inspection>,
}

/// How a policy comes into force.
#[derive(Clone, Debug)]
pub struct Change {
    /// Who brought it, in the words of the `policy` record.
    pub who: &'static str,
    /// What of the files is not in it.
    pub unread: Vec<Unread>,
    /// It is recorded though it is equal to what is in force.
    pub even_if_same: bool,
}

/// Why exeat does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] NotBound),
    /// This process cannot run where it was started.
    #[error(transparent)]
    Before(#[from] NotFit),
    /// TLS to origins cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Records cannot be exported as configured.
    #[error(transparent)]
    Export(#[from] export::NotExported),
    /// What was spent today cannot be read.
    #[error("{0}")]
    Spending(String),
    /// The extra roots cannot be read.
    #[error("{0}")]
    Roots(Fault),
    /// There are no name servers.
    #[error(transparent)]
    Resolver(#[from] NoResolver),
}

impl App {
    /// Starts everything but the ways in; they open with [`App::open`].
    pub fn start(
        config: &Config,
        bound: &Bound,
        prepared: Prepared,
        first: (Policy, Vec<Unread>),
        kept: Kept,
    ) -> Result<(Self, Arc<Ways>), StartError> {
        let Kept { journal, store, state } = kept;
        let Prepared { exports: exporting, inspection, resolver } = prepared;
        let (policy, unread) = first;
        let names = if config.telemetry.agent_label { AgentNames::Shown } else { AgentNames::Hidden };
        let recording = Arc::new(Recording::new(journal).naming(names));
        recording.metrics.watch_disk(crate::journal::folder(&config.state), Some(config.journal.max));
        let recorder: Arc<dyn Recorder> = Arc::clone(&recording) as Arc<dyn Recorder>;
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let stop = Stop::default();
        let tasks = TaskTracker::new();

        let approvals = Arc::new(RwLock::new(Approvals::default()));
        let settings = HoldSettings {
            pending: config.hold.pending,
            per_agent: config.hold.per_agent,
            per_source: config.hold.per_source,
            total: config.hold.total,
            quiet_after_deny: config.hold.quiet_after_deny,
        };
        let books = Books { recorder: Arc::clone(&recorder), store: Arc::clone(&store), state };
        let desk = HoldDesk::new(settings, Arc::clone(&policy), Arc::clone(&approvals), books)?;
        tasks.spawn(Arc::clone(&desk).run(stop.drain.clone(), stop.now.clone()));

        tasks.spawn(kept::forget(Arc::clone(&desk), config.journal.keep, stop.now.clone()));
        let cursors = Cursors::new(&config.state, &export::sinks(config));
        tasks.spawn(keep_journal(Arc::clone(&recording), cursors, stop.now.clone()));
        tasks.spawn(count_pending(Arc::clone(&desk), Arc::clone(&recording.metrics), stop.now.clone()));
        let spending = kept::spending(store)?;
        tasks.spawn(spending.clone().keep_keeping(stop.now.clone()));
        let (changed, asked) = (desk.changes(), Arc::clone(&desk));
        let company = Company { approvals, desk: asked, recorder: Arc::clone(&recorder), spending: spending.clone(), changed };
        let settings = GateSettings {
            hold_wait: config.hold.wait,
            per_agent: config.limits.per_agent,
            refusal_records: config.limits.refusal_records,
        };
        let gate = Gate::new(Arc::clone(&policy), company, settings);
        tasks.spawn(export::keep_finding(export::back_ends(config), bound.back_ends.clone(), stop.now.clone()));
        tasks.spawn(Arc::clone(&gate).keep_summing_up(stop.now.clone()));
        inspection.watch(&recording.metrics);
        tasks.spawn(Arc::clone(&inspection).keep_telling(stop.now.clone()));
        let neck = neck(config, bound, (&inspection, resolver), Arc::clone(&gate), &stop)?;
        let front = FrontSettings {
            head: config.limits.head,
            head_timeout: config.limits.head_timeout,
            idle: config.limits.idle,
            connections: config.limits.connections,
            per_source: config.limits.per_source,
        };
        let ways = Ways::new(neck, recorder, front, stop.clone());
        let in_force = InForce { policy, desk, recording, inspection };
        in_force.record(None, "start", unread);
        let (exports, exported) = (TaskTracker::new(), CancellationToken::new());
        let exporting = Mutex::new(Some((exporting, in_force.beside(config, exported.clone()))));
        let app = Self { in_force, stop, connections: TaskTracker::new(), tasks, gate, spending, exports, exported, exporting };
        Ok((app, ways))
    }

    /// Opens the ways in, and the listener of metrics and health.
    pub fn open(&self, ways: &Arc<Ways>, bound: Bound, ready: Ready) {
        for door in bound.doors {
            self.connections.spawn(Arc::clone(ways).serve(door, self.connections.clone()));
        }
        if let Some(listener) = bound.metrics {
            let metrics = Arc::clone(&self.in_force.recording.metrics);
            self.tasks.spawn(crate::telemetry::serve::serve(listener, metrics, ready, self.stop.now.clone()));
        }
    }

    /// Starts to export. Lines on standard output come from now on.
    pub fn export(&self) {
        if let Some((exports, beside)) = self.exporting.lock().take() {
            exports.start(&self.exports, &beside);
        }
    }

    /// Runs something beside the ways in, until it ends or the process does.
    pub fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

impl InForce {
    /// Brings a policy into force, and records it. One equal to what is in force changes nothing.
    pub fn replace(&self, policy: Policy, change: Change) {
        let Change { who, unread, even_if_same } = change;
        let old = self.policy.load().hash().to_string();
        if *old != **policy.hash() {
            self.policy.store(Arc::new(policy));
            self.desk.policy_changed(&self.policy.load());
        } else if !even_if_same {
            return;
        }
        self.record(Some(old), who, unread);
    }

    fn beside(&self, config: &Config, stop: CancellationToken) -> Beside {
        let Self { policy: _, desk: _, recording, inspection: _ } = self;
        let (state, metrics, written) = (config.state.clone(), Arc::clone(&recording.metrics), recording.written());
        Beside { state, metrics, recorder: Arc::clone(recording) as _, written, stop }
    }

    fn record(&self, old: Option<String>, who: &str, unread: Vec<Unread>) {
        let new = self.policy.load().hash().to_string();
        // A journal that cannot be written refuses every attempt by itself.
        let _ = self.recording.record(&Record::Policy(PolicyInForce { old, new, who: who.to_owned(), unread }));
    }
}

fn neck(
    config: &Config,
    bound: &Bound,
    (inspection, resolver): (&Inspection, Resolver),
    gate: Arc<Gate>,
    stop: &Stop,
) -> Result<Neck, StartError> {
    let via: Arc<str> = format!("exeat-{}", &uuid::Uuid::now_v7().simple().to_string()[20..]).into();
    let settings = UpstreamSettings {
        connect_timeout: config.limits.connect_timeout,
        idle: config.limits.idle,
        peek: config.limits.peek,
        own_everywhere: bound.everywhere(),
        back_ends: bound.back_ends.guard(),
        via: HeaderValue::try_from(format!("1.1 {via}")).expect("a name of hexadecimal digits is a field value"),
        authority: inspection.authority(),
        origin_tls: Arc::new(inspection.origin_tls()?),
        secrets: inspection.secrets(),
        stop: stop.tunnels.clone(),
        stop_now: stop.now.clone(),
    };
    Ok(Neck { gate, upstream: Upstream::new(resolver, settings), via })
}

/// Does what the journal has to do by the time, on a thread that may wait for the disk.
async fn keep_journal(recording: Arc<Recording>, cursors: Cursors, stop: CancellationToken) {
    let mut turns = tokio::time::interval(TURN);
    let (mut counted, cursors) = (0_u32, Arc::new(cursors));
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = stop.cancelled() => return,
        }
        let (recording, cursors) = (Arc::clone(&recording), Arc::clone(&cursors));
        let retains = counted.is_multiple_of(TURNS_OF_RETENTION);
        counted = counted.wrapping_add(1);
        let turn = tokio::task::spawn_blocking(move || {
            recording.turn();
            if retains || recording.journal.take_begun() {
                recording.retain(&*cursors);
            }
        });
        // A panic of one turn is told by the runtime; the next turn tries again.
        let _ = turn.await;
    }
}

/// Keeps the gauge of pending questions true.
async fn count_pending(desk: Arc<HoldDesk>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut moved = desk.moved();
    let mut known = BTreeSet::new();
    loop {
        tokio::select! {
            moved = moved.changed() => if moved.is_err() { return },
            () = stop.cancelled() => return,
        }
        let pending = desk.pending_by_agent();
        known.extend(pending.keys().cloned());
        let of_all = known.iter().map(|agent| (agent.clone(), pending.get(agent).copied().unwrap_or_default()));
        metrics.set_holds_pending(&of_all.collect());
    }
}
