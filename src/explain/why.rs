//! Why the rules that do not decide do not, told in the order in which a decision asks: until, host, port, request, and what comes before.

use std::cmp::Reverse;
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::policy::Policy;
use crate::policy::address::touches;
use crate::policy::allowlist::Unlisted;
use crate::policy::attempt::{Attempt, Seen};
use crate::policy::decide::{Basis, Decision, Would};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::pattern::HostPattern;
use crate::policy::reason::Reason;
use crate::policy::request::{Permits, RequestRule};
use crate::policy::rule::{Effect, Ports, Rule, RuleRef};
use crate::text::moment;

/// The most rules about the host that are told one by one.
const ABOUT_MAX: usize = 50;

/// The most rules about other hosts that are told one by one: the nearest.
const ELSEWHERE_MAX: usize = 5;

/// The most hosts, methods or paths of a rule that are shown.
const SHOWN_MAX: usize = 4;

/// A rule that does not decide.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Other {
    /// `file:line`.
    pub rule: String,
    /// `allow`, `hold` or `block`.
    pub kind: &'static str,
    /// It is the floor's.
    pub floor: bool,
    /// Why not.
    pub why: String,
}

/// Where requests lead that are not in sight yet.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Looked {
    /// Which, in words.
    pub requests: String,
    /// What they get.
    pub decision: &'static str,
    /// The rule, where one says so.
    pub rule: Option<String>,
}

/// What decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Speaking {
    pub(super) rule: Option<RuleRef>,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Allow,
    Observed,
    Look,
    Hold,
    Block(Reason),
}

/// The others, told and counted.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) listed: Vec<Other>,
    pub(super) left_out: usize,
}

impl Speaking {
    pub(super) fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(grant) => {
                let what = match grant.basis() {
                    Basis::Listed(_) | Basis::Approved(_) => What::Allow,
                    Basis::Observed(Would::Hold(_) | Would::Block) => What::Observed,
                };
                Self { rule: grant.rule().cloned(), what }
            }
            Decision::Look(look) => Self { rule: Some(look.rule.clone()), what: What::Look },
            Decision::Hold(terms) => Self { rule: terms.rule.clone(), what: What::Hold },
            // What is cited for an unlisted destination is about another port or request, and does not decide.
            Decision::Block(block) => {
                Self { rule: block.rule.clone().filter(|_| block.reason != Reason::Unlisted), what: What::Block(block.reason) }
            }
        }
    }
}

impl Others {
    /// `rules` come with their number: the floor's are the first.
    pub(super) fn of<'a>(
        rules: impl Iterator<Item = (&'a Rule, usize)>,
        policy: &Policy,
        attempt: &Attempt,
        (speaking, now): (&Speaking, SystemTime),
    ) -> Self {
        let floor_rules = policy.floor().rules.len();
        let speaker = speaking.rule.as_ref();
        let (mut about, mut elsewhere, mut all) = (Vec::new(), Vec::new(), 0);
        let mut of_speaker = None;
        for (rule, number) in rules {
            let floor = number < floor_rules;
            if Some(&rule.place) == speaker {
                of_speaker = Some((rule, floor));
                continue;
            }
            all += 1;
            if is_about(rule, &attempt.destination.host) {
                about.push((rule, floor));
            } else {
                let near = rule.hosts.iter().map(|host| nearness(host, &attempt.destination.host)).max().unwrap_or_default();
                keep_nearest(&mut elsewhere, (Reverse(near), number, rule, floor));
            }
        }
        let judged = Judged { attempt, speaking, speaker: of_speaker, now };
        let told =
            |(rule, floor): (&Rule, bool), why: String| Other { rule: rule.place.to_string(), kind: rule.effect.as_str(), floor, why };
        let about = about.into_iter().take(ABOUT_MAX).map(|(rule, floor)| told((rule, floor), judged.why(rule, floor)));
        let elsewhere = elsewhere.into_iter().map(|(_, _, rule, floor)| told((rule, floor), other_host(rule, &attempt.destination.host)));
        let listed: Vec<Other> = about.chain(elsewhere).collect();
        Self { left_out: all - listed.len(), listed }
    }
}

type Near<'a> = (Reverse<usize>, usize, &'a Rule, bool);

fn keep_nearest<'a>(kept: &mut Vec<Near<'a>>, one: Near<'a>) {
    let key = |near: &Near<'_>| (near.0, near.1);
    let at = kept.partition_point(|other| key(other) < key(&one));
    if at < ELSEWHERE_MAX {
        kept.insert(at, one);
        kept.truncate(ELSEWHERE_MAX);
    }
}

