use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::policy::allowlist::{Allowlist, IncludeName, Library, Reading};
use crate::policy::fault::Warning;
use crate::policy::floor::Floor;
use crate::policy::rule::{Allow, Effect, Ports};

#[test]
fn every_file_of_the_folder_is_in_the_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("allowlists/presets");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = names.collect();
    let shipped: Vec<String> = presets().iter().map(|preset| format!("{}.toml", preset.name)).collect();
    assert!(shipped.is_sorted());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), shipped);
}

#[test]
fn every_preset_is_described_and_has_nothing_else_wrong() {
    for (name, text) in TEXTS {
        assert_eq!(Preset::read(name, text).map(|preset| preset.name), Ok(*name));
        assert_eq!(faults_of_the_header(text), Vec::<String>::new(), "{name}");
    }
    for preset in presets() {
        assert!(preset.source.iter().all(|source| source.starts_with("https://") && !source.contains(' ')), "{}", preset.name);
        assert!(preset.checked >= jiff::civil::date(2026, 11, 22), "{}", preset.name);
        assert!(preset.title.chars().count() <= 45 && preset.risk.ends_with('.'), "{}", preset.name);
    }
}

#[test]
fn every_preset_loads_without_a_second_look() {
    for preset in presets() {
        let (allowlist, warnings) = rules_of(preset);
        assert_eq!(warnings, [], "{}", preset.name);
        assert_eq!(allowlist.rules.iter().map(|rule| rule.hosts.len()).sum::<usize>(), preset.hosts, "{}", preset.name);
    }
    let names: Vec<&str> = presets().iter().map(|preset| preset.name).collect();
    assert_eq!(including(&names).map(|(_, warnings)| warnings), Ok(Vec::new()));
}

#[test]
fn what_a_preset_opens_is_spelled_out() {
    for preset in presets() {
        for rule in rules_of(preset).0.rules {
            let exact = rule.hosts.iter().all(|host| host.exact().is_some());
            let argued = rule.note.as_deref().is_some_and(|note| note.starts_with("a wildcard"));
            match (&rule.effect, &rule.ports) {
                (Effect::Allow(Allow { addresses: _, spelled, opaque, websocket: _, limits: _ }), Ports::These(ports)) => {
                    assert!(exact || argued, "{}: {:?}", preset.name, rule.hosts);
                    assert!(!spelled && !opaque && ports.iter().all(|port| [80, 443].contains(&port.number())), "{}", preset.name);
                    assert!(rules_spell_ports(preset.text), "{}", preset.name);
                    assert_eq!(preset.effect, PresetEffect::Allow);
                }
                (Effect::Block { because }, _) => {
                    assert!(because.is_some(), "{}: {:?}", preset.name, rule.hosts);
                    assert_eq!(preset.effect, PresetEffect::Block);
                }
                (effect, _) => panic!("{}: {effect:?}", preset.name),
            }
        }
    }
}

#[test]
fn no_allow_and_no_deny_preset_name_the_same_host() {
    let (mut allowed, mut blocked) = (BTreeSet::new(), Vec::new());
    for preset in presets() {
        let hosts = rules_of(preset).0.rules.into_iter().flat_map(|rule| rule.hosts);
        match preset.effect {
            PresetEffect::Allow => allowed.extend(hosts.filter_map(|host| host.exact().cloned()).map(|host| host.to_string())),
            PresetEffect::Block => blocked.extend(hosts),
        }
    }
    for host in allowed {
        let known = crate::policy::host::Host::parse(&host).unwrap();
        assert!(!blocked.iter().any(|pattern| pattern.matches(&known)), "{host}");
    }
}

