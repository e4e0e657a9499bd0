//! Agents on PATH, and the presets that hold what they need to run. None of them is started.

use super::found::Entry;
use super::machine::Machine;

/// Programs, and their preset where one fits: the others go to whatever model service their user chose.
const AGENTS: &[(&str, Option<&str>)] = &[
    ("claude", Some("claude-code")),
    ("codex", Some("codex")),
    ("gemini", Some("gemini")),
    ("copilot", Some("copilot")),
    ("opencode", None),
    ("aider", None),
    ("goose", None),
    ("amp", None),
    ("cursor-agent", None),
    ("qwen", None),
    ("crush", None),
];

/// The agents that are there; where there are none, that.
pub(super) fn look(machine: &Machine) -> Vec<Entry> {
    let found = AGENTS.iter().filter_map(|(name, preset)| {
        let what = format!("{name}: {}", machine.shown(&machine.program(name)?));
        Some(match *preset {
            Some(preset) => Entry::Fits { preset, what, otherwise: None },
            None => Entry::Said(format!("{what}; the model service it uses is its own setting: list that host yourself")),
        })
    });
    let found: Vec<Entry> = found.collect();
    if found.is_empty() { vec![Entry::Said("no agent known to exeat is on PATH".to_owned())] } else { found }
}

/// Every preset that may be named.
#[cfg(test)]
pub(super) fn presets() -> impl Iterator<Item = &'static str> {
    AGENTS.iter().filter_map(|(_, preset)| *preset)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::super::testing::shown;
    use super::*;

    #[test]
    fn agents_are_found_by_the_names_of_their_programs() {
        let home = tempfile::tempdir().unwrap();
        for (name, mode) in [("claude", 0o755), ("aider", 0o755), ("codex", 0o644)] {
            fs::write(home.path().join(name), "").unwrap();
            fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut machine = Machine { home: Some(home.path().to_owned()), ..Machine::new([], Path::new("/nowhere")) };
        assert_eq!(shown(&look(&machine)), ["no agent known to exeat is on PATH"]);
        machine.path = vec![home.path().to_owned()];
        let expected =
            ["claude: ~/claude fits claude-code", "aider: ~/aider; the model service it uses is its own setting: list that host yourself"];
        assert_eq!(shown(&look(&machine)), expected);
    }
}
