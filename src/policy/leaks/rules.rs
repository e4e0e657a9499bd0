//! A file of leak rules, in the shape of gitleaks' configuration, as far as it makes sense of requests.
//!
//! A rule speaks where a keyword stands near and its pattern matches, the entropy is high enough, and no allowlist excuses it.
//! What gitleaks says of files and commits is an error here, as there are none.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::policy::document::{Document, Item, Table, one_of};
use crate::policy::fault::Fault;

/// The most rules of a file.
const RULES_MAX: usize = 1000;

/// The most memory one pattern may take.
const PATTERN_MAX: usize = 4 << 20;

/// The most memory all patterns of a file may take. Each counts as what it takes or up to twice that.
const PATTERNS_MAX: usize = 64 << 20;

/// What the smallest pattern counts as.
const PATTERN_LEAST: usize = 16 << 10;

/// The rules of one file. Equal where the file is.
#[derive(Clone, Debug)]
pub struct LeakRules {
    file: Arc<str>,
    text: Arc<str>,
    /// The rules, in the order of the file.
    pub rules: Vec<LeakRule>,
    excuses: Vec<Excuse>,
    /// Every keyword, case aside.
    pub keywords: AhoCorasick,
    /// The rule each keyword is of.
    pub keyword_of: Vec<usize>,
    /// The length of the longest.
    pub longest_keyword: usize,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct LeakRule {
    /// Its name, as records and refusals say it.
    pub id: Arc<str>,
    /// What it matches.
    pub pattern: Regex,
    /// One of these has to stand near; none: it is tried everywhere.
    pub keywords: Vec<String>,
    group: Option<usize>,
    entropy: Option<f64>,
    excuses: Vec<Excuse>,
}

/// An `allowlist`: what it matches is no secret.
#[derive(Clone, Debug)]
struct Excuse {
    patterns: Vec<Regex>,
    words: Vec<String>,
    target: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Secret,
    Match,
}

impl PartialEq for LeakRules {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, &self.text) == (&other.file, &other.text)
    }
}

impl Eq for LeakRules {}

impl Hash for LeakRules {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.file, &self.text).hash(state);
    }
}

impl LeakRules {
    /// Reads a file of rules. Every fault is told at once.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let document = Document::parse(file, text);
        let (rules, excuses) = whole(&document);
        let (mut faults, _warnings) = document.into_findings();
        let keywords: Vec<(usize, &String)> =
            rules.iter().enumerate().flat_map(|(at, rule)| rule.keywords.iter().map(move |word| (at, word))).collect();
        let find = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(keywords.iter().map(|(_, word)| word));
        let keyword_of = keywords.iter().map(|(at, _)| *at).collect();
        let longest_keyword = keywords.iter().map(|(_, word)| word.len()).max().unwrap_or(0);
        match find {
            Ok(find) if faults.is_empty() => {
                Ok(Self { file: file.into(), text: text.into(), rules, excuses, keywords: find, keyword_of, longest_keyword })
            }
            Ok(_) => Err(faults),
            Err(_too_many) => {
                faults.push(Fault::whole(file, "more keywords than can be looked for", "fewer", "leave some rules out"));
                Err(faults)
            }
        }
    }

    /// Whether a text is such a file, whatever is wrong with it: it has rules, and nothing that an allowlist has.
    pub fn is_one(text: &str) -> bool {
        let document = Document::parse("", text);
        let mut root = document.root();
        root.take("rules").is_some() && !["agent", "allow", "hold", "block", "include", "expect"].iter().any(|key| root.take(key).is_some())
    }

    /// Whether what a rule's pattern matched is a find.
    pub fn speaks(&self, rule: &LeakRule, matched: &Captures<'_>) -> bool {
        let whole = &matched[0];
        let secret = match rule.group {
            Some(group) => matched.get(group),
            None => matched.iter().skip(1).flatten().find(|group| !group.as_bytes().is_empty()),
        };
        let secret = secret.map_or(whole, |group| group.as_bytes());
        rule.entropy.is_none_or(|least| entropy(secret) >= least)
            && !rule.excuses.iter().chain(&self.excuses).any(|excuse| excuse.covers(secret, whole))
    }
}

