//! The configuration while it is read: what has been said so far, and where. Finished, it is a `Config`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::attempt::AgentId;
use crate::policy::fault::Fault;
use crate::policy::host::Host;

use super::export::{DraftTelemetry, Journal};
use super::inspect::DraftInspect;
use super::{Admin, AdminHost, Config, Dns, Drain, Hold, Limits, Listen};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
const TOTAL: usize = 10_000;

/// Where something was said: a file and its line, or a variable and 0.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) line: u32,
}

impl Place {
    fn fault(&self, found: String, wanted: &str, fix: &str) -> Fault {
        Fault { file: self.file.clone(), line: self.line, column: 0, found, wanted: wanted.to_owned(), fix: fix.to_owned() }
    }
}

/// A listener so far.
#[derive(Debug)]
pub(super) struct DraftListen {
    pub(super) name: Arc<str>,
    pub(super) place: Place,
    /// `address` was there, valid or not.
    pub(super) addressed: bool,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) agent: Option<AgentId>,
    pub(super) known_as: Vec<Host>,
    pub(super) transparent: bool,
}

/// Everything said so far, defaults where nothing was.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) allowlists: Option<PathBuf>,
    pub(super) floor: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
    pub(super) listen: Vec<DraftListen>,
    pub(super) admin: Option<(SocketAddr, Place)>,
    pub(super) admin_hosts: Vec<AdminHost>,
    pub(super) metrics: Option<(SocketAddr, Place)>,
    pub(super) drain: Drain,
    pub(super) hold: Hold,
    pub(super) total: Option<Place>,
    pub(super) dns: Dns,
    pub(super) inspect: DraftInspect,
    pub(super) upstream_ca: Option<PathBuf>,
    pub(super) never: Vec<IpNet>,
    pub(super) limits: Limits,
    pub(super) journal: Journal,
    pub(super) telemetry: DraftTelemetry,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            allowlists: None,
            floor: None,
            state: None,
            listen: Vec::new(),
            admin: None,
            admin_hosts: Vec::new(),
            metrics: None,
            drain: Drain { time: Duration::from_secs(30), notice: Duration::ZERO },
            hold: Hold {
                wait: Duration::from_secs(45),
                pending: 15 * MINUTE,
                per_agent: 64,
                per_source: 64,
                total: TOTAL,
                quiet_after_deny: 10 * MINUTE,
            },
            total: None,
            dns: Dns { servers: Vec::new(), timeout: Duration::from_secs(5) },
            inspect: DraftInspect::default(),
            upstream_ca: None,
            never: Vec::new(),
            limits: Limits {
                head: 32 << 10,
                head_timeout: Duration::from_secs(10),
                connect_timeout: Duration::from_secs(10),
                idle: HOUR,
                peek: Duration::from_secs(3),
                connections: 20_000,
                per_agent: 512,
                per_source: 256,
                refusal_records: 200,
            },
            journal: Journal::default(),
            telemetry: DraftTelemetry::default(),
        }
    }
}

impl Draft {
    /// The listener of that name, made where it is not there yet.
    pub(super) fn listener(&mut self, name: &str, place: Place) -> &mut DraftListen {
        let at = self.listen.iter().position(|listen| *listen.name == *name).unwrap_or_else(|| {
            let (addressed, addresses, agent, known_as, transparent) = (false, Vec::new(), None, Vec::new(), false);
            self.listen.push(DraftListen { name: name.into(), place, addressed, addresses, agent, known_as, transparent });
            self.listen.len() - 1
        });
        &mut self.listen[at]
    }

    /// Fills in the defaults that depend on others, and judges what only the whole can be judged by.
    pub(super) fn finish(mut self, path: Option<PathBuf>, home: Option<&Path>) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        if self.listen.is_empty() {
            let loopback = [SocketAddr::from(([127, 0, 0, 1], 3128)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 3128))];
            let main = self.listener("main", Place { file: "the default".into(), line: 0 });
            (main.addressed, main.addresses) = (true, loopback.to_vec());
        }
        faults.extend(self.clashes());
        self.hold.total = if self.total.is_some() { self.hold.total } else { TOTAL.min(self.limits.connections) };
        if let Some(place) = self.total.as_ref().filter(|_| self.hold.total > self.limits.connections) {
            let found = format!("[hold] total {} beside [limits] connections {}", self.hold.total, self.limits.connections);
            let wanted = "no more attempts that wait than connections";
            faults.push(place.fault(found, wanted, "lower [hold] total or raise [limits] connections"));
        }
        let state = self.state.or_else(|| home.map(|home| home.join(".local/state/exeat")));
        if state.is_none() {
            let found = "no state, and no HOME to put it under";
            faults.push(Fault::whole("state", found, "a folder for journal and tokens", "set state, or the variable EXEAT_STATE"));
        }
        let beside = path.as_ref().and_then(|path| path.parent()).map(|folder| folder.join("allowlists"));
        if self.floor.is_some() && path.is_none() && self.allowlists.is_none() {
            let found = "floor where no configuration names allowlists";
            faults.push(Fault::whole("floor", found, "allowlists that it could bind", "set allowlists, or the variable EXEAT_ALLOWLISTS"));
        }
        let (telemetry, lacking) = self.telemetry.finish();
        faults.extend(lacking.into_iter().map(|[found, wanted, fix]| Fault::whole("telemetry", found, wanted, fix)));
        let (inspect, lacking) = self.inspect.finish();
        let file = path.as_deref().map_or_else(|| "exeat.toml".to_owned(), |path| path.display().to_string());
        faults.extend(lacking.into_iter().map(|[found, wanted, fix]| Fault::whole(&file, found, wanted, fix)));
        let state = state.filter(|_| faults.is_empty()).ok_or(faults)?;
        let listen = self.listen.into_iter().map(|listen| {
            let DraftListen { name, place: _, addressed: _, addresses, agent, known_as, transparent } = listen;
            Listen { name, addresses, agent, known_as, transparent }
        });
        Ok(Config {
            path,
            allowlists: self.allowlists.or(beside),
            floor: self.floor,
            state,
            listen: listen.collect(),
            admin: Admin { address: self.admin.map(|(address, _)| address), hosts: self.admin_hosts },
            metrics: self.metrics.map(|(address, _)| address),
            drain: self.drain,
            hold: self.hold,
            dns: self.dns,
            inspect,
            upstream_ca: self.upstream_ca,
            never: self.never,
            limits: self.limits,
            journal: self.journal,
            telemetry,
        })
    }

    /// Listeners without an address, and addresses said twice.
    fn clashes(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut taken: Vec<(SocketAddr, String)> = Vec::new();
        let of_metrics = self.metrics.iter().map(|(address, place)| (*address, place, "[metrics]".to_owned()));
        let of_admin = self.admin.iter().map(|(address, place)| (*address, place, "[admin]".to_owned()));
        for listen in self.listen.iter().filter(|listen| !listen.addressed) {
            let found = format!("no address for [listen.{}]", listen.name);
            faults.push(listen.place.fault(found, "at least one ip:port", "write address = \"127.0.0.1:3128\""));
        }
        let of_listeners = self
            .listen
            .iter()
            .flat_map(|listen| listen.addresses.iter().map(|address| (*address, &listen.place, format!("[listen.{}]", listen.name))));
        for (address, place, title) in of_listeners.chain(of_metrics).chain(of_admin) {
            if let Some((_, other)) = taken.iter().find(|(other, _)| *other == address && address.port() != 0) {
                let found = format!("{address} in {title} and in {other}");
                faults.push(place.fault(found, "each address once", "give one of them another port"));
            }
            taken.push((address, title));
        }
        faults
    }
}
