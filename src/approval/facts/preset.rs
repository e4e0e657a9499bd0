//! The shipped presets, by the hosts they are about.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::SystemTime;

use crate::policy::allowlist::{Allowlist, IncludeName, IncludedText, Library, Reading, Unfound};
use crate::policy::destination::Destination;
use crate::policy::floor::Floor;
use crate::policy::host::Host;
use crate::policy::pattern::HostPattern;
pub(super) use crate::policy::preset::Preset;
use crate::policy::preset::{self, PresetEffect, presets};
use crate::policy::rule::{Ports, Rule};

static SHIPPED: LazyLock<Shipped> = LazyLock::new(Shipped::read);

/// One pattern of a preset.
#[derive(Debug)]
struct Listed {
    preset: &'static Preset,
    pattern: HostPattern,
    ports: Ports,
}

#[derive(Debug, Default)]
struct Shipped {
    exact: HashMap<Host, Vec<Listed>>,
    wild: Vec<Listed>,
}

/// The presets of that effect with a rule about the destination, by name.
pub(super) fn about(to: &Destination, effect: PresetEffect) -> Vec<&'static Preset> {
    let exact = SHIPPED.exact.get(&to.host).into_iter().flatten();
    let fits = |listed: &&Listed| listed.preset.effect == effect && listed.ports.contain(to.port) && listed.pattern.matches(&to.host);
    let mut presets: Vec<_> = exact.chain(&SHIPPED.wild).filter(fits).map(|listed| listed.preset).collect();
    presets.sort_unstable_by_key(|preset| preset.name);
    presets.dedup_by_key(|preset| preset.name);
    presets
}

/// Every pattern that a preset lets pass.
pub(super) fn patterns() -> impl Iterator<Item = &'static HostPattern> {
    let all = SHIPPED.exact.values().flatten().chain(&SHIPPED.wild);
    all.filter(|listed| listed.preset.effect == PresetEffect::Allow).map(|listed| &listed.pattern)
}

impl Shipped {
    fn read() -> Self {
        let mut shipped = Self::default();
        for preset in presets() {
            for (pattern, ports) in
                rules(preset).into_iter().flat_map(|rule| rule.hosts.into_iter().map(move |host| (host, rule.ports.clone())))
            {
                let exact = pattern.exact().cloned();
                let listed = Listed { preset, pattern, ports };
                exact.map_or(&mut shipped.wild, |host| shipped.exact.entry(host).or_default()).push(listed);
            }
        }
        shipped
    }
}

fn rules(preset: &Preset) -> Vec<Rule> {
    let floor = Floor::none();
    let reading = Reading { now: SystemTime::UNIX_EPOCH, floor: &floor, library: &Presets, inspects: true };
    let text = format!("agent = \"preset\"\ninclude = [\"preset:{}\"]\n", preset.name);
    Allowlist::read("presets", &text, &reading).map(|(allowlist, _)| allowlist.rules).unwrap_or_default()
}

#[derive(Debug)]
struct Presets;

impl Library for Presets {
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
        match name {
            IncludeName::Preset(name) => preset::included(name),
            IncludeName::Sibling(name) => Err(Unfound { found: format!("no preset {name}"), fix: "name a preset".to_owned() }),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_destination_belongs_to_the_preset_that_lists_its_host_and_port() {
        let name =
            |to: &str, effect| about(&Destination::parse(to).unwrap(), effect).into_iter().map(|preset| preset.name).collect::<Vec<_>>();
        assert_eq!(name("api.github.com:443", PresetEffect::Allow), ["copilot", "github"]);
        assert_eq!(name("api.github.com:22", PresetEffect::Allow), [""; 0]);
        assert_eq!(name("curl.example:443", PresetEffect::Allow), [""; 0]);
        assert_eq!(name("api.github.com:443", PresetEffect::Block), [""; 0]);
        assert_eq!(name("webhook.site:443", PresetEffect::Block), ["exfil-watch"]);
        assert!(patterns().count() > 100);
    }
}
