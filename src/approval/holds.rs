//! Questions as a pure state machine: who asked what, who waits, who could answer, and when a question dies.
//!
//! No clock, no tokio, no chance: times and random bits are arguments, and who is to be told what is returned. A question
//! outlives its waiters; each attempt that waits is told exactly one word, or leaves.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::agreeing;
use super::answer::Lasting;
use super::awaited::Awaited;
use super::facts::{Facts, Similar};
use super::short::short_id;
use super::shown::{HoldView, whole_micros};
use super::similar::Groups;
use crate::egress::hold::Word;
use crate::egress::record::masked;
use crate::policy::address::Addresses;
use crate::policy::approvals::{Asking, Subject};
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Instance, RequestLine, Seen, Sight};
use crate::policy::decide::HoldTerms;
use crate::policy::destination::Destination;

/// How many destinations are remembered for an agent, to tell a first time.
const REMEMBERED: usize = 4096;

/// Limits of the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a question lives after it was last asked.
    pub pending: Duration,
    /// Questions of one agent.
    pub per_agent: usize,
    /// Questions of one running instance of an agent.
    pub per_source: usize,
    /// Questions in all, and attempts that wait in all.
    pub total: usize,
}

/// One yes to a question that needs more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yes {
    /// Who said it.
    pub approver: Arc<str>,
    /// How long it is to last.
    pub lasting: Lasting,
    /// What it may resolve to.
    pub addresses: Arc<Addresses>,
    /// The approver's words.
    pub note: Option<Arc<str>>,
}

/// A pending question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The short id people type.
    pub id: Arc<str>,
    /// What is asked.
    pub subject: Subject,
    /// Method and masked path of the attempt that opened it, where seen.
    pub request: Option<RequestLine>,
    /// The request, where the question is about it alone.
    sight: Sight,
    /// What it is asked under.
    pub terms: HoldTerms,
    /// What is known of it.
    pub facts: Arc<Facts>,
    /// The agent had not asked for the destination before.
    pub first_time: bool,
    /// The yeses so far, where one is not enough.
    pub yeses: Vec<Yes>,
    /// Attempts that wait for the answer.
    pub waiting: BTreeSet<AttemptId>,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// When it dies unanswered; later each time it is asked again.
    pub dies_at: SystemTime,
}

impl Question {
    /// A question as a store kept it: nobody waits at it. `when` is whether it was a first time, then when it was opened and when it dies.
    pub(super) fn kept(
        id: Arc<str>,
        subject: Subject,
        request: Option<RequestLine>,
        terms: HoldTerms,
        when: (bool, [SystemTime; 2]),
    ) -> Self {
        let seen = |line: &RequestLine| Sight::Seen(Arc::new(Seen::bare(&line.method, &line.path, None)));
        let sight = subject.request.as_ref().map_or(Sight::NotYet, seen);
        let (first_time, [opened_at, dies_at]) = when;
        let facts = Arc::default();
        let (yeses, waiting) = (Vec::new(), BTreeSet::new());
        Self { id, subject, request, sight, terms, facts, first_time, yeses, waiting, opened_at, dies_at }
    }

    /// An attempt that would ask the same.
    pub fn next(&self) -> Attempt {
        let Subject { agent, instance, destination, scheme, request: _ } = self.subject.clone();
        Attempt { id: AttemptId(Uuid::nil()), agent, instance, destination, scheme, sight: self.sight.clone(), within: None, proven: true }
    }
}

/// As much of an attempt as its question is about.
pub fn remembered(attempt: &Attempt, asking: Asking) -> Attempt {
    let sight = match asking {
        Asking::EveryRequest => Sight::NotYet,
        Asking::ThisRequest => attempt.sight.clone(),
    };
    Attempt { sight, ..attempt.clone() }
}

/// Whether a yes under the one would grant what was shown under the other. A rule that only moved is the same rule.
pub(super) fn alike(one: &HoldTerms, other: &HoldTerms) -> bool {
    let HoldTerms { rule: _, note, addresses, asking } = one;
    (note, addresses, asking) == (&other.note, &other.addresses, &other.asking)
}

/// What becomes of an attempt that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// The question is open already.
    Join(Arc<str>),
    /// A question of that id is to be opened.
    Open(Arc<str>),
    /// Too many are open; the text names the limit.
    Full(&'static str),
}

/// Words to be delivered.
pub type Told = Vec<(AttemptId, Word)>;

/// The pending questions and who could answer them.
#[derive(Debug)]
pub struct Holds {
    limits: Limits,
    pub(super) questions: HashMap<Arc<str>, Question>,
    by_subject: HashMap<Subject, Arc<str>>,
    deaths: BTreeSet<(SystemTime, Arc<str>)>,
    by_agent: BTreeMap<AgentId, usize>,
    by_source: HashMap<(AgentId, Instance), usize>,
    pub(super) waiting: usize,
    pub(super) awaited: Awaited,
    asked: HashMap<AgentId, HashSet<Destination>>,
    groups: Groups,
    for_all: usize,
    for_one: HashMap<AgentId, usize>,
    /// Nobody waits any more, whoever could answer.
    pub(super) ending: bool,
}

