//! Bytes made into an allowlist, into what people said, and into attempts. Few hosts, so that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::{Result, Unstructured};

use super::model::approval::{Ask, No, ONCE, Scope, Shown, Yes};
use super::model::decide::{World, decide};
use super::model::loads::may_open;
use super::model::pattern::{instances, is_wild};
use super::model::request::{PATHS, QUERIES, Request};
use super::model::written::{Expect, File, Floor, Kind, Rule};
use super::model::{address, name};

/// All that one decision needs, and the attempts that need it.
#[derive(Debug)]
pub struct Scene {
    pub floor: Floor,
    pub file: File,
    /// Hosts are spelled in capitals and with a final dot.
    pub loud: bool,
    pub frozen: bool,
    pub yeses: Vec<Yes>,
    pub noes: Vec<No>,
    pub asks: Vec<Ask>,
    /// What names may resolve to.
    pub addresses: Vec<IpAddr>,
    pub now: u64,
}

const NOW: u64 = 1_000;
const FORTNIGHT: u64 = 14 * 86_400;
/// The attempt that is judged, a tunnel around it, and another.
const IDS: [u128; 3] = [1, 2, 3];
const PORTS: [u16; 10] = [80, 80, 80, 443, 443, 443, 22, 3128, 9464, 65535];
/// Those where requests are in plain sight.
const PLAIN: [u16; 4] = [80, 80, 80, 3128];
const METHODS: [&str; 5] = ["GET", "GET", "HEAD", "POST", "PUT"];
const PATTERNS: [&str; 9] = ["/", "/a", "/a/b", "/a/*", "/a/**", "/**", "/**/b", "/*/*/c", "/a/%C3%A9"];

const FRONTS: [&str; 7] = ["", "a.", "b.", "ab.", "a.b.", "x.a.", "api-1."];
const BASES: [&str; 14] = [
    "example.com",
    "sub.example.com",
    "example.co.uk",
    "acme.github.io",
    "wild.test",
    "corp.internal",
    "svc.cluster.local",
    "home.arpa",
    "db",
    "localhost",
    "abc.onion",
    "in-addr.arpa",
    "com",
    "egress.corp.example",
];
/// Those that an allow or hold rule may put a wildcard on.
const OWNED: usize = 7;
/// Those that any rule may open.
const ORDINARY: usize = 5;
const WILD: [&str; 11] = ["*.", "**.", "a*.", "{a,b}.", "?.", "a?.", "[a-b].", "*.a.", "**.{a,api-1}.", "*.?.", "a.*."];
const BROAD: [&str; 6] = ["*.com", "**.arpa", "a*.*", "*example.com", "**.test", "{example,acme}.*"];

/// The first four are broad: for block rules alone.
const HOST_NETWORKS: [&str; 10] = [
    "0.0.0.0/0",
    "::/0",
    "fd00::/8",
    "2002::/16",
    "10.0.0.0/8",
    "10.1.2.0/24",
    "9.0.0.0/8",
    "9.9.9.8/29",
    "2001:db8::/32",
    "2606:4700::/48",
];
const BROAD_NETWORKS: usize = 4;

const ADDRESSES: [&str; 28] = [
    "8.8.8.8",
    "9.9.9.9",
    "10.0.0.1",
    "10.1.2.3",
    "10.96.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.2.7",
    "203.0.113.9",
    "192.168.0.9",
    "224.0.0.1",
    "::",
    "::1",
    "2606:4700::1111",
    "2001:db8::1",
    "2001:db8:9::1",
    "fd00:ec2::254",
    "fd12:3456::1",
    "64:ff9b::909:909",
    "2002:a00:1::",
    "::ffff:10.0.0.1",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:1:808:8:800::",
    "fe80::200:5efe:808:808",
    "2001:0:909:909::f5ff:fffe",
];

/// In the order in which a list of them is written.
const NETWORKS: [&str; 10] = [
    "public",
    "10.0.0.0/8",
    "10.0.0.1",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.2.0/24",
    "::/0",
    "fd00::/8",
    "2001:db8::/32",
    "64:ff9b::/96",
];

