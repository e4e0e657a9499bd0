//! From a document to an allowlist.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Allowlist, Effect, Identify, Ports, Rule, Unlisted};
use crate::policy::address::{AddressClass, Addresses, AddressesFault};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Port;
use crate::policy::document::{Document, Item, Table, one_of};
use crate::policy::fault::{Fault, shown};
use crate::policy::host::Host;
use crate::policy::pattern::{HostPattern, Use};
use crate::policy::rule::RuleRef;
use crate::policy::special::{Special, special};
use crate::policy::token::TokenDigest;

/// The most characters of `note`, `because` and `shared_ok`.
const WORDS_MAX: usize = 500;

const WAIT: &str = "; how long an attempt waits is `wait` in [hold] of exeat.toml";

/// Reads the whole file; `None` where it has no usable agent. What else is wrong stands in the document.
pub(super) fn allowlist(document: &Document<'_>) -> Option<Allowlist> {
    let mut root = document.root();
    let named = root.require("agent", r#"write agent = "NAME" at the top of the file"#);
    let agent = named.and_then(|item| item.parse("an agent's name", AgentId::parse));
    let words = [(Unlisted::Block.as_str(), Unlisted::Block), (Unlisted::Hold.as_str(), Unlisted::Hold)];
    let unlisted = root.take("unlisted").and_then(|item| item.parse("block or hold", |text| one_of(&words, text)));
    let addresses = root.take("addresses").map_or_else(Addresses::public, addresses);
    root.not_yet(&["include", "observe_until", "expect", "inject", "limits", "exclude"]);
    let identify = root.tables("identify").into_iter().filter_map(|table| identify(document, table)).collect();
    let mut rules = Vec::new();
    rules.extend(root.tables("allow").into_iter().filter_map(|table| rule(document, table, allow)));
    rules.extend(root.tables_or("hold", WAIT).into_iter().filter_map(|table| rule(document, table, hold)));
    rules.extend(root.tables("block").into_iter().filter_map(|table| rule(document, table, block)));
    Some(Allowlist {
        file: document.file().clone(),
        agent: agent?,
        agent_line: named.map_or(1, Item::line),
        unlisted: unlisted.unwrap_or(Unlisted::Block),
        addresses: Arc::new(addresses),
        identify,
        rules,
    })
}

/// Allow rules that say of one host and port that it may resolve to this and to that, or is opaque and is not: one of them would never speak.
pub(super) fn contradictions(rules: &[Rule]) -> Vec<Fault> {
    let mut said: HashMap<(&HostPattern, Option<Port>), &Rule> = HashMap::new();
    let mut faults = Vec::new();
    for rule in rules.iter().filter(|rule| matches!(rule.effect, Effect::Allow { addresses: _, spelled: _, opaque: _ })) {
        let ports: Vec<Option<Port>> = match &rule.ports {
            Ports::Every => vec![None],
            Ports::These(ports) => ports.iter().copied().map(Some).collect(),
        };
        let clashes = rule.hosts.iter().find_map(|host| {
            let first = ports.iter().map(|port| *said.entry((host, *port)).or_insert(rule)).find(|first| said_of(first) != said_of(rule));
            first.map(|first| (host, first))
        });
        if let Some((host, first)) = clashes {
            let RuleRef { file, line } = rule.place.clone();
            let found = format!("a second [[allow]] for {host}, unlike {}", first.place);
            let (wanted, fix) = ("one word on its addresses and opaque".to_owned(), "merge the two rules".to_owned());
            faults.push(Fault { file, line, column: 1, found, wanted, fix });
        }
    }
    faults
}

fn said_of(rule: &Rule) -> Option<(&Addresses, bool)> {
    match &rule.effect {
        Effect::Allow { addresses, spelled: _, opaque } => Some((addresses, *opaque)),
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
    }
}

fn identify(document: &Document<'_>, mut table: Table<'_>) -> Option<Identify> {
    if table.is_empty() {
        table.fault("an empty [[identify]]", "a token, source or listener", "name one of them, or remove the table");
        return None;
    }
    let token = table.take("token").map(Item::secret).and_then(digest);
    let source = table.take("source").and_then(|item| {
        let network = item.parse("an address or a network", network)?;
        if network.prefix_len() == 0 {
            item.warn("identifies-everyone", format!("source {network} is every address: whoever reaches the listener is this agent"));
        }
        Some(network)
    });
    let listener = table.take("listener").and_then(Item::text).map(Arc::from);
    table.not_yet(&["client_cert", "service_account", "unix_uid"]);
    let place = RuleRef { file: document.file().clone(), line: table.line() };
    (token.is_some() || source.is_some() || listener.is_some()).then_some(Identify { token, source, listener, place })
}

/// The value is never shown: it may be the token itself.
fn digest(item: Item<'_>) -> Option<TokenDigest> {
    let text = item.text()?;
    let digest = TokenDigest::parse(text).ok();
    if digest.is_none() {
        let found = if text.starts_with("exeat_") { "a token itself" } else { "a text that is no digest (not shown)" };
        item.fault(
            found,
            "sha256: and 64 hexadecimal digits",
            "paste what `exeat token AGENT --hash` prints; if a token stood here, revoke it",
        );
    }
    digest
}

/// What to write in place of an entry of `addresses`.
pub(super) fn fix_of_network(text: &str, why: AddressesFault) -> String {
    let written = text.parse::<IpNet>().ok().filter(|_| why == AddressesFault::HostBits);
    match (why, written) {
        (AddressesFault::HostBits, Some(network)) => format!("write {}, or {} for that address alone", network.trunc(), network.addr()),
        (AddressesFault::HostBits | AddressesFault::Unreadable, _) => "write one such as 10.20.0.0/16 or 10.20.0.7".to_owned(),
        (AddressesFault::Metadata, _) => why.to_string(),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let read = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address.to_canonical())));
    let network = read.map_err(|_| r#"write it like "10.2.0.0/16" or "10.2.0.7""#.to_owned())?;
    if network.trunc() == network { Ok(network) } else { Err(fix_of_network(text, AddressesFault::HostBits)) }
}

