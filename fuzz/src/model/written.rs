//! Allowlist and floor as data, and their text.

use std::fmt::{Debug, Write as _};
use std::net::IpAddr;

use super::address;
use super::approval::Ask;
use super::request::QUERY;

/// What an allowlist says, what it includes counted in.
#[derive(Debug, Default)]
pub struct File {
    pub hold_unlisted: bool,
    pub addresses: Option<Vec<&'static str>>,
    /// In seconds, as all times.
    pub observe_until: Option<u64>,
    /// Attempts a minute.
    pub limit: Option<u32>,
    pub rules: Vec<Rule>,
    pub expects: Vec<Expect>,
}

/// What the floor says.
#[derive(Debug, Default)]
pub struct Floor {
    pub rules: Vec<Rule>,
    pub private: Option<Vec<&'static str>>,
    pub forbid: Vec<&'static str>,
    pub max_for: Option<u64>,
    pub limit: Option<u32>,
}

/// One table of a file.
#[derive(Debug)]
pub struct Rule {
    pub kind: Kind,
    /// It stands in the file that the allowlist includes.
    pub included: bool,
    /// Patterns in their canonical spelling.
    pub hosts: Vec<String>,
    /// None: the kind's default.
    pub ports: Vec<u16>,
    pub addresses: Option<Vec<&'static str>>,
    pub opaque: bool,
    pub websocket: bool,
    pub methods: Vec<&'static str>,
    pub paths: Vec<&'static str>,
    pub query: bool,
    pub limit: Option<u32>,
    pub until: Option<u64>,
}

/// An expectation: an attempt, and the word for what it should get.
#[derive(Debug)]
pub struct Expect {
    pub ask: Ask,
    pub decision: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Allow,
    Hold,
    Block,
}

/// The names of the three files.
pub const FILES: [&str; 3] = ["base.toml", "f.toml", "floor.toml"];

/// Where a rule stands: file and line.
pub type Place = (&'static str, u32);

/// The three texts, and where each rule stands, those of the floor first.
#[derive(Debug)]
pub struct Written {
    pub base: String,
    pub file: String,
    pub floor: String,
    pub places: Vec<Place>,
}

/// Writes all that binds an agent. `loud` spells every host another way that means the same.
pub fn written(floor: &Floor, file: &File, loud: bool) -> Written {
    let mut texts = [String::new(), String::new(), String::new()];
    let includes = file.rules.iter().any(|rule| rule.included);
    file.write(&mut texts[1], includes);
    floor.write(&mut texts[2]);
    let mut places = Vec::new();
    for (rule, of_floor) in floor.rules.iter().map(|rule| (rule, true)).chain(file.rules.iter().map(|rule| (rule, false))) {
        let at = if of_floor { 2 } else { usize::from(!rule.included) };
        places.push((FILES[at], u32::try_from(texts[at].lines().count() + 1).expect("files of the model are short")));
        rule.write(&mut texts[at], loud);
    }
    let [base, file, floor] = texts;
    Written { base, file, floor, places }
}

impl File {
    /// What a destination that no rule lists may resolve to.
    pub fn addresses(&self) -> Vec<&'static str> {
        self.addresses.clone().unwrap_or_else(|| vec!["public"])
    }

    /// All but the rules.
    fn write(&self, text: &mut String, includes: bool) {
        let Self { hold_unlisted, addresses, observe_until, limit, rules: _, expects } = self;
        let _ = writeln!(text, "agent = \"a\"\nunlisted = \"{}\"", if *hold_unlisted { "hold" } else { "block" });
        key(text, "addresses", addresses.as_deref());
        if let Some(until) = observe_until {
            let _ = writeln!(text, "observe_until = {:?}", moment(*until));
        }
        if includes {
            text.push_str("include = [\"base\"]\n");
        }
        limits(text, *limit);
        for Expect { ask, decision } in expects {
            let _ = writeln!(text, "[[expect]]\ntry = {:?}\ndecision = {decision:?}", ask.tried());
        }
    }
}

