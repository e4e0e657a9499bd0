//! The suggestion as text: rules that are in force, and rules that are comments.

use std::collections::BTreeMap;
use std::fmt;

use super::seen::{Candidate, Sorted};
use crate::cli::recorded::tally::{AgentTally, Counts, HostTally};
use crate::cli::recorded::{Missing, counted, place, size};
use crate::policy::attempt::AgentId;
use crate::policy::preset::Preset;
use crate::policy::reason::Reason;
use crate::text::plain;

/// Characters of one comment, so that a hostile text fills no screen.
const COMMENT: usize = 400;

/// All that is told.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) agent: &'a AgentId,
    pub(super) seen: &'a AgentTally,
    pub(super) sorted: &'a Sorted<'a>,
    pub(super) missing: &'a Missing,
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        let Sorted { of_presets, reached, refused, never } = self.sorted;
        for (preset, hosts) in of_presets {
            of_preset(f, preset, hosts)?;
        }
        section(f, "Reached, and of no preset or with something against it. Remove the # of what you want to allow.", reached)?;
        section(f, "REFUSED, AND NEVER ALLOWED. Nothing that was recorded speaks for these.", refused)?;
        if !never.is_empty() {
            writeln!(f)?;
            comment(f, "No rule is suggested for these.")?;
        }
        for (seen, why) in never {
            writeln!(f)?;
            told(f, seen, None)?;
            comment(f, &format!("  {why}"))?;
        }
        Ok(())
    }
}

impl Written<'_> {
    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, seen, sorted: _, missing } = self;
        let (first, last) = seen.total.seen.unwrap_or_default();
        let hosts = seen.hosts.iter().filter(|host| host.counts.attempts() > 0).count() as u64;
        comment(f, &format!("Written by `exeat suggest {agent}` from what it did between {first:.0} and {last:.0}."))?;
        comment(
            f,
            &format!(
                "{}, {}.",
                counted(seen.total.attempts(), "attempt"),
                counted(hosts, "host and port").replace("host and ports", "hosts and ports")
            ),
        )?;
        comment(f, "In force are hosts of presets that it reached. A rule whose lines begin with # and no space is for you to judge.")?;
        comment(f, "There is no [[identify]] here: take it over from the file in force.")?;
        for line in missing.told() {
            comment(f, &format!("The journal is not whole, so hosts may be missing: {line}."))?;
        }
        let summarised: u64 = seen.summarised.values().sum();
        if summarised > 0 {
            comment(f, &format!("Besides, {} refused that no record names a host of.", counted(summarised, "attempt")))?;
        }
        if seen.elsewhere.attempts() > 0 {
            comment(
                f,
                &format!("Besides, {} to hosts that are too many or could not be read.", counted(seen.elsewhere.attempts(), "attempt")),
            )?;
        }
        writeln!(f, "agent = \"{agent}\"")?;
        comment(f, "What is not listed is refused; with this line a person is asked:")?;
        writeln!(f, "#unlisted = \"hold\"")
    }
}

fn of_preset(f: &mut fmt::Formatter<'_>, preset: &Preset, hosts: &[Candidate<'_>]) -> fmt::Result {
    writeln!(f)?;
    comment(
        f,
        &format!("Preset {}: {}. It lists {}; these were reached.", preset.name, preset.title, counted(preset.hosts as u64, "host")),
    )?;
    comment(f, &format!("Risk: {}", preset.risk))?;
    let mut ports: BTreeMap<u16, Vec<&Candidate<'_>>> = BTreeMap::new();
    for candidate in hosts {
        ports.entry(candidate.seen.port).or_default().push(candidate);
    }
    for (port, hosts) in ports {
        for candidate in &hosts {
            told(f, candidate.seen, candidate.unicode.as_deref())?;
            risks(f, candidate)?;
        }
        let names: Vec<String> = hosts.iter().map(|candidate| format!("\"{}\"", candidate.to.host)).collect();
        writeln!(f, "[[allow]]\nhost = [{}]\nport = [{port}]\nnote = \"of preset {}\"", names.join(", "), preset.name)?;
    }
    Ok(())
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, candidates: &[Candidate<'_>]) -> fmt::Result {
    if !candidates.is_empty() {
        writeln!(f)?;
        comment(f, title)?;
    }
    for candidate in candidates {
        writeln!(f)?;
        told(f, candidate.seen, candidate.unicode.as_deref())?;
        risks(f, candidate)?;
        for line in &candidate.rule {
            writeln!(f, "#{line}")?;
        }
    }
    Ok(())
}

/// What was seen of a host.
fn told(f: &mut fmt::Formatter<'_>, seen: &HostTally, unicode: Option<&str>) -> fmt::Result {
    let HostTally { host, port, counts, rule, .. } = seen;
    let Counts { allow, look, block, would_hold, would_block, refused_later, failed, reasons, bytes_up, bytes_down, seen } = counts;
    let unicode = unicode.map(|unicode| format!(" ({unicode})")).unwrap_or_default();
    let passed = match (allow, look) {
        (0, 0) => "none allowed".to_owned(),
        (allow, 0) => format!("{allow} allowed"),
        (allow, look) => format!("{allow} allowed, {look} looked at"),
    };
    let observed = if would_hold + would_block > 0 { format!(" ({} only observed)", would_hold + would_block) } else { String::new() };
    let of = |counts: &BTreeMap<Reason, u64>, what: &str| {
        let all: u64 = counts.values().sum();
        if all > 0 { format!(", {all} {what} ({})", words(counts)) } else { String::new() }
    };
    let later = of(failed, "failed") + &of(refused_later, "refused afterwards");
    comment(f, &format!("{}{unicode}: {passed}{observed}{later}, {block} refused; {}", place(host, *port), words(reasons)))?;
    let rule = rule.as_deref().map(|rule| format!("; last by {rule}")).unwrap_or_default();
    let (first, last) = seen.unwrap_or_default();
    comment(f, &format!("  {first:.0} to {last:.0}; {} up, {} down{rule}", size(*bytes_up), size(*bytes_down)))
}

fn risks(f: &mut fmt::Formatter<'_>, candidate: &Candidate<'_>) -> fmt::Result {
    candidate.doubts.iter().chain(&candidate.risks).try_for_each(|risk| comment(f, &format!("  risk: {risk}")))
}

fn words(reasons: &BTreeMap<Reason, u64>) -> String {
    reasons.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect::<Vec<_>>().join(", ")
}

/// One line, whatever stands in the text.
fn comment(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    writeln!(f, "# {}", plain(text, COMMENT))
}
