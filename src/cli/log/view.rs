//! The journal as lines for people.

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Timestamp;

use super::{Decision, LogArgs};
use crate::cli::recorded::tally::OPEN;
use crate::cli::recorded::{Bounds, counted, place as shown_place, shown, size, spelled};
use crate::egress::record::{
    Answer, Answered, ApproverChanged, Cut, Decided, Ended, Frozen, Gap, GapWhy, Held, Outcome, Place, PolicyInForce, Progress, Record,
    RefusedHost, RefusedSummary, Revoked, Ruling, SecretMissing, Thawed, Unread, Whom, Would,
};
use crate::journal::Entry;
use crate::policy::attempt::{AgentId, AttemptId, RequestLine};
use crate::policy::leaks::LeakFound;

/// What an attempt's `ended` is shown with.
#[derive(Debug)]
struct Begun {
    /// Agent and host are those asked for, whatever the decision.
    concerned: bool,
    wanted: bool,
    ruling: Ruling,
    destination: String,
    from: Option<String>,
}

/// Chooses entries and shows them.
#[derive(Debug)]
pub(super) struct View<'a> {
    args: &'a LogArgs,
    bounds: Bounds,
    host: Option<String>,
    open: HashMap<AttemptId, Begun>,
}

impl<'a> View<'a> {
    pub(super) fn new(args: &'a LogArgs, now: Timestamp) -> Self {
        let host = args.host.as_deref().map(spelled);
        Self { args, bounds: args.period.bounds(now), host, open: HashMap::new() }
    }

    /// Whether the entry was asked for.
    pub(super) fn show(&mut self, entry: &Entry, out: &mut impl Write) -> io::Result<bool> {
        let row = self.row(&entry.slot, &entry.line.record);
        let Some(row) = row.filter(|_| self.bounds.contain(entry.line.at)) else { return Ok(false) };
        if self.args.json {
            writeln!(out, "{}", entry.text)?;
            return Ok(true);
        }
        // The time to the second; the journal has the microseconds.
        let Row { agent, word, why, place, rest } = row;
        let line = format!("{at:.0}  {agent:<12} {word:<9} {why:<14} {place:<32} {rest}", at = entry.line.at);
        writeln!(out, "{}", line.trim_end())?;
        Ok(true)
    }

    /// What is shown of a record; `None` where it was not asked for.
    fn row(&mut self, slot: &str, record: &Record) -> Option<Row> {
        let general = self.args.agent.is_none() && self.args.decision.is_none() && self.host.is_none();
        match record {
            Record::Started(started) => general.then(|| {
                let torn = |bytes| format!(", {bytes} torn {} cut away", if bytes == 1 { "byte" } else { "bytes" });
                let repaired = started.repaired.map(torn).unwrap_or_default();
                Row::of("-", "started", slot, format!("exeat {}{repaired}", shown(&started.version)))
            }),
            Record::Stopped(_) => general.then(|| Row::of("-", "stopped", slot, String::new())),
            Record::Policy(policy) => general.then(|| Row::policy(policy)),
            Record::Held(held) => self.asked_for(Some(&held.agent), Some(&held.destination), None).then(|| Row::held(held)),
            Record::Answered(answered) => {
                self.asked_for(Some(&answered.agent), Some(&answered.destination), None).then(|| Row::answered(answered))
            }
            Record::Revoked(revoked) => {
                self.asked_for(Some(&revoked.agent), Some(&revoked.destination), None).then(|| Row::revoked(revoked))
            }
            Record::Approver(changed) => general.then(|| Row::approver(changed)),
            Record::Cut(cut) => self.cut(cut),
            Record::Frozen(Frozen { whom, who, note }) => self.of(whom).then(|| Row::stopped("frozen", whom, who, note.as_deref())),
            Record::Thawed(Thawed { whom, who }) => self.of(whom).then(|| Row::stopped("thawed", whom, who, None)),
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Progress(progress) => self.progress(progress),
            Record::RefusedSummary(summary) => {
                self.asked_for(summary.agent.as_ref(), None, Some(Ruling::Block)).then(|| Row::summarised(summary))
            }
            Record::Gap(gap) => general.then(|| Row::gap(gap)),
            // What the journal needs for itself says nothing of an agent.
            Record::Segment(_) => (general && self.args.json).then(|| Row::of("-", "segment", slot, String::new())),
            Record::Sealed(_) => (general && self.args.json).then(|| Row::of("-", "sealed", slot, String::new())),
        }
    }

    fn decided(&mut self, decided: &Decided) -> Option<Row> {
        let (agent, place) = (decided.agent.as_ref(), decided.destination.as_ref());
        let (concerned, wanted) = (self.concerned(agent, place), self.asked_for(agent, place, Some(decided.decision)));
        let row = Row::decided(decided);
        let (ruling, destination, from) = (decided.decision, row.place.clone(), from(decided));
        if self.open.len() < OPEN {
            self.open.insert(decided.id, Begun { concerned, wanted, ruling, destination, from });
        }
        wanted.then_some(row)
    }

