//! `exeat verify` and `exeat prove` against journals that `serve` wrote: stopped, killed, alive, and tampered with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::p0::{P0, a};

/// A state folder that one session of `serve` wrote to.
struct Site {
    p0: P0,
}

impl Site {
    fn new() -> Self {
        Self { p0: P0::new() }
    }

    /// Some requests, and what the last of them was.
    fn traffic(&self, proxy: &crate::support::proxy::Proxy) -> String {
        for turn in 0..5 {
            assert_eq!(proxy.get(&self.p0.url("plain.allowed.test", &format!("/{turn}")), &a()).status, 200);
        }
        let records = proxy.settled();
        let last = records.iter().rev().find(|record| record["kind"] == "ended").unwrap();
        last["id"].as_str().unwrap().to_owned()
    }

    fn slot(&self) -> PathBuf {
        self.p0.site.state().join("journal/proxy-1")
    }

    fn exeat(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_exeat")).args(args).env_clear().env("HOME", self.p0.site.state()).output().unwrap()
    }

    fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        let state = self.p0.site.state();
        let output = self.exeat(&[&["verify", state.to_str().unwrap()], more].concat());
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    fn assert_sound(&self) -> String {
        let (code, said) = self.verify(&[]);
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

#[test]
fn a_journal_is_sound_while_it_is_written_after_a_kill_and_after_a_stop() {
    let site = Site::new();
    let mut proxy = site.p0.start();
    site.traffic(&proxy);
    site.assert_sound();
    proxy.kill();
    site.assert_sound();
    let mut proxy = site.p0.start();
    site.traffic(&proxy);
    site.assert_sound();
    proxy.stop();
    let said = site.assert_sound();
    assert!(said.contains("proxy-1: ") && !said.contains("covered by none yet") && said.contains("--from"), "{said}");
}

#[test]
fn a_journal_that_was_tampered_with_is_told_by_file_and_line() {
    let site = Site::new();
    let mut proxy = site.p0.start();
    site.traffic(&proxy);
    proxy.stop();
    site.assert_sound();
    let segment = site.slot().join("00000001.jsonl");
    let good = fs::read_to_string(&segment).unwrap();
    let elsewhere = site.p0.site.state().join("elsewhere");
    fs::copy(site.slot().join("checkpoints"), &elsewhere).unwrap();
    let from = ["--from", elsewhere.to_str().unwrap()];
    assert_eq!(site.verify(&from).0, Some(0));
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let middle = lines.len() / 2;
    for (text, said) in [
        (
            [&lines[..middle], &lines[middle + 1..]].concat().concat(),
            format!("00000001.jsonl:{} (seq {})", middle + 1, middle + 2).replace(" (", ": "),
        ),
        (good.replacen("plain.allowed.test", "plane.allowed.test", 1), "has another root".into()),
        (lines[..lines.len() - 1].concat(), format!("the log ends at seq {}", lines.len() - 1)),
    ] {
        fs::write(&segment, &text).unwrap();
        let (code, found) = site.verify(&[]);
        let said = said.split(": ").next().unwrap();
        assert!(code == Some(1) && found.contains(said) && found.contains("which means: "), "{said}: {found}");
    }
    fs::write(&segment, &good).unwrap();
    site.assert_sound();
}

#[test]
fn an_attempt_is_proven_to_somebody_who_has_the_key_alone() {
    let site = Site::new();
    let mut proxy = site.p0.start();
    let id = site.traffic(&proxy);
    proxy.stop();
    let state = site.p0.site.state();
    let output = site.exeat(&["prove", &id, state.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.matches("c2sp.org/tlog-proof@v1\n").count(), 2, "{printed}");
    let away = tempfile::tempdir().unwrap();
    let file = away.path().join("proof");
    let key = fs::read_to_string(site.slot().join("verifier")).unwrap();
    assert_eq!(checked(&site, &file, &printed, key.trim_end()), Some(0));
    assert_eq!(checked(&site, &file, &printed.replacen("index ", "index 1", 1), key.trim_end()), Some(1));
}

fn checked(site: &Site, file: &Path, text: &str, key: &str) -> Option<i32> {
    fs::write(file, text).unwrap();
    site.exeat(&["verify", "--proof", file.to_str().unwrap(), "--key", key]).status.code()
}
