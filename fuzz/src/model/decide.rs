//! The order of decision, read from the top: the first that speaks decides.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::address::{self, Readings};
use super::approval::{Ask, No, Scope, Yes, covering, is_quiet};
use super::request::{Permits, concerns, permits};
use super::written::{File, Floor, Kind, Rule};
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
    pub floor: &'a Floor,
    pub file: &'a File,
    pub yeses: &'a [Yes],
    pub noes: &'a [No],
    /// The time; none where rules never end and nobody is observed.
    pub now: Option<u64>,
    /// exeat has addresses of its own and others that it never dials.
    pub guarded: bool,
    pub frozen: bool,
}

/// What an attempt gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// `hold`, `look`, `listed`, `approved`, `observed`, or the reason of a block.
    pub word: &'static str,
    /// The rules that may be named, where one decided: the floor's come first in the count.
    pub rules: Vec<usize>,
    /// What the destination may resolve to: the lists that may bind, where it is not refused.
    pub addresses: Vec<Vec<&'static str>>,
    /// How it passes: the ways that may bind, where it passes.
    pub passes: Vec<Pass>,
}

/// What an allow carries beside its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    pub opaque: bool,
    pub websocket: bool,
    pub until: Option<u64>,
    /// How many limits bind it.
    pub limits: usize,
    /// Only the normal form of the path is forwarded.
    pub normal_path: bool,
}

/// Judges an attempt; `None` where the language leaves open which of two rules alike speaks, and it matters.
pub fn decide(world: &World<'_>, ask: &Ask) -> Option<Answer> {
    if world.frozen {
        return Some(Answer { word: "frozen", ..Answer::default() });
    }
    let found = Found::of(world, ask);
    let yeses = found.yeses(world, ask);
    let addresses = if yeses.is_empty() { found.addresses(world.file) } else { yeses.iter().map(|yes| yes.addresses.clone()).collect() };
    if let Some(word) = never(world, &found, ask, &addresses)? {
        return Some(Answer { word, ..Answer::default() });
    }
    let said = |word, rules: &[usize], addresses, passes| Some(Answer { word, rules: rules.to_vec(), addresses, passes });
    let refused = |word, rules: &[usize]| said(word, rules, Vec::new(), Vec::new());
    if let Some(rules) = found.blocked(ask) {
        return refused("blocked", &rules);
    }
    if ask.seen.is_none() && !found.looking.is_empty() {
        return refused("look", &found.looking);
    }
    if is_quiet(world.noes, ask, !found.looking.is_empty(), world.now.unwrap_or_default()) {
        return refused("quiet", &[]);
    }
    let observed = world.file.observe_until.filter(|until| world.now.is_some_and(|now| now < *until));
    let observed = |rules: &[usize]| {
        observed.and_then(|until| said("observed", rules, addresses.clone(), found.pass(world, |pass| Pass { until: Some(until), ..pass })))
    };
    if !yeses.is_empty() {
        let passes = yeses.iter().flat_map(|yes| found.pass(world, |pass| Pass { until: yes.ends_under(world.floor), ..pass })).collect();
        return said("approved", &[], addresses, passes);
    }
    if !found.holds.is_empty() {
        let observed = if found.floor_holds { None } else { observed(&found.holds) };
        return observed.or_else(|| said("hold", &found.holds, addresses, Vec::new()));
    }
    if !found.allows.is_empty() {
        return said("listed", &found.allows, addresses, found.listed(world));
    }
    if !found.content.is_empty() {
        return refused("blocked", &found.content);
    }
    observed(&[]).or_else(|| if world.file.hold_unlisted { said("hold", &[], addresses, Vec::new()) } else { refused("unlisted", &[]) })
}

