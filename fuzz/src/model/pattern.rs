//! Host patterns by their text: `*.` one label or more, `**.` none or more, and inside a label `*`, `?`, sets and braces.

use std::collections::BTreeSet;

/// Whether a canonical name is one that a canonical pattern stands for.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (least, most, rest) = match (pattern.strip_prefix("**."), pattern.strip_prefix("*.")) {
        (Some(rest), _) => (0, usize::MAX, rest),
        (None, Some(rest)) => (1, usize::MAX, rest),
        (None, None) => (0, 0, pattern),
    };
    let (wanted, labels): (Vec<&str>, Vec<&str>) = (rest.split('.').collect(), name.split('.').collect());
    let Some(free) = labels.len().checked_sub(wanted.len()) else { return false };
    (least..=most).contains(&free) && wanted.iter().zip(&labels[free..]).all(|(wanted, label)| fits(wanted, label))
}

/// Whether the pattern is more than one name.
pub fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '{']) || pattern.contains('[') && !pattern.contains(':')
}

/// Names the pattern stands for, and names close by.
pub fn instances(pattern: &str) -> Vec<String> {
    let bare = pattern.trim_start_matches('*').trim_start_matches('.');
    let mut found = vec![format!("evil{bare}"), format!("{bare}.evil.test")];
    for filling in ["", "a", "z-9", "evil"] {
        let name = bare.split('.').map(|label| filled(label, filling)).collect::<Vec<_>>().join(".");
        found.extend([name.clone(), format!("a.{name}"), format!("a.b.{name}")]);
    }
    found
}

fn fits(pattern: &str, label: &str) -> bool {
    ends(pattern, label, &BTreeSet::from([0])).contains(&label.len())
}

/// Where in the label a match of the pattern may end that began at one of `starts`.
fn ends(pattern: &str, label: &str, starts: &BTreeSet<usize>) -> BTreeSet<usize> {
    let Some(first) = pattern.chars().next() else { return starts.clone() };
    let (reached, rest) = match first {
        '*' => (starts.iter().flat_map(|start| *start..=label.len()).collect(), &pattern[1..]),
        '[' => {
            let (set, rest) = pattern[1..].split_once(']').expect("a set is closed");
            (step(label, starts, |letter| holds(set, letter)), rest)
        }
        '{' => {
            let (options, rest) = pattern[1..].split_once('}').expect("braces are closed");
            (options.split(',').flat_map(|option| ends(option, label, starts)).collect(), rest)
        }
        wanted => (step(label, starts, |letter| wanted == '?' || wanted == letter), &pattern[wanted.len_utf8()..]),
    };
    ends(rest, label, &reached)
}

fn step(label: &str, starts: &BTreeSet<usize>, takes: impl Fn(char) -> bool) -> BTreeSet<usize> {
    starts.iter().filter(|start| label[**start..].chars().next().is_some_and(&takes)).map(|start| start + 1).collect()
}

/// A hyphen between two characters is a range; first or last it is itself.
fn holds(set: &str, letter: char) -> bool {
    let letters: Vec<char> = set.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let ranges = letters[at] != '-' && letters.get(at + 1) == Some(&'-') && at + 2 < letters.len();
        let last = if ranges { letters[at + 2] } else { letters[at] };
        if (letters[at]..=last).contains(&letter) {
            return true;
        }
        at += if ranges { 3 } else { 1 };
    }
    false
}

/// One label of the shape: the first option of braces, the first letter of a set, the filling for a star, `x` for a question mark.
fn filled(label: &str, filling: &str) -> String {
    let mut out = String::new();
    let mut rest = label;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '*' => out.push_str(filling),
            '?' => out.push('x'),
            '[' => {
                out.extend(rest.chars().next());
                rest = rest.split_once(']').map_or("", |(_, rest)| rest);
            }
            '{' => {
                let (options, left) = rest.split_once('}').unwrap_or((rest, ""));
                out.push_str(&filled(options.split(',').next().unwrap_or_default(), filling));
                rest = left;
            }
            letter => out.push(letter),
        }
    }
    out
}
