//! The policies a walk goes through, and what each says of an attempt, spelt out by hand.

use std::collections::BTreeSet;
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
        let turned = match which % 7 {
            0 => &mut self.lists,
            1 => &mut self.blocks,
            2 => &mut self.looks,
            3 => &mut self.floor_blocks,
            4 => &mut self.floor_ends,
            5 => &mut self.coder_frozen,
            _ => &mut self.all_frozen,
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
        ];
        let floor = [
            rule(self.floor_ends, "max_for = \"300s\"\n"),
            rule(self.floor_blocks, "[[block]]\nhost = \"one.test.example\"\nport = [8443]\n"),
        ];
        let agent = |name: &str, source: &str, rules: &str| {
            let text = format!("agent = \"{name}\"\nunlisted = \"hold\"\n[[identify]]\nsource = \"{source}\"\n{rules}");
            Allowlist::parse(&format!("{name}.toml"), &text).unwrap().0
        };
        let allowlists = vec![agent("coder", "10.1.0.0/16", &coder.concat()), agent("other", "10.2.0.0/16", "")];
        let frozen = match (self.all_frozen, self.coder_frozen) {
            (true, _) => Frozen::Everyone,
            (false, true) => Frozen::These(BTreeSet::from([super::agent("coder")])),
            (false, false) => Frozen::Nobody,
        };
        let floor = Floor::parse("floor.toml", &floor.concat()).unwrap().0;
        Policy::under(Arc::new(floor), allowlists, no_guard()).unwrap().with_frozen(frozen)
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