impl Holds {
    /// No questions, nobody to answer.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            questions: HashMap::new(),
            by_subject: HashMap::new(),
            deaths: BTreeSet::new(),
            by_agent: BTreeMap::new(),
            by_source: HashMap::new(),
            waiting: 0,
            awaited: Awaited::default(),
            asked: HashMap::new(),
            groups: Groups::default(),
            for_all: 0,
            ending: false,
            for_one: HashMap::new(),
        }
    }

    /// What would become of a question for the attempt. Changes nothing: an opening is recorded before it takes place.
    ///
    /// `bits` are random; `taken` says which ids are in use elsewhere.
    pub fn weigh(&self, subject: &Subject, attempt: AttemptId, bits: u32, taken: impl Fn(&str) -> bool) -> Weighed {
        if let Some(id) = self.by_subject.get(subject) {
            let waits_already = self.questions.get(id).is_some_and(|question| question.waiting.contains(&attempt));
            let full = self.waiting >= self.limits.total && !waits_already && self.attended(&subject.agent);
            return if full { Weighed::Full("hold.total") } else { Weighed::Join(Arc::clone(id)) };
        }
        if self.by_agent.get(&subject.agent).is_some_and(|count| *count >= self.limits.per_agent) || self.limits.per_agent == 0 {
            return Weighed::Full("hold.per_agent");
        }
        if self.by_source.get(&source(subject)).copied().unwrap_or_default() >= self.limits.per_source {
            return Weighed::Full("hold.per_source");
        }
        if self.questions.len() >= self.limits.total || self.waiting >= self.limits.total {
            return Weighed::Full("hold.total");
        }
        let free =
            (0..=u32::MAX).map(|step| short_id(bits.wrapping_add(step))).find(|id| !self.questions.contains_key(id.as_str()) && !taken(id));
        free.map_or(Weighed::Full("hold.total"), |id| Weighed::Open(id.into()))
    }

    /// Opens the question `weigh` named. Nobody waits at it yet.
    pub fn open(&mut self, id: Arc<str>, asked: (&Attempt, &HoldTerms), facts: Arc<Facts>, now: SystemTime) {
        let (attempt, terms) = asked;
        let subject = Subject::asked(attempt, terms.asking);
        let seen = self.asked.entry(subject.agent.clone()).or_default();
        let first_time = !seen.contains(&subject.destination);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(subject.destination.clone());
        let request = attempt.sight.meant().as_ref().map(masked);
        let dies_at = whole_micros(now + self.limits.pending);
        *self.by_agent.entry(subject.agent.clone()).or_default() += 1;
        *self.by_source.entry(source(&subject)).or_default() += 1;
        self.by_subject.insert(subject.clone(), Arc::clone(&id));
        self.deaths.insert((dies_at, Arc::clone(&id)));
        self.groups.insert(&subject, &id);
        let question = Question {
            id: Arc::clone(&id),
            subject,
            request,
            sight: remembered(attempt, terms.asking).sight,
            terms: terms.clone(),
            facts,
            first_time,
            yeses: Vec::new(),
            waiting: BTreeSet::new(),
            opened_at: now,
            dies_at,
        };
        self.questions.insert(id, question);
    }

    /// Takes up a question that was opened before this process was, whatever the limits are. `false`: one about the same is there.
    #[must_use]
    pub(super) fn restore(&mut self, question: Question) -> bool {
        if self.by_subject.contains_key(&question.subject) {
            return false;
        }
        let id = Arc::clone(&question.id);
        *self.by_agent.entry(question.subject.agent.clone()).or_default() += 1;
        *self.by_source.entry(source(&question.subject)).or_default() += 1;
        self.by_subject.insert(question.subject.clone(), Arc::clone(&id));
        self.deaths.insert((question.dies_at, Arc::clone(&id)));
        self.asked.entry(question.subject.agent.clone()).or_default().insert(question.subject.destination.clone());
        self.groups.insert(&question.subject, &id);
        self.questions.insert(id, question);
        true
    }

    /// An attempt takes its place at an open question, which lives on from now. `false`: it does not wait.
    #[must_use]
    pub fn join(&mut self, id: &str, attempt: AttemptId, now: SystemTime) -> bool {
        let Some(question) = self.questions.get_mut(id) else { return false };
        self.deaths.remove(&(question.dies_at, Arc::clone(&question.id)));
        question.dies_at = question.dies_at.max(whole_micros(now + self.limits.pending));
        self.deaths.insert((question.dies_at, Arc::clone(&question.id)));
        let waits = !self.ending && (self.for_all > 0 || self.for_one.contains_key(&question.subject.agent));
        if waits && question.waiting.insert(attempt) {
            self.waiting += 1;
            self.awaited.insert(&question.subject.agent, &question.id);
        }
        waits
    }

    /// An attempt waits no more. The question stays. `true` if it was waiting.
    pub fn leave(&mut self, id: &str, attempt: AttemptId) -> bool {
        let Some(question) = self.questions.get_mut(id) else { return false };
        let left = question.waiting.remove(&attempt);
        self.waiting -= usize::from(left);
        if question.waiting.is_empty() {
            self.awaited.remove(&question.subject.agent, id);
        }
        left
    }

    /// One yes of several that are needed.
    pub(super) fn agree(&mut self, id: &str, yes: Yes) {
        self.questions.get_mut(id).into_iter().for_each(|question| question.yeses.push(yes.clone()));
    }

    /// What somebody said so far counts no more. The questions he had said yes to.
    pub(super) fn disown(&mut self, approver: &str) -> Vec<Arc<str>> {
        self.questions.values_mut().filter_map(|question| agreeing::disown(question, approver)).collect()
    }

    /// Closes a question that is answered, with those who wait; the answer is the caller's to tell them.
    pub fn close(&mut self, id: &str) -> Option<Question> {
        let question = self.questions.remove(id)?;
        self.by_subject.remove(&question.subject);
        self.groups.remove(&question.subject, id);
        self.deaths.remove(&(question.dies_at, Arc::clone(&question.id)));
        self.waiting -= question.waiting.len();
        self.awaited.remove(&question.subject.agent, id);
        if let Some(count) = self.by_agent.get_mut(&question.subject.agent) {
            *count -= 1;
            if *count == 0 {
                self.by_agent.remove(&question.subject.agent);
            }
        }
        if let Entry::Occupied(mut count) = self.by_source.entry(source(&question.subject)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(question)
    }

    /// The first questions whose end has come, closed, with the word for those who wait. At most so many.
    pub fn expire(&mut self, now: SystemTime, most: usize) -> (Vec<Question>, Told) {
        let mut dead = Vec::new();
        while dead.len() < most
            && let Some(id) = self.deaths.first().filter(|(end, _)| *end <= now).map(|(_, id)| Arc::clone(id))
        {
            dead.extend(self.close(&id));
        }
        let told = dead.iter().flat_map(|question| question.waiting.iter().map(|attempt| (*attempt, Word::Expired))).collect();
        (dead, told)
    }

    /// When the next question dies.
    pub fn next_death(&self) -> Option<SystemTime> {
        self.deaths.first().map(|(end, _)| *end)
    }

    /// Somebody can answer: for all agents, or for one.
    pub fn attend(&mut self, agent: Option<&AgentId>) {
        match agent {
            None => self.for_all += 1,
            Some(agent) => *self.for_one.entry(agent.clone()).or_default() += 1,
        }
    }

    /// Somebody went. Those who wait where nobody is left to answer are told, and wait no more.
    pub fn depart(&mut self, agent: Option<&AgentId>) -> Told {
        match agent {
            None => self.for_all = self.for_all.saturating_sub(1),
            Some(agent) => {
                if let Some(count) = self.for_one.get_mut(agent) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.for_one.remove(agent);
                    }
                }
            }
        }
        if self.for_all > 0 {
            return Told::new();
        }
        let mut told = Told::new();
        for id in self.awaited.take(|agent| !self.for_one.contains_key(agent)) {
            let waiting = self.questions.get_mut(&id).map(|question| std::mem::take(&mut question.waiting));
            told.extend(waiting.into_iter().flatten().map(|attempt| (attempt, Word::Unattended)));
        }
        self.waiting -= told.len();
        told
    }

    /// Whether somebody can answer for the agent.
    pub fn attended(&self, agent: &AgentId) -> bool {
        self.for_all > 0 || self.for_one.contains_key(agent)
    }

    /// The question of that id.
    pub fn get(&self, id: &str) -> Option<&Question> {
        self.questions.get(id)
    }

    /// The question of that id as it is shown.
    pub fn view(&self, id: &str) -> Option<HoldView> {
        self.questions.get(id).map(|question| HoldView::of(question, self.groups.beside(&question.subject, id)))
    }

    /// The question of that id and those beside it, as they stand.
    pub(super) fn beside(&self, id: &str) -> Option<(Question, Option<Similar>)> {
        self.questions.get(id).map(|question| (question.clone(), self.groups.beside(&question.subject, id)))
    }

    /// The questions that a yes to the subject may cover: of its agent, for its destination and its request, whatever else differs.
    pub(super) fn covered(&self, subject: &Subject) -> impl Iterator<Item = &Question> {
        let alike = self.groups.ids(subject).filter_map(|id| self.questions.get(id));
        alike.filter(|question| question.subject.destination == subject.destination)
    }

    /// The ids of all pending questions, in no order.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.questions.keys().cloned().collect()
    }

    /// How many questions of each agent are pending.
    pub fn by_agent(&self) -> &BTreeMap<AgentId, usize> {
        &self.by_agent
    }
}

/// Where a question comes from: an instance of an agent, so that one that floods leaves the others theirs, also where all share an address.
fn source(subject: &Subject) -> (AgentId, Instance) {
    (subject.agent.clone(), subject.instance.clone())
}
