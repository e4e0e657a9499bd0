//! From a document to the floor.

use ipnet::IpNet;

use super::{Floor, Forbid};
use crate::policy::address::{Addresses, AddressesFault};
use crate::policy::document::Item;
use crate::policy::rule::read::{Source, floor_rules};
use crate::policy::rule::{approvers, fix_of_network, limits};

/// Reads the whole file. What is wrong stands in the document.
pub(super) fn floor(source: Source<'_, '_>) -> Floor {
    let document = source.document;
    let mut root = document.root();
    for key in ["agent", "identify", "unlisted", "addresses", "observe_until", "include", "expect"] {
        root.refuse(key, &format!("{key} only in an agent's allowlist"), "move it there: the floor binds every agent");
    }
    let private = root.take("private").map(|item| item.list().into_iter().filter_map(network).collect::<Vec<_>>().into());
    let forbid = root.take("forbid").map(forbid).unwrap_or_default();
    let max_for = root.take("max_for").and_then(|item| {
        let longest = item.duration()?;
        if longest.is_zero() {
            item.wrong("a duration longer than nothing", "write how long a yes may last, such as \"8h\"");
        }
        Some(longest)
    });
    let limits = limits(&mut root);
    let approvers = approvers(&mut root);
    Floor { file: document.file().clone(), rules: floor_rules(source, &mut root), limits, private, forbid, max_for, approvers }
}

fn network(item: Item<'_>) -> Option<IpNet> {
    let text = item.text()?;
    let read = if text == "public" { Err(AddressesFault::Unreadable) } else { Addresses::parse_entry(text) };
    read.map_err(|why| item.wrong("a network such as 10.0.0.0/8", &fix_of_network(text, why))).ok()
}

fn forbid(item: Item<'_>) -> Forbid {
    let mut forbid = Forbid::default();
    for word in item.filled_list("observe, opaque or always") {
        match word.text() {
            Some("observe") => forbid.observe = true,
            Some("opaque") => forbid.opaque = true,
            Some("always") => forbid.always = true,
            Some(_) => word.wrong("observe, opaque or always", "write one of these"),
            None => {}
        }
    }
    forbid
}
