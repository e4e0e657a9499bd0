//! Wires a configuration into gate, neck, journal and listeners, and takes them down in order.

pub mod export;
mod files;
pub mod freezing;
pub mod inspection;
mod kept;
mod page;
pub mod reload;
pub mod standing;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::store::StoreError;
use crate::approval::{Books, HoldDesk, HoldSettings};
use crate::config::Config;
use crate::config::state::StateError;
use crate::egress::record::{PolicyInForce, Record, Recorder, Unread};
use crate::egress::{Company, Gate, GateSettings, NoResolver, Resolver, Spending, Upstream, UpstreamSettings};
use crate::front::{Door, FrontSettings, Neck, Stop, Ways};
use crate::journal::JournalError;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::approvals::Approvals;
use crate::policy::fault::Fault;
use crate::telemetry::dial::Found;
use crate::telemetry::metrics::AgentNames;
use crate::telemetry::serve::{Readiness, Ready};
use crate::telemetry::sinks::{Beside, Cursors};
use crate::telemetry::{Metrics, Recording};
use export::Exports;
pub use files::raise_open_files;
use inspection::Inspection;
pub use kept::{Kept, store};

/// How long open attempts may take to end once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How often the journal does what is due.
const TURN: Duration = Duration::from_secs(1);

/// After so many turns what of the journal need not be kept is removed; after a segment's end at the next.
const TURNS_OF_RETENTION: u32 = 60;

/// What listens: sockets bound before the policy is made, as the policy must know them.
#[derive(Debug)]
pub struct Bound {
    /// The ways in.
    pub doors: Vec<Door>,
    /// The listener of metrics and health.
    pub metrics: Option<TcpListener>,
    /// The listener of page and API.
    pub admin: Option<TcpListener>,
    /// Where exeat's own back ends are.
    pub back_ends: Found,
}

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
    /// A listener's address cannot be had.
    #[error("{name}: {address} cannot be listened on: {error}; choose another address or stop what holds it")]
    Listen {
        /// The listener's name.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
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

impl Bound {
    /// Binds every listener of the configuration.
    pub async fn all(config: &Config) -> Result<Self, StartError> {
        let mut doors = Vec::new();
        for listen in &config.listen {
            for address in &listen.addresses {
                let listener = bind(&format!("listen.{}", listen.name), *address).await?;
                doors.push(Door { listener, name: Arc::clone(&listen.name), transparent: listen.transparent });
            }
        }
        let metrics = match config.metrics {
            Some(address) => Some(bind("metrics", address).await?),
            None => None,
        };
        let admin = match config.admin.address {
            Some(address) => Some(bind("admin", address).await?),
            None => None,
        };
        Ok(Self { doors, metrics, admin, back_ends: export::find(config).await })
    }

    /// What is never dialled because it is exeat, or because the configuration says so.
    pub fn guard(&self, config: &Config) -> Guard {
        let doors = self.doors.iter().map(|door| &door.listener);
        export::guard(config, doors.chain(&self.metrics).chain(&self.admin).filter_map(|listener| listener.local_addr().ok()))
    }

    fn everywhere(&self) -> Vec<u16> {
        let listeners = self.doors.iter().map(|door| &door.listener).chain(&self.metrics).chain(&self.admin);
        listeners.filter_map(|listener| listener.local_addr().ok()).filter(|at| at.ip().is_unspecified()).map(|at| at.port()).collect()
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { name: name.to_owned(), address, error })
}

impl App {
    /// Starts everything but the ways in; they open with [`App::open`].
    pub fn start(config: &Config, bound: &Bound, first: (Policy, Vec<Unread>), kept: Kept) -> Result<(Self, Arc<Ways>), StartError> {
        let Kept { journal, store, state } = kept;
        let (policy, unread) = first;
        let exporting = Exports::prepare(config, &bound.back_ends)?;
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
        tasks.spawn(Arc::clone(&desk).run(stop.drain.clone()));

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
        let inspection = Inspection::start(config, SystemTime::now()).map_err(StartError::Roots)?;
        inspection.watch(&recording.metrics);
        tasks.spawn(Arc::clone(&inspection).keep_telling(stop.now.clone()));
        let neck = neck(config, bound, &inspection, Arc::clone(&gate), &stop)?;
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

    /// Stops: nothing new is accepted, tunnels are cut, what is open gets a short while, and the journal is closed last.
    ///
    /// `false`: the journal could not be closed in order, and the next start repairs it.
    pub async fn end(&self) -> bool {
        self.stop.drain.cancel();
        self.connections.close();
        if tokio::time::timeout(DRAIN, self.connections.wait()).await.is_err() {
            tracing::info!("not everything ended in time");
        }
        self.stop.now.cancel();
        self.connections.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.gate.sum_up_refusals();
        self.spending.keep();
        let recording = &self.in_force.recording;
        let in_order = recording.stop().is_ok() && recording.durable().wait().await.is_ok();
        if !in_order {
            tracing::error!("the journal could not be closed in order");
        }
        self.exported.cancel();
        self.exports.close();
        self.exports.wait().await;
        in_order
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

fn neck(config: &Config, bound: &Bound, inspection: &Inspection, gate: Arc<Gate>, stop: &Stop) -> Result<Neck, StartError> {
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
        stop: stop.drain.clone(),
        stop_now: stop.now.clone(),
    };
    let resolver = Resolver::new(&config.dns.servers, config.dns.timeout)?;
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

/// Whether attempts can be served, and if not why.
pub fn readiness(recording: &Recording, mut standing: Readiness) -> Readiness {
    standing.problems.extend(recording.ready().err());
    standing
}