#[test]
fn a_name_is_found_or_said_to_be_missing_with_a_fix() {
    assert_eq!(preset("github").map(|preset| preset.name), Ok("github"));
    for (name, said) in [
        ("githb", r#"there is no preset "githb"; did you mean preset:github?"#),
        ("claude", r#"there is no preset "claude"; did you mean preset:claude-code?"#),
        ("docker", r#"there is no preset "docker"; did you mean preset:docker-hub?"#),
        ("kubernetes", r#"there is no preset "kubernetes"; see `exeat preset list`"#),
        ("", r#"there is no preset ""; see `exeat preset list`"#),
        ("GitHub\u{1b}", r#"there is no preset "GitHub\u{1b}"; see `exeat preset list`"#),
        (
            "git-read",
            r#"there is no preset "git-read": that an agent only reads can be enforced only by inspecting TLS, which comes with a later version; take github, knowing that it can write with any token"#,
        ),
        (
            "metadata",
            r#"there is no preset "metadata": what is never dialled is built in and bound to every agent; nothing has to be included"#,
        ),
        (
            "npm",
            r#"there is no preset "npm": which registry is used is a matter of the client's own configuration; list the hosts your client is configured with in an [[allow]] rule"#,
        ),
    ] {
        assert_eq!(preset(name).unwrap_err().to_string(), said);
    }
    for (names, _) in NOT_SHIPPED {
        assert!(names.iter().all(|name| preset(name).is_err()), "{names:?}");
    }
}

#[test]
fn an_include_of_what_is_not_shipped_says_so_with_the_fix() {
    for (name, said) in [
        (
            "git-read",
            r#"x.toml:2:12: found include "preset:git-read", which is no preset: that an agent only reads can be enforced only by inspecting TLS, which comes with a later version; wanted a file that can be included; fix: take github, knowing that it can write with any token"#,
        ),
        (
            "gitub",
            r#"x.toml:2:12: found include "preset:gitub", which is no preset; wanted a file that can be included; fix: did you mean preset:github?"#,
        ),
    ] {
        let faults: Vec<String> = including(&[name]).unwrap_err().iter().map(Fault::to_string).collect();
        assert_eq!(faults, [said]);
    }
}

#[test]
fn a_header_that_is_wrong_is_told_key_by_key() {
    let said = faults_of_the_header("title = 1\nrisk = \"a\\nb\"\nsource = []\nchecked = \"22.11.2026\"\nrisky = \"x\"\n");
    assert_eq!(
        said,
        [
            "f.toml:1:9: found title 1; wanted a text; fix: put it in double quotes",
            r#"f.toml:2:8: found risk "a\nb"; wanted a line of words; fix: write 1 to 500 printable characters on one line"#,
            "f.toml:3:10: found an empty list; wanted at least one address; fix: name one, or remove source",
            r#"f.toml:4:11: found checked "22.11.2026"; wanted a date; fix: write it like "2026-11-22""#,
            r#"f.toml:5:1: found the unknown key "risky" in the top level; wanted one of allow, block, checked, risk, source, title; fix: did you mean risk?"#,
        ]
    );
    assert_eq!(faults_of_the_header("[[allow]]\nhost = \"example.com\"\n"), Vec::<String>::new());
}

#[test]
fn a_preset_without_its_description_or_with_two_kinds_of_rules_is_none() {
    let good = "title = \"t\"\nrisk = \"r\"\nsource = \"s\"\nchecked = \"2026-11-22\"\n[[allow]]\nhost = \"example.com\"\n";
    assert_eq!(Preset::read("x", good).map(|preset| preset.hosts), Ok(1));
    for (cut, text) in [
        ("title", good.replace("title = \"t\"\n", "")),
        ("risk", good.replace("risk = \"r\"\n", "")),
        ("source", good.replace("source = \"s\"\n", "")),
        ("checked", good.replace("checked = \"2026-11-22\"\n", "")),
        ("rules", good.split("[[").next().unwrap().to_owned()),
        ("kind", format!("{good}[[block]]\nhost = \"example.org\"\n")),
    ] {
        assert!(Preset::read("x", text.leak()).is_err(), "{cut}");
    }
}

/// The table of presets in the reference is written by this test's failure, so that it cannot fall behind the files.
#[test]
fn the_reference_lists_every_preset_as_its_file_describes_it() {
    let row = |preset: &Preset| {
        let sources: Vec<String> = (1..).zip(&preset.source).map(|(number, source)| format!("[{number}]({source})")).collect();
        format!("| `{}` | {} | {} | {} |\n", preset.name, preset.title, preset.risk, sources.join(" "))
    };
    let table = |effect| presets().iter().filter(|preset| preset.effect == effect).map(row).collect::<String>();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/presets.md")).unwrap();
    for effect in [PresetEffect::Allow, PresetEffect::Block] {
        let table = format!("| name | what | risk | source |\n| --- | --- | --- | --- |\n{}\n", table(effect));
        assert!(page.contains(&table), "docs/reference/presets.md needs this table:\n{table}");
    }
}

#[derive(Debug)]
struct Shipped;

impl Library for Shipped {
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound> {
        match name {
            IncludeName::Preset(name) => included(name),
            IncludeName::Sibling(name) => panic!("no preset includes {name}"),
        }
    }
}

fn including(names: &[&str]) -> Result<(Allowlist, Vec<Warning>), Vec<Fault>> {
    let entries: Vec<String> = names.iter().map(|name| format!("\"preset:{name}\"")).collect();
    let text = format!("agent = \"x\"\ninclude = [{}]\n", entries.join(", "));
    Allowlist::read(
        "x.toml",
        &text,
        &Reading { now: std::time::SystemTime::UNIX_EPOCH, floor: &Floor::none(), library: &Shipped, inspects: true },
    )
}

fn rules_of(preset: &Preset) -> (Allowlist, Vec<Warning>) {
    including(&[preset.name]).unwrap()
}

fn rules_spell_ports(text: &str) -> bool {
    text.matches("\nport ").count() == text.matches("\n[[").count()
}

fn faults_of_the_header(text: &str) -> Vec<String> {
    let document = Document::parse("f.toml", text);
    {
        let mut root = document.root();
        header(&mut root);
        for kind in ["allow", "block"] {
            for mut rule in root.tables(kind) {
                for key in ["host", "port", "note", "because"] {
                    rule.take(key);
                }
            }
        }
    }
    document.into_findings().0.iter().map(Fault::to_string).collect()
}
