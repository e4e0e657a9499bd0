//! What exeat knows of a question beside what is asked. It is shown and hashed, and decides nothing.

pub(super) mod cover;
mod risk;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::egress::hold::Process;

/// What is known of a question. It is put together when the question is opened, and stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The process that asked first, where it could be observed.
    pub process: Option<Process>,
    /// What speaks against the destination.
    pub risk: Vec<Risk>,
    /// The shipped preset that lists it.
    pub preset: Option<Arc<str>>,
    /// A name it could be taken for.
    pub lookalike: Option<Lookalike>,
}

/// One thing that speaks against a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Risk {
    /// Which, of a closed set.
    pub code: String,
    /// The same in a few words.
    pub text: String,
}

/// The host looks like a name that is known, and is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lookalike {
    /// The known name: an agent's rule, a preset or an approval names it.
    pub of: String,
}

/// Other pending questions that are nearly the same. An answer covers none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Similar {
    /// How many there are.
    pub count: usize,
    /// Their short ids, the first few.
    pub ids: Vec<String>,
}

/// Whether a label looks as if nobody had thought of it: long, and of many different letters and digits without order.
pub(super) fn random_label(label: &str) -> bool {
    risk::is_random(label)
}