pub fn scene(from: &mut Unstructured<'_>) -> Result<Scene> {
    let floor = if one_in(from, 3)? { floor(from)? } else { Floor::default() };
    let mut file = file(from, &floor)?;
    let (loud, frozen) = (one_in(from, 8)?, one_in(from, 64)?);
    let asks = several(from, 1, 4, |from| ask(from, &floor, &file))?;
    let yeses = if from.arbitrary()? { yeses(from, &asks)? } else { Vec::new() };
    let most = usize::from(one_in(from, 3)?) * 2;
    let noes = several(from, 0, most, |from| Ok(No { shown: shown(from, &asks)?, until: from.int_in_range(NOW..=NOW + 2)? }))?;
    let addresses = several(from, 0, 8, any_address)?;
    let most = usize::from(one_in(from, 4)?);
    let expects = several(from, 0, most, |from| expect(from, &floor, &file))?;
    file.expects.extend(expects.into_iter().flatten());
    Ok(Scene { floor, file, loud, frozen, yeses, noes, asks, addresses, now: NOW })
}

fn several<T>(from: &mut Unstructured<'_>, least: usize, most: usize, each: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = from.int_in_range(least..=most)?;
    (0..count).map(|_| each(from)).collect()
}

/// Bytes that have run out are never the one.
fn one_in(from: &mut Unstructured<'_>, count: u8) -> Result<bool> {
    Ok(from.int_in_range(1..=count)? == count)
}

fn perhaps<T>(from: &mut Unstructured<'_>, of: u8, some: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if one_in(from, of)? { some(from).map(Some) } else { Ok(None) }
}

fn floor(from: &mut Unstructured<'_>) -> Result<Floor> {
    let rules = several(from, 0, 2, |from| {
        let kind = *from.choose(&[Kind::Hold, Kind::Block])?;
        Ok(Rule { included: false, addresses: None, ..rule(from, kind, true)? })
    })?;
    // Without its addresses a rule may have hosts left that it cannot open.
    let rules = rules.into_iter().map(|rule| Rule { hosts: openable(&rule), ..rule }).collect();
    Ok(Floor {
        rules,
        private: perhaps(from, 4, networks)?.flatten().map(|mut listed| {
            listed.retain(|entry| *entry != "public");
            listed
        }),
        forbid: ["observe", "opaque", "always"].into_iter().filter(|_| one_in(from, 4).unwrap_or_default()).collect(),
        max_for: perhaps(from, 3, |from| from.int_in_range(1..=NOW))?,
        limit: perhaps(from, 8, |_| Ok(7))?,
    })
}

fn file(from: &mut Unstructured<'_>, floor: &Floor) -> Result<File> {
    // What the floor does not let pass is rare, so that most files load.
    let obedient = !one_in(from, 16)?;
    let narrowed = |listed: Option<Vec<&'static str>>| listed.filter(|_| !obedient || floor.private.is_none());
    let rules = several(from, 0, 6, |from| {
        let kind = *from.choose(&[Kind::Allow, Kind::Allow, Kind::Hold, Kind::Block])?;
        let mut rule = rule(from, kind, obedient)?;
        if obedient && floor.private.is_some() {
            rule.addresses = None;
            rule.hosts = openable(&rule);
        }
        rule.opaque &= !(obedient && floor.forbid.contains(&"opaque"));
        Ok(rule)
    })?;
    let observe = perhaps(from, 6, |from| Ok(*from.choose(&[NOW, NOW + 1, NOW + FORTNIGHT, NOW + FORTNIGHT + 1])?))?;
    Ok(File {
        hold_unlisted: from.arbitrary()?,
        addresses: narrowed(networks(from)?),
        observe_until: observe.filter(|_| !obedient || !floor.forbid.contains(&"observe")),
        limit: perhaps(from, 8, |_| Ok(8))?,
        rules,
        expects: Vec::new(),
    })
}

