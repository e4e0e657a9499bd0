//! `exeat check`: loads allowlists as `serve` would and tells everything that is wrong with them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::config::allowlists::{Source, load_paths, load_source};
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, Warning, named};
use crate::text::{ascii_json, moment};

/// What was found. The field names are promises: `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// The agents whose files are good.
    pub agents: Vec<Checked>,
    /// Files that were asked for by themselves and are there to be included.
    pub included: Vec<Arc<str>>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Second looks.
    pub warnings: Vec<Warning>,
}

/// One good file.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Whose it is.
    pub agent: AgentId,
    /// The file.
    pub file: String,
    /// How many rules it has, with those it includes.
    pub rules: usize,
    /// How many expectations hold.
    pub expectations: usize,
    /// The files it includes.
    pub includes: Vec<Arc<str>>,
    /// Until when it says that its agent is observed, whatever the clock says.
    pub observe_until: Option<String>,
}

/// Does it, and prints what was found.
pub(super) fn run(paths: &[PathBuf], beside: &Beside, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let report = check(paths, beside);
    report.write(out, json)?;
    Ok(ExitCode::from(report.exit_code()))
}

/// What is known of the configuration beside the allowlists.
#[derive(Debug, Default)]
pub struct Beside {
    /// There is a CA.
    pub inspects: bool,
    /// Files it names that would not be taken.
    pub faults: Vec<Fault>,
    /// Second looks.
    pub warnings: Vec<Warning>,
    /// Where the floor of a folder is, if not in it.
    pub floor: Option<PathBuf>,
}

/// Loads files and folders together.
pub fn check(paths: &[PathBuf], beside: &Beside) -> Report {
    let loaded = match (paths, &beside.floor) {
        ([folder], Some(floor)) => load_source(&Source { folder: folder.clone(), floor: Some(floor.clone()), inspects: beside.inspects }),
        (_, None | Some(_)) => load_paths(paths, beside.inspects),
    };
    let (mut faults, mut warnings) = (loaded.faults, loaded.warnings);
    faults.splice(0..0, beside.faults.iter().cloned());
    warnings.splice(0..0, beside.warnings.iter().cloned());
    let checked = loaded.allowlists.iter().map(|allowlist| Checked {
        agent: allowlist.agent.clone(),
        file: allowlist.file.to_string(),
        rules: allowlist.rules.len(),
        expectations: allowlist.expectations.len(),
        includes: allowlist.includes.clone(),
        observe_until: allowlist.observe_until.map(moment),
    });
    let agents = checked.collect();
    if let Err(together) = Policy::new(loaded.allowlists, Guard::default()) {
        faults.extend(together);
    }
    Report { ok: faults.is_empty(), agents, included: loaded.included, faults, warnings }
}

