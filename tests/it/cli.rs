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
    for word in ["One", "ask", "colour", "co.uk", "github.io", "hots", "no CA", "10.0.0.0/33", "sha256:"] {
        assert!(text.contains(word), "{word} is not named:\n{text}");
    }
}

#[test]
fn every_key_of_a_later_issue_is_an_error_that_says_so() {
    let site = Site::new();
    for (key, tables) in [
        ("", "[[identify]]\nclient_cert = \"spiffe://x\""),
        ("", "[[identify]]\nservice_account = \"x/y\""),
        ("", "[[identify]]\nunix_uid = 1001"),
    ] {
        site.agent("a", key, tables);
        let output = ran(&site, &["check"]);
        assert_eq!(output.status.code(), Some(1), "{key}{tables} was taken");
        let said = out(&output) + &err(&output);
        assert!(said.contains("not yet") && said.contains("comes with a later version"), "{key}{tables}: {said}");
    }
}

#[test]
fn a_configuration_with_unknown_or_later_keys_does_not_start() {
    for (section, key, value, word) in [
        ("limits", "heads", "\"1KiB\"", "heads"),
        ("limits", "head", "\"32\"", "32"),
        ("limits", "head", "32", "32"),
        ("hold", "wait", "\"soon\"", "soon"),
        ("telemetry", "otlp", "\"collector:4317\"", "begin it with"),
        ("hold.reviewer", "url", "\"http://reviewer.test\"", "later version"),
        ("upstream", "proxy", "\"http://corp:3128\"", "later version"),
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
    let two = ran(&p0.site, &["explain", "a", "GET", &plain]);
    assert_eq!(two.status.code(), Some(0), "{two:?}");
    let alone = ran(&p0.site, &["explain", "a", "evil.test"]);
    assert_eq!((alone.status.code(), out(&alone).contains("evil.test:443")), (Some(10), true), "{alone:?}");
    assert!(out(&alone).contains("approvals and the quiet time of a running exeat are not considered"), "{alone:?}");
    assert_eq!(p0.site.dns.queries(), [], "explain asks nobody");
    for (agent, target, code) in [("nobody", "x.test:443", 1), ("a", "http://127.1/", 2), ("a", "ftp://x.test/", 2), ("a", "x.test:0", 2)] {
        let output = ran(&p0.site, &["explain", agent, target]);
        assert_eq!(output.status.code(), Some(code), "{agent} {target}: {output:?}");
        assert!(!err(&output).is_empty());
    }
}

#[test]
fn explain_says_what_does_not_load_and_leaves_second_looks_to_check() {
    let site = Site::new();
    site.allowlist("x", "agent = \"x\"\n[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = \"GTE\"\n");
    let explained = ran(&site, &["explain", "x", "other.test:443"]);
    assert_eq!((explained.status.code(), err(&explained)), (Some(11), String::new()));
    assert!(out(&ran(&site, &["check"])).contains("[near-method]"));
    site.allowlist("y", "agent = \"y\"\nwhat = 1\n");
    let beside = ran(&site, &["explain", "x", "other.test:443"]);
    assert!(beside.status.code() == Some(11) && err(&beside).contains("y.toml:2:1: "), "{beside:?}");
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
        &["token", "a", "--address", "127.0.0.1"],
        &["env", "--url", "127.0.0.1:3128"],
        &["explain", "a", "ftp://x.test/"],
    ] {
        let output = ran(&site, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let printed = if arguments[0] == "env" { "false\n" } else { "" };
        assert!(out(&output) == printed && !err(&output).is_empty(), "{arguments:?}: {output:?}");
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
fn what_follows_an_environment_that_could_not_be_had_is_not_run() {
    let site = Site::new();
    site.agent("a", "", "");
    let (good, bad) = (site.config().display().to_string(), site.path().join("nosuch.toml").display().to_string());
    let rows = [
        (format!("--config '{good}' env --url http://a:exeat_1@127.0.0.1:9"), true),
        (format!("--config '{bad}' env"), false),
        (format!("--config '{good}' env --url 127.0.0.1:9"), false),
        (format!("--config '{good}' env --nosuch"), false),
        (format!("--config '{good}' token nobody --address 127.0.0.1:9 | exeat --config '{good}' env --url -"), false),
    ];
    for (words, reached) in rows {
        let script = format!("exeat() {{ '{}' \"$@\"; }}\neval \"$(exeat {words})\" && echo reached", env!("CARGO_BIN_EXE_exeat"));
        let shell = std::process::Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(out(&shell), if reached { "reached\n" } else { "" }, "{words}: {shell:?}");
        assert!(reached || err(&shell).contains("exeat: ") || err(&shell).starts_with("error: "), "{words}: {shell:?}");
    }
    let dotenv = exeat(Some(&site.path().join("nosuch.toml"))).args(["env", "--shell", "dotenv"]).output().unwrap();
    assert_eq!((dotenv.status.code(), out(&dotenv)), (Some(1), String::new()));
}

#[test]
fn env_without_a_token_warns_on_stderr_alone() {
    let mut p0 = P0::new();
    p0.site.set("listen.main", "address", "[\"127.0.0.1:3128\"]");
    let output = ran(&p0.site, &["env", "--shell", "zsh"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("407") && !out(&output).contains("warning"), "{output:?}");
    p0.site.set("listen.main", "agent", "\"a\"");
    assert_eq!(err(&ran(&p0.site, &["env", "--shell", "sh"])), "");
}

#[test]
fn an_error_is_said_once_in_words_of_people() {
    let site = Site::new();
    site.agent("a", "", "");
    let loud = exeat(Some(&site.config())).env("EXEAT_LOG", "exeat=loud").arg("agents").output().unwrap();
    assert_eq!(err(&loud).matches("error parsing level filter").count(), 1, "{}", err(&loud));
    let missing = exeat(Some(&site.path().join("nosuch.toml"))).arg("check").output().unwrap();
    assert!(err(&missing).contains("no such file or folder") && !err(&missing).contains("entity"), "{}", err(&missing));
    std::fs::write(site.path().join("state"), "").unwrap();
    for command in [&["agents"][..], &["token", "a", "--address", "127.0.0.1:1"]] {
        let said = err(&ran(&site, command));
        assert!(said.contains("/state") && said.contains("; ") && !said.contains("os error"), "{command:?}: {said}");
    }
}

#[test]
fn a_person_for_an_agent_that_no_allowlist_names_is_added_and_told_of() {
    let site = Site::new();
    site.agent("a", "", "");
    for (agents, warned) in [("a", false), ("a,ghost", true)] {
        let added = ran(&site, &["approver", "add", &format!("for-{}", agents.len()), "--agents", agents]);
        assert!(added.status.success() && out(&added).starts_with("exeat-approver_"), "{added:?}");
        assert_eq!(err(&added).contains("warning: no allowlist that loads names ghost; "), warned, "{added:?}");
    }
}

#[test]
fn the_built_in_agent_is_said_to_be_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let ran = |arguments: &[&str]| exeat(None).args(arguments).env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME").output().unwrap();
    let agents = ran(&["agents"]);
    assert!(out(&agents).contains("local       0  -  ") && out(&agents).contains("built in: there is no exeat.toml in"), "{agents:?}");
    for command in [&["token", "x"][..], &["explain", "x", "a.test"]] {
        let said = ran(command);
        assert!(said.status.code() == Some(1) && err(&said).contains("only the built-in agent local"), "{said:?}");
    }
    let site = Site::new();
    let none = self::ran(&site, &["explain", "x", "a.test"]);
    assert!(err(&none).contains("none of any other agent loads; write one"), "{none:?}");
    site.allowlist("x", "agent = \"x\"\nhold = \"2m\"\n");
    for command in [&["token", "x"][..], &["agents"]] {
        let broken = self::ran(&site, command);
        assert!(err(&broken).contains("x.toml:2:8: "), "an agent is missing and nothing says why: {broken:?}");
    }
}

#[test]
fn help_names_exit_codes_defaults_and_where_global_options_are() {
    let site = Site::new();
    for (command, words) in [
        ("explain", &["0 allow, 10 hold, 11 block", "not considered", "443", "Global options:"][..]),
        ("run", &["The command's own", "ports 80 and 443", "HOST:PORT", "the default", "Global options:"]),
        ("approve", &["; the default", "Global options:"]),
    ] {
        for flag in ["-h", "--help"] {
            let help = out(&ran(&site, &[command, flag])).split_whitespace().collect::<Vec<_>>().join(" ");
            for word in words {
                assert!(help.contains(word), "{command} {flag}: no {word:?} in\n{help}");
            }
        }
    }
}

#[test]
fn who_watches_is_told_how_to_answer_and_how_it_ended() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    let config = p0.site.path().join("exeat.toml");
    assert!(watcher.shown().contains(&format!("`exeat --config {} approve ID`", config.display())), "{}", watcher.shown());
    let url = p0.url("evil.test", "/");
    std::thread::scope(|scope| {
        scope.spawn(|| proxy.get(&url, &a()));
        while proxy.holds().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let id = proxy.holds()[0]["id"].as_str().unwrap().to_owned();
        proxy.said(&["approve", &id, "--for", "1h"]);
        let unknown = proxy.exeat(&["deny", "zzzz"]);
        let lists = format!("`exeat --config {} holds` lists them", config.display());
        assert!(err(&unknown).contains(&format!("zzzz: no question has that id; {lists}")), "{unknown:?}");
        let approvals = proxy.said(&["approvals"]);
        assert!(approvals.contains("  until 2") && !approvals.contains("for until"), "{approvals}");
        for _ in 0..100 {
            if watcher.shown().contains("answered yes by") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let shown = watcher.shown();
        let end = shown.lines().last().unwrap();
        assert!(
            end.starts_with(&id) && end.contains("evil.test") && end.contains("answered yes by ") && end.contains(": until 2"),
            "{shown}"
        );
    });
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

#[test]
fn a_running_exeat_that_does_not_hear_of_a_token_is_said_and_fails() {
    let site = Site::new();
    site.agent("a", "", "");
    assert_eq!(ran(&site, &["token", "a", "--address", "127.0.0.1:1"]).status.code(), Some(0), "nobody runs");
    let socket = std::os::unix::net::UnixListener::bind(site.state().join("admin.sock")).unwrap();
    let deaf = std::thread::spawn(move || socket.incoming().take(2).for_each(drop));
    let issued = ran(&site, &["token", "a", "--address", "127.0.0.1:1"]);
    assert_eq!((issued.status.code(), out(&issued).starts_with("http://a:exeat_")), (Some(1), true), "{issued:?}");
    assert!(err(&issued).contains("the running exeat does not accept it yet: "), "{issued:?}");
    let revoked = ran(&site, &["agents", "--revoke", "a"]);
    assert_eq!((revoked.status.code(), out(&revoked)), (Some(1), String::new()), "{revoked:?}");
    assert!(err(&revoked).contains("removed from the state, but the running exeat still accepts it: "), "{revoked:?}");
    deaf.join().unwrap();
}

#[test]
fn a_journal_that_cannot_be_read_keeps_no_token_from_being_revoked() {
    let site = Site::new();
    site.agent("a", "", "");
    assert_eq!(ran(&site, &["token", "a", "--address", "127.0.0.1:1"]).status.code(), Some(0));
    std::fs::write(site.state().join("journal"), "no folder").unwrap();
    let listed = ran(&site, &["agents"]);
    assert_eq!((listed.status.code(), out(&listed).contains("never")), (Some(0), false), "{listed:?}");
    assert!(err(&listed).starts_with("warning: the journal in "), "{listed:?}");
    let revoked = ran(&site, &["agents", "--revoke", "a"]);
    assert_eq!((revoked.status.code(), out(&revoked), err(&revoked)), (Some(0), "1 token of a revoked\n".to_owned(), String::new()));
}

#[test]
fn a_url_with_a_token_is_read_from_standard_input() {
    let site = Site::new();
    site.agent("a", "", "");
    let mut env = exeat(Some(&site.config()));
    env.args(["env", "--shell", "dotenv", "--url", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut env = env.spawn().unwrap();
    std::io::Write::write_all(&mut env.stdin.take().unwrap(), b"http://a:exeat_1@127.0.0.1:3128\n").unwrap();
    let output = env.wait_with_output().unwrap();
    assert!(out(&output).starts_with("HTTP_PROXY=http://a:exeat_1@127.0.0.1:3128\n"), "{output:?}");
    assert!(!err(&ran(&site, &["token", "a", "--address", "127.0.0.1:1"])).contains("env --url`"));
}
