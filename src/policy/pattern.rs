//! Host patterns.
//!
//! `example.com` is that name; `*.example.com` every name under it, at any depth, not itself; `**.example.com` itself and every name under it. Elsewhere `*`, `?`,
//! `[a-z0-9]` and `{eu,us}` match inside one label. Addresses match exact literals and networks only. Allow and hold patterns are narrow, block patterns may be
//! broad, but no pattern stands for every name.

mod fault;
mod label;
mod network;
mod relation;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ipnet::IpNet;

use super::host::{self, Host, Name};
use super::malformed::Malformed;
use super::suffix;
pub use fault::{PatternFault, SharedBy, SharedHosting};
use label::WildLabel;

const TEXT_MAX: usize = 1024;

/// What a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Allow and hold rules: narrow.
    Grant,
    /// Block rules: as broad as wanted.
    Block,
}

/// A host pattern in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Arc<str>,
    pub(super) shape: Shape,
}

/// How a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Exact(Host),
    Under(Under),
    /// More than one address; no bits behind the prefix, never IPv4-mapped.
    Network(IpNet),
}

/// Names that end in `tail`, where the labels before it fit `reach`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Under {
    /// The labels behind the last wildcard; empty where the last label has one.
    pub(super) tail: Arc<str>,
    pub(super) reach: Reach,
}

/// What may stand before the tail: a number of free labels, then one label for each of `labels`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    free: Free,
    labels: Box<[Label]>,
}

/// How many labels may stand in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Free {
    None,
    /// `*.`
    OneOrMore,
    /// `**.`
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    Literal(Box<str>),
    Wild(WildLabel),
}

/// A pattern that loads, perhaps with a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The pattern.
    pub pattern: HostPattern,
    /// It covers shared hosting and the rule says `shared_ok`.
    pub warning: Option<SharedHosting>,
}

impl HostPattern {
    /// Reads a pattern. `shared_ok` turns shared hosting into a warning; a public suffix stays a fault.
    pub fn parse(text: &str, wanted: Use, shared_ok: bool) -> Result<Parsed, PatternFault> {
        let shape = shape(text)?;
        let warning = match (&shape, wanted) {
            (Shape::Exact(_), _) | (Shape::Under(_) | Shape::Network(_), Use::Block) => None,
            (Shape::Under(under), Use::Grant) => narrow(under, shared_ok)?,
            (Shape::Network(network), Use::Grant) => {
                network::narrow(network)?;
                None
            }
        };
        let text = match &shape {
            Shape::Exact(Host::Name(name)) => name.shared(),
            Shape::Exact(host @ Host::Address(_)) => host.to_string().into(),
            Shape::Network(network) => network.to_string().into(),
            Shape::Under(under) => under.written(text).into(),
        };
        Ok(Parsed { pattern: Self { text, shape }, warning })
    }

    /// Whether the host is one the pattern stands for. Addresses match exact literals and networks only, by the address as it stands: what else a block rule
    /// refuses, an IPv4 address inside an IPv6 one, is judged with the addresses.
    pub fn matches(&self, host: &Host) -> bool {
        match (&self.shape, host) {
            (Shape::Exact(exact), host) => exact == host,
            (Shape::Under(under), Host::Name(name)) => under.matches(name),
            (Shape::Network(network), Host::Address(address)) => network.contains(address),
            (Shape::Under(_), Host::Address(_)) | (Shape::Network(_), Host::Name(_)) => false,
        }
    }

    /// The one host of a pattern without wildcards.
    pub fn exact(&self) -> Option<&Host> {
        match &self.shape {
            Shape::Exact(host) => Some(host),
            Shape::Under(_) | Shape::Network(_) => None,
        }
    }

    /// The network of a pattern for more than one address.
    pub fn network(&self) -> Option<IpNet> {
        match &self.shape {
            Shape::Network(network) => Some(*network),
            Shape::Exact(_) | Shape::Under(_) => None,
        }
    }

    /// The addresses of a pattern for addresses: its network, or its one address as one.
    pub(super) fn addresses(&self) -> Option<IpNet> {
        match &self.shape {
            Shape::Network(network) => Some(*network),
            Shape::Exact(Host::Address(address)) => Some(IpNet::from(*address)),
            Shape::Exact(Host::Name(_)) | Shape::Under(_) => None,
        }
    }

    /// Whether the pattern may match more than one host.
    pub fn is_wildcard(&self) -> bool {
        self.exact().is_none()
    }

    /// How much it spells out: its labels, or the length of a network's prefix. Of two patterns that match one host and have wildcards, the higher says more.
    pub fn spelled(&self) -> usize {
        match &self.shape {
            Shape::Network(network) => usize::from(network.prefix_len()),
            Shape::Exact(_) | Shape::Under(_) => self.text.split('.').count(),
        }
    }
}

impl Hash for HostPattern {
    /// The canonical text says all that the shape does.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for HostPattern {
    /// Canonical text: lower-case A-labels, no final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Under {
    fn matches(&self, name: &Name) -> bool {
        let name = name.as_str();
        if self.tail.is_empty() {
            return self.reach.fits(name);
        }
        match name.strip_suffix(&*self.tail) {
            Some("") => self.reach.fits(""),
            Some(before) => before.strip_suffix('.').is_some_and(|before| self.reach.fits(before)),
            None => false,
        }
    }

