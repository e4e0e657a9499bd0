//! The commands beside `serve`: what they print, and how they end.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::p0::{P0, a};
use crate::support::proxy::{exeat, of_kind};
use crate::support::site::Site;

fn ran(site: &Site, arguments: &[&str]) -> Output {
    exeat(Some(&site.config())).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn check_is_content_with_a_good_configuration() {
    let p0 = P0::new();
    let output = ran(&p0.site, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn check_names_every_error_at_once_with_its_place_and_the_fix() {
    let site = Site::new();
    site.allowlist(
        "one",
        "agent = \"One\"\nunlisted = \"ask\"\ncolour = \"red\"\n[[allow]]\nhost = \"*.co.uk\"\n[[allow]]\nhost = [\"*\", \"*.github.io\", \"ok.test\"]\nport = [0]\n[[block]]\nhots = \"x.test\"\n",
    );
    site.allowlist("two", "agent = \"two\"\n[[allow]]\nhost = \"api.test\"\nmethod = [\"GET\"]\n[[allow]]\nhost = \"b.test\"\naddresses = [\"10.0.0.0/33\"]\n[[identify]]\ntoken = \"plain\"\n");
    site.allowlist("three", "agent = \"three\"\n[[allow]\nhost = ");
    let output = ran(&site, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output) + &out(&output);
    for place in [
        "one.toml:1:",
        "one.toml:2:",
        "one.toml:3:",
        "one.toml:5:",
        "one.toml:7:",
        "one.toml:8:",
        "one.toml:10:",
        "two.toml:4:",
        "two.toml:7:",
        "two.toml:9:",
        "three.toml:2:",
    ] {
        assert!(text.contains(place), "{place} is not named:\n{text}");
    }
    for word in ["One", "ask", "colour", "co.uk", "github.io", "hots", "not yet", "10.0.0.0/33", "sha256:"] {
        assert!(text.contains(word), "{word} is not named:\n{text}");
    }
}

#[test]
fn every_key_of_a_later_issue_is_an_error_that_says_not_yet() {
    let site = Site::new();
    for (key, tables) in [
        ("include = [\"preset:git-read\"]", ""),
        ("observe_until = \"2026-12-01\"", ""),
        ("", "[[allow]]\nhost = \"x.test\"\nmethod = [\"GET\"]"),
        ("", "[[allow]]\nhost = \"x.test\"\npath = [\"/x/**\"]"),
        ("", "[[allow]]\nhost = \"x.test\"\nuntil = \"2027-01-01T00:00:00Z\""),
        ("", "[[allow]]\nhost = \"x.test\"\nwebsocket = true"),
        ("", "[[expect]]\ntry = \"CONNECT x.test:443\"\ndecision = \"allow\""),
        ("", "[[inject]]\nhost = \"x.test\"\nheader = \"authorization\"\nvalue = { env = \"X\" }"),
        ("", "[[identify]]\nclient_cert = \"spiffe://x\""),
        ("", "[[identify]]\nservice_account = \"x/y\""),
        ("", "[[identify]]\nunix_uid = 1001"),
    ] {
        site.agent("a", key, tables);
        let output = ran(&site, &["check"]);
        assert_eq!(output.status.code(), Some(1), "{key}{tables} was taken");
        let said = out(&output) + &err(&output);
        assert!(said.contains("not yet"), "{key}{tables}: {said}");
    }
}

#[test]
fn a_configuration_with_unknown_or_later_keys_does_not_start() {
    for (section, key, value, word) in [
        ("limits", "heads", "\"1KiB\"", "heads"),
        ("limits", "head", "\"32\"", "32"),
        ("limits", "head", "32", "32"),
        ("hold", "wait", "\"soon\"", "soon"),
        ("telemetry", "otlp", "\"http://collector:4317\"", "not yet"),
        ("upstream", "proxy", "\"http://corp:3128\"", "not yet"),
        ("listen.main", "transparent", "true", "not yet"),
    ] {
        let mut site = Site::new();
        site.agent("a", "", "");
        site.set(section, key, value);
        for command in ["check", "serve"] {
            let output = ran(&site, &[command]);
            assert_eq!(output.status.code(), Some(1), "{command} took {section}.{key} = {value}");
            let said = out(&output) + &err(&output);
            assert!(said.contains(word) && said.contains("exeat.toml:"), "{section}.{key}: {said}");
        }
    }
}

#[test]
fn explain_says_the_decision_the_rule_and_its_place_by_exit_code_too() {
    let p0 = P0::new();
    let plain = p0.url("plain.allowed.test", "/");
    let blocked = p0.at_plain("blocked.test");
    for (agent, target, code, words) in [
        ("a", plain.as_str(), 0, ["allow", "a.toml:"]),
        ("a", &format!("GET {plain}"), 0, ["allow", "a.toml:"]),
        ("a", &blocked, 11, ["block", "a.toml:"]),
        ("a", "evil.test:443", 10, ["hold", "unlisted"]),
        ("b", "evil.test:443", 11, ["block", "unlisted"]),
        ("a", "169.254.169.254:80", 11, ["block", "forbidden-address"]),
        ("a", "localhost:80", 11, ["block", "special-name"]),
    ] {
        let output = ran(&p0.site, &["explain", agent, target]);
        assert_eq!(output.status.code(), Some(code), "{agent} {target}: {}{}", out(&output), err(&output));
        for word in words {
            assert!(out(&output).contains(word), "{agent} {target}: no {word} in {}", out(&output));
        }
    }
    assert_eq!(p0.site.dns.queries(), [], "explain asks nobody");
    for (agent, target) in [("nobody", "x.test:443"), ("a", "http://127.1/"), ("a", "x.test")] {
        let output = ran(&p0.site, &["explain", agent, target]);
        assert!([Some(1), Some(2)].contains(&output.status.code()), "{agent} {target}: {output:?}");
        assert!(!err(&output).is_empty());
    }
}

#[test]
fn a_wrong_use_ends_with_2_and_a_way_out() {
    let site = Site::new();
    site.agent("a", "", "");
    for arguments in [
        &["nosuch"][..],
        &["serve", "--nosuch"],
        &["explain"],
        &["approve"],
        &["token"],
        &["run"],
        &["approve", "x", "--for", "soon"],
        &["holds", "x"],
    ] {
        let output = ran(&site, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(out(&output).is_empty() && !err(&output).is_empty(), "{arguments:?}: {output:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"]] {
        assert_eq!(ran(&site, arguments).status.code(), Some(0), "{arguments:?}");
    }
    let missing = exeat(Some(&site.path().join("nosuch.toml"))).arg("check").output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("nosuch.toml"), "{}", err(&missing));
}

#[test]
fn a_configuration_in_the_working_directory_is_not_taken() {
    let site = Site::new();
    site.agent("planted", "", "");
    site.config();
    let output = exeat(None)
        .args(["agents", "--json"])
        .current_dir(site.path())
        .env("HOME", site.path())
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .unwrap();
    assert!(!out(&output).contains("planted"), "a cloned repository configures its own guard: {}", out(&output));
}

#[test]
fn a_token_is_shown_once_as_a_url_and_kept_as_a_hash() {
    let p0 = P0::new();
    let first = ran(&p0.site, &["token", "a", "--address", "127.0.0.1:3128"]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    let text = out(&first);
    let url = text.trim();
    assert!(url.starts_with("http://a:exeat_") && url.contains('@') && !url.contains(char::is_whitespace), "{url}");
    let second = out(&ran(&p0.site, &["token", "a", "--address", "127.0.0.1:3128"]));
    assert_ne!(text, second);
    let hash = ran(&p0.site, &["token", "a", "--hash", "--address", "127.0.0.1:3128"]);
    assert!(out(&hash).contains("[[identify]]") && out(&hash).contains("token = \"sha256:"), "{}", out(&hash));
    let unknown = ran(&p0.site, &["token", "nobody", "--address", "127.0.0.1:3128"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("nobody"));
}

#[test]
fn agents_lists_every_agent_by_name() {
    let p0 = P0::new();
    let output = ran(&p0.site, &["agents", "--json"]);
    let agents: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let names: Vec<_> = agents.iter().map(|agent| agent["agent"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(out(&ran(&p0.site, &["agents"])).contains('b'));
}

#[test]
fn env_prints_proxy_variables_in_both_cases_for_a_shell_to_read() {
    let p0 = P0::new();
    let output = ran(&p0.site, &["env", "--shell", "bash", "--url", "http://a:exeat_x@127.0.0.1:3128"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        assert!(out(&output).contains(&format!("{name}=")), "{name}: {}", out(&output));
    }
    let script = format!("{}\n: \"$HTTPS_PROXY\" && echo read", out(&output));
    let shell = std::process::Command::new("sh").args(["-eu", "-c", &script]).output().unwrap();
    assert_eq!(out(&shell), "read\n", "{}", err(&shell));
}

#[test]
fn log_reads_the_journal_with_filters() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_eq!(proxy.get(&p0.url("blocked.test", "/"), &a()).status, 403);
    proxy.settled();
    let lines = |arguments: &[&str]| -> Vec<Value> {
        proxy.said(&[&["log", "--json"], arguments].concat()).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(lines(&[]).len(), proxy.journal().len());
    let blocks = lines(&["--decision", "block"]);
    assert!(
        of_kind(&blocks, "decided").iter().all(|record| record["destination"]["host"] == "blocked.test") && !blocks.is_empty(),
        "{blocks:?}"
    );
    assert!(!lines(&["--host", "plain.allowed.test"]).is_empty());
    assert!(of_kind(&lines(&["--agent", "b"]), "decided").is_empty());
    let words = proxy.said(&["log"]);
    assert!(words.contains("blocked.test") && words.contains("plain.allowed.test"), "{words}");
    assert!(!words.contains('\u{1b}'), "colour without a terminal");
}

#[test]
fn ready_and_live_say_what_they_are_asked() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!((proxy.page("/livez").status, proxy.readyz().status, proxy.page("/nosuch").status), (200, 200, 404));
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    proxy.settled();
    assert_eq!(
        proxy.metric("exeat_decisions_total", &["agent=\"a\"", "decision=\"allow\"", "reason=\"listed\"", "front=\"forward\""]),
        1.0
    );
    for name in [
        "exeat_attempts_open",
        "exeat_decision_duration_seconds_count",
        "exeat_journal_records_total",
        "exeat_policy_info",
        "exeat_build_info",
    ] {
        assert!(proxy.metrics().lines().any(|line| line.starts_with(name)), "{name} is missing:\n{}", proxy.metrics());
    }
    assert!(!proxy.metrics().contains("allowed.test"), "a host name is a label");
}
