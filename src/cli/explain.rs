//! `exeat explain`: what an agent would get, from which rule, why the other rules do not speak, and what would allow it. Asks nobody and sends nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::policy::Policy;
use crate::policy::address::Addresses;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::AgentId;
use crate::policy::decide::{Basis, Block, Decision};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::reason::Reason;
use crate::policy::rule::{Ports, Rule, RuleRef};
use crate::policy::special::{Special, special};
use crate::policy::tried::{NotTried, Tried};

/// The most other rules that are told one by one.
const OTHERS_MAX: usize = 50;

const BY_THE_FILES: &str = "this goes by the files: approvals and the quiet time of a running exeat are not considered";

/// What an agent would get. The field names are promises: `--json` prints them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Who asks.
    pub agent: AgentId,
    /// The canonical host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `allow`, `look`, `hold` or `block`.
    pub decision: &'static str,
    /// Why; absent where a hold rule asks.
    pub reason: Option<Reason>,
    /// `file:line` of the rule that decides, where one does.
    pub rule: Option<String>,
    /// The rule's words for the agent.
    pub because: Option<Arc<str>>,
    /// What the host may resolve to; empty for a block.
    pub addresses: Vec<String>,
    /// Why the others do not speak; those about the host first.
    pub others: Vec<Other>,
    /// How many more there are.
    pub others_left_out: usize,
    /// What would allow it; absent where it is allowed.
    pub to_allow: Option<String>,
}

/// A rule that does not decide.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// `file:line`.
    pub rule: String,
    /// `allow`, `hold` or `block`.
    pub kind: &'static str,
    /// Why not.
    pub why: String,
}

/// Why nothing can be explained.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// No allowlist names the agent.
    #[error("no allowlist is in force for agent {agent}; {known}")]
    NoSuchAgent {
        /// Who was named.
        agent: AgentId,
        /// Who could have been, in words.
        known: String,
    },
    /// The target is none.
    #[error(transparent)]
    NotTried(#[from] NotTried),
}

/// Decides as `serve` would, with no approval in force.
pub fn explain(policy: &Policy, agent: &AgentId, target: &str, now: SystemTime) -> Result<Explanation, Unexplained> {
    let Some(rules) = policy.rules(agent) else {
        let names = policy.agents().map(AgentId::as_str).collect::<Vec<_>>().join(", ");
        let none = "none of any other agent loads; write one with agent = \"…\", or see `exeat check`";
        let known = if names.is_empty() { none.to_owned() } else { format!("there are: {names}") };
        return Err(Unexplained::NoSuchAgent { agent: agent.clone(), known });
    };
    let attempt = Tried::parse(target)?.attempt(agent);
    let decided = match policy.decide(&attempt, &Approvals::default(), now) {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Listed(rule) => decided("allow", Some(Reason::Listed), Some(rule), Some(grant.addresses())),
            Basis::Approved(_) => decided("allow", Some(Reason::Approved), None, Some(grant.addresses())),
            Basis::Observed(_) => decided("allow", Some(Reason::Observed), grant.rule(), Some(grant.addresses())),
        },
        Decision::Look(look) => decided("look", Some(Reason::Inspect), Some(&look.rule), None),
        Decision::Hold(terms) => {
            let reason = terms.rule.is_none().then_some(Reason::Unlisted);
            decided("hold", reason, terms.rule.as_ref(), Some(&terms.addresses))
        }
        Decision::Block(Block { reason, rule, because }) => Decided { because, ..decided("block", Some(reason), rule.as_ref(), None) },
    };
    let Decided { decision, reason, rule, because, addresses } = decided;
    let Destination { host, port } = &attempt.destination;
    let to_allow = (decision != "allow").then(|| to_allow(&attempt.destination, reason, rule.as_ref()));
    let mut others: Vec<(bool, Other)> =
        rules.filter(|other| Some(&other.place) != rule.as_ref()).map(|rule| other(rule, &attempt.destination)).collect();
    others.sort_by_key(|(elsewhere, _)| *elsewhere);
    let others_left_out = others.len().saturating_sub(OTHERS_MAX);
    Ok(Explanation {
        agent: agent.clone(),
        host: host.to_string(),
        port: port.number(),
        decision,
        reason,
        rule: rule.map(|rule| rule.to_string()),
        because,
        addresses,
        others: others.into_iter().take(OTHERS_MAX).map(|(_, other)| other).collect(),
        others_left_out,
        to_allow,
    })
}

impl Explanation {
    /// 0 allow, 10 hold, 11 block, 12 depends on the request.
    pub fn exit_code(&self) -> u8 {
        match self.decision {
            "allow" => 0,
            "hold" => 10,
            "look" => 12,
            _ => 11,
        }
    }

