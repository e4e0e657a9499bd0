//! Every `toml` block of every page loads as what it is: an allowlist, a part of one, a floor, rules of the leak guard, or a configuration.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::blocks::{Block, blocks, pages};
use crate::support::proxy::exeat;

/// A folder in which a block finds what it names: siblings to include, rules of the leak guard.
fn place(text: &str) -> tempfile::TempDir {
    let place = tempfile::TempDir::with_prefix("exeat-toml-").unwrap();
    fs::create_dir(place.path().join("allowlists")).unwrap();
    let github = || String::from_utf8(exeat(None).args(["preset", "show", "github"]).output().unwrap().stdout).unwrap();
    let base = || "[[allow]]\nhost = \"base.example\"\n".to_owned();
    let leaks = || "[[rules]]\nid = \"a\"\nregex = \"sesame-[0-9]{8}\"\n".to_owned();
    for (named, file, made) in [
        ("\"github\"", "github", &github as &dyn Fn() -> String),
        ("\"team-base\"", "team-base", &base),
        ("\"leaks.toml\"", "leaks", &leaks),
    ] {
        if text.contains(named) {
            put(place.path(), &format!("allowlists/{file}.toml"), &made());
        }
    }
    place
}

fn put(place: &Path, file: &str, text: &str) {
    fs::write(place.join(file), text).unwrap();
}

fn checked(place: &Path, config: &str, arguments: &[&str]) -> Output {
    put(place, "exeat.toml", config);
    let at = place.join("exeat.toml");
    let mut check = exeat(Some(&at));
    if config.contains("ca_key") {
        let made = exeat(Some(&at)).args(["ca", "init"]).env("EXEAT_STATE", place.join("state")).output().unwrap();
        assert!(made.status.success() || place.join("certs/ca.pem").exists(), "{made:?}");
    }
    check.arg("check").args(arguments).current_dir(place).env("EXEAT_STATE", place.join("state")).output().unwrap()
}

const WITH_AN_AUTHORITY: &str = "[inspect]\nca_cert = \"certs/ca.pem\"\nca_key = \"certs/ca.key\"\n";

/// What `exeat check` says of a block, where it is something exeat reads.
fn told(block: &Block) -> Option<Output> {
    let table: toml::Table = toml::from_str(&block.text).unwrap_or_else(|error| panic!("{}:{}: {error}", block.page, block.line));
    let (place, has) = (place(&block.text), |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key)));
    let path = place.path();
    if has(&["agent"]) {
        put(path, "allowlists/block.toml", &block.text);
        Some(checked(path, WITH_AN_AUTHORITY, &[]))
    } else if has(&["private", "forbid", "max_for"]) {
        put(path, "allowlists/floor.toml", &block.text);
        put(path, "allowlists/block.toml", "agent = \"block\"\n");
        Some(checked(path, WITH_AN_AUTHORITY, &[]))
    } else if has(&["rules"]) {
        put(path, "allowlists/leaks.toml", &block.text);
        Some(checked(path, WITH_AN_AUTHORITY, &["allowlists/leaks.toml"]))
    } else if has(&["allow", "hold", "block", "inject", "expect", "identify"]) && !has(&["listen"]) {
        put(path, "allowlists/block.toml", &format!("agent = \"block\"\n{}", block.text));
        Some(checked(path, WITH_AN_AUTHORITY, &[]))
    } else if has(&["listen", "admin", "metrics", "inspect", "journal", "telemetry", "drain", "limits", "store", "dns", "upstream"]) {
        put(path, "allowlists/block.toml", "agent = \"block\"\n[[identify]]\nlistener = \"main\"\n");
        Some(checked(path, &block.text, &[]))
    } else {
        None
    }
}

#[test]
fn every_toml_block_is_what_exeat_reads() {
    let all: Vec<Block> = pages().iter().flat_map(|page| blocks(page)).filter(|block| block.language == "toml").collect();
    let mut read = 0;
    let mut wrong = Vec::new();
    for block in &all {
        let Some(output) = told(block) else { continue };
        read += 1;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            wrong.push(format!("{}:{}: {said}", block.page, block.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 15, "only {read} of {} blocks were known", all.len());
}
