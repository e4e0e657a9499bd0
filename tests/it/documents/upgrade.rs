//! `docs/upgrade.md`: a state is backed up, wrecked and restored, and holds what it held.

use std::fs;

use serde_json::Value;

use super::reader::{Background, Reader, free_ports};
use super::{Claim, play};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::proxy::{journal, of_kind};
use crate::support::site::Site;

const PAGE: &str = "docs/upgrade.md";

/// In the order of a bad day.
pub(super) const CLAIMS: &[Claim<Machine>] = &[
    (PAGE, "mkdir -m 700 -p live", |machine, text| {
        assert!(machine.reader.said(text).contains("proxy-1: "));
        let toml = fs::read_to_string(machine.reader.folder().join("live/approvals.toml")).unwrap();
        assert!(toml.contains("host = \"always.test\""), "{toml}");
    }),
    (PAGE, "mkdir -m 700 backup", |machine, text| {
        machine.stop();
        let said = machine.reader.said(text);
        assert!(said.contains("proxy-1: ") && !said.contains("NOT"), "{said}");
        machine.forget();
    }),
    (PAGE, "mv /var/lib/exeat", |machine, text| {
        let said = machine.reader.said(text);
        for word in ["1 agent, 0 errors", "proxy-1: ", "coder       1", "alice", "host = \"always.test\""] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("NOT what was written"), "{said}");
        machine.start();
        machine.holds_what_it_held();
    }),
    (PAGE, "./exeat-new check", |machine, text| {
        assert!(machine.reader.said(text).contains("0 errors"));
    }),
];

/// A machine with its configuration and state in folders of their own.
pub(super) struct Machine {
    serving: Option<Background>,
    reader: Reader,
    origin: Origin,
    url: String,
    port: u16,
}

impl Machine {
    fn new() -> Self {
        let site = Site::new();
        for name in ["listed.test", "always.test"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let (origin, [port]) = (Origin::http(|request| ok(&format!("reached {}", request.header("host").unwrap()))), free_ports());
        let (etc, state) = (site.path().join("etc"), site.path().join("lib"));
        fs::create_dir_all(etc.join("allowlists")).unwrap();
        let config = format!(
            "state = \"{}\"\n[listen.main]\naddress = \"127.0.0.1:{port}\"\n[metrics]\naddress = \"127.0.0.1:0\"\n[dns]\nservers = [\"{}\"]\n",
            state.display(),
            site.dns.address
        );
        fs::write(etc.join("exeat.toml"), config).unwrap();
        let here = format!("port = {}\naddresses = [\"127.0.0.0/8\"]", origin.port());
        let coder =
            format!("agent = \"coder\"\nunlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]\n[[allow]]\nhost = \"listed.test\"\n{here}\n");
        fs::write(etc.join("allowlists/coder.toml"), coder).unwrap();
        let mut reader = Reader::new(site);
        reader.environment.push(("EXEAT_CONFIG", etc.join("exeat.toml").display().to_string()));
        reader.stand_ins = vec![
            ("/var/lib/exeat", state.display().to_string()),
            ("/etc/exeat", etc.display().to_string()),
            ("./exeat-new", env!("CARGO_BIN_EXE_exeat").to_owned()),
        ];
        let mut machine = Self { serving: None, reader, origin, url: String::new(), port };
        machine.start();
        machine.url = machine.reader.said("exeat token coder").trim().to_owned();
        machine
    }

    fn start(&mut self) {
        let serving = self.reader.start("exeat serve");
        serving.expect(&format!("proxy main http://127.0.0.1:{}", self.port));
        self.serving = Some(serving);
    }

    fn stop(&mut self) {
        self.serving.take().unwrap().stop();
    }

    fn asks(&self, host: &str) -> String {
        let said = self.reader.said(&format!("curl -sS --proxy '{}' http://{host}:{}/", self.url, self.origin.port()));
        let problem: Option<Value> = serde_json::from_str(&said).ok();
        problem.map_or(said, |problem| problem["reason"].as_str().unwrap().to_owned())
    }

    /// A yes without end, a person, and a question that waits.
    fn lives(&self) {
        assert_eq!(self.asks("always.test"), "unattended");
        let listed: Vec<Value> = serde_json::from_str(&self.reader.said("exeat holds --json")).unwrap();
        self.reader.said(&format!("exeat approve {} --always", listed[0]["id"].as_str().unwrap()));
        self.reader.said("exeat approver add alice");
        assert_eq!(self.asks("waits.test"), "unattended");
        self.holds_what_it_held();
    }

    fn holds_what_it_held(&self) {
        let reached = |host: &str| format!("reached {host}:{}", self.origin.port());
        assert_eq!(self.asks("listed.test"), reached("listed.test"));
        assert_eq!(self.asks("always.test"), reached("always.test"));
        assert!(self.reader.said("exeat holds").contains("waits.test:"));
        assert!(self.reader.said("exeat approver list").contains("alice"));
        assert!(of_kind(&journal(&self.reader.folder().join("lib")), "answered").len() == 1);
    }

    /// What a lost disk leaves.
    fn forget(&self) {
        self.reader.said("rm -rf /var/lib/exeat && mkdir -m 700 /var/lib/exeat");
    }
}

#[test]
fn a_state_is_backed_up_lost_and_restored_as_the_page_says() {
    let mut machine = Machine::new();
    machine.lives();
    play(CLAIMS, &mut machine);
}

#[test]
fn a_copy_of_a_running_store_is_not_what_the_page_advises() {
    let mut machine = Machine::new();
    machine.lives();
    let lib = machine.reader.folder().join("lib");
    let (alone, aside) = (machine.reader.folder().join("alone.db"), machine.reader.folder().join("aside"));
    fs::copy(lib.join("approvals.db"), &alone).unwrap();
    assert!(lib.join("approvals.db-wal").metadata().unwrap().len() > 0, "the file alone is not the store");
    machine.stop();
    fs::rename(&lib, &aside).unwrap();
    fs::create_dir(&lib).unwrap();
    machine.reader.said("chmod 700 /var/lib/exeat; cp -p aside/tokens.json /var/lib/exeat; cp alone.db /var/lib/exeat/approvals.db; chmod 600 /var/lib/exeat/approvals.db");
    let started = machine.reader.ran("exeat approver list");
    assert!(!String::from_utf8_lossy(&started.stdout).contains("alice"), "what stands in the write-ahead log was in the copy: {started:?}");
}
