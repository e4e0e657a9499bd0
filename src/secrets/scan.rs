//! Looks for leaks in what leaves: in texts that are whole, and in bodies piece by piece, so that no find falls between two pieces.
//!
//! It tells which rules speak and never what they matched. Of a body it holds back what may be the beginning of a find, and no more.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::forms::{SHORTEST, forms};
use super::{Secret, Unavailable};
use crate::policy::leaks::{LeakRule, LeakRules};

/// The longest match of a rule that is found wherever a body is cut, and how near a keyword has to stand.
pub const WINDOW: usize = 4096;

/// So many bytes behind a keyword wait for the end of their line.
const LINE: usize = 1024;

/// So much of matches that are no finds is looked at again, by rule and look: a find may begin in one.
const AGAIN: usize = 16 * WINDOW;

/// What is looked for.
pub struct Scanner {
    rules: Option<Arc<LeakRules>>,
    forms: Vec<Zeroizing<Vec<u8>>>,
    exact: AhoCorasick,
    /// The name of each form's value.
    named: Vec<Arc<str>>,
}

/// A body that is looked at as it passes.
pub struct Scan {
    scanner: Arc<Scanner>,
    excused: Vec<Arc<str>>,
    /// What came last: up to `left` it has passed.
    seen: Zeroizing<Vec<u8>>,
    left: usize,
    /// `seen` begins where the body does.
    from_the_start: bool,
}

/// The rules that spoke, each once, in the order of the file. The bytes they are about do not pass.
pub type Finds = Vec<Arc<str>>;

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scanner(***)")
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scan(***)")
    }
}

impl Scanner {
    /// Looks for these: a file's rules, and values by their place among `secrets`. Values that are too short would be found everywhere.
    pub fn new(rules: Option<Arc<LeakRules>>, secrets: &[Arc<Secret>]) -> Result<Self, Unavailable> {
        let (mut all, mut named) = (Vec::new(), Vec::new());
        for (at, secret) in secrets.iter().enumerate() {
            if secret.bytes().len() < SHORTEST {
                return Err(Unavailable::TooShort);
            }
            let name: Arc<str> = format!("secret-{}", at + 1).into();
            for form in forms(secret.bytes()) {
                all.push(form);
                named.push(Arc::clone(&name));
            }
        }
        let exact = AhoCorasick::builder().match_kind(MatchKind::Standard).build(all.iter().map(|form| form.as_slice()));
        Ok(Self { rules, exact: exact.map_err(|_too_many| Unavailable::TooLong)?, forms: all, named })
    }

    /// What is found in a text that is whole.
    pub fn look(self: &Arc<Self>, text: &[u8]) -> Finds {
        let mut scan = Scan::new(Arc::clone(self));
        scan.looked(Bytes::copy_from_slice(text), true).err().unwrap_or_default()
    }

    /// What is found in a part of a URL: as it is written, and as it is meant.
    pub fn look_at_url(self: &Arc<Self>, text: &str) -> Finds {
        let mut finds = self.look(text.as_bytes());
        if text.contains(['%', '+']) {
            for find in self.look(&meant(text)) {
                if !finds.contains(&find) {
                    finds.push(find);
                }
            }
        }
        finds
    }

    /// How long an end of the text is with which a value could begin.
    fn beginning(&self, text: &[u8]) -> usize {
        let longest = |form: &[u8]| {
            let most = text.len().min(form.len() - 1);
            (1..=most).rev().find(|length| text.ends_with(&form[..*length])).unwrap_or(0)
        };
        self.forms.iter().map(|form| longest(form)).max().unwrap_or(0)
    }
}

impl Scan {
    /// A body of which nothing has come.
    pub fn new(scanner: Arc<Scanner>) -> Self {
        Self { scanner, excused: Vec::new(), seen: Zeroizing::default(), left: 0, from_the_start: true }
    }

    /// A person let these pass, wherever else in the body they speak.
    pub fn excuse(&mut self, rules: &[Arc<str>]) {
        self.excused.extend_from_slice(rules);
    }

    /// Takes the next piece, and gives what of all that came may pass. After finds nothing passes until they are excused.
    pub fn pass(&mut self, piece: Bytes) -> Result<Bytes, Finds> {
        self.looked(piece, false)
    }

    /// Nothing more comes: the rest.
    pub fn end(&mut self) -> Result<Bytes, Finds> {
        self.looked(Bytes::new(), true)
    }