impl Floor {
    /// All but the rules.
    fn write(&self, text: &mut String) {
        let Self { rules: _, private, forbid, max_for, limit } = self;
        key(text, "private", private.as_deref());
        key(text, "forbid", Some(forbid.as_slice()).filter(|forbid| !forbid.is_empty()));
        if let Some(longest) = max_for {
            let _ = writeln!(text, "max_for = \"{longest}s\"");
        }
        limits(text, *limit);
    }
}

impl Rule {
    /// A rule for every request to the hosts on the kind's own ports.
    pub fn plain(kind: Kind, hosts: Vec<String>) -> Self {
        Self {
            kind,
            included: false,
            hosts,
            ports: Vec::new(),
            addresses: None,
            opaque: false,
            websocket: false,
            methods: Vec::new(),
            paths: Vec::new(),
            query: false,
            limit: None,
            until: None,
        }
    }

    /// Whether it is about the port.
    pub fn holds_for(&self, port: u16) -> bool {
        self.kind == Kind::Block && self.ports.is_empty() || self.ports().contains(&port)
    }

    /// The ports of an allow or hold rule.
    pub fn ports(&self) -> Vec<u16> {
        if self.ports.is_empty() { vec![80, 443] } else { self.ports.clone() }
    }

    /// What a destination it opens may resolve to.
    pub fn addresses(&self) -> Option<Vec<&'static str>> {
        let default = (self.kind == Kind::Allow).then(|| vec!["public"]);
        self.addresses.clone().or(default)
    }

    /// Whether it looks at requests.
    pub fn looks(&self) -> bool {
        !self.methods.is_empty() || !self.paths.is_empty() || self.query
    }

    /// Whether it still says something.
    pub fn in_force(&self, now: Option<u64>) -> bool {
        now.is_none_or(|now| self.until.is_none_or(|until| now < until))
    }

    fn write(&self, text: &mut String, loud: bool) {
        let Self { kind, included: _, hosts, ports, addresses, opaque, websocket, methods, paths, query, limit, until } = self;
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
        key(text, "method", Some(methods.as_slice()).filter(|methods| !methods.is_empty()));
        key(text, "path", Some(paths.as_slice()).filter(|paths| !paths.is_empty()));
        for (flag, line) in [(opaque, "opaque = true\n"), (websocket, "websocket = true\n"), (query, QUERY)] {
            text.push_str(if *flag { line } else { "" });
        }
        if let Some(until) = until {
            let _ = writeln!(text, "until = {:?}", moment(*until));
        }
        if let Some(limit) = limit {
            let _ = writeln!(text, "limits = {{ per_minute = {limit} }}");
        }
    }
}

fn key(text: &mut String, key: &str, values: Option<&[impl Debug]>) {
    if let Some(values) = values {
        let _ = writeln!(text, "{key} = {values:?}");
    }
}

fn limits(text: &mut String, limit: Option<u32>) {
    if let Some(limit) = limit {
        let _ = writeln!(text, "[limits]\nper_minute = {limit}");
    }
}

/// A time of January 1970.
fn moment(seconds: u64) -> String {
    let (day, hour, minute) = (1 + seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("1970-01-{day:02}T{hour:02}:{minute:02}:{:02}Z", seconds % 60)
}

/// Another spelling of a host: capitals and a final dot, or an address as IPv6 maps it.
pub fn louder(host: &str) -> String {
    match (address::read(host), host.split_once('/')) {
        (Some(IpAddr::V4(four)), _) => format!("[::FFFF:{four}]"),
        (Some(IpAddr::V6(_)), _) => host.to_ascii_uppercase(),
        (None, Some((first, length))) if first.contains(':') => format!("[{}]/{length}", first.to_ascii_uppercase()),
        (None, Some(_)) => host.to_owned(),
        (None, None) => format!("{}.", host.to_ascii_uppercase()),
    }
}