fn rule(from: &mut Unstructured<'_>, kind: Kind, obedient: bool) -> Result<Rule> {
    let mut rule = Rule::plain(kind, several(from, 1, 3, |from| pattern(from, kind))?);
    rule.included = one_in(from, 6)?;
    rule.until = perhaps(from, 6, |from| from.int_in_range(NOW - 1..=NOW + 1))?;
    rule.addresses = if kind == Kind::Block { None } else { networks(from)? };
    let looks = one_in(from, 3)?;
    if looks {
        let parts = from.int_in_range(1..=7_u8)?;
        let methods: Vec<&str> = several(from, 1, 2, |from| Ok(*from.choose(&METHODS)?))?;
        let paths: Vec<&str> = several(from, 1, 2, |from| Ok(*from.choose(&PATTERNS)?))?;
        rule.methods = if parts & 1 == 1 { methods } else { Vec::new() };
        rule.paths = if parts & 2 == 2 { paths } else { Vec::new() };
        rule.query = parts & 4 == 4;
    }
    let plain = looks && obedient;
    rule.ports = if plain {
        several(from, 1, 2, |from| Ok(*from.choose(&PLAIN)?))?
    } else if from.arbitrary()? {
        several(from, 1, 2, port)?
    } else {
        Vec::new()
    };
    if kind == Kind::Allow {
        rule.opaque = !plain && one_in(from, 8)?;
        rule.websocket = one_in(from, 8)? && (!obedient || rule.methods.is_empty() || rule.methods.contains(&"GET"));
        rule.limit = perhaps(from, 8, |from| from.int_in_range(9..=10))?;
    }
    if obedient {
        rule.hosts = openable(&rule);
    }
    Ok(rule)
}

/// The hosts that the rule can hold, at least one.
fn openable(rule: &Rule) -> Vec<String> {
    let mut hosts: Vec<String> = rule.hosts.iter().filter(|host| may_open(rule, host)).cloned().collect();
    if hosts.is_empty() {
        hosts.push(BASES[0].to_owned());
    }
    hosts
}

/// Mostly one that comes true.
fn expect(from: &mut Unstructured<'_>, floor: &Floor, file: &File) -> Result<Option<Expect>> {
    let mut ask = ask(from, floor, file)?;
    ask.within = None;
    if let Some(seen) = &mut ask.seen {
        (seen.content, seen.websocket, seen.rewrites) = (false, false, false);
        seen.method = METHODS.into_iter().find(|method| method.eq_ignore_ascii_case(seen.method)).unwrap_or_default();
    }
    let world = World { floor, file, yeses: &[], noes: &[], now: None, guarded: false, frozen: false };
    let word = decide(&world, &ask).map(|answer| match answer.word {
        "listed" => "allow",
        "hold" | "look" => answer.word,
        _ => "block",
    });
    let wrong = *from.choose(&["allow", "hold", "block", "look"])?;
    let decision = if one_in(from, 8)? { Some(wrong) } else { word };
    Ok(decision.map(|decision| Expect { ask, decision }))
}

fn pattern(from: &mut Unstructured<'_>, kind: Kind) -> Result<String> {
    if one_in(from, 8)? {
        let broad = if kind == Kind::Block { 0 } else { BROAD_NETWORKS };
        return Ok((*from.choose(&HOST_NETWORKS[broad..])?).to_owned());
    }
    match (from.int_in_range(0..=3)?, kind) {
        (0, Kind::Block) => Ok((*from.choose(&BROAD)?).to_owned()),
        (0 | 1, _) => {
            let bases = if kind == Kind::Block { &BASES[..] } else { &BASES[..OWNED] };
            Ok(format!("{}{}", from.choose(&WILD)?, from.choose(bases)?))
        }
        (_, _) => host(from),
    }
}

/// A name or an address, canonical.
fn host(from: &mut Unstructured<'_>) -> Result<String> {
    if one_in(from, 5)? {
        return Ok(address::spelled(any_address(from)?));
    }
    let bases = if from.ratio(3, 4)? { &BASES[..ORDINARY] } else { &BASES[..] };
    Ok(format!("{}{}", from.choose(&FRONTS)?, from.choose(bases)?))
}

fn any_address(from: &mut Unstructured<'_>) -> Result<IpAddr> {
    Ok(match from.int_in_range(0..=7)? {
        0 => IpAddr::V4(Ipv4Addr::from_bits(from.arbitrary()?)),
        1 => IpAddr::V6(Ipv6Addr::from_bits(from.arbitrary()?)),
        _ => from.choose(&ADDRESSES)?.parse().expect("addresses of the scene are good"),
    })
}

fn port(from: &mut Unstructured<'_>) -> Result<u16> {
    from.choose(&PORTS).copied()
}