impl Excuse {
    fn covers(&self, secret: &[u8], whole: &[u8]) -> bool {
        let target = match self.target {
            Target::Secret => secret,
            Target::Match => whole,
        };
        let lower = secret.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| pattern.is_match(target))
            || self.words.iter().any(|word| lower.windows(word.len()).any(|window| window == word.as_bytes()))
    }
}

/// Shannon's, in bits a byte.
pub fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = text.len() as f64;
    let share = |count: u32| f64::from(count) / length;
    -counts.into_iter().filter(|count| *count > 0).map(|count| share(count) * share(count).log2()).sum::<f64>()
}

fn whole(document: &Document<'_>) -> (Vec<LeakRule>, Vec<Excuse>) {
    let mut root = document.root();
    // Words about the file.
    let _words = ["title", "description"].map(|key| root.take(key).and_then(Item::text));
    for key in ["extend", "minVersion"] {
        root.refuse(key, "rules that stand in this file", "copy the rules here, and remove it");
    }
    let room = Room(Cell::new(Some(PATTERNS_MAX)));
    let excuses = excuses(&mut root, (&room, "the file's allowlist"));
    let mut rules: Vec<LeakRule> = Vec::new();
    let mut names = BTreeSet::new();
    for table in root.tables("rules") {
        let Some((rule, id)) = rule(table, &room) else { continue };
        if !names.insert(rule.id.clone()) {
            id.fault(format!("a second rule {}", rule.id), "names that tell rules apart", "give one of them another id");
        }
        if rules.len() == RULES_MAX {
            id.fault(format!("more than {RULES_MAX} rules"), format!("at most {RULES_MAX}"), "leave some out");
            break;
        }
        rules.push(rule);
    }
    (rules, excuses)
}

fn rule<'d>(mut table: Table<'d>, room: &Room) -> Option<(LeakRule, Item<'d>)> {
    let named = table.require("id", r#"write id = "NAME""#);
    let id = named.and_then(|item| item.parse("a rule's name", name));
    let of = id.as_ref().map_or_else(|| "a rule".to_owned(), |id| format!("rule {id}"));
    let pattern = table.require("regex", "write regex = '''…'''; a rule about paths of files has no meaning here: remove it");
    let pattern = pattern.and_then(|item| room.pattern(item, &of));
    let keywords = table.take("keywords").map(words).unwrap_or_default();
    let group = table.take("secretGroup").and_then(|item| Some((item.integer(0..=99)?, item)));
    let entropy = table.take("entropy").and_then(|item| item.number(0.0..=8.0));
    let _words = table.take("description").and_then(Item::text);
    let _labels = table.take("tags").map(|item| item.list().into_iter().filter_map(Item::text).count());
    table.refuse("path", "rules about requests", "remove it: there are no files in a request");
    for key in ["report", "skipReport", "required", "randomness"] {
        table.refuse(key, "rules that stand for themselves", "remove it, or the whole rule");
    }
    let excuses = excuses(&mut table, (room, &of));
    let pattern = pattern?;
    let group = group.and_then(|(number, item)| {
        let number = usize::try_from(number).ok()?;
        if number >= pattern.captures_len() {
            item.wrong("a group that the regex has", "count its opening brackets, from 1; 0 is the whole match");
        }
        Some(number)
    });
    Some((LeakRule { id: id?, pattern, keywords, group: group.filter(|group| *group > 0), entropy, excuses }, named?))
}

/// `[allowlist]`, or its newer spelling `[[allowlists]]`.
fn excuses(table: &mut Table<'_>, within: (&Room, &str)) -> Vec<Excuse> {
    let single = table.table("allowlist");
    single.into_iter().chain(table.tables("allowlists")).map(|table| excuse(table, within)).collect()
}

fn excuse(mut table: Table<'_>, (room, of): (&Room, &str)) -> Excuse {
    let _words = table.take("description").and_then(Item::text);
    for key in ["paths", "commits"] {
        table.refuse(key, "regexes and stopwords", "remove it: there are no files and no commits in a request");
    }
    table.refuse("targetRules", "an allowlist of one rule, or of all", "write it below the rule it is for, as [[rules.allowlists]]");
    if let Some(item) = table.take("condition") {
        let _or = item.parse("OR", |text| if text == "OR" { Ok(()) } else { Err("write OR, or split the rule") });
    }
    let targets = [("secret", Target::Secret), ("match", Target::Match)];
    let target = table.take("regexTarget").and_then(|item| item.parse("secret or match", |text| one_of(&targets, text)));
    let patterns = table.take("regexes").map(|item| item.list().into_iter().filter_map(|item| room.pattern(item, of)).collect());
    let words = table.take("stopwords").map(words).unwrap_or_default();
    Excuse { patterns: patterns.unwrap_or_default(), words, target: target.unwrap_or(Target::Secret) }
}

fn name(text: &str) -> Result<Arc<str>, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) { Ok(text.into()) } else { Err("1 to 64 letters, digits, -, _ and .") }
}

