//! One agent's allowlist, read and valid.
//!
//! An allow or hold rule without `port` means 80 and 443; a block rule without `port` means every port, as caution reads it.

mod expect;
mod flags;
mod include;
mod read;
mod whole;

use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use super::address::Addresses;
use super::attempt::AgentId;
use super::document::Document;
use super::fault::{Fault, Warning};
use super::floor::Floor;
use super::inject::{self, Credential, Inject, SecretSource};
use super::leaks::{self, Leaks};
use super::limits::Limits;
use super::lint;
use super::rule::read::Source;
use super::rule::{Rule, RuleRef};
use super::token::TokenDigest;
pub use expect::{Expectation, Expected};
use include::Included;
pub use include::{IncludeName, IncludedText, Library, NoLibrary, Unfound};
pub(super) use whole::between;

/// One agent's rules and how the agent is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// Whose it is.
    pub agent: AgentId,
    /// The line that names the agent, from 1.
    pub agent_line: u32,
    /// What a destination that no rule lists gets.
    pub unlisted: Unlisted,
    /// What such a destination may resolve to once approved.
    pub addresses: Arc<Addresses>,
    /// Until when what is unlisted or held passes, and is recorded as observed.
    pub observe_until: Option<SystemTime>,
    /// The line that says so, from 1.
    pub observe_line: u32,
    /// Bounds the agent as a whole.
    pub limits: Limits,
    /// How many people have to say yes.
    pub approvers: u8,
    /// How the agent is known: any one of these.
    pub identify: Vec<Identify>,
    /// What its requests are searched for before they leave.
    pub leaks: Option<Arc<Leaks>>,
    /// The rules, its own and those it includes; their order means nothing.
    pub rules: Vec<Rule>,
    /// What exeat puts into requests, in the order of the file.
    pub injects: Vec<Arc<Inject>>,
    /// What the rules are to decide; they do.
    pub expectations: Vec<Expectation>,
    /// The files it includes, as messages name them.
    pub includes: Vec<Arc<str>>,
}

/// What an allowlist is read beside.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The time.
    pub now: SystemTime,
    /// What binds it.
    pub floor: &'a Floor,
    /// Where what it includes comes from.
    pub library: &'a dyn Library,
    /// There is a CA of exeat's own, so that requests inside TLS can be seen.
    pub inspects: bool,
}

/// What a destination that no rule lists gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unlisted {
    /// It is refused.
    Block,
    /// Somebody is asked.
    Hold,
}

/// One `[[identify]]`: all that is set must hold, and something is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify {
    /// The digest of the token offered.
    pub token: Option<TokenDigest>,
    /// The network the peer is in.
    pub source: Option<IpNet>,
    /// The listener in `exeat.toml`.
    pub listener: Option<Arc<str>>,
    /// Where it stands.
    pub place: RuleRef,
}

impl Allowlist {
    /// Reads an allowlist and all it includes. Every fault is told at once, in whichever file it stands.
    pub fn read(file: &str, text: &str, reading: &Reading<'_>) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let document = Document::parse(file, text);
        let (allowlist, entries, beside) = read::allowlist(Source { document: &document, inspects: reading.inspects }, reading.library);
        let (mut faults, mut warnings) = document.into_findings();
        faults.extend(beside);
        let included = Included::read(entries, reading);
        faults.extend(included.faults);
        warnings.extend(included.warnings);
        if let Some(mut allowlist) = allowlist {
            allowlist.rules.extend(included.rules);
            allowlist.expectations.extend(included.expectations);
            allowlist.includes = included.files;
            faults.extend(whole::whole(&allowlist, reading));
            if faults.is_empty() {
                // What is wrong would fail them for reasons that are not theirs.
                faults.extend(expect::unmet(&allowlist, reading));
            }
            if faults.is_empty() {
                warnings.extend(lint::second_looks(&allowlist, reading));
                warnings.extend(inject::second_looks(&allowlist));
                warnings.extend(leaks::second_looks(&allowlist));
                warnings.sort();
                warnings.dedup();
                return Ok((allowlist, warnings));
            }
        }
        faults.sort();
        faults.dedup();
        Err(faults)
    }

    /// Reads an allowlist that stands alone: under no floor, with nothing to include, without a CA, and at no time, so that it cannot be observed.
    pub fn parse(file: &str, text: &str) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        Self::read(file, text, &Reading { now: SystemTime::UNIX_EPOCH, floor: &Floor::none(), library: &NoLibrary, inspects: false })
    }

    /// Variables of exeat's own environment that hold secrets of this file's: no agent is to have them.
    pub fn variables(&self) -> Vec<Arc<str>> {
        let injected = self.injects.iter().filter_map(|inject| match &inject.credential {
            Credential::Header { name: _, prefix: _, value, placeholder: _ } => Some(value),
            Credential::Certificate { chain: _, key: _ } => None,
        });
        let looked_for = self.leaks.iter().flat_map(|leaks| &leaks.secrets);
        let sources = injected.chain(looked_for);
        sources.filter_map(|source| if let SecretSource::Env(name) = source { Some(Arc::clone(name)) } else { None }).collect()
    }

    /// The agent a file names, as far as that can be read, whatever else is wrong with it.
    pub fn agent_of(text: &str) -> Option<AgentId> {
        read::agent(&Document::parse("", text))
    }

    /// The `[[identify]]` tables without a token of a file, as far as they can be read, whatever else is wrong with it.
    pub fn claims_of(file: &str, text: &str) -> Vec<Identify> {
        read::claims(&Document::parse(file, text))
    }

    /// Whether nothing in a file is an agent's own, so that it is there to be included, whatever else is wrong with it.
    pub fn is_to_be_included(text: &str) -> bool {
        read::is_to_be_included(&Document::parse("", text))
    }

    /// What is wrong with a file that is there to be included; what it includes itself is not looked at.
    pub fn faults_of_included(file: &str, text: &str, inspects: bool) -> Vec<Fault> {
        let document = Document::parse(file, text);
        let _body = read::included(Source { document: &document, inspects });
        document.into_findings().0
    }

    /// The allowlist of the embedded default: nothing listed, everything held.
    pub fn embedded(agent: AgentId) -> Self {
        let addresses = Arc::new(Addresses::public());
        Self {
            file: "embedded default".into(),
            agent,
            agent_line: 0,
            unlisted: Unlisted::Hold,
            addresses,
            observe_until: None,
            observe_line: 0,
            limits: Limits::default(),
            approvers: 1,
            leaks: None,
            identify: Vec::new(),
            rules: Vec::new(),
            injects: Vec::new(),
            expectations: Vec::new(),
            includes: Vec::new(),
        }
    }
}

impl Unlisted {
    /// As files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Unlisted::Block => "block",
            Unlisted::Hold => "hold",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