/// A list in the order of `NETWORKS`, or none.
fn networks(from: &mut Unstructured<'_>) -> Result<Option<Vec<&'static str>>> {
    let chosen: u16 = if one_in(from, 3)? { from.arbitrary()? } else { 0 };
    let listed: Vec<&str> = (0..NETWORKS.len()).filter(|at| chosen >> at & 1 == 1).map(|at| NETWORKS[at]).collect();
    Ok(Some(listed).filter(|listed| !listed.is_empty()))
}

/// Mostly what some rule is about, or close by.
fn ask(from: &mut Unstructured<'_>, floor: &Floor, file: &File) -> Result<Ask> {
    let seen = perhaps(from, 2, request)?;
    let within = (seen.is_some() && from.arbitrary()?).then_some(IDS[1]);
    let (mut host, mut port) = (host(from)?, port(from)?);
    let rules: Vec<&Rule> = floor.rules.iter().chain(&file.rules).collect();
    if !rules.is_empty() && from.ratio(3, 4)? {
        let Rule { hosts, ports, .. } = from.choose(&rules)?;
        let near = near(from.choose(hosts)?);
        host = from.choose(&near)?.clone();
        port = if ports.is_empty() { port } else { *from.choose(ports)? };
    }
    Ok(Ask { host, port, seen, id: IDS[0], within })
}

/// Hosts that a pattern stands for, or close by.
fn near(pattern: &str) -> Vec<String> {
    if let Some((first, _)) = pattern.split_once('/') {
        let inside = ADDRESSES.iter().filter_map(|address| address.parse().ok()).filter(|one| address::inside(pattern, *one));
        return inside.chain(first.parse()).map(address::spelled).collect();
    }
    let near = if is_wild(pattern) { instances(pattern) } else { vec![pattern.to_owned()] };
    near.into_iter().filter(|near| address::read(near).is_some() || name::is_plain(near)).collect()
}

fn request(from: &mut Unstructured<'_>) -> Result<Request> {
    let method = if one_in(from, 16)? { "get" } else { *from.choose(&METHODS)? };
    Ok(Request {
        method,
        path: from.choose(&PATHS)?.0,
        query: from.choose(&QUERIES)?.0,
        content: one_in(from, 8)?,
        websocket: one_in(from, 8)?,
        rewrites: one_in(from, 16)?,
    })
}

fn shown(from: &mut Unstructured<'_>, asks: &[Ask]) -> Result<Shown> {
    let Ask { host, port, seen, id: _, within: _ } = from.choose(asks)?;
    let http = if one_in(from, 4)? { seen.is_none() } else { seen.is_some() };
    let other = (METHODS[0], PATHS[0].0);
    let line = if http && from.arbitrary()? { Some(seen.as_ref().map_or(other, |seen| (seen.method, seen.meant()))) } else { None };
    Ok(Shown { host: host.clone(), port: *port, http, line, agent: !one_in(from, 8)?, instance: !one_in(from, 4)? })
}

fn yeses(from: &mut Unstructured<'_>, asks: &[Ask]) -> Result<Vec<Yes>> {
    let mut yeses: Vec<Yes> = Vec::new();
    for id in 0..from.int_in_range(1..=3)? {
        let mut yes = yes(from, 100 + id, asks)?;
        // An attempt uses one yes and waits for one, and a tunnel uses one to a tunnel.
        yes.used_by.retain(|id| yeses.iter().all(|other| !other.used_by.contains(id)) && (*id != IDS[1] || !yes.shown.http));
        if let Scope::Waiting(waiting) = &mut yes.scope {
            waiting.retain(|id| yeses.iter().all(|other| !matches!(&other.scope, Scope::Waiting(taken) if taken.contains(id))));
        }
        yeses.push(yes);
    }
    Ok(yeses)
}

fn yes(from: &mut Unstructured<'_>, id: u128, asks: &[Ask]) -> Result<Yes> {
    let until = from.int_in_range(NOW - 1..=NOW + 2)?;
    let ids = |from: &mut Unstructured<'_>| -> Result<Vec<u128>> {
        let chosen: u8 = from.arbitrary()?;
        Ok(IDS.into_iter().filter(|id| chosen >> id & 1 == 1).collect())
    };
    let scope = match from.int_in_range(0..=3)? {
        0 => Scope::Waiting(ids(from)?),
        1 => Scope::Next { until },
        2 => Scope::For { until },
        _ => Scope::Always,
    };
    let at = from.int_in_range(NOW - ONCE - 1..=NOW)?;
    let addresses = networks(from)?.unwrap_or_else(|| vec!["public"]);
    Ok(Yes { id, shown: shown(from, asks)?, scope, addresses, at, used_by: ids(from)? })
}
