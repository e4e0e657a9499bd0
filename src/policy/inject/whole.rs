//! What is judged of an agent's credentials together, and beside its rules.

use std::sync::Arc;

use super::Inject;
use crate::policy::allowlist::{Allowlist, Unlisted};
use crate::policy::fault::{Fault, Warning, code};
use crate::policy::request::RequestRule;
use crate::policy::rule::{Effect, Rule};

/// Two credentials for one place in one request: nobody could tell which goes out.
pub(in crate::policy) fn twice(injects: &[Arc<Inject>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (second, at) in injects.iter().zip(0..) {
        let same = |first: &&Arc<Inject>| {
            (&first.destination, first.scheme, first.field()) == (&second.destination, second.scheme, second.field())
                && meet(first.request.as_ref(), second.request.as_ref())
        };
        let Some(first) = injects.iter().take(at).find(same) else { continue };
        let what = second.field().map_or_else(|| "a certificate".to_owned(), |field| format!("{field} of requests"));
        faults.push(Fault {
            file: second.place.file.clone(),
            line: second.place.line,
            column: 1,
            found: format!("a second [[inject]] for {what} to {}, beside {}", second.destination, first.place),
            wanted: "one credential for a request".to_owned(),
            fix: "remove one, or give them methods or paths that do not overlap".to_owned(),
        });
    }
    faults
}

/// Whether some request is one of both, as far as that can be told; a certificate or header for every request meets all others.
fn meet(one: Option<&RequestRule>, other: Option<&RequestRule>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let methods = one.methods.is_empty() || other.methods.is_empty() || one.methods.iter().any(|method| other.methods.contains(method));
    let paths =
        one.paths.is_empty() || other.paths.is_empty() || one.paths.iter().any(|path| other.paths.iter().any(|known| path.meets(known)));
    methods && paths
}

/// Credentials that nothing lets out, or that are for agents of whom too little is known.
pub(in crate::policy) fn second_looks(allowlist: &Allowlist) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let by_place_alone = !allowlist.identify.is_empty() && allowlist.identify.iter().all(|table| table.token.is_none());
    for inject in &allowlist.injects {
        let to = &inject.destination;
        let mut warn = |code: &'static str, text: String| {
            warnings.push(Warning { file: inject.place.file.clone(), line: inject.place.line, column: 1, code, text });
        };
        let lists = |rule: &Rule| match &rule.effect {
            Effect::Allow(_) | Effect::Hold { addresses: _ } => {
                rule.ports.contain(to.port) && rule.hosts.iter().any(|pattern| pattern.matches(&to.host))
            }
            Effect::Block { because: _ } => false,
        };
        if !allowlist.rules.iter().any(lists) {
            let rest = match allowlist.unlisted {
                Unlisted::Block => "every request to it is refused",
                Unlisted::Hold => "every request to it is asked about",
            };
            warn(code::UNUSED_INJECT, format!("no [[allow]] or [[hold]] is about {to}: {rest}"));
        }
        if by_place_alone {
            let fix = format!("issue one: exeat token {}", allowlist.agent);
            let words = format!("a credential for {to} goes out only for an agent with a token, and [[identify]] has none; {fix}");
            warn(code::UNPROVEN_INJECT, words);
        }
    }
    warnings
}
