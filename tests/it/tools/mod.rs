//! `check`, `diff`, `schema`, `completions` and the warnings, as a person at a terminal meets them.

mod completions;
mod warnings;

use std::fs;
use std::process::Output;

use crate::support::proxy::exeat;

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}exit {}\n", output.status.code().unwrap())
}

const OLD: &str = r#"agent = "coder"
[[allow]]
host = ["api.example.com", "old.example.com"]
[[block]]
host = "paste.example.com"
"#;

const NEW: &str = r#"agent = "coder"
unlisted = "hold"
[[allow]]
host = ["api.example.com", "new.example.com"]
port = 443
[[allow]]
host = "db.corp.example"
port = 5432
addresses = ["10.20.0.0/16"]
"#;

const CHECKED: &str = r#"agent = "coder"
unlisted = "hold"
addresses = ["public", "10.0.0.0/8"]

[[allow]]
host = ["api.example.com", "*.example.org"]

[[allow]]
host = "paste.example.com"

[[block]]
host = "paste.example.com"

[[expect]]
try = "https://api.example.com/"
decision = "allow"
"#;

#[test]
fn a_diff_says_what_becomes_reachable_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old.toml"), OLD).unwrap();
    fs::write(folder.path().join("new.toml"), NEW).unwrap();
    let told = |old: &str, new: &str| said(&exeat(None).current_dir(folder.path()).args(["diff", old, new]).output().unwrap());
    insta::assert_snapshot!(
        [told("old.toml", "new.toml"), told("new.toml", "old.toml"), told("old.toml", "old.toml"), told("old.toml", "none.toml")]
            .join("\n")
    );
}

#[test]
fn a_check_of_the_configuration_counts_expectations_and_says_its_warnings() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("allowlists")).unwrap();
    fs::write(folder.path().join("allowlists/coder.toml"), CHECKED).unwrap();
    let config = folder.path().join("exeat.toml");
    fs::write(&config, "state = \"state\"\n[listen.main]\naddress = \"0.0.0.0:3128\"\n").unwrap();
    let output = exeat(Some(&config)).arg("check").output().unwrap();
    insta::assert_snapshot!(said(&output).replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn a_schema_is_printed_without_a_configuration() {
    for of in ["exeat", "allowlist", "include", "floor"] {
        let output = exeat(None).args(["schema", of, "--config", "/nonexistent/exeat.toml"]).output().unwrap();
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{of}");
    }
}
