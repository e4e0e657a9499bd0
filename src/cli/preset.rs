//! `exeat preset`: the allowlists that come with exeat, listed with what they risk, or printed to be kept and changed.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::policy::preset::{Preset, PresetEffect, preset, presets};
use crate::text::ascii_json;

/// As much of a risk as stands in a line of the table.
const RISK_SHOWN: usize = 56;

/// `exeat preset`.
#[derive(Args, Debug)]
pub struct PresetArgs {
    #[command(subcommand)]
    command: Option<PresetCommand>,
}

#[derive(Debug, Subcommand)]
enum PresetCommand {
    /// List the presets with what each risks; the default
    List {
        /// Print JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Print a preset as it is, fit to be kept as a file of your own
    Show {
        /// Which one
        name: String,
    },
}

/// One preset as the listing shows it; the field names are promises.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    effect: PresetEffect,
    hosts: usize,
    risk: &'a str,
    source: Vec<&'a str>,
    checked: String,
}

/// Lists the presets, or prints one.
pub fn run(args: &PresetArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match &args.command {
        None | Some(PresetCommand::List { json: false }) => table(out),
        Some(PresetCommand::List { json: true }) => {
            let rows: Vec<Row<'_>> = presets().iter().map(row).collect();
            Ok(writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(&rows)?))?)
        }
        Some(PresetCommand::Show { name }) => Ok(out.write_all(preset(name.strip_prefix("preset:").unwrap_or(name))?.text.as_bytes())?),
    }
}

fn row(preset: &Preset) -> Row<'_> {
    let Preset { name, title, risk, source, checked, effect, hosts, text: _ } = preset;
    let source = source.iter().map(AsRef::as_ref).collect();
    Row { name, title, effect: *effect, hosts: *hosts, risk, source, checked: checked.to_string() }
}

fn table(out: &mut impl Write) -> anyhow::Result<()> {
    let width = |of: fn(&Preset) -> usize, least: &str| presets().iter().map(of).max().unwrap_or(0).max(least.len());
    let (name, title) = (width(|preset| preset.name.len(), "NAME"), width(|preset| preset.title.chars().count(), "WHAT"));
    writeln!(out, "{:name$}  {:title$}  HOSTS  RISK", "NAME", "WHAT")?;
    for preset in presets() {
        writeln!(out, "{:name$}  {:title$}  {:>5}  {}", preset.name, preset.title, preset.hosts, first_words(&preset.risk))?;
    }
    Ok(writeln!(out, "\nThe whole of it: exeat preset show NAME")?)
}

fn first_words(risk: &str) -> String {
    if risk.chars().count() <= RISK_SHOWN {
        return risk.to_owned();
    }
    let end = risk.char_indices().take(RISK_SHOWN).filter(|(_, char)| *char == ' ').last().map_or(0, |(at, _)| at);
    format!("{}…", risk[..end].trim_end_matches([',', '.', ':', ';']))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn printed(command: Option<PresetCommand>) -> String {
        let mut out = Vec::new();
        run(&PresetArgs { command }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_stable_fields() {
        let json: Vec<serde_json::Value> = serde_json::from_str(&printed(Some(PresetCommand::List { json: true }))).unwrap();
        let names: Vec<&str> = json.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, presets().iter().map(|preset| preset.name).collect::<Vec<_>>());
        let of = |name: &str| json.iter().find(|row| row["name"] == name).unwrap();
        let mcr = preset("mcr").unwrap();
        let row = serde_json::json!({
            "name": "mcr", "title": "Microsoft container registry", "effect": "allow", "hosts": 2,
            "risk": *mcr.risk, "source": mcr.source.iter().map(|source| &**source).collect::<Vec<_>>(), "checked": "2026-11-22",
        });
        assert_eq!(*of("mcr"), row);
        assert_eq!(of("exfil-watch")["effect"], "block");
    }

    #[test]
    fn a_line_of_the_table_fits_its_page() {
        let table = printed(None);
        let longest = table.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 130), "{table}");
        assert!(table.starts_with("NAME "), "{table}");
    }

    #[test]
    fn first_words_end_at_a_word() {
        for (risk, shown) in [
            ("short.", "short."),
            (
                "It stops the usual ways out, not every one, ever: only a short one does.",
                "It stops the usual ways out, not every one, ever: only…",
            ),
            ("It stops the usual ways out, and surely not every, one: abc.", "It stops the usual ways out, and surely not every, one…"),
            (&"x".repeat(70), "…"),
            (&format!("é{}", " a".repeat(30)), &format!("é{}…", " a".repeat(27))),
        ] {
            assert_eq!(first_words(risk), shown, "{risk}");
        }
    }
}
