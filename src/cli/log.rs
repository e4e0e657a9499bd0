//! `exeat log`: the journal for people, or its lines as they are.
//!
//! Whatever an agent had a hand in is escaped before it is shown.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};

use crate::egress::record::{
    Answer, Answered, Decided, Ended, Held, Outcome, Place, PolicyInForce, Record, Revoked, Ruling, Unread, Would,
};
use crate::journal::{Entry, Reader};
use crate::policy::attempt::{AgentId, AttemptId, RequestLine};
use crate::text::plain;

/// How often a followed journal is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Shows what was decided and how it ended, oldest first
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// Only this agent's attempts
    #[arg(long, value_name = "NAME", value_parser = AgentId::parse)]
    pub agent: Option<AgentId>,
    /// Only attempts with this decision
    #[arg(long, value_enum)]
    pub decision: Option<Decision>,
    /// Only attempts to this host, as records spell it (lower case, xn-- where it is not ASCII)
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only what was written since: 30s, 45m, 12h, 7d, 2w ago, or a time such as 2026-11-22T12:00:00Z
    #[arg(long, value_name = "AGO|TIME")]
    pub since: Option<Since>,
    /// Goes on as the journal is written, until interrupted
    #[arg(long)]
    pub follow: bool,
    /// The journal's lines as they are, one JSON object each
    #[arg(long)]
    pub json: bool,
}

/// A decision to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Decision {
    /// Attempts that passed
    Allow,
    /// Tunnels whose requests are judged one by one
    Look,
    /// Attempts that were refused, those among them that were allowed by name first
    Block,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// A while before the command was given.
    Ago(SignedDuration),
    /// A point in time.
    At(Timestamp),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
        let ago = units.iter().find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            number.parse::<i64>().ok()?.checked_mul(*seconds)
        });
        match (ago, text.parse()) {
            (Some(seconds), _) => Ok(Self::Ago(SignedDuration::from_secs(seconds))),
            (None, Ok(at)) => Ok(Self::At(at)),
            (None, Err(_)) => Err("wanted a while such as 45m or 7d, or a time such as 2026-11-22T12:00:00Z".into()),
        }
    }
}

impl Since {
    fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Since::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Since::At(at) => at,
        }
    }
}