    /// Prints the explanation: for people, or one JSON object.
    pub fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            return writeln!(out);
        }
        let reason = self.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let rule = self.rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        writeln!(out, "{}: {} to {}:{}{rule}{reason}", self.decision, self.agent, self.host, self.port)?;
        if let Some(because) = &self.because {
            writeln!(out, "because: {because}")?;
        }
        if !self.addresses.is_empty() {
            writeln!(out, "may resolve to: {}", self.addresses.join(", "))?;
        }
        if !self.others.is_empty() {
            writeln!(out, "other rules:")?;
        }
        for Other { rule, kind, why } in &self.others {
            writeln!(out, "  {rule} {kind}: {why}")?;
        }
        if self.others_left_out > 0 {
            writeln!(out, "  and {} more", self.others_left_out)?;
        }
        if let Some(text) = &self.to_allow {
            writeln!(out, "to allow it:\n  {}", text.replace('\n', "\n  "))?;
        }
        writeln!(out, "{BY_THE_FILES}")
    }
}

struct Decided {
    decision: &'static str,
    reason: Option<Reason>,
    rule: Option<RuleRef>,
    because: Option<Arc<str>>,
    addresses: Vec<String>,
}

fn decided(decision: &'static str, reason: Option<Reason>, rule: Option<&RuleRef>, addresses: Option<&Addresses>) -> Decided {
    let public = addresses.filter(|addresses| addresses.public).map(|_| "public".to_owned());
    let networks = addresses.map(|addresses| addresses.networks.as_slice()).unwrap_or_default();
    let addresses = public.into_iter().chain(networks.iter().map(ToString::to_string)).collect();
    Decided { decision, reason, rule: rule.cloned(), because: None, addresses }
}

/// Whether the rule is about other hosts, and the rule with why it does not decide.
fn other(rule: &Rule, destination: &Destination) -> (bool, Other) {
    let elsewhere = !rule.hosts.iter().any(|host| host.matches(&destination.host));
    let why = if elsewhere {
        let (first, more) = (rule.hosts.first().map(ToString::to_string).unwrap_or_default(), rule.hosts.len().saturating_sub(1));
        if more == 0 { format!("its host is {first}") } else { format!("its hosts are {first} and {more} more") }
    } else if !rule.ports.contain(destination.port) {
        format!("its port is {}", rule.ports)
    } else {
        "it matches, but what decides comes before it".to_owned()
    };
    (elsewhere, Other { rule: rule.place.to_string(), kind: rule.effect.as_str(), why })
}