    fn progress(&self, progress: &Progress) -> Option<Row> {
        match self.open.get(&progress.id) {
            Some(Begun { wanted, destination, .. }) => wanted.then(|| Row::progress(progress, destination.clone())),
            None => self.asked_for(progress.agent.as_ref(), None, None).then(|| Row::progress(progress, "-".into())),
        }
    }

    fn cut(&self, cut: &Cut) -> Option<Row> {
        match self.open.get(&cut.attempt) {
            Some(Begun { wanted, destination, .. }) => wanted.then(|| Row::cut(cut, destination.clone())),
            None => self.asked_for(cut.agent.as_ref(), None, None).then(|| Row::cut(cut, "-".into())),
        }
    }

    fn ended(&mut self, ended: &Ended) -> Option<Row> {
        let refused = ended.outcome == Outcome::Refused;
        let Some(Begun { concerned, wanted, ruling, destination, from }) = self.open.remove(&ended.id) else {
            let ruling = refused.then_some(Ruling::Block);
            return self.asked_for(ended.agent.as_ref(), None, ruling).then(|| Row::ended(ended, "-".into(), None));
        };
        // A refusal's line has said all there is to say; with --json nothing is left out.
        let told = ruling == Ruling::Block && !self.args.json && ended.secret.is_none();
        let refused_later = concerned && refused && self.args.decision == Some(Decision::Block);
        ((wanted || refused_later) && !told).then(|| Row::ended(ended, destination, from))
    }

    fn concerned(&self, agent: Option<&AgentId>, place: Option<&Place>) -> bool {
        self.args.agent.as_ref().is_none_or(|wanted| Some(wanted) == agent)
            && self.host.as_deref().is_none_or(|wanted| place.is_some_and(|place| place.host == wanted))
    }

    /// Whether what is about him is to be shown: everyone is also each one.
    fn of(&self, whom: &Whom) -> bool {
        let asked = self.args.decision.is_none() && self.host.is_none();
        asked && whom.agent().is_none_or(|agent| self.args.agent.as_ref().is_none_or(|wanted| wanted == agent))
    }

    fn asked_for(&self, agent: Option<&AgentId>, place: Option<&Place>, ruling: Option<Ruling>) -> bool {
        let ruling = ruling.map(|ruling| match ruling {
            Ruling::Allow => Decision::Allow,
            Ruling::Look => Decision::Look,
            Ruling::Block => Decision::Block,
        });
        self.concerned(agent, place) && self.args.decision.is_none_or(|wanted| Some(wanted) == ruling)
    }
}

/// One line for people.
#[derive(Debug)]
struct Row {
    agent: String,
    word: &'static str,
    why: String,
    place: String,
    rest: String,
}

impl Row {
    fn of(agent: &str, word: &'static str, why: &str, place: String) -> Self {
        Self { agent: shown(agent), word, why: shown(why), place, rest: String::new() }
    }

    fn policy(policy: &PolicyInForce) -> Self {
        let unread = policy.unread.iter().map(|Unread { agent, kept, why }| {
            let whose = agent.as_ref().map_or("a file of no agent", AgentId::as_str);
            let goes_on = if *kept { "keeps its last good allowlist" } else { "not in force" };
            format!("{whose} {goes_on}: {}", shown(why))
        });
        let rest = unread.collect::<Vec<_>>().join("; ");
        Self { rest, ..Self::of("-", "policy", &policy.who, shown(&policy.new)) }
    }

    fn held(held: &Held) -> Self {
        let only = held.request.as_ref().filter(|_| held.only).map(only);
        let rest = join([Some(format!("hold {}", shown(&held.hold))), only, held.rule.as_deref().map(shown)]);
        Self { rest, ..Self::of(held.agent.as_str(), "held", "", place(&held.destination)) }
    }

    fn answered(answered: &Answered) -> Self {
        let word = match answered.answer {
            Answer::Yes if answered.of.is_some() && answered.approval.is_none() => "agreed",
            Answer::Yes => "approved",
            Answer::No => "denied",
        };
        let until = answered.expiry.map(|expiry| format!("until {expiry:.0}"));
        let by = format!("hold {} by {}", shown(&answered.hold), shown(&answered.approver));
        let rest = [Some(by), answered.request.as_ref().map(only), until, answered.note.as_deref().map(shown)];
        let scope = answered.scope.as_deref().unwrap_or_default();
        Self { rest: join(rest), ..Self::of(answered.agent.as_str(), word, scope, place(&answered.destination)) }
    }

    fn revoked(revoked: &Revoked) -> Self {
        let by = format!("approval {} by {}", revoked.approval, shown(&revoked.who));
        Self {
            rest: join([Some(by), revoked.request.as_ref().map(only)]),
            ..Self::of(revoked.agent.as_str(), "revoked", "", place(&revoked.destination))
        }
    }

