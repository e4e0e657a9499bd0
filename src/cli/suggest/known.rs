//! The presets, by the hosts they are about.

use std::time::SystemTime;

use crate::policy::allowlist::{Allowlist, IncludeName, IncludedText, Library, Reading, Unfound};
use crate::policy::destination::Destination;
use crate::policy::floor::Floor;
use crate::policy::preset::{self, Preset, PresetEffect, presets};
use crate::policy::rule::Rule;

/// All of them.
#[derive(Debug)]
pub(super) struct Known {
    presets: Vec<(&'static Preset, Vec<Rule>)>,
}

#[derive(Debug)]
struct Shipped;

impl Library for Shipped {
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
        match name {
            IncludeName::Preset(name) => preset::included(name),
            IncludeName::Sibling(name) => Err(Unfound { found: format!("no preset {name}"), fix: "name a preset".to_owned() }),
        }
    }
}

impl Known {
    pub(super) fn shipped() -> Self {
        let floor = Floor::none();
        let reading = Reading { now: SystemTime::UNIX_EPOCH, floor: &floor, library: &Shipped, inspects: true };
        let rules = |preset: &Preset| {
            let text = format!("agent = \"preset\"\ninclude = [\"preset:{}\"]\n", preset.name);
            Allowlist::read("presets", &text, &reading).map(|(allowlist, _)| allowlist.rules).unwrap_or_default()
        };
        Self { presets: presets().iter().map(|preset| (preset, rules(preset))).collect() }
    }

    /// The presets of the effect that are about the destination.
    pub(super) fn about(&self, to: &Destination, effect: PresetEffect) -> impl Iterator<Item = &'static Preset> {
        let about = move |rule: &Rule| rule.ports.contain(to.port) && rule.hosts.iter().any(|pattern| pattern.matches(&to.host));
        let presets = self.presets.iter().filter(move |(preset, rules)| preset.effect == effect && rules.iter().any(about));
        presets.map(|(preset, _)| *preset)
    }
}
