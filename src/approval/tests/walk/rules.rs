//! The policies a walk goes through, and what each says of an attempt, spelt out by hand.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::policy::allowlist::Allowlist;
use crate::policy::floor::Floor;
use crate::policy::{Frozen, Policy};

/// Who asks: an agent and where it runs.
pub(super) const WHO: [(&str, &str); 3] = [("coder", "10.1.0.1"), ("coder", "10.1.0.2"), ("other", "10.2.0.1")];
/// For where.
pub(super) const PLACES: [&str; 3] = ["one.test.example:443", "one.test.example:8443", "two.test.example:80"];
/// A tunnel, or which request.
pub(super) const SIGHTS: [Option<(&str, &str)>; 4] = [None, Some(("GET", "/a")), Some(("POST", "/a")), Some(("POST", "/b"))];

/// Who answers.
pub(super) const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
/// Addresses that a destination may turn out to have.
pub(super) const FOUND: [IpAddr; 3] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)), IpAddr::V4(Ipv4Addr::new(10, 9, 2, 2))];
/// Bytes of a day, where `coder` has a limit.
pub(super) const BYTES: u64 = 40;

/// How long a yes may last where the floor says so.
pub(super) const SHORT: Duration = Duration::from_secs(300);

/// What is in force.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// The first place is allowed to `coder`.
    pub(super) lists: bool,
    /// The last place is blocked for `coder`.
    pub(super) blocks: bool,
    /// Requests of one method to the last place are asked about one by one, for `coder`.
    pub(super) looks: bool,
    /// The floor blocks the second place.
    pub(super) floor_blocks: bool,
    /// The floor ends every yes soon.
    pub(super) floor_ends: bool,
    pub(super) coder_frozen: bool,
    pub(super) all_frozen: bool,
    /// Two people have to say yes to `coder`.
    pub(super) two: bool,
    /// The floor opens the narrow network alone.
    pub(super) floor_narrows: bool,
    /// `coder` may move so many bytes a day.
    pub(super) limits: bool,
}

/// What a yes opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    /// What the question was asked under.
    Public,
    Wide,
    Narrow,
}

impl Opens {
    pub(super) fn spelt(self) -> &'static str {
        match self {
            Opens::Public => "public",
            Opens::Wide => "10.9.0.0/16",
            Opens::Narrow => "10.9.2.0/24",
        }
    }

    /// What two people open together.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Opens::Public, Opens::Public) => Some(Opens::Public),
            (Opens::Wide, Opens::Wide) => Some(Opens::Wide),
            (Opens::Narrow, Opens::Wide | Opens::Narrow) | (Opens::Wide, Opens::Narrow) => Some(Opens::Narrow),
            (Opens::Public, Opens::Wide | Opens::Narrow) | (Opens::Wide | Opens::Narrow, Opens::Public) => None,
        }
    }

    /// Which of `FOUND` may be dialled.
    pub(super) fn reaches(self, rules: Rules) -> [bool; 3] {
        match self {
            Opens::Public => [true, false, false],
            Opens::Wide => [false, !rules.floor_narrows, true],
            Opens::Narrow => [false, false, true],
        }
    }
}

/// What the rules alone say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Refused,
    Listed,
    Looks,
    /// About every request, or about this one.
    Asks {
        this: bool,
    },
}

impl Rules {
    /// Turns one of them on or off.
    pub(super) fn turned(mut self, which: u8) -> Self {
        let turned = match which % 10 {
            0 => &mut self.lists,
            1 => &mut self.blocks,
            2 => &mut self.looks,
            3 => &mut self.floor_blocks,
            4 => &mut self.floor_ends,
            5 => &mut self.coder_frozen,
            6 => &mut self.all_frozen,
            7 => &mut self.two,
            8 => &mut self.floor_narrows,
            _ => &mut self.limits,
        };
        *turned = !*turned;
        self
    }

    pub(super) fn policy(self) -> Policy {
        let rule = |here: bool, text: &'static str| if here { text } else { "" };
        let coder = [
            rule(self.lists, "[[allow]]\nhost = \"one.test.example\"\nport = [443]\n"),
            rule(self.blocks, "[[block]]\nhost = \"two.test.example\"\nport = [80]\n"),
            rule(self.looks, "[[hold]]\nhost = \"two.test.example\"\nport = [80]\nmethod = [\"POST\"]\n"),
            rule(self.limits, "[limits]\nbytes_per_day = \"40B\"\n"),
        ];
        let floor = [
            rule(self.floor_ends, "max_for = \"300s\"\n"),
            rule(self.floor_narrows, "private = [\"10.9.2.0/24\"]\n"),
            rule(self.floor_blocks, "[[block]]\nhost = \"one.test.example\"\nport = [8443]\n"),
        ];
        let two = rule(self.two, "approvers = 2\n");
        let agent = |name: &str, source: &str, [keys, rules]: [&str; 2]| {
            let text = format!("agent = \"{name}\"\nunlisted = \"hold\"\n{keys}[[identify]]\nsource = \"{source}\"\n{rules}");
            Allowlist::parse(&format!("{name}.toml"), &text).unwrap().0
        };
        let allowlists = vec![agent("coder", "10.1.0.0/16", [two, &coder.concat()]), agent("other", "10.2.0.0/16", ["", ""])];
        let frozen = match (self.all_frozen, self.coder_frozen) {
            (true, _) => Frozen::Everyone,
            (false, true) => Frozen::These(BTreeSet::from([super::agent("coder")])),
            (false, false) => Frozen::Nobody,
        };
        let floor = Floor::parse("floor.toml", &floor.concat()).unwrap().0;
        Policy::under(Arc::new(floor), allowlists, no_guard()).unwrap().with_frozen(frozen)
    }

    /// How many people have to say yes.
    pub(super) fn approvers(self, agent: &str) -> usize {
        if self.two && agent == "coder" { 2 } else { 1 }
    }

    /// Whether the floor gives no such yes.
    pub(super) fn forbid(self, lasting: Lasting, opens: Opens) -> bool {
        self.floor_ends && lasting == Lasting::Always || self.floor_narrows && opens == Opens::Wide
    }

    pub(super) fn say(self, of: &Of) -> Stand {
        let Of { who, place, sight, within: _ } = *of;
        let coder = WHO[who].0 == "coder";
        match place {
            _ if self.all_frozen || coder && self.coder_frozen => Stand::Refused,
            1 if self.floor_blocks => Stand::Refused,
            2 if coder && self.blocks => Stand::Refused,
            2 if coder && self.looks && sight == 0 => Stand::Looks,
            2 if coder && self.looks => Stand::Asks { this: true },
            0 if coder && self.lists => Stand::Listed,
            _ => Stand::Asks { this: false },
        }
    }
}