/// Whether an address may be dialled, once the attempt has passed.
pub fn may_dial(world: &World<'_>, addresses: &[&str], address: IpAddr, port: u16) -> bool {
    let about = |rule: &&Rule| rule.kind == Kind::Block && rule.holds_for(port) && rule.in_force(world.now);
    let blocked = all(world).filter(about).any(|rule| rule.hosts.iter().any(|host| names_address(host, address)));
    let closed = address::is_metadata(address) || is_own(world, address, port) || is_never(world, address) || blocked;
    !closed && address::covered(addresses, address) && is_private_enough(world.floor, address)
}

/// Every rule, the floor's first.
fn all<'a>(world: &World<'a>) -> impl Iterator<Item = &'a Rule> {
    world.floor.rules.iter().chain(&world.file.rules)
}

/// What the rules say of one attempt, by their number.
struct Found<'a> {
    rules: Vec<&'a Rule>,
    floor_blocks: Vec<usize>,
    blocks: Vec<usize>,
    holds: Vec<usize>,
    /// One of the floor is among all that hold.
    floor_holds: bool,
    allows: Vec<usize>,
    /// Allow rules that would speak but for the content.
    content: Vec<usize>,
    /// Rules for the host and port that look at requests.
    looking: Vec<usize>,
    /// Those of them that look at paths.
    paths: Vec<usize>,
    /// An allow or hold rule spells the name, without a wildcard, has `addresses`, and holds for the port.
    spelled: bool,
}

impl<'a> Found<'a> {
    fn of(world: &World<'a>, ask: &Ask) -> Self {
        let rules: Vec<&Rule> = all(world).collect();
        let floor = world.floor.rules.len();
        let here = |rule: &Rule| {
            let about = rule.hosts.iter().any(|host| is_about(rule, host, ask));
            about && rule.holds_for(ask.port) && rule.in_force(world.now)
        };
        let those = |wanted: &dyn Fn(&Rule) -> bool| -> Vec<usize> {
            (0..rules.len()).filter(|at| here(rules[*at]) && wanted(rules[*at])).collect()
        };
        let speaks = |rule: &Rule| match (&ask.seen, rule.kind) {
            (_, _) if !rule.looks() => true,
            (None, _) => false,
            (Some(seen), Kind::Allow) => permits(rule, seen) == Permits::Yes,
            (Some(seen), Kind::Hold | Kind::Block) => concerns(rule, seen),
        };
        let empty = |rule: &Rule| ask.seen.as_ref().is_some_and(|seen| permits(rule, seen) == Permits::NotWithContent);
        let blocks = those(&|rule| rule.kind == Kind::Block && speaks(rule));
        let (floor_blocks, blocks) = blocks.into_iter().partition(|at| *at < floor);
        let most = |found: Vec<usize>| -> Vec<usize> {
            let rank = |at: &usize| rank(world, rules[*at], *at < floor, ask);
            let best = found.iter().map(rank).max();
            found.into_iter().filter(|at| Some(rank(at)) == best).collect()
        };
        let spells = |rule: &Rule| rule.kind != Kind::Block && rule.addresses.is_some() && rule.hosts.contains(&ask.host);
        Self {
            floor_blocks,
            blocks,
            floor_holds: those(&|rule| rule.kind == Kind::Hold && speaks(rule)).iter().any(|at| *at < floor),
            holds: most(those(&|rule| rule.kind == Kind::Hold && speaks(rule))),
            allows: most(those(&|rule| rule.kind == Kind::Allow && speaks(rule))),
            content: those(&|rule| rule.kind == Kind::Allow && rule.looks() && empty(rule)),
            looking: those(&Rule::looks),
            paths: those(&|rule| !rule.paths.is_empty()),
            spelled: !those(&spells).is_empty(),
            rules,
        }
    }