fn is_about(rule: &Rule, host: &Host) -> bool {
    let by_address = |pattern: &HostPattern| match (&rule.effect, host) {
        (Effect::Block { because: _ }, Host::Address(address)) => network_of(pattern).is_some_and(|network| touches(&network, *address)),
        (Effect::Block { because: _ } | Effect::Allow(_) | Effect::Hold { addresses: _ }, _) => false,
    };
    rule.hosts.iter().any(|pattern| pattern.matches(host) || by_address(pattern))
}

fn network_of(pattern: &HostPattern) -> Option<ipnet::IpNet> {
    match pattern.exact() {
        Some(Host::Address(address)) => Some((*address).into()),
        Some(Host::Name(_)) => None,
        None => pattern.network(),
    }
}

/// How many labels, from the right, a pattern shares with a name.
fn nearness(pattern: &HostPattern, host: &Host) -> usize {
    let Host::Name(name) = host else { return 0 };
    let text = pattern.to_string();
    if text.strip_prefix("*.") == Some(name.as_str()) {
        return usize::MAX;
    }
    let shared = text.rsplit('.').zip(name.as_str().rsplit('.')).take_while(|(one, other)| one == other).count();
    // The last label alone says nothing.
    if shared < 2 { 0 } else { shared }
}

fn other_host(rule: &Rule, host: &Host) -> String {
    let below = rule.hosts.iter().find_map(|pattern| {
        let text = pattern.to_string();
        let base = text.strip_prefix("*.")?;
        (base == host.to_string()).then(|| format!("{text} stands for the names under {base}, not for itself; **.{base} stands for both"))
    });
    below.unwrap_or_else(|| {
        let (first, more) = (rule.hosts.first().map(ToString::to_string).unwrap_or_default(), rule.hosts.len().saturating_sub(1));
        if more == 0 { format!("its host is {first}") } else { format!("its hosts are {first} and {more} more") }
    })
}

/// What a rule is held against.
struct Judged<'a> {
    attempt: &'a Attempt,
    speaking: &'a Speaking,
    speaker: Option<(&'a Rule, bool)>,
    now: SystemTime,
}

impl Judged<'_> {
    fn why(&self, rule: &Rule, floor: bool) -> String {
        if let Some(until) = rule.until.filter(|_| !rule.in_force(self.now)) {
            return format!("its until passed, {}", moment(until));
        }
        if !rule.ports.contain(self.attempt.destination.port) {
            return ports(&rule.ports);
        }
        if let Some(request) = &rule.request {
            match self.attempt.sight.seen() {
                None => return format!("it is about requests in the tunnel: {}", requests(request)),
                Some(seen) => {
                    if let Some(why) = not_this_request(rule, request, seen) {
                        return why;
                    }
                }
            }
        }
        self.comes_before(rule, floor)
    }

    /// The rule is about the attempt, and something else decides.
    fn comes_before(&self, rule: &Rule, floor: bool) -> String {
        let cited = self.speaking.rule.as_ref().map(ToString::to_string).unwrap_or_default();
        let of_floor = if self.speaker.is_some_and(|(_, floor)| floor) { "the floor's " } else { "" };
        let kind = rule.effect.as_str();
        match self.speaking.what {
            What::Block(Reason::Blocked) => match (&rule.effect, self.speaker.map(|(rule, _)| &rule.effect)) {
                (Effect::Block { because: _ }, Some(Effect::Block { because: _ })) => {
                    format!("it matches too, and {of_floor}{cited} is named before it")
                }
                (_, Some(Effect::Block { because: _ })) => format!("it matches, but a block comes before it: {of_floor}{cited}"),
                (_, _) => "it matches, but a request that can be read in two ways is refused before it".to_owned(),
            },
            What::Block(Reason::SpecialName) => {
                "it matches, but a special name passes only by an allow or hold rule that spells it and has addresses".to_owned()
            }
            What::Block(Reason::ForbiddenAddress) => {
                "it matches, but what is never dialled, or lies outside addresses, is refused before it".to_owned()
            }
            What::Block(Reason::OwnAddress) => "it matches, but exeat itself is never dialled".to_owned(),
            What::Block(Reason::Frozen) => "it matches, but the agent is frozen".to_owned(),
            What::Look => "each request in the tunnel is judged; it speaks for those that no rule about requests comes before".to_owned(),
            What::Hold if kind == "allow" => format!("it matches, but a hold comes before it: {of_floor}{cited}"),
            What::Hold | What::Observed if kind == "hold" && floor => format!("it matches too; the agent's own {cited} has the word"),
            What::Allow | What::Hold if self.speaker.is_some_and(|(speaker, _)| speaker.effect.as_str() == kind) => {
                format!("it matches too, and a more specific rule speaks: {cited}")
            }
            What::Observed if kind == "allow" => "it matches, but a hold comes before it".to_owned(),
            What::Allow | What::Observed | What::Hold | What::Block(_) => "it matches, but what decides comes before it".to_owned(),
        }
    }
}

