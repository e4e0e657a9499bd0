//! Rules and what they hold in a few words.

use std::time::SystemTime;

use crate::policy::address::Addresses;
use crate::policy::allowlist::Identify;
use crate::policy::inject::Inject;
use crate::policy::limits::Limits;
use crate::policy::request::RequestRule;
use crate::policy::rule::{Allow, Effect, Rule};
use crate::policy::units::spelled_size;

/// The most hosts, methods or paths that are shown.
const SHOWN_MAX: usize = 8;

/// What a rule says, its hosts and ports aside; empty where it is plain.
pub(super) fn terms(rule: &Rule) -> String {
    let mut words = Vec::new();
    words.extend(rule.request.as_ref().map(request));
    match &rule.effect {
        Effect::Allow(Allow { addresses: to, spelled: _, opaque, exclude, websocket, limits }) => {
            words.extend((*to.as_ref() != Addresses::public()).then(|| format!("addresses {}", addresses(to))));
            words.extend(opaque.then(|| "opaque".to_owned()));
            words.extend(exclude.then(|| "exclude".to_owned()));
            words.extend(websocket.then(|| "websocket".to_owned()));
            words.extend((!limits.is_none()).then(|| self::limits(limits)));
        }
        Effect::Hold { addresses: Some(to) } => words.push(format!("addresses {}", addresses(to))),
        Effect::Hold { addresses: None } | Effect::Block { because: _ } => {}
    }
    words.extend(rule.until.map(|until| format!("until {}", moment(Some(until)))));
    words.join(", ")
}

/// What a credential is and where it goes; never its value, nor where that comes from.
pub(super) fn inject(inject: &Inject) -> String {
    let Inject { place: _, destination, scheme, request, credential: _, mask } = inject;
    let mut words = vec![inject.field().map_or_else(|| "a client certificate".to_owned(), ToString::to_string)];
    words.extend(request.as_ref().map(self::request).filter(|request| !request.is_empty()));
    words.extend(mask.then(|| "mask".to_owned()));
    format!("{} for {}://{destination}", words.join(", "), scheme.as_str())
}

fn request(RequestRule { methods, paths, query }: &RequestRule) -> String {
    let parts = [("method", listed(methods)), ("path", listed(paths)), ("query", listed(query))];
    let words = parts.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| format!("{key} {list}"));
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn addresses(addresses: &Addresses) -> String {
    let public = addresses.public.then(|| "public".to_owned());
    let all: Vec<String> = public.into_iter().chain(addresses.networks.iter().map(ToString::to_string)).collect();
    listed(&all)
}

pub(super) fn limits(limits: &Limits) -> String {
    let Limits { open, per_minute, bytes_per_day } = limits;
    let open = open.map(|open| format!("{open} open at once"));
    let per_minute = per_minute.map(|number| format!("{number} a minute"));
    let bytes = bytes_per_day.map(|bytes| format!("{} a day", spelled_size(bytes)));
    let words: Vec<String> = open.into_iter().chain(per_minute).chain(bytes).collect();
    if words.is_empty() { "no limit".to_owned() } else { words.join(" and ") }
}

/// A token is told by nothing: even its digest says which token to try.
pub(super) fn identity(table: &Identify) -> String {
    let Identify { token, source, listener, place: _ } = table;
    let token = token.as_ref().map(|_| "a token".to_owned());
    let source = source.map(|source| format!("source {source}"));
    let listener = listener.as_deref().map(|listener| format!("listener {listener}"));
    token.into_iter().chain(source).chain(listener).collect::<Vec<_>>().join(" and ")
}

pub(super) fn moment(at: Option<SystemTime>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::try_from(at).ok());
    at.map_or_else(|| "none".to_owned(), |at| at.to_string())
}

pub(super) fn listed<T: ToString>(things: &[T]) -> String {
    let mut words: Vec<String> = things.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    if things.len() > SHOWN_MAX {
        words.push(format!("{} more", things.len() - SHOWN_MAX));
    }
    words.join(", ")
}
