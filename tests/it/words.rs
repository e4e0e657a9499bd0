//! What the commands print, as a whole: a change of words is a change to look at.

use std::fs;
use std::process::Output;

use crate::support::proxy::exeat;

const POLICY: &str = r#"agent = "coder"
unlisted = "hold"

[[allow]]
host = ["api.example.com", "*.example.org"]

[[hold]]
host = "www.example.org"
note = "is it needed?"

[[block]]
host = "gist.example.com"
because = "gists leave the company"
"#;

const BROKEN: &str = r#"agent = "Coder"
unlisted = "maybe"
speed = 3

[[allow]]
host = "*.co.uk"
port = [0]

[[allow]]
host = "api.example.com"
method = ["GET"]

[[block]]
hots = "x.example.com"
"#;

#[test]
fn every_fault_of_an_allowlist_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.toml"), BROKEN).unwrap();
    let output = exeat(None).current_dir(folder.path()).args(["check", "broken.toml"]).output().unwrap();
    insta::assert_snapshot!(said(&output));
}

#[test]
fn an_explanation_names_the_rule_and_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("allowlists")).unwrap();
    fs::write(folder.path().join("allowlists/coder.toml"), POLICY).unwrap();
    let config = folder.path().join("exeat.toml");
    fs::write(&config, "state = \"state\"\n").unwrap();
    let explained =
        ["api.example.com:443", "https://www.example.org/", "gist.example.com", "api.example.com:22", "http://169.254.169.254/"];
    let told: Vec<String> =
        explained.iter().map(|target| said(&exeat(Some(&config)).args(["explain", "coder", target]).output().unwrap())).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_commands_are_listed_in_one_screen() {
    insta::assert_snapshot!(said(&exeat(None).arg("--help").output().unwrap()));
}

#[test]
fn presets_are_listed_with_what_they_risk() {
    insta::assert_snapshot!(said(&exeat(None).args(["preset", "list"]).output().unwrap()));
}

#[test]
fn a_preset_is_printed_as_it_is_or_said_to_be_none() {
    let asked: [&[&str]; 5] = [&["alpine"], &["githb"], &["metadata"], &["npm"], &[]];
    let told: Vec<String> = asked.iter().map(|name| said(&exeat(None).args(["preset", "show"]).args(*name).output().unwrap())).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn presets_need_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("exeat.toml");
    fs::write(&broken, "nonsense").unwrap();
    let listed = said(&exeat(None).arg("preset").output().unwrap());
    assert!(listed.ends_with("exit 0\n"), "{listed}");
    assert_eq!(said(&exeat(Some(&broken)).args(["preset", "list"]).output().unwrap()), listed);
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}exit {}\n", output.status.code().unwrap())
}
