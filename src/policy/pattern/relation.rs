//! How two patterns relate. Only what is certain is said: `false` may mean that it could not be told.

use super::{Free, HostPattern, Label, Reach, Shape, Under};
use crate::policy::host::Host;

/// The most hosts that stand for one pattern.
const SAMPLES_MAX: usize = 64;

impl HostPattern {
    /// Every host that `other` matches is one that this matches.
    pub fn covers(&self, other: &HostPattern) -> bool {
        if self == other {
            return true;
        }
        match (&self.shape, &other.shape) {
            (_, Shape::Exact(host)) => self.matches(host),
            (Shape::Network(outer), Shape::Network(inner)) => outer.contains(inner),
            (Shape::Under(outer), Shape::Under(inner)) => outer.covers(inner),
            (Shape::Exact(_), Shape::Under(_) | Shape::Network(_)) => false,
            (Shape::Under(_), Shape::Network(_)) | (Shape::Network(_), Shape::Under(_)) => false,
        }
    }

    /// Some host is one that both match.
    pub fn surely_meets(&self, other: &HostPattern) -> bool {
        self.samples().iter().any(|host| other.matches(host)) || other.samples().iter().any(|host| self.matches(host))
    }

    /// Hosts that it matches: one for each choice it spells.
    pub fn samples(&self) -> Vec<Host> {
        match &self.shape {
            Shape::Exact(host) => vec![host.clone()],
            Shape::Network(network) => vec![Host::Address(network.addr())],
            Shape::Under(under) => {
                under.samples().iter().filter_map(|name| Host::parse(name).ok()).filter(|host| self.matches(host)).collect()
            }
        }
    }
}

impl Under {
    fn covers(&self, inner: &Under) -> bool {
        let Reach { free, labels } = &self.reach;
        if !labels.is_empty() || self.tail.is_empty() {
            return false;
        }
        let deeper = inner.tail.strip_suffix(&*self.tail).is_some_and(|front| front.ends_with('.'));
        let in_front = inner.reach.labels.len() + usize::from(inner.reach.free == Free::OneOrMore);
        match free {
            Free::None => false,
            Free::OneOrMore => deeper || inner.tail == self.tail && in_front > 0,
            Free::Any => deeper || inner.tail == self.tail,
        }
    }

    fn samples(&self) -> Vec<String> {
        let mut names = vec![self.tail.to_string()];
        for label in self.reach.labels.iter().rev() {
            let spelled = match label {
                Label::Literal(literal) => vec![literal.to_string()],
                Label::Wild(wild) => wild.samples(),
            };
            names = names.iter().flat_map(|name| spelled.iter().map(move |label| joined(label, name))).take(SAMPLES_MAX).collect();
        }
        match self.reach.free {
            Free::None | Free::Any => names,
            Free::OneOrMore => names.iter().map(|name| joined("x", name)).collect(),
        }
    }
}

fn joined(label: &str, name: &str) -> String {
    if name.is_empty() { label.to_owned() } else { format!("{label}.{name}") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::pattern::Use;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text, Use::Block, false).unwrap().pattern
    }

    #[test]
    fn a_pattern_covers_what_it_surely_holds_and_no_more() {
        for (outer, inner, covers) in [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("**.example.com", "example.com", true),
            ("**.example.com", "*.example.com", true),
            ("*.example.com", "**.example.com", false),
            ("*.example.com", "**.a.example.com", true),
            ("*.example.com", "api-*.example.com", true),
            ("*.example.com", "*.aexample.com", false),
            ("*.a.example.com", "*.example.com", false),
            ("api-*.example.com", "api-1.example.com", true),
            ("api-*.example.com", "api-1*.example.com", false),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "*.example.com", false),
        ] {
            assert_eq!(pattern(outer).covers(&pattern(inner)), covers, "{outer} over {inner}");
        }
    }

    #[test]
    fn patterns_meet_where_one_host_is_both() {
        for (one, other, meet) in [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("**.example.com", "*.example.com", true),
            ("{eu,us}.example.com", "{ap,us}.example.com", true),
            ("n[0-4].example.com", "n4.example.com", true),
            ("*.example.com", "*.example.org", false),
            ("a.example.com", "*.a.example.com", false),
            ("10.0.0.0/8", "10.20.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.0/8", false),
        ] {
            assert_eq!(pattern(one).surely_meets(&pattern(other)), meet, "{one} and {other}");
            assert_eq!(pattern(other).surely_meets(&pattern(one)), meet, "{other} and {one}");
        }
    }
}