    fn approver(changed: &ApproverChanged) -> Self {
        let ApproverChanged { name, change, role, agents, who } = changed;
        let agents = agents.as_ref().map(|agents| format!("for {}", agents.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", ")));
        let rest = [role.as_deref().map(shown), agents, Some(format!("by {}", shown(who)))];
        Self { rest: join(rest), ..Self::of("-", "approver", change.as_str(), shown(name)) }
    }

    fn cut(cut: &Cut, place: String) -> Self {
        Self { rest: format!("by {}", shown(&cut.who)), ..Self::of(agent(cut.agent.as_ref()), "cutting", "", place) }
    }

    fn stopped(word: &'static str, whom: &Whom, who: &str, note: Option<&str>) -> Self {
        let rest = join([Some(format!("by {}", shown(who))), note.map(shown)]);
        Self { rest, ..Self::of(whom.as_str(), word, "", "-".into()) }
    }

    fn decided(decided: &Decided) -> Self {
        let to = decided.destination.as_ref().map_or("-".into(), place);
        let would = decided.would.map(|would| match would {
            Would::Hold => "would be held".to_owned(),
            Would::Block => "would be blocked".to_owned(),
        });
        let approval = decided.approval.map(|approval| format!("approval {approval}"));
        let request = decided.request.as_ref().map(line);
        let leak = decided.leak.as_ref().map(found);
        let rest = join([from(decided), would, decided.rule.as_deref().map(shown), approval, request, leak]);
        Self { rest, ..Self::of(agent(decided.agent.as_ref()), decided.decision.as_str(), decided.reason.as_str(), to) }
    }

    fn progress(progress: &Progress, place: String) -> Self {
        let bytes = format!("{} up, {} down so far", size(progress.bytes_up), size(progress.bytes_down));
        Self { rest: bytes, ..Self::of(agent(progress.agent.as_ref()), "progress", "", place) }
    }

    fn summarised(summary: &RefusedSummary) -> Self {
        let RefusedSummary { agent: who, source, from, until, count, by, hosts, elsewhere } = summary;
        let by: Vec<String> = by.iter().map(|by| format!("{} {} by {}", by.count, by.reason.as_str(), by.front.as_str())).collect();
        let source = source.as_deref().map(|source| format!("from {}", shown(source)));
        let counts = format!("{} from {from:.0} to {until:.0}: {}", counted(*count, "attempt"), by.join(", "));
        let hosts = hosts.iter().map(|RefusedHost { host, port, count }| format!("{} {count}", shown_place(host, *port)));
        let hosts: Vec<String> = hosts.chain((*elsewhere > 0).then(|| format!("elsewhere {elsewhere}"))).collect();
        let hosts = (!summary.hosts.is_empty()).then(|| format!("to {}", hosts.join(", ")));
        Self { rest: join([source, Some(counts), hosts]), ..Self::of(agent(who.as_ref()), "block", "summary", "-".into()) }
    }

    fn gap(gap: &Gap) -> Self {
        let Gap { slot, first, last, sinks, why } = gap;
        let why = match why {
            GapWhy::Full => "full",
            GapWhy::Rejected => "rejected",
            GapWhy::Missing => "missing",
        };
        let sinks: Vec<String> = sinks.iter().map(|sink| shown(sink)).collect();
        let sinks = (!sinks.is_empty()).then(|| format!("for {}", sinks.join(", ")));
        Self { rest: join([Some(format!("records {first} to {last}")), sinks]), ..Self::of("-", "gap", why, shown(slot)) }
    }

    fn ended(ended: &Ended, place: String, from: Option<String>) -> Self {
        let status = ended.status.map(|status| format!("{status},"));
        let bytes = format!("{} up, {} down, {}", size(ended.bytes_up), size(ended.bytes_down), span(ended.ms.total));
        let why = ended.reason.as_str();
        let leak = ended.leak.as_ref().map(found);
        let secret = ended.secret.as_ref().map(|SecretMissing { rule, why }| format!("{}: {},", shown(rule), shown(why)));
        Self {
            rest: join([from, secret, status, Some(bytes), leak]),
            ..Self::of(agent(ended.agent.as_ref()), ended.outcome.as_str(), why, place)
        }
    }
}

fn agent(agent: Option<&AgentId>) -> &str {
    agent.map_or("-", AgentId::as_str)
}

fn line(request: &RequestLine) -> String {
    format!("{} {}", shown(&request.method), shown(&request.path))
}

/// The one request that a question or an answer is about.
fn only(request: &RequestLine) -> String {
    format!("{} only", line(request))
}

/// What may not leave and was about to: the names of its rules alone.
fn found(leak: &LeakFound) -> String {
    format!("found {}", shown(&leak.to_string()))
}

/// Where an attempt of nobody known came from.
fn from(decided: &Decided) -> Option<String> {
    decided.agent.is_none().then(|| format!("from {}", shown(&decided.peer)))
}

fn place(place: &Place) -> String {
    shown_place(&place.host, place.port)
}

fn join<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn span(millis: f64) -> String {
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.1} s", millis / 1000.0) }
}
