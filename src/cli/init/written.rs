//! The allowlist that is written: a rule a host, each with a note of what named it.
//!
//! In force is what this machine names for clients that are needed. The rest stands there as comments, each with the reason.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::policy::address::AddressClass;
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::special::{Special, special};
use crate::text::plain;

use super::found::{Client, Entry, Found, Word};
use super::remotes;

/// The longest note, in characters.
const NOTE_MAX: usize = 300;

const HEADING: &str = "\
# Written by `exeat init` from what it found; every note says where. Read it before relying on it.
# What is not listed is held until somebody answers. Rules that begin with # were found as well and are not in force, each for the reason above it.
# A host inside your own network also needs the network it is in: addresses = [\"10.0.0.0/8\"], for example.
";

/// Whether a rule is in force, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is.
    InForce,
    /// It lies in a network that only a person can name.
    Private,
    /// No lock file calls for its client.
    Unneeded,
    /// Only a file of the repository names it.
    Repository,
    /// No rule opens it.
    Never,
}

impl Standing {
    /// Why it is not in force; `None` where it is.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::InForce => None,
            Self::Private => Some("it is in a private network: say in addresses which, and remove the #"),
            Self::Unneeded => Some("no lock file in the working directory calls for it"),
            Self::Repository => {
                Some("only a file in the repository names it, and a repository does not list its own hosts; remove the # if you do")
            }
            Self::Never => Some("no rule opens such a host"),
        }
    }
}

/// What the rules are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis<'a> {
    /// Whose allowlist it is.
    pub(super) agent: &'a AgentId,
    /// All that was found.
    pub(super) entries: &'a [Entry],
    /// The clients that lock files call for; none where there are no lock files, and then every client counts.
    pub(super) needed: &'a BTreeSet<Client>,
    /// The presets of this exeat.
    pub(super) preset_exists: fn(&str) -> bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule<'a> {
    to: &'a Destination,
    opaque: bool,
    standing: Standing,
    notes: Vec<String>,
}

/// An allowlist as text, and what it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The file.
    pub(super) text: String,
    /// Rules in force.
    pub(super) rules: usize,
    /// Presets that are included.
    pub(super) presets: usize,
    /// Rules that are comments.
    pub(super) comments: usize,
}

impl Basis<'_> {
    /// Whether what was found is in force.
    pub(super) fn standing(&self, found: &Found) -> Standing {
        let unneeded = !self.needed.is_empty() && found.client.has_lock_files() && !self.needed.contains(&found.client);
        match reach(&found.origin.to.host) {
            Reach::Never => Standing::Never,
            Reach::Public | Reach::Private if found.word == Word::Repository => Standing::Repository,
            Reach::Private => Standing::Private,
            Reach::Public if unneeded => Standing::Unneeded,
            Reach::Public => Standing::InForce,
        }
    }

    /// The hosts that are to be listed: those found, and those of presets that this exeat does not have.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Found> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Host(found) => Some(found),
            Entry::Fits { preset, what: _, otherwise } => otherwise.as_ref().filter(|_| !(self.preset_exists)(preset)),
            Entry::Said(_) => None,
        })
    }

    /// The presets that fit and that this exeat has.
    pub(super) fn presets(&self) -> BTreeSet<&'static str> {
        let fits = self.entries.iter().filter_map(|entry| match entry {
            Entry::Fits { preset, what: _, otherwise: _ } => Some(*preset),
            Entry::Host(_) | Entry::Said(_) => None,
        });
        fits.filter(|preset| (self.preset_exists)(preset)).collect()
    }

    /// The file.
    pub(super) fn written(&self) -> Written {
        let presets = self.presets();
        let mut text = format!("{HEADING}\nagent    = \"{}\"\nunlisted = \"hold\"\n", self.agent);
        if !presets.is_empty() {
            let named: Vec<String> = presets.iter().map(|preset| format!("\"preset:{preset}\"")).collect();
            let _ = writeln!(text, "include  = [{}]", named.join(", "));
        }
        let rules = self.rules();
        for rule in &rules {
            text.push('\n');
            text.push_str(&rule.text());
        }
        let in_force = rules.iter().filter(|rule| rule.standing == Standing::InForce).count();
        Written { text, rules: in_force, presets: presets.len(), comments: rules.len() - in_force }
    }

    /// One rule a host and port: of what names it, the strongest counts, and only that is noted.
    fn rules(&self) -> Vec<Rule<'_>> {
        let mut rules: Vec<Rule<'_>> = Vec::new();
        for found in self.hosts() {
            let (standing, note) = (self.standing(found), format!("{}: from {}", found.by, found.place));
            let Some(rule) = rules.iter_mut().find(|rule| *rule.to == found.origin.to) else {
                rules.push(Rule { to: &found.origin.to, opaque: remotes::opaque(found), standing, notes: vec![note] });
                continue;
            };
            if standing < rule.standing {
                (rule.standing, rule.notes) = (standing, vec![note]);
            } else if standing == rule.standing && !rule.notes.contains(&note) {
                rule.notes.push(note);
            }
        }
        for rule in &mut rules {
            // Whatever else the language asks of a host, a rule that does not load would keep all the others from loading.
            if rule.standing == Standing::InForce && Allowlist::parse("a", &format!("agent = \"a\"\n{}", rule.lines(""))).is_err() {
                rule.standing = Standing::Never;
            }
        }
        rules.sort_by_key(|rule| rule.standing);
        rules
    }
}

