//! The order of decision, read from the top: the first that speaks decides.

use std::net::IpAddr;

use super::address::{self, Readings};
use super::approval::{Ask, No, Yes, covering, is_quiet};
use super::written::{File, Kind, Rule};
use super::{name, pattern};

/// exeat's own listeners.
pub const LISTENERS: [(&str, u16); 2] = [("127.0.0.1", 3128), ("0.0.0.0", 9464)];
/// The addresses of this machine.
pub const MACHINE: [&str; 1] = ["192.0.2.7"];
/// Other names and addresses of ours.
pub const KNOWN_AS: [&str; 2] = ["egress.corp.example", "203.0.113.9"];
/// `[guard] never`.
pub const NEVER: [&str; 2] = ["10.96.0.0/28", "2001:db8:9::/48"];

/// All that decides.
pub struct World<'a> {
    pub file: &'a File,
    pub yeses: &'a [Yes],
    pub noes: &'a [No],
    pub now: u64,
}

/// What an attempt gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// `hold`, `listed`, `approved`, or the reason of a block.
    pub word: &'static str,
    /// The rules that may be named, where one decided.
    pub rules: Vec<usize>,
    /// What the destination may resolve to: the lists that may bind, where it is not refused.
    pub addresses: Vec<Vec<&'static str>>,
}

/// Judges an attempt; `None` where the language leaves open which of two rules alike speaks, and it matters.
pub fn decide(world: &World<'_>, ask: &Ask) -> Option<Answer> {
    let [blocks, holds, allows] = [Kind::Block, Kind::Hold, Kind::Allow].map(|kind| speaking(world.file, kind, ask));
    let yeses = covering(world.yeses, ask, world.now);
    let unasked = unasked(world.file, &holds, &allows);
    let approved: Vec<Vec<&str>> = yeses.iter().map(|yes| yes.addresses.clone()).collect();
    let addresses = if yeses.is_empty() { unasked } else { approved };
    if let Some(word) = never(world.file, ask, &addresses)? {
        return Some(Answer { word, rules: Vec::new(), addresses: Vec::new() });
    }
    let said = |word, rules: Vec<usize>, addresses| Some(Answer { word, rules, addresses });
    if let Some(first) = blocks.first() {
        return said("blocked", vec![*first], Vec::new());
    }
    if is_quiet(world.noes, ask, world.now) {
        return said("quiet", Vec::new(), Vec::new());
    }
    match (yeses.is_empty(), holds.is_empty(), allows.is_empty()) {
        (false, ..) => said("approved", Vec::new(), addresses),
        (true, false, _) => said("hold", holds, addresses),
        (true, true, false) => said("listed", allows, addresses),
        (true, true, true) if world.file.hold_unlisted => said("hold", Vec::new(), addresses),
        (true, true, true) => said("unlisted", Vec::new(), Vec::new()),
    }
}

/// Whether an address may be dialled, once the attempt has passed.
pub fn may_dial(file: &File, addresses: &[&str], address: IpAddr, port: u16) -> bool {
    let blocked = file.rules.iter().any(|rule| rule.kind == Kind::Block && rule.holds_for(port) && names_address(rule, address));
    !address::is_metadata(address) && !is_own(address, port) && !is_never(address) && !blocked && address::covered(addresses, address)
}

/// What no rule and no person opens. The outer `None`: rules alike disagree on the address.
fn never(file: &File, ask: &Ask, addresses: &[Vec<&str>]) -> Option<Option<&'static str>> {
    let Some(literal) = address::read(&ask.host) else {
        let host = ask.host.as_str();
        let special = name::is_never(host) || name::is_local(host) && !is_spelled(file, ask);
        return Some(if KNOWN_AS.contains(&host) { Some("self") } else { special.then_some("special-name") });
    };
    if address::is_metadata(literal) {
        return Some(Some("forbidden-address"));
    }
    if is_own(literal, ask.port) {
        return Some(Some("self"));
    }
    let covered = |addresses: &Vec<&str>| address::covered(addresses, literal);
    if is_never(literal) || !addresses.iter().any(covered) {
        return Some(Some("forbidden-address"));
    }
    addresses.iter().all(covered).then_some(None)
}

