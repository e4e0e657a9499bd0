//! Allowlists of any size for the benches of the policy: exact names, wildcards, a mix of both, and rules about requests.

use std::fmt::Write as _;

use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;

pub const SIZES: [usize; 3] = [10, 1_000, 100_000];
pub const KINDS: [Kind; 4] = [Kind::Exact, Kind::Wildcard, Kind::Mixed, Kind::Request];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Exact,
    Wildcard,
    Mixed,
    /// Exact names with port, method and path, in plain sight.
    Request,
}

impl Kind {
    pub fn parse(text: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.to_string() == text)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Exact => "exact",
            Kind::Wildcard => "wildcard",
            Kind::Mixed => "mixed",
            Kind::Request => "request",
        })
    }
}

/// The file of one agent with so many rules.
pub fn text(rules: usize, kind: Kind) -> String {
    let mut text = String::from("agent = \"bench\"\n");
    for at in 0..rules {
        writeln!(text, "[[allow]]\nhost = \"{}\"", host(at, kind)).unwrap();
        if kind == Kind::Request {
            writeln!(text, "port = [80]\nmethod = [\"GET\", \"HEAD\"]\npath = [\"/repos/acme{at}/**\"]").unwrap();
        }
    }
    text
}

pub fn host(at: usize, kind: Kind) -> String {
    match (kind, at % 5) {
        (Kind::Exact | Kind::Request, _) | (Kind::Mixed, 0..=2) => format!("api.host{at}.test"),
        (Kind::Wildcard, _) | (Kind::Mixed, 3) => format!("*.host{at}.test"),
        (Kind::Mixed, _) => format!("api-*.host{at}.test"),
    }
}

/// From the text to what decides.
pub fn policy(text: &str) -> Policy {
    let (allowlist, _warnings) = Allowlist::parse("bench.toml", text).unwrap();
    Policy::new(vec![allowlist], Guard::default()).unwrap()
}