    /// What is found in a text beside the body, but for what is excused.
    pub fn look_beside(&self, text: &[u8]) -> Finds {
        let mut finds = self.scanner.look(text);
        finds.retain(|find| !self.excused.contains(find));
        finds
    }

    /// So many bytes are held back.
    pub fn held(&self) -> usize {
        self.seen.len() - self.left
    }

    fn looked(&mut self, piece: Bytes, ended: bool) -> Result<Bytes, Finds> {
        let nothing_held = self.held() == 0;
        self.seen.extend_from_slice(&piece);
        let passes = self.passes(ended)?;
        let passed = if nothing_held && passes == self.seen.len() { piece } else { Bytes::copy_from_slice(&self.seen[self.left..passes]) };
        let behind = passes.saturating_sub(WINDOW);
        self.seen.drain(..behind);
        self.from_the_start &= behind == 0;
        self.left = passes - behind;
        Ok(passed)
    }

    /// Up to where nothing is found, and nothing could begin a find.
    fn passes(&self, ended: bool) -> Result<usize, Finds> {
        let (text, scanner) = (self.seen.as_slice(), &self.scanner);
        let mut look = Look { text, first: usize::from(!self.from_the_start), ended, passes: text.len(), finds: Finds::new() };
        if !ended {
            look.passes -= scanner.beginning(text);
        }
        if let Some(rules) = &scanner.rules {
            let near = Near::keywords(rules, text);
            for (at, rule) in rules.rules.iter().enumerate() {
                if !self.excused.contains(&rule.id) && (rule.keywords.is_empty() || near.last[at].is_some()) {
                    look.by(rules, rule, near.last[at]);
                }
            }
        }
        for found in scanner.exact.find_overlapping_iter(text) {
            look.find(&scanner.named[found.pattern().as_usize()]);
        }
        look.finds.retain(|find| !self.excused.contains(find));
        if look.finds.is_empty() { Ok(look.passes.max(self.left)) } else { Err(look.finds) }
    }
}

/// Where each rule's keyword stands last.
struct Near {
    last: Vec<Option<usize>>,
}

impl Near {
    fn keywords(rules: &LeakRules, text: &[u8]) -> Self {
        let mut last = vec![None; rules.rules.len()];
        for found in rules.keywords.find_overlapping_iter(text) {
            let slot: &mut Option<usize> = &mut last[rules.keyword_of[found.pattern().as_usize()]];
            *slot = (*slot).max(Some(found.start()));
        }
        Self { last }
    }
}

struct Look<'a> {
    text: &'a [u8],
    /// Before it stands what is there to be looked back at.
    first: usize,
    ended: bool,
    passes: usize,
    finds: Finds,
}

impl Look<'_> {
    /// A rule that speaks of the whole speaks of its pieces. Of a match longer than [`WINDOW`] pieces may be judged as they come, and found.
    fn by(&mut self, rules: &LeakRules, rule: &LeakRule, keyword: Option<usize>) {
        let (mut at, mut covered, mut again) = (self.first, 0, AGAIN);
        while at <= self.text.len()
            && let Some(matched) = rule.pattern.captures_at(self.text, at)
        {
            let (begin, end) = (matched.get_match().start(), matched.get_match().end());
            // What follows may make it longer, or none at all.
            if end == self.text.len() && !self.ended && end - begin <= WINDOW {
                self.passes = self.passes.min(begin);
                break;
            }
            if rules.speaks(rule, &matched) {
                return self.find(&rule.id);
            }
            // Where one match ends depends on where the pieces do; what it covers does not hide behind it.
            let length = end - begin;
            again = again.saturating_sub(if begin < covered { length } else { 0 });
            covered = covered.max(end);
            at = if again > 0 { begin + 1 } else { end.max(begin + 1) };
        }
        if let Some(keyword) = keyword
            && !self.ended
            && self.text.len() - keyword <= LINE
            && !self.text[keyword..].contains(&b'\n')
        {
            self.passes = self.passes.min(keyword);
        }
    }

    fn find(&mut self, name: &Arc<str>) {
        if !self.finds.contains(name) {
            self.finds.push(Arc::clone(name));
        }
    }
}

/// What percent-encoding and forms mean.
fn meant(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some((first, behind)) = rest.split_first() {
        let octet = match (first, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if octet.is_some() { &behind[2..] } else { behind };
        bytes.push(octet.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    bytes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