/// The hold rule's addresses, else the allow rule's, else the agent's.
fn unasked(file: &File, holds: &[usize], allows: &[usize]) -> Vec<Vec<&'static str>> {
    let allowed = || -> Vec<Vec<&str>> {
        if allows.is_empty() { vec![file.addresses()] } else { allows.iter().filter_map(|at| file.rules[*at].addresses()).collect() }
    };
    if holds.is_empty() {
        return allowed();
    }
    holds.iter().flat_map(|at| file.rules[*at].addresses().map_or_else(allowed, |own| vec![own])).collect()
}

/// An allow or hold rule spells the name, without a wildcard, has `addresses`, and holds for the port.
fn is_spelled(file: &File, ask: &Ask) -> bool {
    let spells = |rule: &Rule| rule.kind != Kind::Block && rule.addresses.is_some() && rule.hosts.contains(&ask.host);
    file.rules.iter().any(|rule| spells(rule) && rule.holds_for(ask.port))
}

fn is_own(address: IpAddr, port: u16) -> bool {
    let is_ours = |address: IpAddr| {
        let here = address.is_loopback() || address.is_unspecified();
        let at = |(ip, own): (&str, u16)| {
            let reached = if ip == "0.0.0.0" { here || MACHINE.contains(&address.to_string().as_str()) } else { address.to_string() == ip };
            own == port && (reached || address.is_unspecified())
        };
        LISTENERS.into_iter().any(at) || KNOWN_AS.contains(&address.to_string().as_str())
    };
    Readings::of(address).every().into_iter().any(is_ours)
}

fn is_never(address: IpAddr) -> bool {
    Readings::of(address).every().into_iter().any(|address| NEVER.iter().any(|network| address::inside(network, address)))
}

fn names_address(rule: &Rule, address: IpAddr) -> bool {
    let readings = Readings::of(address).every();
    rule.hosts.iter().any(|host| address::read(host).is_some_and(|named| readings.contains(&named)))
}

/// The rules of a kind that speak, the most specific alone; of block rules all, in the order of the file.
fn speaking(file: &File, kind: Kind, ask: &Ask) -> Vec<usize> {
    let about = |rule: &&Rule| rule.kind == kind && rule.holds_for(ask.port);
    let ranks: Vec<Option<Rank>> = file.rules.iter().map(|rule| Some(rule).filter(about).and_then(|rule| rank(rule, ask))).collect();
    let best = ranks.iter().flatten().max();
    let speaks = |at: &usize| ranks[*at].is_some() && (kind == Kind::Block || ranks[*at].as_ref() == best);
    (0..ranks.len()).filter(speaks).collect()
}

/// Exact, labels, not opaque, no networks, no `public`: the greatest speaks.
type Rank = (bool, usize, bool, bool, bool);

fn rank(rule: &Rule, ask: &Ask) -> Option<Rank> {
    let addresses = rule.addresses().unwrap_or_default();
    let (networks, public) = (addresses.iter().any(|entry| *entry != "public"), addresses.contains(&"public"));
    let named = rule.hosts.iter().filter(|host| is_about(rule, host, ask));
    named.map(|host| (!pattern::is_wild(host), host.split('.').count(), !rule.opaque, !networks, !public)).max()
}

fn is_about(rule: &Rule, host: &str, ask: &Ask) -> bool {
    match (address::read(&ask.host), address::read(host)) {
        (Some(asked), Some(named)) => named == asked || rule.kind == Kind::Block && Readings::of(asked).every().contains(&named),
        (None, None) => {
            if pattern::is_wild(host) {
                pattern::matches(host, &ask.host)
            } else {
                *host == ask.host
            }
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
