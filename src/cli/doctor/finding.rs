//! What `exeat doctor` says of a set-up: a line each, good or not, with what to do.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::named::with_config;
use crate::policy::fault::{Fault, Warning};
use crate::text::{ascii_json, plain};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It deserves a look.
    Warn,
    /// Something does not work, or will not.
    Bad,
    /// It was not looked at, and why is said.
    Untried,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub level: Level,
    /// What it is about, one word.
    pub about: &'static str,
    pub text: String,
    pub fix: Option<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Nothing is bad.
    ok: bool,
    findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self::said(Level::Ok, about, text)
    }

    pub(super) fn warn(about: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, about, text: text.into(), fix: Some(fix.into()) }
    }

    pub(super) fn bad(about: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Bad, about, text: text.into(), fix: Some(fix.into()) }
    }

    /// What could not be looked at.
    pub(super) fn untried(about: &'static str, text: impl Into<String>) -> Self {
        Self::said(Level::Untried, about, text)
    }

    /// What says itself how it is mended.
    pub(super) fn said(level: Level, about: &'static str, text: impl Into<String>) -> Self {
        Self { level, about, text: text.into(), fix: None }
    }

    pub(super) fn of_fault(about: &'static str, fault: &Fault) -> Self {
        let Fault { file, line, column: _, found, wanted, fix } = fault;
        let at = if *line == 0 { file.to_string() } else { format!("{file}:{line}") };
        Self::bad(about, format!("{at}: found {found}; wanted {wanted}"), fix.clone())
    }

    pub(super) fn of_warning(about: &'static str, warning: &Warning) -> Self {
        let Warning { file, line, column: _, code, text } = warning;
        let at = if *line == 0 { file.to_string() } else { format!("{file}:{line}") };
        Self::said(Level::Warn, about, format!("{at}: {text} [{code}]"))
    }
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self { ok: findings.iter().all(|one| one.level != Level::Bad), findings }
    }

    /// Lets the commands of every fix name the configuration that was named here.
    pub(super) fn with_config(mut self, config: Option<&Path>) -> Self {
        for fix in self.findings.iter_mut().filter_map(|one| one.fix.as_mut()) {
            *fix = with_config(fix, config);
        }
        self
    }

    pub(super) fn is_good(&self) -> bool {
        self.ok
    }

    /// Lines for people, or one JSON object.
    pub(super) fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string(self)?));
        }
        for Finding { level, about, text, fix } in &self.findings {
            let word = match level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Bad => "BAD",
                Level::Untried => "--",
            };
            writeln!(out, "{word:<4}  {about:<10}  {}", plain(text, 1000))?;
            if let Some(fix) = fix {
                writeln!(out, "      {:<10}  fix: {}", "", plain(fix, 1000))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_fix_name_the_configuration_that_was_named() {
        let report = Report::new(vec![Finding::bad("x", "x", "start `exeat serve`")]).with_config(Some(Path::new("a.toml")));
        assert_eq!(report.findings, [Finding::bad("x", "x", "start `exeat --config a.toml serve`")]);
    }

    #[test]
    fn a_warning_says_so_once() {
        let warning = Warning { file: "a.toml".into(), line: 3, column: 1, code: "odd", text: "this is odd".to_owned() };
        assert_eq!(Finding::of_warning("config", &warning), Finding::said(Level::Warn, "config", "a.toml:3: this is odd [odd]"));
    }
}
