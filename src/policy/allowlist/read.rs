//! From a document to an allowlist, or to what one includes.

use std::sync::Arc;

use ipnet::IpNet;

use super::include::{Include, IncludeName};
use super::{Allowlist, Expectation, Expected, Identify, Unlisted};
use crate::policy::address::{Addresses, AddressesFault};
use crate::policy::attempt::AgentId;
use crate::policy::document::{Document, Item, Table, one_of};
use crate::policy::fault::code;
use crate::policy::preset;
use crate::policy::rule::read::{Source, rules};
use crate::policy::rule::{Rule, RuleRef, addresses, approvers, fix_of_network, limits};
use crate::policy::token::TokenDigest;
use crate::policy::tried::Tried;

/// Keys that no file has that is there to be included.
const AGENTS_OWN: [&str; 7] = ["agent", "approvers", "identify", "unlisted", "addresses", "observe_until", "limits"];

/// What an allowlist shares with the files it includes.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) includes: Vec<Include>,
    pub(super) rules: Vec<Rule>,
    pub(super) expectations: Vec<Expectation>,
}

/// Reads an agent's file, but for what it includes; no allowlist where it has no usable agent. What else is wrong stands in the document.
pub(super) fn allowlist(source: Source<'_, '_>) -> (Option<Allowlist>, Vec<Include>) {
    let document = source.document;
    let mut root = document.root();
    let named = root.require("agent", r#"write agent = "NAME" at the top of the file"#);
    let agent = named.and_then(|item| item.parse("an agent's name", AgentId::parse));
    let words = [(Unlisted::Block.as_str(), Unlisted::Block), (Unlisted::Hold.as_str(), Unlisted::Hold)];
    let unlisted = root.take("unlisted").and_then(|item| item.parse("block or hold", |text| one_of(&words, text)));
    let addresses = root.take("addresses").map_or_else(Addresses::public, addresses);
    let observe_until = root.take("observe_until");
    let observe = observe_until.and_then(|item| Some((item.moment()?, item.line())));
    let limits = limits(&mut root);
    let approvers = approvers(&mut root);
    root.not_yet(&["inject", "exclude"]);
    let identify = root.tables("identify").filter_map(|table| identify(document, table)).collect();
    let Body { includes, rules, expectations } = body(source, &mut root);
    let allowlist = agent.map(|agent| Allowlist {
        file: document.file().clone(),
        agent,
        agent_line: named.map_or(1, Item::line),
        unlisted: unlisted.unwrap_or(Unlisted::Block),
        addresses: Arc::new(addresses),
        observe_until: observe.map(|(until, _)| until),
        observe_line: observe.map_or(0, |(_, line)| line),
        limits,
        approvers,
        identify,
        rules,
        expectations,
        includes: Vec::new(),
    });
    (allowlist, includes)
}

/// The agent of a file of which nothing else need be right.
pub(super) fn agent(document: &Document<'_>) -> Option<AgentId> {
    document.root().take("agent").and_then(|item| item.parse("an agent's name", AgentId::parse))
}

/// Whether nothing in a file is an agent's own, so that others may include it.
pub(super) fn is_to_be_included(document: &Document<'_>) -> bool {
    let mut root = document.root();
    // A key below a table's header belongs to that table, whatever it was meant for.
    let swallowed = |mut table: Table<'_>| ["agent", "unlisted", "observe_until"].iter().any(|key| table.take(key).is_some());
    !root.is_empty()
        && AGENTS_OWN.iter().all(|key| root.take(key).is_none())
        && !["allow", "hold", "block", "expect"].iter().any(|key| root.tables(key).any(swallowed))
}

/// By what else than a token the agent of a file would be known, as far as that can be read.
pub(super) fn claims(document: &Document<'_>) -> Vec<Identify> {
    let tables = document.root().tables("identify");
    tables.filter_map(|mut table| if table.take("token").is_some() { None } else { identify(document, table) }).collect()
}

/// Reads a file that an allowlist includes. The four words about it are for people, and what presets carry.
pub(super) fn included(source: Source<'_, '_>) -> Body {
    let mut root = source.document.root();
    for key in AGENTS_OWN {
        root.refuse(
            key,
            "a file with nothing but rules, include and expect",
            "move it to the agent's own file, or do not include this one",
        );
    }
    preset::header(&mut root);
    body(source, &mut root)
}

fn body(source: Source<'_, '_>, root: &mut Table<'_>) -> Body {
    let document = source.document;
    let entries = root.take("include").map(Item::list).unwrap_or_default();
    let includes = entries.into_iter().filter_map(|item| include(document, item)).collect();
    let rules = rules(source, root);
    let expectations = root.tables("expect").filter_map(|table| expectation(document, table)).collect();
    Body { includes, rules, expectations }
}

fn include(document: &Document<'_>, item: Item<'_>) -> Option<Include> {
    let name = item.parse("a preset or a file beside this one", IncludeName::parse)?;
    Some(Include { name, file: document.file().clone(), line: item.line(), column: item.column() })
}

fn expectation(document: &Document<'_>, mut table: Table<'_>) -> Option<Expectation> {
    let tried = table.require("try", r#"write try = "GET http://HOST/PATH", or try = "CONNECT HOST:PORT""#);
    let wanted = table.require("decision", r#"write decision = "allow", "hold", "block" or "look""#);
    let text = tried.and_then(Item::text);
    let tried = tried.and_then(|item| item.parse("an attempt", Tried::parse));
    let words = Expected::ALL.map(|expected| (expected.as_str(), expected));
    let wanted = wanted.and_then(|item| item.parse("a decision", |text| one_of(&words, text)));
    let place = RuleRef { file: document.file().clone(), line: table.line() };
    Some(Expectation { text: text?.into(), tried: tried?, wanted: wanted?, place })
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
            item.warn(code::IDENTIFIES_EVERYONE, format!("source {network} is every address: whoever reaches the listener is this agent"));
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

fn network(text: &str) -> Result<IpNet, String> {
    let read = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address.to_canonical())));
    let network = read.map_err(|_| r#"write it like "10.2.0.0/16" or "10.2.0.7""#.to_owned())?;
    if network.trunc() == network { Ok(network) } else { Err(fix_of_network(text, AddressesFault::HostBits)) }
}
