//! Why a host pattern does not load: what was found, what was wanted, and the fix.

use std::fmt;

use ipnet::IpNet;

use crate::policy::host::Host;
use crate::policy::malformed::Malformed;
use crate::policy::suffix;

/// Why a host pattern does not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: wanted {}; {}", self.found(), self.wanted(), self.fix())]
pub enum PatternFault {
    /// Longer than any name.
    TooLong,
    /// A part without wildcards is no host.
    Malformed(Malformed),
    /// An address and a length that are no network.
    Network,
    /// A network with bits set behind its prefix: another network, another length or the address alone was meant.
    HostBits {
        /// As it was written.
        written: IpNet,
    },
    /// A network that no one party holds.
    WideNetwork,
    /// A scheme, path or port beside the host.
    MoreThanHost,
    /// An address with wildcards.
    AddressWildcard,
    /// Everything, or nothing that could be told from everything.
    Everything,
    /// `**` elsewhere than as the whole first label.
    DoubleStar,
    /// A set that is empty, open, negated, or ranges over more than letters or digits.
    Set,
    /// Braces that are open, nested, empty, or hold a dot.
    Braces,
    /// Braces that multiply to too many names.
    TooMany,
    /// A character beside wildcards that no A-label has.
    Character,
    /// A wildcard in the part somebody registers.
    Registrable {
        /// What is spelled out.
        spelled: Box<str>,
    },
    /// The wildcard hangs from a public suffix.
    PublicSuffix {
        /// The suffix.
        base: Box<str>,
    },
    /// A public suffix lies below what the wildcard hangs from, or it is shared hosting.
    Shared(SharedHosting),
}

/// A wildcard over names anyone can rent: a load error, or a warning where the rule says `shared_ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedHosting {
    /// The name the wildcard hangs from.
    pub base: Box<str>,
    /// How that is known.
    pub known: SharedBy,
}

/// How shared hosting is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedBy {
    /// The public suffix list has a suffix below it.
    SuffixBelow,
    /// It stands in `shared-hosts.txt`, or a name below it does.
    Listed,
}

impl fmt::Display for SharedHosting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known {
            SharedBy::SuffixBelow => {
                write!(f, "a wildcard over `{}`, which has a public suffix below it: strangers rent names there", self.base)
            }
            SharedBy::Listed => write!(f, "a wildcard over `{}`, which is shared hosting: strangers rent places there", self.base),
        }
    }
}

impl PatternFault {
    /// What stands there.
    pub fn found(&self) -> String {
        match self {
            Self::TooLong => "a pattern longer than any name".to_owned(),
            Self::Malformed(fault) => format!("no host ({fault})"),
            Self::Network => "no network".to_owned(),
            Self::HostBits { .. } => "a network with bits set behind its prefix".to_owned(),
            Self::WideNetwork => "a network wider than anybody holds".to_owned(),
            Self::MoreThanHost => "more than a host".to_owned(),
            Self::AddressWildcard => "an address with wildcards".to_owned(),
            Self::Everything => "a pattern for everything".to_owned(),
            Self::DoubleStar => "`**` that is not the whole first label".to_owned(),
            Self::Set => "a `[…]` that is no set".to_owned(),
            Self::Braces => "a `{…}` that is no list".to_owned(),
            Self::TooMany => "braces that stand for more than 64 names".to_owned(),
            Self::Character => "a character no name has".to_owned(),
            Self::Registrable { spelled } if spelled.is_empty() => "a wildcard in the registrable domain".to_owned(),
            Self::Registrable { spelled } => format!("a wildcard in the registrable domain: only `{spelled}` is spelled out"),
            Self::PublicSuffix { base } if suffix::is_of_a_public_zone(base) => {
                format!("a wildcard over `{base}`, a public suffix: anyone can register a name there")
            }
            Self::PublicSuffix { base } => format!("a wildcard over `{base}`, a whole zone"),
            Self::Shared(shared) => shared.to_string(),
        }
    }

    /// What may stand there.
    pub fn wanted(&self) -> &'static str {
        match self {
            Self::TooLong => "at most 1024 characters",
            Self::Malformed(_) => "a name, an IPv4 address, an IPv6 address in brackets, or a network",
            Self::Network => "an address and the length of its prefix, such as `10.20.0.0/16` or `[2001:db8::]/32`",
            Self::HostBits { .. } => "a network's first address",
            Self::WideNetwork => "at most a /8 of IPv4 or a /32 of IPv6 in a rule that lets pass",
            Self::MoreThanHost => "a host alone",
            Self::AddressWildcard => "an exact address or a network: no wildcard matches one",
            Self::Everything => "a pattern that spells out part of a name",
            Self::DoubleStar => "`**.` in front of a name, or single stars inside a label",
            Self::Set => "characters or ranges of a-z, 0-9 and `-`, such as `[a-f0-9]`, without negation",
            Self::Braces => "choices without dots or nesting, such as `{eu,us}`",
            Self::TooMany => "at most 64 choices in a label",
            Self::Character => "letters, digits, `-` and `_` beside the wildcards of a label",
            Self::Registrable { .. } => "a registrable domain without wildcards",
            Self::PublicSuffix { base } if suffix::is_of_a_public_zone(base) => "a wildcard under a domain somebody registered",
            Self::PublicSuffix { .. } => "a wildcard under a name of that zone",
            Self::Shared(_) => "a wildcard under a place that one party rents",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        let words = match self {
            Self::TooLong | Self::TooMany => "write a list of shorter patterns",
            Self::Malformed(Malformed::BareIpv6) => "write `[address]`; ports stand in `port`",
            Self::Malformed(_) => "correct the host",
            Self::Network => "write the address in full, a slash, and 0 to 32 for IPv4 or 0 to 128 for IPv6",
            Self::HostBits { written } => {
                return format!("write `{}`, or `{}` for that address alone", written.trunc(), Host::Address(written.addr()));
            }
            Self::WideNetwork => "list the networks that are meant",
            Self::MoreThanHost => "leave out scheme, path and port; ports stand in `port`",
            Self::AddressWildcard => "list the addresses, or write their network, such as `10.20.0.0/16`",
            Self::Everything => "leave the rule out: what no rule lists is judged by `unlisted`",
            Self::DoubleStar => "write `**.example.com` for a name and all below it, `*.example.com` for all below it",
            Self::Set => "list the characters the set may match",
            Self::Braces => "write a list of patterns",
            Self::Character => "write the label without wildcards, or its A-label",
            Self::Registrable { .. } => "write one pattern for each domain",
            Self::PublicSuffix { base } if suffix::is_of_a_public_zone(base) => "list the hosts, or put a wildcard under your own domain",
            Self::PublicSuffix { .. } => "list the hosts, or write the name in front of the zone too",
            Self::Shared(_) => "list the hosts, or say `shared_ok = \"why\"` on the rule",
        };
        words.to_owned()
    }
}
