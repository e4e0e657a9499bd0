//! What is asked of people and what they say: counted by the records of it.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, IntCounterVec};

use super::agent::AgentLabel;
use super::kept::Maker;
use crate::egress::record::{Answer, Answered, Held};

/// Open questions whose begin is remembered; of more the time is not counted.
const REMEMBERED: usize = 20_000;

const BUCKETS: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 20.0, 45.0, 90.0, 300.0, 900.0, 3600.0, 14400.0];

#[derive(Debug)]
pub(super) struct Questions {
    asked: IntCounterVec,
    answers: IntCounterVec,
    seconds: Histogram,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    since: HashMap<String, Instant>,
    order: VecDeque<String>,
}

impl Questions {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        let took = HistogramOpts::new("exeat_answer_seconds", "Time from a question to the first answer to it.");
        Self {
            asked: make.counters("exeat_questions_total", "Questions opened.", &["agent"]),
            answers: make.counters("exeat_answers_total", "Answers given.", &["agent", "answer", "kind"]),
            seconds: make.keep(Histogram::with_opts(took.buckets(BUCKETS.to_vec()))),
            open: Mutex::default(),
        }
    }

    pub(super) fn asked(&self, agent: &AgentLabel, held: &Held) {
        self.asked.with_label_values(&[agent.as_str()]).inc();
        self.open.lock().begin(&held.hold);
    }

    pub(super) fn answered(&self, agent: &AgentLabel, answered: &Answered) {
        let (answer, kind) = match answered.answer {
            Answer::Yes => ("yes", kind(answered.scope.as_deref())),
            Answer::No => ("no", "-"),
        };
        self.answers.with_label_values(&[agent.as_str(), answer, kind]).inc();
        if let Some(since) = self.open.lock().since.remove(&answered.hold) {
            self.seconds.observe(since.elapsed().as_secs_f64());
        }
    }
}

impl Open {
    fn begin(&mut self, hold: &str) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.since.remove(&oldest);
        }
        self.order.push_back(hold.to_owned());
        self.since.insert(hold.to_owned(), Instant::now());
    }
}

/// A closed set, whatever a record says.
fn kind(scope: Option<&str>) -> &'static str {
    ["once", "for", "always"].into_iter().find(|known| scope == Some(known)).unwrap_or("-")
}