/// Why a rule about requests is not about this one.
fn not_this_request(rule: &Rule, request: &RequestRule, seen: &Seen) -> Option<String> {
    let allows = matches!(rule.effect, Effect::Allow(_));
    let speaks = if allows { request.permits(seen) == Permits::Yes } else { request.concerns(seen) };
    if speaks {
        return None;
    }
    let method = |known: &str| if allows { known == &*seen.method } else { known.eq_ignore_ascii_case(&seen.method) };
    if !request.methods.is_empty() && !request.methods.iter().any(|known| method(known)) {
        return Some(format!("{} {}", counted(request.methods.len(), "its method is", "its methods are"), listed(&request.methods)));
    }
    let paths = counted(request.paths.len(), "its path is", "its paths are");
    let matches = |path: &str| request.paths.iter().any(|pattern| if allows { pattern.matches(path) } else { pattern.may_match(path) });
    match seen.path.normal() {
        _ if request.paths.is_empty() => {}
        Ok(path) if !matches(path) => {
            let sent = seen.path.raw();
            let judged = if path == sent { String::new() } else { format!("; this one is judged as {path}") };
            return Some(format!("{paths} {}{judged}", listed(&request.paths)));
        }
        Ok(_) => {}
        Err(why) => return Some(format!("{paths} {}; this one has no normal form: {why}", listed(&request.paths))),
    }
    if allows && request.permits(seen) == Permits::NoContent {
        return Some("it lets a request of this method pass only without content".to_owned());
    }
    Some(format!("its query is {}", listed(&request.query)))
}

/// What requests of a tunnel lead to.
pub(super) fn looked_at(policy: &Policy, attempt: &Attempt, now: SystemTime) -> Vec<Looked> {
    let Destination { host, port } = &attempt.destination;
    let rules = policy.rules(&attempt.agent).into_iter().flatten();
    let here = |rule: &&Rule| rule.in_force(now) && rule.ports.contain(*port) && is_about(rule, host);
    let (mut looked, mut plain): (Vec<Looked>, Vec<&Rule>) = (Vec::new(), Vec::new());
    for rule in rules.filter(here) {
        match &rule.request {
            Some(request) => {
                looked.push(Looked { requests: requests(request), decision: rule.effect.as_str(), rule: Some(rule.place.to_string()) })
            }
            None => plain.push(rule),
        }
    }
    let order = |looked: &Looked| match looked.decision {
        "block" => 0,
        "hold" => 1,
        _ => 2,
    };
    looked.sort_by_key(order);
    looked.truncate(ABOUT_MAX);
    let rest = ["hold", "allow"].into_iter().find_map(|kind| plain.iter().find(|rule| rule.effect.as_str() == kind));
    let (decision, rule) = match rest {
        Some(rule) => (rule.effect.as_str(), Some(rule.place.to_string())),
        None => match policy.unlisted(&attempt.agent) {
            Some(Unlisted::Hold) => ("hold", None),
            Some(Unlisted::Block) | None => ("block", None),
        },
    };
    looked.push(Looked { requests: "any other".to_owned(), decision, rule });
    looked
}

/// `GET, HEAD /repos/** ?service = ["x"]`.
fn requests(request: &RequestRule) -> String {
    let RequestRule { methods, paths, query } = request;
    let methods = if methods.is_empty() { "any method".to_owned() } else { listed(methods) };
    let paths = if paths.is_empty() { "any path".to_owned() } else { listed(paths) };
    let query = if query.is_empty() { String::new() } else { format!(", query {}", listed(query)) };
    format!("{methods} to {paths}{query}")
}

fn ports(ports: &Ports) -> String {
    match ports {
        Ports::Every => "it is about every port".to_owned(),
        Ports::These(these) => format!("{} {ports}", counted(these.len(), "its port is", "its ports are")),
    }
}

fn counted(number: usize, one: &'static str, more: &'static str) -> &'static str {
    if number == 1 { one } else { more }
}

fn listed<T: ToString>(things: &[T]) -> String {
    let mut words: Vec<String> = things.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if things.len() > SHOWN_MAX {
        words.push(format!("{} more", things.len() - SHOWN_MAX));
    }
    words.join(", ")
}
