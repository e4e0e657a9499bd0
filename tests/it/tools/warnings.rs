//! Each code of a warning has a section in `docs/warnings.md`, and each section a code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every text of the source, tests aside.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let whole = fs::read_to_string(&path).unwrap();
            text.push_str(whole.split("#[cfg(test)]").next().unwrap());
        }
    }
    text
}

/// What stands between the quotes that follow `before`.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

#[test]
fn codes_and_sections_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let codes = fs::read_to_string(root.join("src/policy/fault/code.rs")).unwrap();
    let mut used: BTreeSet<&str> = quoted(&codes, ": &str = \"").collect();
    assert!(used.contains("shared-hosting"));
    let text = sources(&root.join("src"));
    used.extend(quoted(&text, ".warn(\"").chain(quoted(&text, "code: \"")));
    let page = fs::read_to_string(root.join("docs/warnings.md")).unwrap();
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(used, sections);
}

#[test]
fn every_code_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let codes = fs::read_to_string(root.join("src/policy/fault/code.rs")).unwrap();
    let text = sources(&root.join("src"));
    for name in codes.split("pub const ").skip(1).filter_map(|rest| rest.split(':').next()) {
        assert!(text.contains(&format!("code::{name}")), "{name} is said by nothing");
    }
}
