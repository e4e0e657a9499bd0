//! Records for tests.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io;

use uuid::Uuid;

use super::settings::Disk;
use crate::egress::record::{Decided, Ended, Front, Millis, Outcome, Place, Ruling};
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::reason::Reason;

/// A disk that has everything at once.
#[derive(Debug)]
pub(super) struct NoDisk;

impl Disk for NoDisk {
    fn sync_lines(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn decided(id: u128) -> Decided {
    Decided {
        id: AttemptId(Uuid::from_u128(id)),
        agent: Some(AgentId::parse("coder").unwrap()),
        instance: "127.0.0.1".into(),
        front: Front::Connect,
        peer: "127.0.0.1:50000".into(),
        destination: Some(Place { host: "api.example".into(), port: 443, scheme: None }),
        request: None,
        decision: Ruling::Allow,
        reason: Reason::Listed,
        rule: Some("coder.toml:3".into()),
        approval: None,
        policy: "abc".into(),
        would: None,
        separated: None,
        within: None,
        trace: None,
        leak: None,
    }
}

pub(crate) fn ended(id: u128) -> Ended {
    Ended {
        id: AttemptId(Uuid::from_u128(id)),
        agent: Some(AgentId::parse("coder").unwrap()),
        outcome: Outcome::Completed,
        reason: Reason::Listed,
        address: Some("192.0.2.1:443".into()),
        bytes_up: 10,
        bytes_down: 20,
        status: None,
        tls: None,
        leak: None,
        secret: None,
        ms: Millis { total: 5.0, ..Millis::default() },
    }
}
