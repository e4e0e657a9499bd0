//! The sums as a person reads them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{OfAgent, OfAnswer, OfHost, Refused, Summary, Sums};
use crate::cli::recorded::{counted, place, shown, size};
use crate::policy::attempt::AgentId;
use crate::policy::reason::Reason;

/// Hosts and answers of one agent that are shown; `--json` has all.
const SHOWN: usize = 50;

impl Summary {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.missing.told() {
            writeln!(out, "{line}")?;
        }
        if self.agents.is_empty() {
            return writeln!(out, "nothing is recorded of that");
        }
        for (number, agent) in self.agents.iter().enumerate() {
            if number > 0 || !self.missing.is_none() {
                writeln!(out)?;
            }
            agent.write(out)?;
        }
        Ok(())
    }
}

impl OfAgent {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let name = self.agent.as_ref().map_or("not identified", AgentId::as_str);
        let Sums { attempts, allow, look, block, would_hold, would_block, bytes_up, bytes_down, .. } = &self.sums;
        let looked = if *look > 0 { format!(", {look} looked at") } else { String::new() };
        let nothing = self.sums.came_to_nothing();
        writeln!(out, "{name}: {}, {allow} allowed{nothing}{looked}, {block} refused", counted(*attempts, "attempt"))?;
        if let (Some(first), Some(last)) = (self.sums.first_seen, self.sums.last_seen) {
            writeln!(out, "  {first:.0} to {last:.0}, {} up, {} down", size(*bytes_up), size(*bytes_down))?;
        }
        if would_hold + would_block > 0 {
            writeln!(out, "  observed: {would_hold} would have been held, {would_block} refused")?;
        }
        if !self.sums.refused_later.is_empty() {
            writeln!(out, "  allowed, and refused afterwards: {}", reasons(&self.sums.refused_later))?;
        }
        if !self.sums.failed.is_empty() {
            writeln!(out, "  allowed, and failed on the way: {}", reasons(&self.sums.failed))?;
        }
        if !self.summarised.is_empty() {
            writeln!(out, "  refused besides, without records of their own: {}", reasons(&self.summarised))?;
        }
        self.write_hosts(out)?;
        if !self.refused_most.is_empty() {
            let most = self.refused_most.iter().map(|Refused { host, port, count }| format!("{} ({count})", place(host, *port)));
            writeln!(out, "  refused most: {}", most.collect::<Vec<_>>().join(", "))?;
        }
        self.write_answers(out)
    }

    fn write_hosts(&self, out: &mut impl Write) -> io::Result<()> {
        let (listed, left) = self.hosts.split_at(self.hosts.len().min(SHOWN));
        let mut rows: Vec<[String; 8]> = listed.iter().map(OfHost::row).collect();
        if self.elsewhere.first_seen.is_some() {
            rows.push(row("elsewhere".to_owned(), &self.elsewhere));
        }
        if rows.is_empty() {
            return Ok(());
        }
        rows.insert(0, ["HOST", "ALLOW", "BLOCK", "UP", "DOWN", "FIRST", "LAST", "REASONS"].map(str::to_owned));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let [host, allow, block, up, down, first, last, _] = std::array::from_fn(width);
        for [a, b, c, d, e, f, g, rest] in &rows {
            let line = format!("  {a:<host$}  {b:>allow$}  {c:>block$}  {d:>up$}  {e:>down$}  {f:<first$}  {g:<last$}  {rest}");
            writeln!(out, "{}", line.trim_end())?;
        }
        if !left.is_empty() {
            writeln!(out, "  and {} more; --json has them", counted(left.len() as u64, "host"))?;
        }
        Ok(())
    }

    fn write_answers(&self, out: &mut impl Write) -> io::Result<()> {
        if self.asked + self.answered_yes + self.answered_no > 0 {
            let within = self.answered_within.map(|seconds| format!("; half of them within {}", took(seconds))).unwrap_or_default();
            let expired = self.sums.reasons.get(&Reason::Expired).map(|count| format!("; {} expired", counted(*count, "attempt")));
            let (yes, no, expired) = (self.answered_yes, self.answered_no, expired.unwrap_or_default());
            writeln!(out, "  questions: {} asked, {yes} yes, {no} no{within}{expired}", self.asked)?;
        }
        for OfAnswer { at, by, answer, scope, expiry, note, destination, request } in self.answers.iter().take(SHOWN) {
            let scope = scope.as_deref().map(|scope| format!(" {}", shown(scope))).unwrap_or_default();
            let expiry = expiry.map(|expiry| format!(" until {expiry:.0}")).unwrap_or_default();
            let request = request.as_ref().map(|line| format!(" ({} {} only)", shown(&line.method), shown(&line.path))).unwrap_or_default();
            let note = note.as_deref().map(|note| format!(": {}", shown(note))).unwrap_or_default();
            let to = place(&destination.host, destination.port);
            writeln!(out, "    {at:.0}  {answer}{scope}  {to}{request}{expiry}  by {}{note}", shown(by))?;
        }
        let left = self.answers.len().saturating_sub(SHOWN) as u64 + self.answers_left_out;
        if left > 0 {
            writeln!(out, "    and {} more", counted(left, "answer"))?;
        }
        Ok(())
    }
}

impl Sums {
    /// How many of the allowed did not get there, as the headline says it.
    fn came_to_nothing(&self) -> String {
        let words = [(&self.failed, "failed"), (&self.refused_later, "refused afterwards")];
        let counted = words.map(|(counts, word)| (counts.values().sum::<u64>(), word));
        let said: Vec<String> = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
    }
}

fn took(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

impl OfHost {
    fn row(&self) -> [String; 8] {
        row(place(&self.host, self.port), &self.sums)
    }
}

fn row(name: String, sums: &Sums) -> [String; 8] {
    let time = |at: Option<jiff::Timestamp>| at.map(|at| format!("{at:.0}")).unwrap_or_default();
    let mut later = sums.refused_later.clone();
    for (reason, count) in &sums.failed {
        *later.entry(*reason).or_default() += count;
    }
    let later = if later.is_empty() { String::new() } else { format!("; then {}", reasons(&later)) };
    [
        name,
        (sums.allow + sums.look).to_string(),
        sums.block.to_string(),
        size(sums.bytes_up),
        size(sums.bytes_down),
        time(sums.first_seen),
        time(sums.last_seen),
        format!("{}{later}", reasons(&sums.reasons)),
    ]
}

fn reasons(reasons: &BTreeMap<Reason, u64>) -> String {
    let mut most: Vec<_> = reasons.iter().collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    most.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect::<Vec<_>>().join(", ")
}
