//! What a start reads before it writes anything: whatever is wrong with it stops the start with journal and store as they were.

use std::sync::Arc;
use std::time::SystemTime;

use super::export::Exports;
use super::inspection::Inspection;
use super::{Bound, StartError};
use crate::config::Config;
use crate::egress::Resolver;

/// What the configuration names, read.
#[derive(Debug)]
pub struct Prepared {
    pub(super) exports: Exports,
    pub(super) inspection: Arc<Inspection>,
    pub(super) resolver: Resolver,
}

impl Prepared {
    /// Reads it.
    pub fn of(config: &Config, bound: &Bound) -> Result<Self, StartError> {
        Ok(Self {
            exports: Exports::prepare(config, &bound.back_ends)?,
            inspection: Inspection::start(config, SystemTime::now()).map_err(StartError::Roots)?,
            resolver: Resolver::new(&config.dns.servers, config.dns.timeout)?,
        })
    }
}
