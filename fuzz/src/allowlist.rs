//! Allowlist files: whatever stands in one, what is said of it is one plain line with a place in it and no token, and what loads, loads again.
//!
//! `TOKEN` and `DIGEST` stand for a token and the digest of one, so that a message that repeats it is known by it.

use std::fmt::Display;
use std::path::Path;

use exeat::config::allowlists::load_paths;
use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::policy::fault::{Fault, Warning};
use exeat::policy::pattern::{HostPattern, Use};
use exeat::policy::rule::{Effect, Rule};

const FILE: &str = "coder.toml";
const TOKEN: &str = "a7c1e90b45d2f86613c08e5fb7294d0aa7c1e90b45d2f86613c08e5fb7294d0a";
const DIGEST: &str = "5f0c9b1e7a64d83f5f0c9b1e7a64d83f5f0c9b1e7a64d83f5f0c9b1e7a64d83f";

/// Reads the bytes as an allowlist.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return assert_no_text(data) };
    let text = text.replace("TOKEN", &format!("exeat_{TOKEN}")).replace("DIGEST", &format!("sha256:{DIGEST}"));
    match Allowlist::parse(FILE, &text) {
        Ok((allowlist, warnings)) => {
            for Warning { file, line, column, code: _, text: _ } in &warnings {
                assert_place(&text, file, *line, *column);
            }
            warnings.iter().for_each(assert_plain);
            assert_eq!(Allowlist::parse(FILE, &text), Ok((allowlist.clone(), warnings)));
            allowlist.rules.iter().for_each(assert_rule);
            Policy::new(vec![allowlist], Guard::default()).expect("one allowlist contradicts no other");
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word");
            for Fault { file, line, column, found: _, wanted: _, fix: _ } in &faults {
                assert_place(&text, file, *line, *column);
            }
            faults.iter().for_each(assert_plain);
        }
    }
}

fn assert_place(text: &str, file: &str, line: u32, column: u32) {
    assert_eq!(file, FILE);
    let at = usize::try_from(line).expect("a line is a small number").checked_sub(1).expect("lines count from 1");
    let line = text.split('\n').nth(at).unwrap_or_else(|| panic!("line {line} of {text:?}"));
    let most = line.chars().count() + 2;
    assert!((1..=most).contains(&usize::try_from(column).expect("a column is a small number")), "column {column} of {line:?}");
}

fn assert_plain(message: &impl Display) {
    let said = message.to_string();
    let steers = |letter: char| {
        letter.is_control() || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!said.contains(steers), "{said:?} steers a terminal");
    assert!(!said.contains(&TOKEN[..16]) && !said.contains(&DIGEST[..16]), "{said:?} shows a token");
}

fn assert_rule(rule: &Rule) {
    let wanted = match rule.effect {
        Effect::Allow(_) | Effect::Hold { addresses: _ } => Use::Grant,
        Effect::Block { because: _ } => Use::Block,
    };
    assert!(!rule.hosts.is_empty(), "{} is about nothing", rule.place);
    for host in &rule.hosts {
        let again = HostPattern::parse(&host.to_string(), wanted, wanted == Use::Grant).map(|parsed| parsed.pattern);
        assert_eq!(again.as_ref(), Ok(host), "{}", rule.place);
    }
}

/// Bytes that are no text are one fault of the file.
fn assert_no_text(data: &[u8]) {
    let name = format!("exeat-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, data).expect("the temporary folder takes a file");
    let loaded = load_paths(&[Path::new(&file).to_owned()], false);
    std::fs::remove_file(&file).expect("it is ours");
    assert!(loaded.allowlists.is_empty() && loaded.faults.len() == 1, "{:?}", loaded.faults);
    assert!(loaded.faults[0].to_string().contains("found bytes that are not UTF-8;"), "{}", loaded.faults[0]);
}
