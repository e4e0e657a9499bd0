//! Every link of every page that leads into the repository leads to something: a file that is there, and a heading in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::blocks::pages;

/// The text without what stands in fences and code spans.
fn prose(text: &str) -> String {
    let mut open = false;
    let outside = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        open ^= fence;
        !open && !fence
    });
    let lines: Vec<&str> = outside.collect();
    lines.join("\n").split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split(' ').next().unwrap().to_owned())
        .collect()
}

/// How a heading is called in a link.
fn slugs(text: &str) -> Vec<String> {
    let mut open = false;
    let outside = text.lines().filter(|line| {
        open ^= line.trim_start().starts_with("```");
        !open
    });
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let slug = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
    outside.filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn leads_nowhere(page: &str, target: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file: PathBuf = if path.is_empty() { root.join(page) } else { root.join(page).parent().unwrap().join(path) };
    if !file.exists() {
        return Some(format!("{page}: {target} is not there"));
    }
    let anchor = anchor?;
    let text = fs::read_to_string(&file).unwrap();
    (!slugs(&text).iter().any(|slug| slug == anchor)).then(|| format!("{page}: {target} has no such heading"))
}

#[test]
fn every_link_into_the_repository_leads_to_something() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page)).unwrap();
        for target in targets(&text).iter().filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            seen += 1;
            wrong.extend(leads_nowhere(&page, target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "the links are read: {seen}");
}

#[test]
fn a_link_that_leads_nowhere_is_told() {
    assert_eq!(leads_nowhere("docs/ci.md", "reference/records.md#exeat-log"), None);
    assert_eq!(leads_nowhere("docs/ci.md", "none.md").unwrap(), "docs/ci.md: none.md is not there");
    assert_eq!(leads_nowhere("docs/ci.md", "ci.md#none").unwrap(), "docs/ci.md: ci.md#none has no such heading");
    assert_eq!(targets("a [b](c.md) `[d](e.md)`\n```sh\n[f](g.md)\n```\n[h](i.md#j \"title\")"), ["c.md", "i.md#j"]);
}