fn words(item: Item<'_>) -> Vec<String> {
    let word = |text: &str| if text.is_empty() { Err("write a word, or remove it") } else { Ok(text.to_ascii_lowercase()) };
    item.list().into_iter().filter_map(|item| item.parse("a word", word)).collect()
}

/// What the patterns of a file may still take; nothing once that was too little, and told.
struct Room(Cell<Option<usize>>);

impl Room {
    /// A pattern of this rule or allowlist.
    fn pattern(&self, item: Item<'_>, of: &str) -> Option<Regex> {
        let left = self.0.get()?;
        item.parse("a regular expression of Rust's syntax", |text| {
            let (built, takes) = built(text)?;
            if built.is_match(b"") {
                return Err("write one that does not match the empty text".to_owned());
            }
            self.0.set(left.checked_sub(takes));
            let all = PATTERNS_MAX >> 20;
            self.0
                .get()
                .ok_or_else(|| format!("make repetitions shorter, or leave rules out: with {of} the patterns take more than {all} MiB"))?;
            Ok(built)
        })
    }
}

/// Bytes, with the classes of ASCII, as Go's patterns have them; and what it takes, told by the limit it was built within.
fn built(text: &str) -> Result<(Regex, usize), String> {
    let mut limit = PATTERN_LEAST;
    loop {
        match RegexBuilder::new(text).unicode(false).size_limit(limit).build() {
            Ok(built) => return Ok((built, limit)),
            Err(regex::Error::CompiledTooBig(_)) if limit < PATTERN_MAX => limit *= 2,
            Err(regex::Error::CompiledTooBig(_)) => return Err("make its repetitions shorter: it takes more than 4 MiB".to_owned()),
            Err(error) => {
                return Err(error.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned());
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_rule_speaks_by_pattern_group_entropy_and_allowlists() {
        let text = r#"
title = "ours"
[allowlist]
stopwords = ["EXAMPLE"]
[[rules]]
id = "key"
description = "a key"
regex = '''(?i)key=([a-z0-9]{8,})'''
entropy = 2.5
keywords = ["KEY"]
tags = ["ours"]
[[rules.allowlists]]
regexes = ['''^aaaabbbbccccdddd$''']
[[rules]]
id = "two"
regex = '''(x+)(y+)'''
secretGroup = 2
[rules.allowlist]
regexTarget = "match"
regexes = ["^xy$"]
"#;
        let rules = LeakRules::read("l.toml", text).unwrap();
        let speaks = |at: usize, text: &str| {
            let rule = &rules.rules[at];
            rule.pattern.captures(text.as_bytes()).is_some_and(|matched| rules.speaks(rule, &matched))
        };
        for (at, text, wanted) in [
            (0, "KEY=q8w7e6r5t4", true),
            (0, "key=aaaaaaaaaa", false),
            (0, "key=aaaabbbbccccdddd", false),
            (0, "key=q8w7example5t4", false),
            (0, "key=q8w7", false),
            (1, "xxyy", true),
            (1, "xy", false),
        ] {
            assert_eq!(speaks(at, text), wanted, "{text}");
        }
        assert_eq!(
            (rules.rules[0].keywords.clone(), rules.longest_keyword, rules.keyword_of.clone()),
            (vec!["key".to_owned()], 3, vec![0])
        );
    }

    #[test]
    fn entropy_is_in_bits_a_byte() {
        for (text, wanted) in [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcd", 2.0), ("aabbccdd", 2.0)] {
            assert!((entropy(text.as_bytes()) - wanted).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn a_pattern_made_to_cost_is_an_error_or_costs_what_its_text_does() {
        let nested = |depth: usize| format!("{}a{}", "(?:".repeat(depth), "){1}".repeat(depth));
        let rows = [
            ("(?:(?:(?:a{100}){100}){100}){100}".to_owned(), false),
            ("[a-z]{4294967295}".to_owned(), false),
            (format!("(?:{}){{1000}}", "[a-z]{1000}"), false),
            (nested(2000), false),
            ("a".repeat(1 << 20), false),
            // What backtracking would never end with is as fast as anything here.
            ("(a|aa)+$".to_owned(), true),
            ("(x+x+)+y".to_owned(), true),
            (nested(20), true),
        ];
        for (pattern, wanted) in rows {
            let read = LeakRules::read("l.toml", &format!("[[rules]]\nid = \"x\"\nregex = '{pattern}'\n"));
            assert_eq!(read.is_ok(), wanted, "{:.60}", pattern);
            if let Ok(rules) = read {
                assert!(!rules.rules[0].pattern.is_match(&[b"x".repeat(100_000), b"z".to_vec()].concat()));
            }
        }
    }

    #[test]
    fn the_patterns_of_a_file_take_so_much_in_all_and_the_rule_with_which_they_take_more_is_named() {
        let rules = |count: usize, regex: &str| -> String {
            (1..=count).map(|at| format!("[[rules]]\nid = \"r{at}\"\nregex = '{regex}'\n")).collect()
        };
        let faults = |text: &str| LeakRules::read("l.toml", text).map_or_else(|faults| faults, |_read| Vec::new());
        let (small, large) = ("x[0-9]{8}", "x[0-9a-f]{40000}");
        assert_eq!(built(small).unwrap().1, PATTERN_LEAST);
        let fit = PATTERNS_MAX / built(large).unwrap().1;
        assert!(fit < 100, "{fit}");
        assert_eq!((faults(&rules(RULES_MAX, small)), faults(&rules(fit, large))), (Vec::new(), Vec::new()));
        let wanted = format!("make repetitions shorter, or leave rules out: with rule r{} the patterns take more than 64 MiB", fit + 1);
        let too_many = faults(&rules(fit + 2, large));
        assert_eq!(too_many.len(), 1, "{too_many:?}");
        assert!(too_many[0].to_string().starts_with(&format!("l.toml:{}:9: found regex", 3 * (fit + 1))), "{}", too_many[0]);
        assert!(too_many[0].to_string().ends_with(&wanted), "{}", too_many[0]);
        let excuses = format!("[allowlist]\nregexes = [{}]\n", format!("'{small}',").repeat(PATTERNS_MAX / PATTERN_LEAST + 1));
        assert!(faults(&excuses)[0].to_string().contains("with the file's allowlist the patterns take"));
    }

    #[test]
    fn what_has_no_meaning_here_is_an_error_in_its_place() {
        let rule = "[[rules]]\nid = \"x\"\nregex = \"x{8}\"\n";
        for (text, found) in [
            (format!("{rule}path = \"a\"\n"), "l.toml:4:1: found path in [[rules]]"),
            (format!("{rule}entropy = \"3\"\n"), "l.toml:4:11: found entropy \"3\""),
            (format!("{rule}secretGroup = 1\n"), "l.toml:4:15: found secretGroup 1"),
            (format!("{rule}verify = true\n"), "l.toml:4:1: found the unknown key \"verify\""),
            (format!("{rule}{rule}"), "l.toml:5:6: found a second rule x"),
            ("[extend]\nuseDefault = true\n".to_owned(), "l.toml:1:2: found extend"),
            ("[allowlist]\npaths = [\"x\"]\n".to_owned(), "l.toml:2:1: found paths in [allowlist]"),
            ("[allowlist]\ncondition = \"AND\"\n".to_owned(), "l.toml:2:13: found condition \"AND\""),
            ("[[rules]]\nid = \"x\"\nregex = \"(\"\n".to_owned(), "l.toml:3:9: found regex \"(\"; wanted a regular expression"),
            ("[[rules]]\nid = \"x\"\nregex = \"a*\"\n".to_owned(), "l.toml:3:9: found regex \"a*\""),
            ("[[rules]]\nid = \"x\"\nregex = '((a{1000}){1000}){9}'\n".to_owned(), "l.toml:3:9: found regex"),
            ("[[rules]]\nregex = \"a\"\n".to_owned(), "l.toml:1:1: found no key id"),
        ] {
            let faults = LeakRules::read("l.toml", &text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.to_string().starts_with(found)), "{text}: {faults:?}");
        }
    }
}
