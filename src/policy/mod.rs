//! What may be reached. Pure: no sockets, clock, files, logging or async; `now` is an argument.

pub mod address;
pub mod allowlist;
pub mod approvals;
pub mod attempt;
pub mod decide;
pub mod destination;
pub mod diff;
pub mod document;
pub mod fault;
pub mod floor;
pub mod host;
mod identify;
pub mod index;
mod indexed;
pub mod inject;
pub mod leaks;
pub mod limits;
mod lint;
pub mod malformed;
pub mod path;
pub mod pattern;
#[expect(clippy::module_inception, reason = "the policy of policy")]
mod policy;
pub mod preset;
pub mod query;
pub mod reason;
pub mod request;
pub mod rule;
pub mod special;
pub mod succession;
pub mod suffix;
mod supposed;
pub mod token;
pub mod tried;
pub mod units;
pub mod widening;

pub use policy::{Frozen, Policy};
