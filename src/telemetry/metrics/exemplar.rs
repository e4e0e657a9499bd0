//! Exemplars: the last attempt seen in each series of refusals and in each bucket of a histogram of times.
//!
//! There are as many as there are series, whose labels are closed sets and names of configured agents.

use std::collections::HashMap;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::agent::AgentLabel;
use crate::egress::record::Front;
use crate::policy::attempt::AttemptId;
use crate::policy::reason::Reason;

/// One attempt that a series counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::telemetry) struct Exemplar {
    pub(in crate::telemetry) attempt: AttemptId,
    pub(in crate::telemetry) value: f64,
    pub(in crate::telemetry) at: SystemTime,
}

/// What an exemplar stands beside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Series {
    /// A counter of refusals.
    Refused(AgentLabel, Reason, Front),
    /// A bucket of a histogram with one label, by its place.
    Bucket { family: &'static str, label: &'static str, bucket: usize },
}

/// The last exemplar of each series.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<HashMap<Series, Exemplar>>);

impl Exemplars {
    pub(super) fn keep(&self, series: Series, attempt: AttemptId, value: f64) {
        self.0.lock().insert(series, Exemplar { attempt, value, at: SystemTime::now() });
    }

    /// All of them, by the name of their family, the values of its labels in the order of the labels' names, and the bucket.
    pub(super) fn by_place(&self) -> HashMap<Place, Exemplar> {
        self.0.lock().iter().map(|(series, exemplar)| (series.place(), *exemplar)).collect()
    }
}

/// Where an exemplar is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::telemetry) struct Place {
    pub(in crate::telemetry) family: String,
    pub(in crate::telemetry) labels: Vec<String>,
    pub(in crate::telemetry) bucket: Option<usize>,
}

impl Series {
    fn place(&self) -> Place {
        match self {
            Series::Refused(agent, reason, front) => Place {
                family: super::DECISIONS.to_owned(),
                labels: [agent.as_str(), "block", front.as_str(), reason.as_str()].map(str::to_owned).to_vec(),
                bucket: None,
            },
            Series::Bucket { family, label, bucket } => {
                Place { family: (*family).to_owned(), labels: vec![(*label).to_owned()], bucket: Some(*bucket) }
            }
        }
    }
}
