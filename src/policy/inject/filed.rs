//! The credentials of one agent, filed by destination.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Credential, Inject};
use crate::policy::attempt::{Attempt, Sight};
use crate::policy::destination::Destination;
use crate::policy::request::Permits;

/// What is done to one request on its way to a destination that exeat has a credential for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Fields that a credential for the destination goes into: the agent's own are taken out, whether or not one is put in.
    pub headers: Vec<Arc<str>>,
    /// What is put in: at most one for each field, and one certificate.
    pub apply: Vec<Arc<Inject>>,
}

/// Every credential, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Injects(HashMap<Destination, Vec<Arc<Inject>>>);

impl Injects {
    pub(in crate::policy) fn new(injects: &[Arc<Inject>]) -> Self {
        let mut filed: HashMap<Destination, Vec<Arc<Inject>>> = HashMap::new();
        for inject in injects {
            filed.entry(inject.destination.clone()).or_default().push(Arc::clone(inject));
        }
        Self(filed)
    }

    /// Those that concern the attempt: of its destination and scheme, or of any scheme where the bytes are still to come.
    pub(in crate::policy) fn about<'a>(&'a self, attempt: &Attempt) -> impl Iterator<Item = &'a Arc<Inject>> + use<'a> {
        let (scheme, seen) = (attempt.scheme, attempt.sight.seen().is_some());
        let filed = if self.0.is_empty() { None } else { self.0.get(&attempt.destination) };
        filed.into_iter().flatten().filter(move |inject| !seen || scheme == Some(inject.scheme))
    }

    /// What is done to the request in sight.
    pub(in crate::policy) fn of(&self, attempt: &Attempt) -> Option<Injection> {
        let Sight::Seen(seen) = &attempt.sight else { return None };
        let mut injection: Option<Injection> = None;
        for inject in self.about(attempt) {
            let Injection { headers, apply } = injection.get_or_insert_with(|| Injection { headers: Vec::new(), apply: Vec::new() });
            let field = inject.field();
            headers.extend(field.filter(|name| !headers.iter().any(|known| known == *name)).cloned());
            let meant = inject.request.as_ref().is_none_or(|request| request.permits(seen) == Permits::Yes);
            if meant && !apply.iter().any(|other| other.field() == field) {
                apply.push(Arc::clone(inject));
            }
        }
        injection
    }
}

impl Inject {
    /// All of it that counts is the same, wherever it stands.
    pub(in crate::policy) fn says_the_same_as(&self, other: &Self) -> bool {
        let Self { place: _, destination, scheme, request, credential, mask } = self;
        (destination, scheme, request, credential, mask)
            == (&other.destination, &other.scheme, &other.request, &other.credential, &other.mask)
    }

    /// The field it goes into; none where it is a certificate.
    pub fn field(&self) -> Option<&Arc<str>> {
        match &self.credential {
            Credential::Header { name, prefix: _, value: _, placeholder: _ } => Some(name),
            Credential::Certificate { chain: _, key: _ } => None,
        }
    }
}
