//! Every `sh` and `console` block of every page is run by a test, or says why it is not: `<!-- not run: REASON -->` on the line before it.
//! A test file claims blocks by page and first words in a list of `Claim`s, gives that list to `play`, and adds it to `claimed` here.

mod blocks;
mod codex;
mod complete;
mod links;
pub(crate) mod reader;
mod reference;
mod tables;
mod upgrade;

pub(crate) use blocks::blocks;
use blocks::{Block, pages};

/// A page, the first words of one block of it, and what runs that block.
pub(crate) type Claim<S> = (&'static str, &'static str, fn(&mut S, &str));

/// All there are. A list that is not here claims nothing.
fn claimed() -> Vec<(&'static str, &'static str)> {
    [
        names(crate::readme::CLAIMS),
        names(reference::COMMANDS),
        names(reference::AUTHORITIES),
        names(reference::ALERTS),
        names(upgrade::CLAIMS),
        names(codex::CLAIMS),
        names(crate::browser::inspected::CLAIMS),
        names(crate::deploy::ci::CLAIMS),
        names(crate::deploy::kubernetes::page::CLAIMS),
    ]
    .concat()
}

fn names<S>(claims: &[Claim<S>]) -> Vec<(&'static str, &'static str)> {
    claims.iter().map(|(page, opening, _)| (*page, *opening)).collect()
}

/// Runs the blocks that `claims` name, in the order of `claims`.
pub(crate) fn play<S>(claims: &[Claim<S>], story: &mut S) {
    for (page, opening, run) in claims {
        eprintln!("{page}: {opening}");
        let all = blocks(page);
        let block = all.iter().find(|block| block.text.starts_with(opening)).unwrap_or_else(|| panic!("{page} has no block {opening:?}"));
        run(story, &block.text);
    }
}

/// What is wrong with the blocks and the claims: nothing, if each block is claimed once or excused, and each claim is of one block.
fn faults(all: &[Block], claims: &[(&str, &str)]) -> Vec<String> {
    let of = |block: &Block| claims.iter().filter(|(page, opening)| block.page == *page && block.text.starts_with(opening)).count();
    let mut faults = Vec::new();
    for block in all {
        let (place, first) = (format!("{}:{}", block.page, block.line), block.text.lines().next().unwrap_or_default());
        match (block.is_run(), of(block), &block.excuse) {
            (true, 0, None) => faults.push(format!("{place}: no test runs {first:?}")),
            (_, 1.., Some(_)) => faults.push(format!("{place}: {first:?} is run, and says that it is not")),
            (_, 2.., None) => faults.push(format!("{place}: {first:?} is claimed twice")),
            (false, 0, Some(_)) => faults.push(format!("{place}: nobody would run {first:?} in any case")),
            (true, 0, Some(reason)) if reason.split_whitespace().count() < 3 => faults.push(format!("{place}: {reason:?} is no reason")),
            (true, 1, None) | (true, 0, Some(_)) | (false, 0 | 1, None) => {}
        }
        if !block.is_known() {
            faults.push(format!("{place}: blocks are sh, console, or no commands; found {:?}", block.language));
        }
    }
    for (page, opening) in claims {
        let found = all.iter().filter(|block| block.page == *page && block.text.starts_with(opening)).count();
        if found != 1 {
            faults.push(format!("{page}: {found} blocks begin with {opening:?}, which a test claims"));
        }
    }
    faults
}

#[test]
fn every_block_is_run_by_a_test_or_says_why_not() {
    let all: Vec<Block> = pages().iter().flat_map(|page| blocks(page)).collect();
    assert!(all.len() > 100, "the pages are read: {}", all.len());
    let faults = faults(&all, &claimed());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_wrong_with_a_block_or_a_claim_is_said() {
    let page = "text\n\n```sh\nfirst\nsecond\n```\n\n<!-- not run: it needs a cluster of its own -->\n```console\n$ third\n```\n\n```toml\nkey = 1\n```\n";
    let of = |text: &str, claims: &[(&str, &str)]| faults(&blocks::read("page.md", text), claims);
    assert_eq!(of(page, &[("page.md", "first")]), [""; 0]);
    assert_eq!(of(page, &[]), ["page.md:3: no test runs \"first\""]);
    assert_eq!(
        of(page, &[("page.md", "first"), ("page.md", "$ third"), ("page.md", "fourth"), ("other.md", "first")]),
        [
            "page.md:9: \"$ third\" is run, and says that it is not",
            "page.md: 0 blocks begin with \"fourth\", which a test claims",
            "other.md: 0 blocks begin with \"first\", which a test claims"
        ]
    );
    assert_eq!(of(page, &[("page.md", "first"), ("page.md", "fir")]), ["page.md:3: \"first\" is claimed twice"]);
    assert_eq!(of("<!-- not run: later -->\n```sh\nrun\n```\n", &[]), ["page.md:2: \"later\" is no reason"],);
    assert_eq!(
        of("```bash\nrun\n```\n<!-- not run: it is no command -->\n```toml\nkey = 1\n```\n```\nbare\n```\n", &[]),
        [
            "page.md:1: blocks are sh, console, or no commands; found \"bash\"",
            "page.md:5: nobody would run \"key = 1\" in any case",
            "page.md:8: blocks are sh, console, or no commands; found \"\""
        ]
    );
}
