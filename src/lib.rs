//! exeat: an egress-filtering forward proxy for AI agents.
//!
//! The modules in the order an attempt meets them; [`architecture`] says why each is where it is.

pub mod admin;
pub mod app;
pub mod approval;
pub mod cli;
pub mod config;
pub mod egress;
pub mod front;
pub mod journal;
pub mod policy;
pub mod telemetry;
pub mod text;
pub mod tls;

#[doc = include_str!("../ARCHITECTURE.md")]
pub mod architecture {}
