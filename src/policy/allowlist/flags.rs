//! The allowlist of `exeat run`, from `--allow` and `--addresses`.

use std::sync::Arc;

use super::{Allowlist, Unlisted};
use crate::policy::address::Addresses;
use crate::policy::attempt::AgentId;
use crate::policy::destination::{Destination, Port};
use crate::policy::fault::{Fault, Warning, shown};
use crate::policy::limits::Limits;
use crate::policy::pattern::{HostPattern, PatternFault, Use};
use crate::policy::rule::{self, Allow, Effect, Ports, Rule, RuleRef};

const ALLOW: &str = "--allow";

/// What is wrong with a value: found, wanted, fix.
type Wrong = [String; 3];

/// What deserves a second look: a code and the sentence.
type SecondLook = (&'static str, String);

impl Allowlist {
    /// The allowlist of `run` without a file. `hosts` are patterns, each with `:PORT` where it is not 80 or 443; `networks` come on top of `public`.
    pub fn for_run(agent: AgentId, hosts: &[String], networks: &[String], unlisted: Unlisted) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let mut addresses = Addresses::public();
        for (network, line) in networks.iter().zip(1..) {
            if let Err(why) = addresses.add(network) {
                let wrong = [shown(network), "a network or an address".to_owned(), rule::fix_of_network(network, why)];
                faults.push(fault("--addresses", line, wrong));
            }
        }
        let addresses = Arc::new(addresses);
        let effect = Effect::Allow(Allow {
            addresses: addresses.clone(),
            spelled: !networks.is_empty(),
            opaque: false,
            exclude: false,
            websocket: false,
            limits: Limits::default(),
        });
        let mut rules = Vec::new();
        for (text, line) in hosts.iter().zip(1..) {
            match listed(text, &effect) {
                Ok((host, ports, warning)) => {
                    let place = RuleRef { file: ALLOW.into(), line };
                    warnings.extend(warning.map(|(code, text)| Warning { file: ALLOW.into(), line, column: 0, code, text }));
                    rules.push(Rule { place, hosts: vec![host], ports, request: None, effect: effect.clone(), until: None, note: None });
                }
                Err(wrong) => faults.push(fault(ALLOW, line, wrong)),
            }
        }
        let allowlist = Self { file: ALLOW.into(), unlisted, addresses, rules, ..Self::embedded(agent) };
        if faults.is_empty() { Ok((allowlist, warnings)) } else { Err(faults) }
    }
}

/// One value of `--allow`.
fn listed(text: &str, effect: &Effect) -> Result<(HostPattern, Ports, Option<SecondLook>), Wrong> {
    let (host, ports) = with_port(text)?;
    let parsed = HostPattern::parse(host, Use::Grant, false).map_err(|why| {
        let found = format!("{}, {}", shown(text), why.found());
        let of_network = matches!(why, PatternFault::Network | PatternFault::HostBits { .. } | PatternFault::WideNetwork);
        let slip = if of_network { None } else { slip(text) };
        slip.unwrap_or_else(|| [found, why.wanted().to_owned(), why.fix()])
    })?;
    let fix = "name its network with --addresses, or leave it out";
    let warning = rule::usable(&parsed.pattern, effect).map_err(|[found, wanted, _]| [found, wanted, fix.to_owned()])?;
    Ok((parsed.pattern, ports, warning))
}

/// `HOST`, `HOST:PORT` or `[V6]:PORT`. A port that is none is told as such, where the rest is a host.
fn with_port(text: &str) -> Result<(&str, Ports), Wrong> {
    let split = text.rsplit_once(':').filter(|(host, port)| (!host.contains(':') || host.ends_with(']')) && !port.contains('/'));
    let Some((host, port)) = split else { return Ok((text, Ports::web())) };
    match Port::parse(port) {
        Ok(port) => Ok((host, Ports::these([port]))),
        Err(_) if HostPattern::parse(host, Use::Grant, true).is_err() => Ok((text, Ports::web())),
        Err(_) => {
            let found = format!("the port {}", shown(port));
            Err([found, "a port from 1 to 65535".to_owned(), "correct it, or leave it out for 80 and 443".to_owned()])
        }
    }
}

/// What people write in place of a host: a list, or a URL.
fn slip(text: &str) -> Option<Wrong> {
    let is_host = |part: &str| with_port(part).is_ok_and(|(host, _)| HostPattern::parse(host, Use::Grant, true).is_ok());
    let parts: Vec<&str> = text.split([',', ' ']).filter(|part| !part.is_empty()).collect();
    if parts.len() > 1 && parts.iter().all(|part| is_host(part)) {
        let found = format!("{}, a list", shown(text));
        return Some([found, "one host per --allow".to_owned(), "repeat the flag".to_owned()]);
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| authority.len() < text.len())?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // Written anew from what was understood, so that nothing of the text is repeated raw.
    let web = Port::parse("443").ok()?;
    let meant = Destination::parse_with_default_port(host, web).ok()?;
    let meant = if host.ends_with(&format!(":{}", meant.port.number())) { meant.to_string() } else { meant.host.to_string() };
    let wanted = "a host, or HOST:PORT".to_owned();
    Some([format!("{}, more than a host", shown(text)), wanted, format!("write --allow {meant}")])
}

fn fault(flag: &str, line: u32, [found, wanted, fix]: Wrong) -> Fault {
    Fault { file: flag.into(), line, column: 0, found, wanted, fix }
}
