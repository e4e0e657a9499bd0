//! `[[allow]]`, `[[hold]]` and `[[block]]` as files write them.

use std::sync::{Arc, LazyLock};

use super::usable::{addresses, usable};
use super::{Allow, Effect, Ports, Rule, RuleRef, keys};
use crate::policy::address::Addresses;
use crate::policy::document::{Document, Item, Table};
use crate::policy::fault::{code, shown};
use crate::policy::pattern::{HostPattern, Use};
use crate::policy::request::RequestRule;

const WAIT: &str = "; how long an attempt waits is `wait` in [hold] of exeat.toml";

/// The port whose requests are inside TLS.
const TLS: u16 = 443;

/// What nearly every rule has; one for all of them.
static PUBLIC: LazyLock<Arc<Addresses>> = LazyLock::new(|| Arc::new(Addresses::public()));

/// What stands beside the keys that every rule has.
struct Kind {
    effect: Effect,
    wanted: Use,
    shared_ok: bool,
}

/// What a rule is read from.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Source<'d, 'a> {
    /// The file.
    pub(in crate::policy) document: &'d Document<'a>,
    /// Requests inside TLS can be seen.
    pub(in crate::policy) inspects: bool,
}

/// Reads every rule of an allowlist, or of a file that one includes.
pub(in crate::policy) fn rules(source: Source<'_, '_>, root: &mut Table<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    rules.extend(root.tables("allow").filter_map(|table| rule(source, table, allow)));
    rules.extend(root.tables_or("hold", WAIT).filter_map(|table| rule(source, table, hold)));
    rules.extend(root.tables("block").filter_map(|table| rule(source, table, block)));
    rules
}

/// Reads the rules of the floor, which asks and refuses, and lets nothing pass.
pub(in crate::policy) fn floor_rules(source: Source<'_, '_>, root: &mut Table<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    root.refuse("allow", "[[block]] and [[hold]]: the floor lets nothing pass", "move it to the allowlist of the agent it is for");
    rules.extend(root.tables("hold").filter_map(|table| rule(source, table, floor_hold)));
    rules.extend(root.tables("block").filter_map(|table| rule(source, table, block)));
    rules
}

/// What the three kinds of rule share; `kind` takes the keys that are a kind's own.
fn rule(source: Source<'_, '_>, mut table: Table<'_>, kind: fn(&mut Table<'_>) -> Kind) -> Option<Rule> {
    let place = RuleRef { file: source.document.file().clone(), line: table.line() };
    let Kind { effect, wanted, shared_ok } = kind(&mut table);
    let written = table.require("host", r#"write host = "NAME", or a list of them"#);
    let ports = table.take("port").map(keys::ports).unwrap_or_else(|| match wanted {
        Use::Grant => Ports::web(),
        Use::Block => Ports::Every,
    });
    let request = keys::request(&mut table);
    let until = table.take("until").and_then(Item::moment);
    let note = table.take("note").and_then(keys::words);
    table.not_yet(&["inject", "exclude"]);
    let written = written?.filled_list("at least one host");
    let mut hosts = Vec::with_capacity(written.len());
    for item in written {
        hosts.extend(host(item, wanted, shared_ok, &effect));
    }
    if let Some((request, first)) = &request {
        if !source.inspects {
            in_plain_sight(*first, (&effect, &ports));
        }
        possible(&table, &effect, request, &hosts);
    }
    let request = request.map(|(request, _)| request);
    (!hosts.is_empty()).then_some(Rule { place, hosts, ports, request, effect, until, note })
}

/// Requests inside TLS are nobody's to judge where there is no CA to end the TLS with.
fn in_plain_sight(first: Item<'_>, (effect, ports): (&Effect, &Ports)) {
    let tls = match ports {
        Ports::Every => true,
        Ports::These(ports) => ports.iter().any(|port| port.number() == TLS),
    };
    if tls {
        first.fault(
            format!("method, path or query in [[{}]] for port {TLS}, and no CA: requests inside TLS cannot be seen", effect.as_str()),
            "a CA of exeat's own, or ports whose requests are in plain sight",
            "run `exeat ca init` and name what it made in [inspect] of exeat.toml, or write port = [80]",
        );
    }
}

/// Rules whose keys leave nothing that they could be about.
fn possible(table: &Table<'_>, effect: &Effect, request: &RequestRule, hosts: &[HostPattern]) {
    match effect {
        Effect::Allow(allow) if allow.opaque => table.fault(
            "opaque beside method, path or query",
            "either: an opaque tunnel shows no request",
            "remove opaque, or remove method, path and query",
        ),
        Effect::Allow(allow)
            if allow.websocket && !request.methods.is_empty() && !request.methods.iter().any(|method| &**method == "GET") =>
        {
            table.fault(
                "websocket without GET",
                "GET among the methods: a WebSocket begins with it",
                "add \"GET\" to method, or remove websocket",
            );
        }
        Effect::Block { because: _ } if hosts.iter().any(|host| host.addresses().is_some()) => table.fault(
            "method, path or query in a block rule for addresses",
            "a block of addresses as a whole: it holds for what a name resolves to, whatever the request",
            "remove method, path and query, or block names",
        ),
        Effect::Allow(_) | Effect::Hold { addresses: _ } | Effect::Block { because: _ } => {}
    }
}

fn allow(table: &mut Table<'_>) -> Kind {
    let spelled = table.take("addresses").map(addresses);
    let opaque = table.take("opaque").and_then(Item::flag).unwrap_or(false);
    let websocket = table.take("websocket").and_then(Item::flag).unwrap_or(false);
    let limits = keys::limits(table);
    let shared_ok = table.take("shared_ok").and_then(keys::why_shared).is_some();
    table.refuse("because", "because only in [[block]]", "write note, or remove it");
    let effect = Effect::Allow(Allow {
        spelled: spelled.is_some(),
        addresses: spelled.map_or_else(|| PUBLIC.clone(), Arc::new),
        opaque,
        websocket,
        limits,
    });
    Kind { effect, wanted: Use::Grant, shared_ok }
}

fn hold(table: &mut Table<'_>) -> Kind {
    let addresses = table.take("addresses").map(|item| Arc::new(addresses(item)));
    asked(table, addresses)
}

fn floor_hold(table: &mut Table<'_>) -> Kind {
    table.refuse("addresses", "addresses only in an allowlist", "remove it: what a destination may resolve to is the allowlist's to say");
    asked(table, None)
}

fn asked(table: &mut Table<'_>, addresses: Option<Arc<Addresses>>) -> Kind {
    let shared_ok = table.take("shared_ok").and_then(keys::why_shared).is_some();
    table.refuse("because", "because only in [[block]]", "write note: it is shown to the approver");
    for key in ["opaque", "websocket", "limits"] {
        table.refuse(key, &format!("{key} only in [[allow]]"), "remove it");
    }
    Kind { effect: Effect::Hold { addresses }, wanted: Use::Grant, shared_ok }
}

fn block(table: &mut Table<'_>) -> Kind {
    let because = table.take("because").and_then(keys::words);
    table.refuse("addresses", "addresses only in [[allow]] and [[hold]]", "to block an address, write it as host");
    for key in ["opaque", "websocket", "limits"] {
        table.refuse(key, &format!("{key} only in [[allow]]"), "remove it");
    }
    table.refuse("shared_ok", "shared_ok only in [[allow]] and [[hold]]", "remove it: a block may be as broad as wanted");
    Kind { effect: Effect::Block { because }, wanted: Use::Block, shared_ok: false }
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
        item.warn(code::SHARED_HOSTING, format!("{}: {shared}", shown(text)));
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
