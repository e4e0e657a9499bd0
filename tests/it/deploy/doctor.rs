//! `exeat doctor` as a health check, and what it says of set-ups that are broken in one thing.

use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;

use crate::support::proxy::{Proxy, exeat};
use crate::support::site::Site;

/// A place whose listeners have ports that can be named.
fn site() -> Site {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (main, metrics) = (free(), free());
    let mut site = Site::new();
    site.set("listen.main", "address", &format!("\"{}\"", main.local_addr().unwrap()));
    site.set("metrics", "address", &format!("\"{}\"", metrics.local_addr().unwrap()));
    site.agent("a", "", "[[allow]]\nhost = \"listed.test\"");
    site
}

fn doctor(site: &Site, arguments: &[&str]) -> Output {
    let mut command = exeat(Some(&site.config()));
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.arg("doctor").args(arguments).output().unwrap()
}

fn out(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What is bad, as `ABOUT TEXT`.
fn bad(output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bad = of_level("bad", output);
    assert_eq!((report["ok"] == true, output.status.code()), (bad.is_empty(), Some(i32::from(!bad.is_empty()))));
    bad
}

/// What is of that level, as `ABOUT TEXT`.
fn of_level(level: &str, output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_level = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == level);
    of_level.map(|finding| format!("{} {}", finding["about"].as_str().unwrap(), finding["text"].as_str().unwrap())).collect()
}

/// Where the listener of the set-up is.
fn listener(site: &Site) -> String {
    let config = std::fs::read_to_string(site.config()).unwrap();
    let (_, rest) = config.split_once("[listen.main]").unwrap();
    rest.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_container_is_asked_for_its_health_without_a_shell() {
    let site = site();
    let (code, said) = out(&doctor(&site, &["--live"]));
    assert_eq!((code, said.as_str()), (Some(1), ""));
    let mut proxy = site.start();
    assert_eq!(out(&doctor(&site, &["--live"])), (Some(0), "alive\n".to_owned()));
    assert_eq!(out(&doctor(&site, &["--ready"])), (Some(0), "ready\n".to_owned()));
    proxy.kill();
    assert_eq!(out(&doctor(&site, &["--ready"])).0, Some(1));

    site.allowlist("b", "agent = ");
    let _proxy = Proxy::start(&site.config(), &site.state());
    assert_eq!(out(&doctor(&site, &["--live"])), (Some(0), "alive\n".to_owned()));
    let (code, said) = out(&doctor(&site, &["--ready"]));
    assert!(code == Some(1) && said.contains("b.toml"), "{code:?} {said}");
}

#[test]
fn a_set_up_is_good_or_what_is_wrong_with_it_is_named() {
    let mut site = site();
    let stopped = doctor(&site, &["--json", "--listed", "https://listed.test/", "--proxy", &format!("http://{}", listener(&site))]);
    let because = "because no exeat is running";
    let untried = ["listen not looked at, ", "ready not looked at, ", "clients not tried with https://listed.test/, "];
    assert_eq!(of_level("untried", &stopped), untried.map(|text| format!("{text}{because}")));
    let stopped = bad(&stopped);
    assert!(stopped.len() == 1 && stopped[0].starts_with("serve no exeat is running"), "{stopped:?}");
    let taken = TcpListener::bind(listener(&site)).unwrap();
    let stopped = bad(&doctor(&site, &["--json"]));
    assert!(stopped.len() == 2 && stopped[1].starts_with("listen another program has 127.0.0.1:"), "{stopped:?}");
    drop(taken);
    let proxy = site.start();
    assert_eq!(bad(&doctor(&site, &["--json"])), Vec::<String>::new());

    site.allowlist("b", "agent = ");
    let broken = bad(&doctor(&site, &["--json"]));
    assert!(broken.iter().any(|text| text.starts_with("allowlists ") && text.contains("b.toml")), "{broken:?}");
    drop(proxy);
    site.set("limits", "no_such_key", "1");
    let unread = bad(&doctor(&site, &["--json"]));
    assert_eq!(of_level("untried", &doctor(&site, &["--json"])).len(), 1, "what rests on the configuration");
    assert!(unread.len() == 1 && unread[0].starts_with("config ") && unread[0].contains("no_such_key"), "{unread:?}");
}

#[test]
fn what_cannot_be_meant_is_a_usage_error_that_repeats_no_token() {
    let site = site();
    for arguments in [
        &["--live", "--ready"] as &[&str],
        &["--from-agent"],
        &["--unlisted", "https://a.test/"],
        &["--listed", "listed.test"],
        &["--from-agent", "--proxy", "https://a:exeat_secret@127.0.0.1:1"],
        &["--from-agent", "--proxy", "http://127.0.0.1:1", "--listed", "ftp://a.test/"],
        &["--from-agent", "--proxy", "http://127.0.0.1:1", "--direct", "a.test"],
        &["--timeout", "2h"],
    ] {
        let output = doctor(&site, arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && !err.contains("secret"), "{arguments:?}: {err}");
    }
}
