//! Pending questions that are nearly the same, so that they can be shown together. Each is still answered by itself.
//!
//! One agent's questions are alike that differ only in the instance, in being about port 80 or 443, or in random-looking labels in front of what
//! somebody registered.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::facts::{Similar, random_label};
use crate::policy::approvals::Subject;
use crate::policy::attempt::{AgentId, RequestLine};
use crate::policy::host::Host;
use crate::policy::suffix;

/// Ids that are named; more are counted.
const NAMED: usize = 16;

/// Pending questions by what they have in common.
#[derive(Debug, Default)]
pub(super) struct Groups {
    ids: HashMap<Alike, BTreeSet<Arc<str>>>,
}

/// What alike questions have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    agent: AgentId,
    host: Whole,
    /// `None` for the web's.
    port: Option<u16>,
    request: Option<RequestLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whole {
    Host(Host),
    /// Random-looking labels under it.
    Under(Box<str>),
}

impl Groups {
    pub(super) fn insert(&mut self, subject: &Subject, id: &Arc<str>) {
        self.ids.entry(Alike::of(subject)).or_default().insert(Arc::clone(id));
    }

    pub(super) fn remove(&mut self, subject: &Subject, id: &str) {
        let alike = Alike::of(subject);
        if let Some(ids) = self.ids.get_mut(&alike) {
            ids.remove(id);
            if ids.is_empty() {
                self.ids.remove(&alike);
            }
        }
    }

    /// The questions beside that one.
    pub(super) fn beside(&self, subject: &Subject, id: &str) -> Option<Similar> {
        let ids = self.ids.get(&Alike::of(subject)).filter(|ids| ids.len() > 1)?;
        let others = ids.iter().filter(|other| other.as_ref() != id);
        Some(Similar { count: ids.len() - 1, ids: others.take(NAMED).map(ToString::to_string).collect() })
    }
}

impl Alike {
    fn of(subject: &Subject) -> Self {
        let Subject { agent, instance: _, destination, scheme: _, request } = subject;
        let port = destination.port.number();
        Self {
            agent: agent.clone(),
            host: Whole::of(&destination.host),
            port: (![80, 443].contains(&port)).then_some(port),
            request: request.clone(),
        }
    }
}

impl Whole {
    fn of(host: &Host) -> Self {
        let under = match host {
            Host::Name(name) => suffix::registrable(name).filter(|zone| {
                let front = name.as_str().strip_suffix(zone).unwrap_or_default().trim_end_matches('.');
                front.split('.').any(random_label)
            }),
            Host::Address(_) => None,
        };
        under.map_or_else(|| Whole::Host(host.clone()), |zone| Whole::Under(zone.into()))
    }
}
