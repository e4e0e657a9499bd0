//! Bytes made into an allowlist, into what people said, and into attempts. Few hosts, so that they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::{Result, Unstructured};

use super::model::approval::{Ask, No, ONCE, Scope, Shown, Yes};
use super::model::pattern::{instances, is_wild};
use super::model::written::{File, Kind, Rule};
use super::model::{address, name};

/// All that one decision needs, and the attempts that need it.
#[derive(Debug)]
pub struct Scene {
    pub file: File,
    /// Hosts are spelled in capitals and with a final dot.
    pub loud: bool,
    pub yeses: Vec<Yes>,
    pub noes: Vec<No>,
    pub asks: Vec<Ask>,
    /// What names may resolve to.
    pub addresses: Vec<IpAddr>,
    pub now: u64,
}

const NOW: u64 = 1_000;
/// The attempt that is judged, a tunnel around it, and another.
const IDS: [u128; 3] = [1, 2, 3];
const PORTS: [u16; 9] = [443, 443, 443, 80, 80, 22, 3128, 9464, 65535];

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
const WILD: [&str; 11] = ["*.", "**.", "a*.", "{a,b}.", "?.", "a?.", "[a-b].", "*.a.", "**.{a,api-1}.", "*.?.", "a.*."];
const BROAD: [&str; 6] = ["*.com", "**.arpa", "a*.*", "*example.com", "**.test", "{example,acme}.*"];

const ADDRESSES: [&str; 26] = [
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
    let file = file(from)?;
    let loud = from.ratio(1, 8)?;
    let asks = several(from, 1, 4, |from| ask(from, &file))?;
    let mut yeses: Vec<Yes> = Vec::new();
    let count = if from.arbitrary()? { from.int_in_range(1..=3)? } else { 0 };
    for id in 0..count {
        let mut yes = yes(from, 100 + id, &asks)?;
        // An attempt uses one yes and waits for one.
        yes.used_by.retain(|id| yeses.iter().all(|other| !other.used_by.contains(id)));
        if let Scope::Waiting(waiting) = &mut yes.scope {
            waiting.retain(|id| yeses.iter().all(|other| !matches!(&other.scope, Scope::Waiting(taken) if taken.contains(id))));
        }
        yeses.push(yes);
    }
    let quiet = usize::from(from.ratio(1, 4)?) * 2;
    let noes = several(from, 0, quiet, |from| Ok(No { shown: shown(from, &asks)?, until: from.int_in_range(NOW - 1..=NOW + 1)? }))?;
    let addresses = several(from, 0, 8, any_address)?;
    Ok(Scene { file, loud, yeses, noes, asks, addresses, now: NOW })
}

fn several<T>(from: &mut Unstructured<'_>, least: usize, most: usize, each: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = from.int_in_range(least..=most)?;
    (0..count).map(|_| each(from)).collect()
}

fn file(from: &mut Unstructured<'_>) -> Result<File> {
    Ok(File { hold_unlisted: from.arbitrary()?, addresses: networks(from)?, rules: several(from, 0, 6, rule)? })
}

fn rule(from: &mut Unstructured<'_>) -> Result<Rule> {
    let kind = *from.choose(&[Kind::Allow, Kind::Allow, Kind::Hold, Kind::Block])?;
    let mut rule = Rule {
        kind,
        hosts: several(from, 1, 3, |from| pattern(from, kind))?,
        ports: if from.arbitrary()? { several(from, 1, 2, port)? } else { Vec::new() },
        addresses: if kind == Kind::Block { None } else { networks(from)? },
        opaque: kind == Kind::Allow && from.ratio(1, 8)?,
    };
    // Most files are to load, so that there is something to decide.
    if !from.ratio(1, 32)? {
        let hosts = std::mem::take(&mut rule.hosts);
        rule.hosts = hosts.into_iter().filter(|host| rule.may_open(host)).collect();
        if rule.hosts.is_empty() {
            rule.hosts.push(BASES[0].to_owned());
        }
    }
    Ok(rule)
}

fn pattern(from: &mut Unstructured<'_>, kind: Kind) -> Result<String> {
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
    if from.ratio(1, 5)? {
        return Ok(address::spelled(any_address(from)?));
    }
    let bases = if from.ratio(2, 3)? { &BASES[..OWNED] } else { &BASES[..] };
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
    let chosen: u16 = if from.ratio(1, 3)? { from.arbitrary()? } else { 0 };
    let listed: Vec<&str> = (0..NETWORKS.len()).filter(|at| chosen >> at & 1 == 1).map(|at| NETWORKS[at]).collect();
    Ok(Some(listed).filter(|listed| !listed.is_empty()))
}

/// Mostly what some rule is about, or close by.
fn ask(from: &mut Unstructured<'_>, file: &File) -> Result<Ask> {
    let http = from.arbitrary()?;
    let within = (http && from.arbitrary()?).then_some(IDS[1]);
    let (mut host, mut port) = (host(from)?, port(from)?);
    if !file.rules.is_empty() && from.ratio(3, 4)? {
        let Rule { hosts, ports, .. } = from.choose(&file.rules)?;
        let pattern = from.choose(hosts)?;
        let near: Vec<String> = if is_wild(pattern) { instances(pattern) } else { vec![pattern.clone()] };
        let near: Vec<String> = near.into_iter().filter(|near| address::read(near).is_some() || name::is_plain(near)).collect();
        host = from.choose(&near)?.clone();
        port = if ports.is_empty() { port } else { *from.choose(ports)? };
    }
    Ok(Ask { host, port, http, id: IDS[0], within })
}

fn shown(from: &mut Unstructured<'_>, asks: &[Ask]) -> Result<Shown> {
    let Ask { host, port, http, id: _, within: _ } = from.choose(asks)?;
    let http = if from.ratio(1, 4)? { !http } else { *http };
    Ok(Shown { host: host.clone(), port: *port, http, agent: !from.ratio(1, 8)?, instance: !from.ratio(1, 4)? })
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