    /// The yeses that may be in force: the floor may end one early, or have none without end.
    fn yeses<'y>(&self, world: &World<'y>, ask: &Ask) -> Vec<&'y Yes> {
        let now = world.now.unwrap_or_default();
        let endless = |yes: &Yes| yes.scope == Scope::Always && world.floor.forbid.contains(&"always");
        let lasts = |yes: &&Yes| !endless(yes) && yes.ends_under(world.floor).is_none_or(|end| now < end);
        let yeses: Vec<&Yes> = world.yeses.iter().filter(lasts).collect();
        covering(&yeses, ask, !self.looking.is_empty(), now)
    }

    /// A block rule, the floor's before the agent's; or a request that is read in two ways where a rule looks at it.
    fn blocked(&self, ask: &Ask) -> Option<Vec<usize>> {
        let unclear = ask.seen.as_ref().is_some_and(|seen| seen.normal().is_none());
        let rewrites = ask.seen.as_ref().is_some_and(|seen| seen.rewrites);
        let reasons = [(true, &self.floor_blocks), (true, &self.blocks), (unclear, &self.paths), (rewrites, &self.looking)];
        reasons.into_iter().find(|(holds, rules)| *holds && !rules.is_empty()).map(|(_, rules)| rules.clone())
    }

    /// Without a yes: the hold rule's addresses, else the allow rule's, else the agent's.
    fn addresses(&self, file: &File) -> Vec<Vec<&'static str>> {
        let allowed = || -> Vec<Vec<&str>> {
            if self.allows.is_empty() {
                vec![file.addresses()]
            } else {
                self.allows.iter().filter_map(|at| self.rules[*at].addresses()).collect()
            }
        };
        if self.holds.is_empty() {
            return allowed();
        }
        self.holds.iter().flat_map(|at| self.rules[*at].addresses().map_or_else(allowed, |own| vec![own])).collect()
    }

    /// How it passes without a rule to let it: whether it is opaque, or may become a WebSocket, is an allow rule's to say all the same.
    fn pass(&self, world: &World<'_>, with: impl Fn(Pass) -> Pass) -> Vec<Pass> {
        let limits = usize::from(world.floor.limit.is_some()) + usize::from(world.file.limit.is_some());
        let pass = |opaque, websocket| with(Pass { opaque, websocket, until: None, limits, normal_path: !self.looking.is_empty() });
        let by = |at: &usize| pass(self.rules[*at].opaque, self.rules[*at].websocket);
        if self.allows.is_empty() { vec![pass(false, false)] } else { self.allows.iter().map(by).collect() }
    }

    fn listed(&self, world: &World<'_>) -> Vec<Pass> {
        let rules = self.allows.iter().map(|at| self.rules[*at]);
        let pass = |rule: &Rule, pass: Pass| Pass {
            opaque: rule.opaque,
            websocket: rule.websocket,
            until: if world.now.is_some() { rule.until } else { None },
            limits: pass.limits + usize::from(rule.limit.is_some()),
            ..pass
        };
        rules.flat_map(|rule| self.pass(world, |general| pass(rule, general))).collect()
    }
}

/// What no rule and no person opens. The outer `None`: rules alike disagree on the address.
fn never(world: &World<'_>, found: &Found<'_>, ask: &Ask, addresses: &[Vec<&str>]) -> Option<Option<&'static str>> {
    let Some(literal) = address::read(&ask.host) else {
        let host = ask.host.as_str();
        let special = name::is_never(host) || name::is_local(host) && !found.spelled;
        return Some(if world.guarded && KNOWN_AS.contains(&host) { Some("self") } else { special.then_some("special-name") });
    };
    if address::is_metadata(literal) {
        return Some(Some("forbidden-address"));
    }
    if is_own(world, literal, ask.port) {
        return Some(Some("self"));
    }
    // What a tunnel may reach is said by the rules for the requests in it.
    let later = ask.seen.is_none() && !found.looking.is_empty() && found.holds.is_empty() && found.allows.is_empty();
    let private = is_private_enough(world.floor, literal);
    let open = |addresses: &Vec<&str>| if address::covered(addresses, literal) { private } else { later };
    if is_never(world, literal) || !addresses.iter().any(open) {
        return Some(Some("forbidden-address"));
    }
    addresses.iter().all(open).then_some(None)
}