/// Writes what `args` asks for to `out`, and what cannot be read to `complaints`.
pub fn log(state: &Path, args: &LogArgs, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<()> {
    match show_all(state, args, out, complaints) {
        // Whoever read the output has seen enough.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}

fn show_all(state: &Path, args: &LogArgs, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<()> {
    let folder = crate::journal::folder(state);
    let cannot = || format!("the journal in {} cannot be read", shown(&folder.display().to_string()));
    let mut reader = Reader::open(state).with_context(cannot)?;
    let mut view = View::new(args, Timestamp::now());
    let mut bad = 0_u64;
    loop {
        for item in &mut reader {
            match item {
                Ok(entry) => view.show(&entry, out)?,
                Err(line) => {
                    bad += 1;
                    writeln!(complaints, "{}", shown(&line.to_string()))?;
                }
            }
        }
        out.flush()?;
        if !args.follow {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "a command that follows a file has nothing else to do")]
        std::thread::sleep(GLANCE);
        reader.refresh().with_context(cannot)?;
    }
    if bad > 0 {
        bail!("{bad} of the journal's lines cannot be read; they are named above, and the rest is shown");
    }
    Ok(())
}

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
struct View<'a> {
    args: &'a LogArgs,
    start: Timestamp,
    host: Option<String>,
    open: HashMap<AttemptId, Begun>,
}

impl<'a> View<'a> {
    fn new(args: &'a LogArgs, now: Timestamp) -> Self {
        let start = args.since.map_or(Timestamp::MIN, |since| since.start(now));
        let host = args.host.as_deref().map(|host| {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host).to_owned()
        });
        Self { args, start, host, open: HashMap::new() }
    }

    fn show(&mut self, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        let row = self.row(&entry.slot, &entry.line.record);
        let Some(row) = row.filter(|_| entry.line.at >= self.start) else { return Ok(()) };
        if self.args.json {
            return writeln!(out, "{}", entry.text);
        }
        // The time to the second; the journal has the microseconds.
        let Row { agent, word, why, place, rest } = row;
        let line = format!("{at:.0}  {agent:<12} {word:<9} {why:<14} {place:<32} {rest}", at = entry.line.at);
        writeln!(out, "{}", line.trim_end())
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
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Progress(_) | Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => None,
        }
    }

    fn decided(&mut self, decided: &Decided) -> Option<Row> {
        let (agent, place) = (decided.agent.as_ref(), decided.destination.as_ref());
        let (concerned, wanted) = (self.concerned(agent, place), self.asked_for(agent, place, Some(decided.decision)));
        let row = Row::decided(decided);
        let (ruling, destination, from) = (decided.decision, row.place.clone(), from(decided));
        self.open.insert(decided.id, Begun { concerned, wanted, ruling, destination, from });
        wanted.then_some(row)
    }

    fn ended(&mut self, ended: &Ended) -> Option<Row> {
        let refused = ended.outcome == Outcome::Refused;
        let Some(Begun { concerned, wanted, ruling, destination, from }) = self.open.remove(&ended.id) else {
            let ruling = refused.then_some(Ruling::Block);
            return self.asked_for(ended.agent.as_ref(), None, ruling).then(|| Row::ended(ended, "-".into(), None));
        };
        // A refusal's line has said all there is to say; with --json nothing is left out.
        let told = ruling == Ruling::Block && !self.args.json;
        let refused_later = concerned && refused && self.args.decision == Some(Decision::Block);
        ((wanted || refused_later) && !told).then(|| Row::ended(ended, destination, from))
    }

    fn concerned(&self, agent: Option<&AgentId>, place: Option<&Place>) -> bool {
        self.args.agent.as_ref().is_none_or(|wanted| Some(wanted) == agent)
            && self.host.as_deref().is_none_or(|wanted| place.is_some_and(|place| place.host == wanted))
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

    fn decided(decided: &Decided) -> Self {
        let to = decided.destination.as_ref().map_or("-".into(), place);
        let would = decided.would.map(|would| match would {
            Would::Hold => "would be held".to_owned(),
            Would::Block => "would be blocked".to_owned(),
        });
        let approval = decided.approval.map(|approval| format!("approval {approval}"));
        let request = decided.request.as_ref().map(line);
        let rest = join([from(decided), would, decided.rule.as_deref().map(shown), approval, request]);
        Self { rest, ..Self::of(agent(decided.agent.as_ref()), decided.decision.as_str(), decided.reason.as_str(), to) }
    }

    fn ended(ended: &Ended, place: String, from: Option<String>) -> Self {
        let status = ended.status.map(|status| format!("{status},"));
        let bytes = format!("{} up, {} down, {}", size(ended.bytes_up), size(ended.bytes_down), span(ended.ms.total));
        let why = ended.reason.as_str();
        Self { rest: join([from, status, Some(bytes)]), ..Self::of(agent(ended.agent.as_ref()), ended.outcome.as_str(), why, place) }
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

/// Where an attempt of nobody known came from.
fn from(decided: &Decided) -> Option<String> {
    decided.agent.is_none().then(|| format!("from {}", shown(&decided.peer)))
}

fn place(place: &Place) -> String {
    let host = shown(&place.host);
    if host.contains(':') { format!("[{host}]:{}", place.port) } else { format!("{host}:{}", place.port) }
}

fn join<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Text as it may be shown, on a line of bearable length.
fn shown(text: &str) -> String {
    plain(text, 2000)
}

fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, (bytes % unit) * 10 / unit),
        None => format!("{bytes} B"),
    }
}

fn span(millis: f64) -> String {
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.1} s", millis / 1000.0) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