fn addresses(item: Item<'_>) -> Addresses {
    let mut addresses = Addresses::none();
    for entry in item.filled_list(r#""public" or a network"#) {
        if let Some(text) = entry.text()
            && let Err(why) = addresses.add(text)
        {
            entry.wrong(r#""public" or a network"#, &fix_of_network(text, why));
        }
    }
    addresses
}

/// What the three kinds of rule share; `effect` takes the keys that are a kind's own.
fn rule(document: &Document<'_>, mut table: Table<'_>, effect: fn(&mut Table<'_>) -> (Effect, Use, bool)) -> Option<Rule> {
    let place = RuleRef { file: document.file().clone(), line: table.line() };
    let (effect, wanted, shared_ok) = effect(&mut table);
    let written = table.require("host", r#"write host = "NAME", or a list of them"#);
    let ports = table.take("port").map(ports).unwrap_or_else(|| match wanted {
        Use::Grant => Ports::web(),
        Use::Block => Ports::Every,
    });
    let note = table.take("note").and_then(words);
    table.not_yet(&["method", "path", "query", "websocket", "body", "until", "inject", "limits", "exclude"]);
    let mut hosts = Vec::new();
    for item in written?.filled_list("at least one host") {
        hosts.extend(host(item, wanted, shared_ok, &effect));
    }
    (!hosts.is_empty()).then_some(Rule { place, hosts, ports, effect, note })
}

fn allow(table: &mut Table<'_>) -> (Effect, Use, bool) {
    let spelled = table.take("addresses").map(addresses);
    let opaque = table.take("opaque").and_then(Item::flag).unwrap_or(false);
    let shared_ok = table.take("shared_ok").and_then(why_shared).is_some();
    table.refuse("because", "because only in [[block]]", "write note, or remove it");
    let effect = Effect::Allow { spelled: spelled.is_some(), addresses: Arc::new(spelled.unwrap_or_else(Addresses::public)), opaque };
    (effect, Use::Grant, shared_ok)
}

fn hold(table: &mut Table<'_>) -> (Effect, Use, bool) {
    let addresses = table.take("addresses").map(|item| Arc::new(addresses(item)));
    let shared_ok = table.take("shared_ok").and_then(why_shared).is_some();
    table.refuse("because", "because only in [[block]]", "write note: it is shown to the approver");
    table.refuse("opaque", "opaque only in [[allow]]", "remove it");
    (Effect::Hold { addresses }, Use::Grant, shared_ok)
}

fn block(table: &mut Table<'_>) -> (Effect, Use, bool) {
    let because = table.take("because").and_then(words);
    table.refuse("addresses", "addresses only in [[allow]] and [[hold]]", "to block an address, write it as host");
    table.refuse("opaque", "opaque only in [[allow]]", "remove it");
    table.refuse("shared_ok", "shared_ok only in [[allow]] and [[hold]]", "remove it: a block may be as broad as wanted");
    (Effect::Block { because }, Use::Block, false)
}

fn why_shared(item: Item<'_>) -> Option<Arc<str>> {
    if !item.is_text() {
        item.wrong("a text that says why the sharing is acceptable", r#"write shared_ok = "why""#);
        return None;
    }
    words(item)
}

/// Short printable words, fit to be shown to an agent or an approver.
fn words(item: Item<'_>) -> Option<Arc<str>> {
    item.parse("a line of words", |text| {
        if text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > WORDS_MAX {
            return Err(format!("write 1 to {WORDS_MAX} printable characters on one line"));
        }
        Ok(Arc::from(text))
    })
}

fn ports(item: Item<'_>) -> Ports {
    let numbers = item.filled_list("at least one port").into_iter().filter_map(|item| item.integer(1..=65535));
    Ports::these(numbers.filter_map(|number| u16::try_from(number).ok().and_then(NonZeroU16::new)).map(Port))
}

fn host(item: Item<'_>, wanted: Use, shared_ok: bool, effect: &Effect) -> Option<HostPattern> {
    let text = item.text()?;
    let parsed = match HostPattern::parse(text, wanted, shared_ok) {
        Ok(parsed) => parsed,
        Err(why) => {
            item.fault(format!("{}, {}", shown(text), why.found()), why.wanted(), why.fix());
            return None;
        }
    };
    if let Some(shared) = parsed.warning {
        item.warn("shared-hosting", format!("{}: {shared}", shown(text)));
    }
    match usable(&parsed.pattern, effect) {
        Ok(warning) => {
            if let Some((code, text)) = warning {
                item.warn(code, text);
            }
            Some(parsed.pattern)
        }
        Err([found, wanted, fix]) => {
            item.fault(found, wanted, fix);
            None
        }
    }
}

/// A host that the rule can never open is a fault (found, wanted, fix); one of which only a part is useless is a warning (code, text).
pub(super) fn usable(pattern: &HostPattern, effect: &Effect) -> Result<Option<(&'static str, String)>, [String; 3]> {
    let (addresses, spelled) = match effect {
        Effect::Allow { addresses, spelled, opaque: _ } => (Some(addresses), *spelled),
        Effect::Hold { addresses } => (addresses.as_ref(), addresses.is_some()),
        Effect::Block { because: _ } => return Ok(None),
    };
    let said = |found: String, wanted: &str, fix: String| Err([found, wanted.to_owned(), fix]);
    let text = pattern.to_string();
    match pattern.exact() {
        Some(Host::Address(address)) => match AddressClass::of(*address) {
            AddressClass::Metadata(name) => {
                said(format!("{text}, {name}"), "any other address: metadata services are never dialled", "remove it".to_owned())
            }
            AddressClass::Public | AddressClass::Special(_) if addresses.is_some_and(|addresses| !addresses.allows(*address)) => {
                let fix = format!("add addresses = [\"{}\"] to the rule", IpNet::from(*address));
                said(format!("{text}, which the rule's addresses do not hold"), "addresses that hold it", fix)
            }
            AddressClass::Public | AddressClass::Special(_) => Ok(None),
        },
        Some(Host::Name(name)) => match special(name) {
            Some(Special::Never) => said(format!("{text}, a name no rule opens"), "any other name", "remove it".to_owned()),
            Some(Special::NeedsAddresses) if !spelled => {
                let fix = "add addresses = [\"CIDR\"] with the network it is in".to_owned();
                said(format!("{text}, a name of a local network"), "a rule with addresses", fix)
            }
            Some(Special::NeedsAddresses) | None => Ok(None),
        },
        None => {
            let base = Host::parse(text.trim_start_matches("*").trim_start_matches('.'));
            let local = matches!(base, Ok(Host::Name(name)) if special(&name).is_some());
            let words =
                format!("{text} lies in a local zone: its names stay refused, only rules that spell a name and have addresses open one");
            Ok(local.then_some(("special-name", words)))
        }
    }
}
