//! exeat: an egress-filtering forward proxy for AI agents.
//!
//! The modules in the order an attempt meets them; [`architecture`] says why each is where it is. What decides is pure and can be asked alone:
//!
//! ```
//! use std::time::SystemTime;
//!
//! use exeat::policy::Policy;
//! use exeat::policy::address::Guard;
//! use exeat::policy::allowlist::Allowlist;
//! use exeat::policy::approvals::Approvals;
//! use exeat::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Sight};
//! use exeat::policy::decide::Decision;
//! use exeat::policy::destination::Destination;
//!
//! let text = "agent = \"coder\"\n[[allow]]\nhost = \"*.example.com\"\n";
//! let (allowlist, _warnings) = Allowlist::parse("coder.toml", text).unwrap();
//! let policy = Policy::new(vec![allowlist], Guard::default()).unwrap();
//!
//! let attempt = |to: &str| Attempt {
//!     id: AttemptId(uuid::Uuid::now_v7()),
//!     agent: AgentId::parse("coder").unwrap(),
//!     instance: Instance("10.0.0.7".into()),
//!     destination: Destination::parse(to).unwrap(),
//!     scheme: None,
//!     sight: Sight::NotYet,
//!     within: None,
//!     proven: true,
//! };
//! let decide = |to: &str| policy.decide(&attempt(to), &Approvals::default(), SystemTime::now());
//! assert!(matches!(decide("api.example.com:443"), Decision::Allow(_)));
//! assert!(matches!(decide("example.com:443"), Decision::Block(_)));
//! assert!(matches!(decide("api.example.com:22"), Decision::Block(_)));
//! ```

pub mod admin;
pub mod app;
pub mod approval;
pub mod cli;
pub mod config;
pub mod egress;
pub mod explain;
pub mod front;
pub mod journal;
pub mod policy;
pub mod private;
pub mod secrets;
pub mod telemetry;
pub mod text;
pub mod tls;

#[doc = include_str!("../ARCHITECTURE.md")]
pub mod architecture {}