impl Rule<'_> {
    fn text(&self) -> String {
        match self.standing.reason() {
            None => self.lines(""),
            Some(reason) => format!("# {reason}.\n{}", self.lines("#")),
        }
    }

    /// The rule in TOML, each line after `before`.
    fn lines(&self, before: &str) -> String {
        let Destination { host, port } = self.to;
        let mut lines = vec!["[[allow]]".to_owned(), format!("host = \"{host}\""), format!("port = [{}]", port.number())];
        if reach(host) == Reach::Private {
            lines.push(match host {
                Host::Address(address) => format!("addresses = [\"{address}\"]"),
                Host::Name(_) => "addresses = [\"10.0.0.0/8\"]   # the network it is in".to_owned(),
            });
        }
        if self.opaque {
            lines.push("opaque = true   # ssh".to_owned());
        }
        let note = plain(&self.notes.join("; "), NOTE_MAX);
        lines.push(format!("note = \"{}\"", note.replace('\\', "\\\\").replace('"', "\\\"")));
        lines.iter().map(|line| format!("{before}{line}\n")).collect()
    }
}

/// What the policy makes of a host by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Never,
}

fn reach(host: &Host) -> Reach {
    match host {
        Host::Name(name) => match special(name) {
            None => Reach::Public,
            Some(Special::NeedsAddresses) => Reach::Private,
            Some(Special::Never) => Reach::Never,
        },
        Host::Address(address) => match AddressClass::of(*address) {
            AddressClass::Public => Reach::Public,
            AddressClass::Special(_) => Reach::Private,
            AddressClass::Metadata(_) => Reach::Never,
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::found::Source;
    use super::*;

    fn host(client: Client, url: &str, place: &str) -> Entry {
        Source::machine(client, place).host(url)
    }

    fn repository(client: Client, url: &str, place: &str) -> Entry {
        Source { word: Word::Repository, ..Source::machine(client, place) }.host(url)
    }

    fn written(entries: &[Entry], needed: &[Client], preset_exists: fn(&str) -> bool) -> Written {
        let (agent, needed) = (AgentId::parse("coder").unwrap(), needed.iter().copied().collect());
        Basis { agent: &agent, entries, needed: &needed, preset_exists }.written()
    }

    /// What stands below the heading.
    fn body(written: &Written) -> &str {
        written.text.strip_prefix(HEADING).unwrap()
    }

    fn loaded(text: &str) -> Allowlist {
        Allowlist::parse("coder.toml", text).unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).0
    }

    #[test]
    fn every_host_is_one_rule_with_a_note() {
        let entries = [
            host(Client::Pip, "https://m.test/simple", "pip config, ~/.config/pip/pip.conf"),
            host(Client::Npm, "https://m.test/npm", "npm config, ~/.np\"m\\rc"),
            host(Client::Apt, "http://m.test/debian", "/etc/apt/sources.list"),
            Entry::Said("go: not on PATH".into()),
        ];
        let written = written(&entries, &[], |_| false);
        assert_eq!(
            body(&written),
            "\nagent    = \"coder\"\nunlisted = \"hold\"\n\n\
             [[allow]]\nhost = \"m.test\"\nport = [443]\nnote = \"pip: from pip config, ~/.config/pip/pip.conf; npm: from npm config, ~/.np\\\"m\\\\\\\\rc\"\n\n\
             [[allow]]\nhost = \"m.test\"\nport = [80]\nnote = \"apt: from /etc/apt/sources.list\"\n"
        );
        assert_eq!((written.rules, written.presets, written.comments), (2, 0, 0));
        assert_eq!(loaded(&written.text).rules.len(), 2);
    }

    #[test]
    fn what_a_repository_names_and_what_is_not_needed_is_a_comment() {
        let entries = [
            repository(Client::Npm, "https://planted.test/a.tgz", "package-lock.json"),
            repository(Client::Npm, "https://m.test/a.tgz", "package-lock.json"),
            host(Client::Npm, "https://m.test/", "npm config"),
            host(Client::Go, "https://go.test", "go env"),
            host(Client::Git, "https://git.test", ".git/config"),
        ];
        let npm = written(&entries, &[Client::Npm], |_| false);
        let rules: Vec<String> = loaded(&npm.text).rules.iter().map(|rule| rule.hosts[0].to_string()).collect();
        assert_eq!(rules, ["m.test", "git.test"]);
        assert_eq!((npm.rules, npm.comments), (2, 2));
        assert!(
            npm.text.contains("a repository does not list its own hosts; remove the # if you do.\n#[[allow]]\n#host = \"planted.test\"\n"),
            "{}",
            npm.text
        );
        assert!(npm.text.contains("calls for it.\n#[[allow]]\n#host = \"go.test\"\n"), "{}", npm.text);
        assert_eq!(written(&entries, &[], |_| false).rules, 3, "without lock files every client counts");
    }

    #[test]
    fn private_hosts_are_comments_that_load_once_the_mark_is_gone() {
        let urls =
            ["http://10.1.2.3:8081/", "https://nexus/", "https://python.corp.internal", "http://[fd00::1]/", "http://127.0.0.1:3141"];
        let entries: Vec<Entry> = urls.iter().map(|url| host(Client::Pip, url, "f")).collect();
        let marked = written(&entries, &[], |_| false);
        assert_eq!((loaded(&marked.text).rules.len(), marked.comments), (0, 5));
        assert!(marked.text.contains("#host = \"10.1.2.3\"\n#port = [8081]\n#addresses = [\"10.1.2.3\"]\n"), "{}", marked.text);
        let bare: String = body(&marked)
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line)))
            .collect();
        assert_eq!(loaded(&bare).rules.len(), 5);
    }

    #[test]
    fn what_no_rule_opens_stays_a_comment() {
        let urls = ["http://169.254.169.254/", "https://x.onion/", "https://a.invalid/"];
        let entries: Vec<Entry> = urls.iter().map(|url| host(Client::Pip, url, "f")).collect();
        let written = written(&entries, &[], |_| false);
        assert_eq!((loaded(&written.text).rules.len(), written.comments), (0, 3));
        assert_eq!(written.text.matches("# no rule opens such a host.\n#[[allow]]").count(), 3);
    }

    #[test]
    fn a_preset_is_included_where_there_is_one_and_its_host_listed_where_not() {
        let Entry::Host(otherwise) =
            Source::machine(Client::Git, ".git/config").origin(super::super::found::Origin::at("ssh", 22, "github.com").unwrap())
        else {
            unreachable!()
        };
        let entries = [
            Entry::Fits { preset: "github", what: "git".into(), otherwise: Some(otherwise) },
            Entry::Fits { preset: "claude-code", what: "claude".into(), otherwise: None },
            Entry::Fits { preset: "claude-code", what: "claude".into(), otherwise: None },
        ];
        let with = written(&entries, &[], |_| true);
        assert_eq!(body(&with), "\nagent    = \"coder\"\nunlisted = \"hold\"\ninclude  = [\"preset:claude-code\", \"preset:github\"]\n");
        let without = written(&entries, &[], |_| false);
        assert_eq!(
            body(&without),
            "\nagent    = \"coder\"\nunlisted = \"hold\"\n\n[[allow]]\nhost = \"github.com\"\nport = [22]\nopaque = true   # ssh\nnote = \"git: from .git/config\"\n"
        );
        assert_eq!(loaded(&without.text).rules.len(), 1);
    }
}
