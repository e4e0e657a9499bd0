//! What a start makes of a folder it cannot honour, and a run of its command's end.

use std::process::{Command, Output, Stdio};

use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::ours;
use crate::support::site::Site;

/// `exeat run` in a session of its own, which has no terminal.
fn run(site: &Site, arguments: &[&str], stderr: Stdio) -> Output {
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_exeat")).arg("--config").arg(site.config()).arg("run").args(arguments);
    for name in ours() {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_freeze_and_a_broken_floor_are_honoured_from_the_start() {
    let (frozen, unknown) = ((403, "frozen"), (407, "unknown-agent"));
    for (name, text, (status, reason), ready, ran) in
        [("freeze", "", frozen, 200, 0), ("freeze", "?", frozen, 503, 0), ("floor.toml", "forbid = 1", unknown, 503, 1)]
    {
        let p0 = P0::new();
        std::fs::write(p0.site.path().join("allowlists").join(name), text).unwrap();
        let mut proxy = p0.start();
        for credentials in [a(), b()] {
            assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &credentials), status, reason);
            assert_refused(&proxy.talk().connect(&p0.at_secure("api.allowed.test"), &credentials), status, reason);
        }
        let said = proxy.readyz();
        assert!(
            said.status == ready && said.text().contains(if name == "freeze" { "everyone is frozen" } else { name }),
            "{name}: {said:?} {}",
            said.text()
        );
        assert!(proxy.is_alive() && p0.plain.connections().is_empty());

        let fetch = format!("curl -sS --max-time 10 {}", p0.url("plain.allowed.test", "/"));
        let output = run(&p0.site, &["--agent", "a", "--", "sh", "-c", &fetch], Stdio::piped());
        assert_eq!(output.status.code(), Some(ran), "{name}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("plain /"), "{name}: {output:?}");
        assert!(p0.plain.connections().is_empty(), "{name}");
    }
}

#[test]
fn a_run_ends_with_its_commands_code_although_nobody_reads_its_stderr() {
    let site = Site::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run(&site, &["--", "sh", "-c", "echo out; exit 7"], writer.into());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"out\n"[..]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run(&site, &["--", "nosuch-command-here"], writer.into()).status.code(), Some(127));
}

#[test]
fn a_run_says_127_for_an_unknown_command_and_126_for_one_that_cannot_be_run() {
    let site = Site::new();
    let plain = site.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    for (command, code) in [("nosuch-command-here", 127), (plain.to_str().unwrap(), 126)] {
        let output = run(&site, &["--", command], Stdio::piped());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(command), "{output:?}");
    }
}

#[test]
fn the_summary_of_a_run_names_what_was_refused() {
    let site = Site::new();
    let fetch = "curl -sS -o /dev/null http://refused.test:8080/; exit 3";
    let output = run(&site, &["--", "sh", "-c", fetch], Stdio::piped());
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 refused: refused.test:8080 (unlisted)"), "{said}");
}