/// Public, or every reading of it public or in `private` of the floor.
fn is_private_enough(floor: &Floor, address: IpAddr) -> bool {
    let Some(private) = &floor.private else { return true };
    let permitted =
        |address: IpAddr| address::covered(&["public"], address) || private.iter().any(|network| address::inside(network, address));
    address::covered(&["public"], address) || Readings::of(address).every().into_iter().all(permitted)
}

fn is_own(world: &World<'_>, address: IpAddr, port: u16) -> bool {
    let is_ours = |address: IpAddr| {
        let here = address.is_loopback() || address.is_unspecified();
        let at = |(ip, own): (&str, u16)| {
            let reached = if ip == "0.0.0.0" { here || MACHINE.contains(&address.to_string().as_str()) } else { address.to_string() == ip };
            own == port && (reached || address.is_unspecified())
        };
        LISTENERS.into_iter().any(at) || KNOWN_AS.contains(&address.to_string().as_str())
    };
    world.guarded && Readings::of(address).every().into_iter().any(is_ours)
}

fn is_never(world: &World<'_>, address: IpAddr) -> bool {
    let listed = |address: IpAddr| NEVER.iter().any(|network| address::inside(network, address));
    world.guarded && Readings::of(address).every().into_iter().any(listed)
}

/// A pattern for addresses names the address, or one that it carries.
fn names_address(host: &str, address: IpAddr) -> bool {
    let network = if host.contains('/') { Some(host.to_owned()) } else { address::read(host).map(|named| named.to_string()) };
    network.is_some_and(|network| Readings::of(address).every().into_iter().any(|reading| address::inside(&network, reading)))
}

fn is_about(rule: &Rule, host: &str, ask: &Ask) -> bool {
    let for_addresses = host.contains('/') || address::read(host).is_some();
    match address::read(&ask.host) {
        Some(asked) if for_addresses && rule.kind == Kind::Block => names_address(host, asked),
        Some(asked) if host.contains('/') => address::inside(host, asked),
        Some(_) => host == ask.host,
        None if for_addresses => false,
        None => {
            if pattern::is_wild(host) {
                pattern::matches(host, &ask.host)
            } else {
                host == ask.host
            }
        }
    }
}

/// The greatest speaks.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// An agent's own question fits it better than the floor's.
    own: bool,
    exact: bool,
    /// Labels, or the length of a network's prefix.
    spelled: usize,
    /// Where a request asks for a WebSocket, a rule that lets it have one.
    websocket: bool,
    looks: bool,
    tls_or_http: bool,
    no_networks: bool,
    no_public: bool,
    limit: Reverse<u32>,
    until: Reverse<u64>,
}

fn rank(world: &World<'_>, rule: &Rule, of_floor: bool, ask: &Ask) -> Option<Rank> {
    let addresses = rule.addresses().unwrap_or_default();
    let upgrade = ask.seen.as_ref().is_some_and(|seen| seen.websocket);
    let named = rule.hosts.iter().filter(|host| is_about(rule, host, ask));
    let rank = |host: &String| Rank {
        own: !of_floor,
        websocket: !upgrade || rule.websocket,
        exact: !pattern::is_wild(host) && !host.contains('/'),
        spelled: host.split_once('/').map_or(host.split('.').count(), |(_, length)| length.parse().expect("a length")),
        looks: rule.looks(),
        tls_or_http: !rule.opaque,
        no_networks: addresses.iter().all(|entry| *entry == "public"),
        no_public: !addresses.contains(&"public"),
        limit: Reverse(rule.limit.unwrap_or(u32::MAX)),
        until: Reverse(rule.until.filter(|_| rule.kind == Kind::Allow && world.now.is_some()).unwrap_or(u64::MAX)),
    };
    named.map(rank).max()
}