fn to_allow(destination: &Destination, reason: Option<Reason>, rule: Option<&RuleRef>) -> String {
    let Destination { host, port } = destination;
    let cited = rule.map(ToString::to_string).unwrap_or_default();
    if reason == Some(Reason::Blocked) {
        return format!("narrow or remove the block rule {cited}: no allow rule and no person comes before it");
    }
    if reason == Some(Reason::OwnAddress) {
        return "nothing does: it is exeat itself".to_owned();
    }
    let addresses = match host {
        Host::Address(address) => match Addresses::parse_entry(&address.to_string()) {
            Err(_) => return "nothing does: it is never dialled".to_owned(),
            Ok(_) if Addresses::public().allows(*address) => None,
            Ok(network) => Some(network.to_string()),
        },
        Host::Name(name) => match special(name) {
            Some(Special::Never) => return "nothing does: names of this zone are never dialled".to_owned(),
            Some(Special::NeedsAddresses) => Some("the network it is in".to_owned()),
            None => None,
        },
    };
    let before =
        if rule.is_some() { format!("change {cited}, or answer the question; a rule that allows it reads\n") } else { String::new() };
    let port = if Ports::web().contain(*port) { String::new() } else { format!("\nport = [{}]", port.number()) };
    let addresses = addresses.map(|network| format!("\naddresses = [\"{network}\"]")).unwrap_or_default();
    format!("{before}[[allow]]\nhost = \"{host}\"{port}{addresses}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::address::Guard;
    use crate::policy::allowlist::Allowlist;

    fn policy() -> Policy {
        let text = r#"
agent = "coder"
unlisted = "hold"
[[allow]]
host = "api.example.com"
[[allow]]
host = "db.example.com"
port = 5432
addresses = ["10.20.0.0/16"]
opaque = true
[[hold]]
host = "ask.example.com"
note = "spends money"
[[block]]
host = "*.gist.example.com"
because = "gists leave the company"
"#;
        Policy::new(vec![Allowlist::parse("coder.toml", text).unwrap().0], Guard::default()).unwrap()
    }

    fn coder() -> AgentId {
        AgentId::parse("coder").unwrap()
    }

    fn said(target: &str) -> (u8, String) {
        let explanation = explain(&policy(), &coder(), target, SystemTime::UNIX_EPOCH).unwrap();
        let mut out = Vec::new();
        explanation.write(&mut out, false).unwrap();
        (explanation.exit_code(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_allow_names_its_rule_and_its_addresses() {
        let (code, text) = said("https://api.example.com/v1?q=secret");
        let others = "other rules:\n  coder.toml:6 allow: its host is db.example.com\n  coder.toml:11 hold: its host is ask.example.com\n  coder.toml:14 block: its host is *.gist.example.com\n";
        assert_eq!(
            text,
            format!("allow: coder to api.example.com:443 by coder.toml:4 (listed)\nmay resolve to: public\n{others}{BY_THE_FILES}\n")
        );
        assert_eq!(code, 0);
    }

    #[test]
    fn a_host_alone_is_meant_with_443() {
        for target in ["api.example.com", "api.example.com:443", "https://api.example.com", "get https://api.example.com/"] {
            let (code, text) = said(target);
            assert!(code == 0 && text.starts_with("allow: coder to api.example.com:443 by"), "{target}: {text}");
        }
    }

    #[test]
    fn a_port_that_is_not_listed_is_told_first() {
        let (code, text) = said("db.example.com:22");
        assert!(text.starts_with("hold: coder to db.example.com:22 (unlisted)\n"), "{text}");
        assert!(text.contains("other rules:\n  coder.toml:6 allow: its port is 5432\n"), "{text}");
        assert!(
            text.ends_with(&format!("to allow it:\n  [[allow]]\n  host = \"db.example.com\"\n  port = [22]\n{BY_THE_FILES}\n")),
            "{text}"
        );
        assert_eq!(code, 10);
    }

    #[test]
    fn a_block_says_why_and_what_to_do() {
        let (code, text) = said("GET http://a.gist.example.com/x");
        assert!(
            text.starts_with("block: coder to a.gist.example.com:80 by coder.toml:14 (blocked)\nbecause: gists leave the company\n"),
            "{text}"
        );
        assert!(text.contains("narrow or remove the block rule coder.toml:14"), "{text}");
        assert_eq!(code, 11);
    }

    #[test]
    fn a_hold_rule_and_what_is_never_allowed_are_told_apart() {
        for (target, code, start) in [
            ("ask.example.com:443", 10, "hold: coder to ask.example.com:443 by coder.toml:11\n"),
            ("http://169.254.169.254/", 11, "block: coder to 169.254.169.254:80 (forbidden-address)\n"),
            ("http://10.0.0.1/", 11, "block: coder to 10.0.0.1:80 (forbidden-address)\n"),
            ("http://localhost/", 11, "block: coder to localhost:80 (special-name)\n"),
        ] {
            let (exit, text) = said(target);
            assert!(exit == code && text.starts_with(start), "{target}: {exit} {text}");
        }
        assert!(said("http://10.0.0.1/").1.contains("addresses = [\"10.0.0.1/32\"]"));
        assert!(said("http://169.254.169.254/").1.contains("nothing does"));
    }

    #[test]
    fn what_it_says_would_allow_it_does() {
        for target in ["new.example.org:443", "new.example.org:8443", "10.0.0.1:80", "[fd00::1]:443", "8.8.8.8:53"] {
            let text = explain(&policy(), &coder(), target, SystemTime::UNIX_EPOCH).unwrap().to_allow.unwrap();
            let file = format!("agent = \"coder\"\n{text}\n");
            let policy = Policy::new(vec![Allowlist::parse("f.toml", &file).unwrap().0], Guard::default()).unwrap();
            let explanation = explain(&policy, &coder(), target, SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!((explanation.decision, explanation.to_allow), ("allow", None), "{target}");
        }
    }

    #[test]
    fn json_has_stable_fields() {
        let explanation = explain(&policy(), &coder(), "https://api.example.com", SystemTime::UNIX_EPOCH).unwrap();
        let mut out = Vec::new();
        explanation.write(&mut out, true).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["others"][0], serde_json::json!({"rule": "coder.toml:6", "kind": "allow", "why": "its host is db.example.com"}));
        json["others"] = serde_json::Value::Null;
        let expected = serde_json::json!({
            "agent": "coder", "host": "api.example.com", "port": 443, "decision": "allow", "reason": "listed", "rule": "coder.toml:4", "because": null,
            "addresses": ["public"], "others": null, "others_left_out": 0, "to_allow": null,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_cannot_be_explained_is_said() {
        let of = |agent: &str, target: &str| {
            explain(&policy(), &AgentId::parse(agent).unwrap(), target, SystemTime::UNIX_EPOCH).unwrap_err().to_string()
        };
        assert_eq!(of("other", "a.example.com:1"), "no allowlist is in force for agent other; there are: coder");
        for target in ["ftp://a.example.com/", "GET"] {
            assert!(of("coder", target).starts_with("the target is not a URL that exeat carries"), "{target}");
        }
        for target in ["a.example.com:", "a.example.com:0", "http://u:p@a.example.com/", "", "https://"] {
            assert!(of("coder", target).starts_with("the target cannot be read"), "{target}");
        }
    }
}
