//! An allowlist as data, its text, and whether it is one that loads.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{address, name, pattern};

/// What an allowlist says.
#[derive(Debug, Default)]
pub struct File {
    pub hold_unlisted: bool,
    pub addresses: Option<Vec<&'static str>>,
    pub rules: Vec<Rule>,
}

/// One table of the file.
#[derive(Debug)]
pub struct Rule {
    pub kind: Kind,
    /// Patterns in their canonical spelling.
    pub hosts: Vec<String>,
    /// None: the kind's default.
    pub ports: Vec<u16>,
    pub addresses: Option<Vec<&'static str>>,
    pub opaque: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Allow,
    Hold,
    Block,
}

impl File {
    /// The text, and the line of each rule. `loud` spells every host another way that means the same.
    pub fn written(&self, loud: bool) -> (String, Vec<u32>) {
        let Self { hold_unlisted, addresses, rules } = self;
        let mut text = format!("agent = \"a\"\nunlisted = \"{}\"\n", if *hold_unlisted { "hold" } else { "block" });
        key(&mut text, "addresses", addresses.as_deref());
        let mut lines = Vec::new();
        for rule in rules {
            lines.push(u32::try_from(text.lines().count() + 1).expect("files of the model are short"));
            rule.write(&mut text, loud);
        }
        (text, lines)
    }

    /// Whether there is nothing wrong with it.
    pub fn loads(&self) -> bool {
        self.rules.iter().all(Rule::loads) && !self.contradicts_itself()
    }

    /// What a destination that no rule lists may resolve to.
    pub fn addresses(&self) -> Vec<&'static str> {
        self.addresses.clone().unwrap_or_else(|| vec!["public"])
    }

    /// Two allow rules for one pattern and port that differ in `addresses` or `opaque`.
    fn contradicts_itself(&self) -> bool {
        let allows: Vec<&Rule> = self.rules.iter().filter(|rule| rule.kind == Kind::Allow).collect();
        let meet = |one: &Rule, other: &Rule| {
            one.hosts.iter().any(|host| other.hosts.contains(host)) && one.ports().iter().any(|port| other.ports().contains(port))
        };
        allows.iter().any(|one| allows.iter().any(|other| meet(one, other) && one.said() != other.said()))
    }
}

impl Rule {
    /// The ports it is about; `None` for all.
    pub fn holds_for(&self, port: u16) -> bool {
        self.kind == Kind::Block && self.ports.is_empty() || self.ports().contains(&port)
    }

    /// What a destination it opens may resolve to.
    pub fn addresses(&self) -> Option<Vec<&'static str>> {
        let default = (self.kind == Kind::Allow).then(|| vec!["public"]);
        self.addresses.clone().or(default)
    }

    fn ports(&self) -> Vec<u16> {
        if self.ports.is_empty() { vec![80, 443] } else { self.ports.clone() }
    }

    fn said(&self) -> (BTreeSet<&'static str>, bool) {
        (self.addresses().into_iter().flatten().collect(), self.opaque)
    }

    fn loads(&self) -> bool {
        self.hosts.iter().all(|host| self.may_open(host))
    }

    /// Whether the host can be in this rule: a block may name anything, the others what can pass.
    pub fn may_open(&self, host: &str) -> bool {
        if self.kind == Kind::Block || pattern::is_wild(host) {
            return true;
        }
        match address::read(host) {
            Some(literal) => {
                !address::is_metadata(literal) && self.addresses().is_none_or(|addresses| address::covered(&addresses, literal))
            }
            None => !name::is_never(host) && (!name::is_local(host) || self.addresses.is_some()),
        }
    }

    fn write(&self, text: &mut String, loud: bool) {
        let Self { kind, hosts, ports, addresses, opaque } = self;
        let table = match kind {
            Kind::Allow => "allow",
            Kind::Hold => "hold",
            Kind::Block => "block",
        };
        let hosts: Vec<String> = hosts.iter().map(|host| if loud { louder(host) } else { host.clone() }).collect();
        let _ = writeln!(text, "[[{table}]]");
        key(text, "host", Some(&hosts));
        if !ports.is_empty() {
            let _ = writeln!(text, "port = {ports:?}");
        }
        key(text, "addresses", addresses.as_deref());
        if *opaque {
            text.push_str("opaque = true\n");
        }
    }
}

fn key(text: &mut String, key: &str, values: Option<&[impl std::fmt::Debug]>) {
    if let Some(values) = values {
        let _ = writeln!(text, "{key} = {values:?}");
    }
}

/// Another spelling of a host: capitals and a final dot, or an address as IPv6 maps it.
pub fn louder(host: &str) -> String {
    match address::read(host) {
        Some(std::net::IpAddr::V4(four)) => format!("[::FFFF:{four}]"),
        Some(std::net::IpAddr::V6(_)) => host.to_ascii_uppercase(),
        None => format!("{}.", host.to_ascii_uppercase()),
    }
}
