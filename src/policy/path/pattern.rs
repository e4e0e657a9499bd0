//! Path patterns, matched on the normal form.
//!
//! `*` is any run of characters inside one segment, also an empty one; `**`, a whole segment, is any number of segments, at the end at least one, which may be empty:
//! `/a/**` is all below `/a/`, not `/a`. All else stands for itself and is written in normal form, so no pattern waits for a path that never comes.

mod fault;

use std::fmt;
use std::sync::Arc;

use super::{normalised, octet};
pub use fault::PathPatternFault;

const TEXT_MAX: usize = 1024;
const SEGMENTS_MAX: usize = 64;

/// A pattern of request paths in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern {
    text: Arc<str>,
    folded: Arc<str>,
}

impl PathPattern {
    /// Reads a pattern as a rule writes it.
    pub fn parse(text: &str) -> Result<Self, PathPatternFault> {
        let bytes = text.as_bytes();
        if bytes.len() > TEXT_MAX || text.split('/').count() > SEGMENTS_MAX + 1 {
            return Err(PathPatternFault::TooLong);
        }
        if !text.starts_with('/') {
            return Err(if text.contains("//") { PathPatternFault::Url } else { PathPatternFault::NotAbsolute });
        }
        let foreign = bytes.iter().find_map(|byte| match byte {
            b'?' => Some(PathPatternFault::QuestionMark),
            b'#' => Some(PathPatternFault::Fragment),
            b'[' | b']' => Some(PathPatternFault::Set),
            b'{' | b'}' | b'<' | b'>' => Some(PathPatternFault::Braces),
            _ => None,
        });
        if let Some(fault) = foreign {
            return Err(fault);
        }
        stars(text)?;
        match normalised(text) {
            Err(why) => Err(PathPatternFault::Ambiguous(why)),
            Ok(normal) if normal != text => Err(PathPatternFault::NotNormal { normal: normal.into() }),
            Ok(normal) => {
                let (text, folded) = (Arc::<str>::from(normal), folded(text, "*"));
                let folded = if *folded == *text { Arc::clone(&text) } else { folded.into() };
                Ok(Self { text, folded })
            }
        }
    }

    /// Whether a path in normal form is one the pattern stands for, letter for letter: for rules that let pass.
    pub fn matches(&self, normal: &str) -> bool {
        fits(&self.text, normal)
    }

    /// Whether some server could read a path in normal form as one the pattern stands for: for rules that hold or block. Blind to case, to how a
    /// character is encoded, and to a slash at the path's end. Holds wherever [`Self::matches`] does.
    pub fn may_match(&self, normal: &str) -> bool {
        // A star may end inside an encoded octet, which folding would take whole.
        if self.matches(normal) {
            return true;
        }
        let path = folded(normal, STAR);
        let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
        path.starts_with('/') && (fits(&self.folded, &path) || fits(&self.folded, &other))
    }
}

impl PathPattern {
    /// Some path is one that both stand for. `false` may mean that it could not be told.
    pub fn meets(&self, other: &PathPattern) -> bool {
        let sample = |pattern: &PathPattern| pattern.text.replace("**", "x").replace('*', "x");
        self.matches(&sample(other)) || other.matches(&sample(self))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn stars(text: &str) -> Result<(), PathPatternFault> {
    let mut before = "";
    for segment in text.split('/') {
        match segment {
            "**" if before == "**" => return Err(PathPatternFault::RepeatedStars),
            "**" => {}
            ".*" | ".+" => return Err(PathPatternFault::Regex),
            _ if segment.contains("**") => return Err(PathPatternFault::DoubleStar),
            _ => {}
        }
        before = segment;
    }
    Ok(())
}

/// A star of a path in folded text, where `*` alone is the pattern's wildcard. Neither form holds a control, so nothing else reads as one.
const STAR: &str = "\0";

/// Decoded and in lower case, letter by letter so that a part folds as it does in the whole. `star` stands for a plain `*`.
fn folded(text: &str, star: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'*', _) => decoded.extend_from_slice(star.as_bytes()),
            (b'%', [high, low, left @ ..]) => {
                rest = left;
                match octet(*high, *low) {
                    Some(b'*') => decoded.extend_from_slice(STAR.as_bytes()),
                    Some(byte) => decoded.push(byte),
                    None => decoded.extend_from_slice(&[*first, *high, *low]),
                }
            }
            _ => decoded.push(*first),
        }
    }
    String::from_utf8_lossy(&decoded).chars().flat_map(char::to_lowercase).collect()
}

/// Goes back to the last `**` only: no pair of segments is compared twice, so the work is bounded by the product of the lengths.
fn fits(pattern: &str, path: &str) -> bool {
    let (Some(pattern), Some(path)) = (pattern.strip_prefix('/'), path.strip_prefix('/')) else { return false };
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut back = None;
    loop {
        let goes_on = match wanted.next() {
            Some("**") if wanted.clone().next().is_none() => return given.next().is_some(),
            Some("**") => {
                back = Some((wanted.clone(), given.clone()));
                true
            }
            Some(wanted) => match given.next() {
                Some(given) => segment_fits(wanted, given),
                None => return false,
            },
            None if given.next().is_none() => return true,
            None => false,
        };
        if goes_on {
            continue;
        }
        let Some((behind, from)) = &mut back else { return false };
        if from.next().is_none() {
            return false;
        }
        (wanted, given) = (behind.clone(), from.clone());
    }
}

/// Front and back stand at the ends; what is between stars is found leftmost, which leaves the most for the rest.
fn segment_fits(wanted: &str, given: &str) -> bool {
    let Some((front, rest)) = wanted.split_once('*') else { return wanted == given };
    let (middle, back) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut given) = given.strip_prefix(front).and_then(|given| given.strip_suffix(back)) else { return false };
    for part in middle.split('*') {
        let Some(at) = given.find(part) else { return false };
        given = &given[at + part.len()..];
    }
    true
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