impl Report {
    /// 0 where nothing is wrong, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.ok)
    }

    /// Prints the report: a line each, or one JSON object.
    pub fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(self)?));
        }
        for warning in &self.warnings {
            writeln!(out, "{warning}")?;
        }
        for fault in &self.faults {
            writeln!(out, "{fault}")?;
        }
        for Checked { agent, file, rules, expectations, includes, observe_until: _ } in &self.agents {
            let expectations = match expectations {
                0 => String::new(),
                1 => ", 1 expectation holds".to_owned(),
                more => format!(", {more} expectations hold"),
            };
            let includes = if includes.is_empty() { String::new() } else { format!(", {}", counted(includes.len(), "included file")) };
            writeln!(out, "{}: agent {agent}, {}{includes}{expectations}", named(file), counted(*rules, "rule"))?;
        }
        for file in &self.included {
            let what = "names no agent, so it is there for agents' files to name; expectations run with each that includes it";
            writeln!(out, "{}: {what}", named(file))?;
        }
        let (faults, warnings) = (counted(self.faults.len(), "error"), counted(self.warnings.len(), "warning"));
        writeln!(out, "{}, {faults}, {warnings}", counted(self.agents.len(), "agent"))
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)], json: bool) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let report = check(&[folder.path().to_owned()], &Beside::default());
        let mut out = Vec::new();
        report.write(&mut out, json).unwrap();
        let text = String::from_utf8(out).unwrap().replace(&format!("{}/", folder.path().display()), "");
        (report.exit_code(), text)
    }

    #[test]
    fn good_files_are_counted() {
        let files = [("a.toml", "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\n"), ("b.toml", "agent = \"b\"\n")];
        assert_eq!(
            said(&files, false),
            (0, "a.toml: agent a, 1 rule\nb.toml: agent b, 0 rules\n2 agents, 0 errors, 0 warnings\n".to_owned())
        );
    }

    #[test]
    fn a_floor_that_is_named_elsewhere_is_checked_too() {
        let place = tempfile::tempdir().unwrap();
        let (folder, floor) = (place.path().join("allowlists"), place.path().join("floor.toml"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.toml"), "agent = \"a\"\n").unwrap();
        let faults = || {
            let beside = Beside { floor: Some(floor.clone()), ..Beside::default() };
            check(std::slice::from_ref(&folder), &beside).faults.iter().map(|fault| fault.found.clone()).collect::<Vec<_>>()
        };
        assert_eq!(faults().len(), 1, "it is not there: {:?}", faults());
        std::fs::write(&floor, "forbid = [\"opaque\"]\n").unwrap();
        assert_eq!(faults(), [""; 0]);
        std::fs::write(&floor, "forbids = [\"opaque\"]\n").unwrap();
        assert!(faults()[0].contains("forbids"), "{:?}", faults());
    }

    #[test]
    fn expectations_that_hold_are_counted_and_those_that_fail_are_errors() {
        let of = |decision: &str| format!("agent = \"a\"\n[[expect]]\ntry = \"https://x.example/\"\ndecision = \"{decision}\"\n");
        let good = "a.toml: agent a, 0 rules, 1 expectation holds\n1 agent, 0 errors, 0 warnings\n".to_owned();
        assert_eq!(said(&[("a.toml", &of("block"))], false), (0, good));
        let (code, text) = said(&[("a.toml", &of("allow"))], false);
        assert!(code == 1 && text.starts_with("a.toml:2:1: found block by unlisted for \"https://x.example/\"; wanted allow;"), "{text}");
    }

    #[test]
    fn faults_of_one_file_and_between_files_are_told_together() {
        let files = [("a.toml", "agent = \"a\"\n"), ("b.toml", "agent = \"a\"\n"), ("c.toml", "agent = \"c\"\n[[allow]]\nhots = \"x\"\n")];
        let (code, text) = said(&files, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(code, 1);
        assert!(lines[0].starts_with("c.toml:2:1: found no key host in [[allow]]"), "{text}");
        assert!(lines[1].contains("did you mean host?"), "{text}");
        assert!(lines[2].starts_with("b.toml:1: found a second file for agent a, beside "), "{text}");
        assert_eq!(lines[5], "2 agents, 3 errors, 0 warnings");
    }

    #[test]
    fn a_file_to_be_included_is_told_as_that_and_asked_for_no_agent() {
        let folder = tempfile::tempdir().unwrap();
        let rule = "[[allow]]\nhost = \"x.example\"\n";
        for (text, faults) in [(rule.to_owned(), 0), (format!("{rule}hots = 1\n"), 1), (format!("unlisted = \"hold\"\n{rule}"), 2)] {
            let path = folder.path().join("base.toml");
            std::fs::write(&path, &text).unwrap();
            let report = check(std::slice::from_ref(&path), &Beside::default());
            let included: Vec<Arc<str>> = if text.contains("unlisted") { Vec::new() } else { vec![path.display().to_string().into()] };
            assert_eq!((&report.included, report.ok), (&included, faults == 0), "{report:?}");
            let asked = report.faults.iter().any(|fault| fault.found.contains("no key agent"));
            assert_eq!(asked, text.contains("unlisted"), "{report:?}");
        }
    }

    #[test]
    fn a_file_of_leak_rules_is_told_and_checked_as_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leaks.toml");
        let rule = "[[rules]]\nid = \"x\"\nregex = \"abc\"\n";
        let shown = path.display().to_string();
        for (text, faults) in [
            (rule.to_owned(), vec![]),
            (format!("{rule}verify = true\n"), vec![format!("{shown}:4:1: found the unknown key \"verify\" in [[rules]]")]),
        ] {
            std::fs::write(&path, &text).unwrap();
            let report = check(std::slice::from_ref(&path), &Beside::default());
            assert_eq!(report.included, [Arc::from(shown.as_str())]);
            let said: Vec<String> = report.faults.iter().map(|fault| fault.to_string().split(';').next().unwrap().to_owned()).collect();
            assert_eq!(said, faults, "{text}");
        }
    }

    #[test]
    fn json_has_stable_fields() {
        let (code, text) = said(&[("a.toml", "agent = \"a\"\nwho = 1\n")], true);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fault = serde_json::json!({
            "file": "a.toml", "line": 2, "column": 1, "found": "the unknown key \"who\" in the top level",
            "wanted": "one of addresses, agent, allow, approvers, block, expect, hold, identify, include, inject, leaks, limits, observe_until, unlisted", "fix": "correct its spelling or remove it",
        });
        assert_eq!((code, json), (1, serde_json::json!({"ok": false, "agents": [], "included": [], "faults": [fault], "warnings": []})));
    }
}
