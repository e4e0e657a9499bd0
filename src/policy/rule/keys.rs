//! The values of a rule's keys.

use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock};

use super::Ports;
use crate::policy::destination::Port;
use crate::policy::document::{Item, Table};
use crate::policy::fault::{code, shown};
use crate::policy::limits::{BYTES_MAX, LIMIT_MAX, Limits};
use crate::policy::path::PathPattern;
use crate::policy::query::QueryPattern;
use crate::policy::request::RequestRule;

/// The most characters of `note`, `because` and `shared_ok`.
const WORDS_MAX: usize = 500;

/// What most rules about methods name; one of each for all of them.
static COMMON: LazyLock<[Arc<str>; 7]> = LazyLock::new(|| OFTEN.map(Arc::from));

const OFTEN: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// The others of the IANA HTTP Method Registry, and those that caches and UPnP use.
const OTHERS: [&str; 36] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "BAN",
    "M-SEARCH",
    "NOTIFY",
    "PURGE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
];

/// Methods that are never passed on, so that a rule for one could never speak.
const NEVER_PASSED: [&str; 3] = ["TRACE", "TRACK", "DEBUG"];

pub(super) fn why_shared(item: Item<'_>) -> Option<Arc<str>> {
    if !item.is_text() {
        item.wrong("a text that says why the sharing is acceptable", r#"write shared_ok = "why""#);
        return None;
    }
    words(item)
}

/// Short printable words, fit to be shown to an agent or an approver.
pub(super) fn words(item: Item<'_>) -> Option<Arc<str>> {
    item.parse("a line of words", |text| {
        if text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > WORDS_MAX {
            return Err(format!("write 1 to {WORDS_MAX} printable characters on one line"));
        }
        Ok(Arc::from(text))
    })
}

pub(super) fn ports(item: Item<'_>) -> Ports {
    let numbers = item.filled_list("at least one port").into_iter().filter_map(port);
    Ports::these(numbers.filter_map(|number| u16::try_from(number).ok().and_then(NonZeroU16::new)).map(Port))
}

fn port(item: Item<'_>) -> Option<i64> {
    let written = if item.is_text() { item.text() } else { None };
    let is_number = |text: &str| !text.trim().is_empty() && text.trim().bytes().all(|byte| byte.is_ascii_digit());
    match written.and_then(|text| Some((text, text.split_once(['-', ':', '–'])?))) {
        Some((text, (first, last))) if is_number(first) && is_number(last) => {
            let fix = "write each port that is meant, as in port = [8000, 8001]; a block rule without port is about every port";
            item.fault(format!("port {}, a range", shown(text)), "ports one by one", fix);
            None
        }
        Some(_) | None => item.integer(1..=65535),
    }
}

/// Reads `method`, `path` and `query`, with the first value of theirs; `None` where the rule has none of them.
pub(in crate::policy) fn request<'d>(table: &mut Table<'d>) -> Option<(RequestRule, Item<'d>)> {
    let method_items = table.take("method").map(|item| item.filled_list("at least one method")).unwrap_or_default();
    let path_items = table.take("path").map(|item| item.filled_list("at least one path")).unwrap_or_default();
    let query_items = table.named_items("query");
    let first = method_items.iter().chain(&path_items).chain(&query_items).copied().next()?;
    let mut request = RequestRule {
        methods: method_items.into_iter().filter_map(method).collect(),
        paths: path_items.into_iter().filter_map(path).collect(),
        query: query_items.into_iter().filter_map(query).collect(),
    };
    request.methods.shrink_to_fit();
    request.paths.shrink_to_fit();
    (!request.is_empty()).then_some((request, first))
}

fn method(item: Item<'_>) -> Option<Arc<str>> {
    let method = item.parse("a method such as GET", |text| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let capitals = text.to_ascii_uppercase();
        if text.is_empty() || !text.bytes().all(token) {
            Err("write the methods one by one, as in method = [\"GET\", \"HEAD\"]".to_owned())
        } else if capitals == "CONNECT" {
            Err("leave it out: a tunnel is judged by host and port, and what it carries by its own methods".to_owned())
        } else if NEVER_PASSED.contains(&&*capitals) {
            Err("leave it out: the method is never passed on".to_owned())
        } else if capitals != text {
            Err(format!("methods are spelled exactly: write {capitals}"))
        } else {
            Ok(COMMON.iter().find(|common| ***common == *text).map_or_else(|| Arc::<str>::from(text), Arc::clone))
        }
    })?;
    if let Some(near) = slip_of(&method) {
        item.warn(code::NEAR_METHOD, format!("{} is no registered method, but nearly {near}: did you mean that?", shown(&method)));
    }
    Some(method)
}

/// The method that was meant, perhaps. Methods that nobody registered are as good as others.
fn slip_of(method: &str) -> Option<&'static str> {
    if COMMON.iter().any(|common| **common == *method) || OTHERS.contains(&method) {
        return None;
    }
    OFTEN.into_iter().find(|often| strsim::osa_distance(method, often) == 1)
}

fn path(item: Item<'_>) -> Option<PathPattern> {
    let text = item.text()?;
    PathPattern::parse(text).map_err(|why| item.fault(format!("{}, {}", shown(text), why.found()), why.wanted(), why.fix())).ok()
}

fn query(item: Item<'_>) -> Option<QueryPattern> {
    let values = item.filled_list("at least one value").into_iter().filter_map(Item::text).map(str::to_owned).collect();
    let name = item.key();
    QueryPattern::new(name, values).map_err(|why| item.fault(format!("{}, {}", shown(name), why.found()), why.wanted(), why.fix())).ok()
}

fn bytes(item: Item<'_>) -> Option<u64> {
    let bytes = item.size()?;
    if !(1..=BYTES_MAX).contains(&bytes) {
        item.wrong("a size from 1B to 1048576GiB", "write one such size, or leave the key out for no limit");
        return None;
    }
    Some(bytes)
}

/// Reads `limits` or `[limits]`.
pub(in crate::policy) fn limits(table: &mut Table<'_>) -> Limits {
    let Some(mut table) = table.table("limits") else { return Limits::default() };
    let number = |item: Item<'_>| item.integer(1..=i64::from(LIMIT_MAX)).and_then(|number| u32::try_from(number).ok());
    let limits = Limits {
        open: table.take("open").and_then(number),
        per_minute: table.take("per_minute").and_then(number),
        bytes_per_day: table.take("bytes_per_day").and_then(bytes),
    };
    if table.is_empty() {
        table.fault(format!("an empty {}", table.title()), "open, per_minute or bytes_per_day", "write one of them, or remove it");
    }
    limits
}

/// Reads `approvers`: how many people have to say yes.
pub(in crate::policy) fn approvers(table: &mut Table<'_>) -> u8 {
    let number = table.take("approvers").and_then(|item| item.integer(1..=9));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(1)
}