    /// Wild labels as the rule writes them, in lower case; the others canonical.
    fn written(&self, text: &str) -> String {
        let front = match self.reach.free {
            Free::None => None,
            Free::OneOrMore => Some("*"),
            Free::Any => Some("**"),
        };
        let lower = text.to_ascii_lowercase();
        let skipped = usize::from(front.is_some());
        let labels = self.reach.labels.iter().zip(lower.split('.').skip(skipped)).map(|(label, written)| match label {
            Label::Literal(label) => &**label,
            Label::Wild(_) => written,
        });
        let tail = Some(&*self.tail).filter(|tail| !tail.is_empty());
        front.into_iter().chain(labels).chain(tail).collect::<Vec<_>>().join(".")
    }
}

impl Reach {
    /// Whether `before`, all labels in front of the tail and no final dot, fits. An empty text is no label.
    pub(super) fn fits(&self, before: &str) -> bool {
        let mut rest = before;
        for label in self.labels.iter().rev() {
            if rest.is_empty() {
                return false;
            }
            let (front, last) = rest.rsplit_once('.').unwrap_or(("", rest));
            let fits = match label {
                Label::Literal(literal) => **literal == *last,
                Label::Wild(wild) => wild.matches(last),
            };
            if !fits {
                return false;
            }
            rest = front;
        }
        match self.free {
            Free::None => rest.is_empty(),
            Free::OneOrMore => !rest.is_empty(),
            Free::Any => true,
        }
    }
}

fn shape(text: &str) -> Result<Shape, PatternFault> {
    if text.len() > TEXT_MAX {
        return Err(PatternFault::TooLong);
    }
    let in_brackets = text.starts_with('[') && text.trim_end_matches('.').ends_with(']') && text.contains(':');
    if text.contains('/') {
        let network = network::read(text).unwrap_or(Err(PatternFault::MoreThanHost))?;
        let alone = network.prefix_len() == network.max_prefix_len();
        return Ok(if alone { Shape::Exact(Host::Address(network.addr())) } else { Shape::Network(network) });
    }
    if in_brackets || !is_wild(text) {
        return Host::parse(text).map(Shape::Exact).map_err(|fault| exact_fault(text, fault));
    }
    if text.contains([':', '@', '#', '\\']) {
        return Err(PatternFault::MoreThanHost);
    }
    under(text).map(Shape::Under)
}

/// A port behind a host is the usual slip, so it has words of its own.
fn exact_fault(text: &str, fault: Malformed) -> PatternFault {
    let port =
        text.rsplit_once(':').is_some_and(|(host, port)| Host::parse(host).is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if port { PatternFault::MoreThanHost } else { PatternFault::Malformed(fault) }
}

fn under(text: &str) -> Result<Under, PatternFault> {
    let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (free, rest) = match bare.split_once('.') {
        Some(("*", rest)) => (Free::OneOrMore, rest),
        Some(("**", rest)) => (Free::Any, rest),
        Some(_) => (Free::None, bare.as_str()),
        None if bare == "*" || bare == "**" => return Err(PatternFault::Everything),
        None => (Free::None, bare.as_str()),
    };
    let written: Vec<&str> = rest.split('.').collect();
    let literal_from = written.iter().rposition(|label| is_wild(label)).map_or(0, |last| last + 1);
    let (front, literal) = written.split_at(literal_from);
    let tail = if literal.is_empty() { Arc::from("") } else { tail(&literal.join("."), free, front)? };
    let labels = front.iter().map(|label| read_label(label)).collect::<Result<Box<[_]>, _>>()?;
    let says_something = |label: &Label| match label {
        Label::Literal(_) => true,
        Label::Wild(wild) => !wild.says_nothing(),
    };
    if tail.is_empty() && !labels.iter().any(says_something) {
        return Err(PatternFault::Everything);
    }
    if tail.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit() || b".*?[]{},-".contains(&byte)) {
        return Err(PatternFault::AddressWildcard);
    }
    Ok(Under { tail, reach: Reach { free, labels } })
}

fn tail(literal: &str, free: Free, front: &[&str]) -> Result<Arc<str>, PatternFault> {
    match Host::parse(literal) {
        Ok(Host::Name(name)) => Ok(name.as_str().into()),
        Ok(Host::Address(_)) | Err(Malformed::NumericName) => Err(PatternFault::AddressWildcard),
        Err(Malformed::EmptyLabel | Malformed::EmptyHost) if front.is_empty() && literal.is_empty() && free != Free::None => {
            Err(PatternFault::Everything)
        }
        Err(fault) => Err(PatternFault::Malformed(fault)),
    }
}

fn is_wild(label: &str) -> bool {
    label.contains(['*', '?', '[', ']', '{', '}', ','])
}

fn read_label(label: &str) -> Result<Label, PatternFault> {
    if is_wild(label) {
        return WildLabel::parse(label).map(Label::Wild);
    }
    if label.is_empty() {
        return Err(PatternFault::Malformed(Malformed::EmptyLabel));
    }
    host::canonical(label).map(|label| Label::Literal(label.into())).map_err(PatternFault::Malformed)
}

/// Refuses, or warns of, a wildcard over names that strangers may register or rent.
fn narrow(under: &Under, shared_ok: bool) -> Result<Option<SharedHosting>, PatternFault> {
    let base = &*under.tail;
    if base.is_empty() || suffix::registrable_part(base).is_none() {
        let hangs = under.reach.labels.is_empty() && suffix::is_public_suffix(base);
        return Err(if hangs {
            PatternFault::PublicSuffix { base: base.into() }
        } else {
            PatternFault::Registrable { spelled: base.into() }
        });
    }
    let known = if suffix::is_shared(base) {
        SharedBy::Listed
    } else if suffix::has_public_suffix_below(base) {
        SharedBy::SuffixBelow
    } else {
        return Ok(None);
    };
    let shared = SharedHosting { base: base.into(), known };
    if shared_ok { Ok(Some(shared)) } else { Err(PatternFault::Shared(shared)) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
