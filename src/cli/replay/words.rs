//! What would differ, as a person reads it: what becomes reachable first.

use std::io::{self, Write};

use super::{Changed, LeftOut, Report};
use crate::cli::recorded::{counted, place, shown};
use crate::text::ascii_json;

/// Rows of one group; `--json` has all.
const SHOWN: usize = 100;

impl Report {
    /// Prints the report: a line each attempt under what would become of it, or one JSON object.
    pub fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(self)?));
        }
        group(out, "NEWLY ALLOWED", &self.newly_allowed)?;
        group(out, "newly held", &self.newly_held)?;
        group(out, "newly blocked", &self.newly_blocked)?;
        group(out, "it depends", &self.depends)?;
        let unchanged = self.unchanged;
        writeln!(out, "unchanged: {} in {}", counted(unchanged.distinct, "kind"), counted(unchanged.attempts, "attempt"))?;
        if self.by_approval > 0 {
            writeln!(out, "passed by an approval, and decided without it as held: {}", counted(self.by_approval, "attempt"))?;
        }
        self.left_out.write(out)?;
        for line in self.missing.told() {
            writeln!(out, "{line}")?;
        }
        let summary = match (self.widens, self.left_out == LeftOut::default() && self.missing.is_none()) {
            (true, _) => "something may be reachable that was not",
            (false, true) => "nothing becomes reachable that was not",
            (false, false) => "of what was decided again, nothing becomes reachable that was not",
        };
        writeln!(out, "{summary}")
    }
}

fn group(out: &mut impl Write, title: &str, rows: &[Changed]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let attempts = rows.iter().map(|row| row.count).sum();
    writeln!(out, "{title}: {} in {}", counted(rows.len() as u64, "kind"), counted(attempts, "attempt"))?;
    let width = rows.iter().take(SHOWN).map(|row| row.target().chars().count()).max().unwrap_or(0);
    for row in rows.iter().take(SHOWN) {
        let Changed { agent, was, was_reason, address, reason, rule, depends_on, count, last_seen, would_be, widens, .. } = row;
        let mark = match (*would_be, widens) {
            ("depends" | "look", _) => '~',
            (_, true) => '+',
            (_, false) => '-',
        };
        let rule = rule.as_deref().map(|rule| format!(" by {}", shown(rule)));
        let reason = rule.or_else(|| reason.map(|reason| format!(" as {}", reason.as_str()))).unwrap_or_default();
        let on = depends_on.map(|what| format!(", depends on {what}")).unwrap_or_default();
        let (agent, target, was_reason) = (agent.as_str(), row.target(), was_reason.as_str());
        let times = counted(*count, "time");
        let led = address.map(|address| format!(": {address}")).unwrap_or_default();
        writeln!(
            out,
            "  {mark} {agent:<12} {target:<width$}  {times:>8}, last {last_seen:.0}; was {was} ({was_reason}{led}), {would_be}{reason}{on}"
        )?;
    }
    if rows.len() > SHOWN {
        writeln!(out, "  and {} more; --json has them", rows.len() - SHOWN)?;
    }
    Ok(())
}

impl Changed {
    fn target(&self) -> String {
        let to = place(&self.host, self.port);
        match (&self.method, &self.path) {
            (Some(method), Some(path)) => format!("{} http://{to}{}", shown(method), shown(path)),
            _ => to,
        }
    }
}

impl LeftOut {
    fn write(self, out: &mut impl Write) -> io::Result<()> {
        let Self { not_identified, other_agents, not_by_rules, summarised, too_many } = self;
        let reasons = [
            (not_identified, "of nobody identified"),
            (other_agents, "of agents that the file is not about"),
            (not_by_rules, "refused for other reasons than rules"),
            (summarised, "refused without a record of its own"),
            (too_many, "beyond the kinds that are kept apart"),
        ];
        let told: Vec<String> = reasons
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{} {why}", counted(count, "attempt")))
            .collect();
        if told.is_empty() { Ok(()) } else { writeln!(out, "left out: {}", told.join(", ")) }
    }
}
